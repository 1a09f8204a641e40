//! References to images: `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`, in docker's syntax.

use std::fmt;

use crate::error::{Error, Result};
use crate::image::name::ImageName;

/// The host of names without a host, and the host of its API.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// A repository of a registry, and an image in it by tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    /// `HOST[:PORT]` as typed; `docker.io` by default.
    pub(crate) host: String,
    /// The path below the host, such as `library/bash`.
    pub(crate) repository: String,
    pub(crate) tag: String,
    /// `sha256:...`; it takes precedence over the tag.
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// Parses a reference; the default tag is `latest`.
    ///
    /// # Errors
    ///
    /// A name outside the grammar of distribution/reference is a usage error.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) if is_digest(digest) => (name, Some(digest.to_owned())),
            Some(_) => {
                return Err(Error::usage(format!("`{text}` has no valid digest: sha256: and 64 hexadecimal digits")));
            }
            None => (text, None),
        };
        let name = ImageName::parse(name)?.to_string();
        let (path, tag) = name.rsplit_once(':').unwrap_or((&name, "latest"));
        let (host, repository) = match path.split_once('/') {
            Some((host, repository)) if host.contains(['.', ':']) || host == "localhost" => (host, repository),
            _ => (DOCKER_HUB, path),
        };
        let is_official = host == DOCKER_HUB && !repository.contains('/');
        let repository = if is_official { format!("library/{repository}") } else { repository.to_owned() };
        Ok(Self { host: host.to_owned(), repository, tag: tag.to_owned(), digest })
    }

    /// The host and port for requests.
    pub(crate) fn api_host(&self) -> &str {
        if self.host == DOCKER_HUB { DOCKER_HUB_API } else { &self.host }
    }

    /// The keys of this reference's entry in a credentials file, most specific first: containers-auth.json(5) allows a
    /// path below the host, and `docker login` writes the URL of API version 1 for Docker Hub.
    pub(crate) fn credential_keys(&self) -> Vec<String> {
        let path = format!("{}/{}", self.host, self.repository);
        let paths = std::iter::successors(Some(path.as_str()), |path| path.rsplit_once('/').map(|(parent, _)| parent));
        let mut keys: Vec<String> = paths.map(str::to_owned).collect();
        if self.host == DOCKER_HUB {
            keys.extend(["index.docker.io/v1", "index.docker.io", DOCKER_HUB_API].map(str::to_owned));
        }
        keys
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.host, self.repository, self.tag)?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}
