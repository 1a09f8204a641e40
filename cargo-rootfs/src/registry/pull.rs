//! Pulls a repository's manifests and blobs. The reader verifies the blobs.

use std::io::{self, Read};
use std::sync::atomic::AtomicBool;

use ureq::http::{Method, header};

use super::client::{Client, Manifest};
use super::reference::Reference;
use super::transport::{ATTEMPTS, Ask, Settings, Transport};
use crate::error::{Error, Result};

/// A repository to read from.
pub(crate) struct Pull<'i> {
    pub(super) client: Client<'i>,
}

impl<'i> Pull<'i> {
    /// Connects to the registry of `reference` with the read scope, which many registries grant without credentials.
    pub(crate) fn connect(reference: &Reference, settings: &Settings, interrupted: &'i AtomicBool) -> Result<Self> {
        let scope = format!("repository:{}:pull", reference.repository);
        Ok(Self { client: Client { transport: Transport::connect(reference, settings, interrupted)?, scope } })
    }

    /// The manifest or index of the reference.
    pub(crate) fn manifest(&self) -> Result<Manifest> {
        let reference = &self.client.transport.reference;
        let version = reference.digest.as_ref().unwrap_or(&reference.tag);
        self.fetch(version)?.ok_or_else(|| Error::failed(format!("`{reference}` is not in its registry")))
    }

    /// The manifest of a tag or digest.
    pub(crate) fn fetch(&self, version: &str) -> Result<Option<Manifest>> {
        self.client.fetch(version)
    }

    /// Opens a blob at its beginning; `None` if the registry has none.
    pub(crate) fn blob(&self, digest: &str) -> Result<Option<Box<dyn Read + '_>>> {
        Ok(self.body(digest, 0)?.map(|body| {
            let blob = Blob { pull: self, digest: digest.to_owned(), body, offset: 0, attempts: 1 };
            Box::new(blob) as Box<dyn Read>
        }))
    }

    /// A response with the blob from `offset` on.
    fn body(&self, digest: &str, offset: u64) -> Result<Option<Box<dyn Read>>> {
        let transport = &self.client.transport;
        let ask = self.client.ask(Method::GET, transport.url(&format!("blobs/{digest}")));
        let range = (offset > 0).then(|| (header::RANGE, format!("bytes={offset}-")));
        let answer = transport.download(Ask { headers: range.into_iter().collect(), ..ask })?;
        let mut body = match answer.status {
            200 | 206 => answer.response.into_body().into_reader(),
            404 => return Ok(None),
            _ => return Err(transport.error("pull", &answer.refused())),
        };
        // A server may ignore ranges (RFC 9110, section 14.2) and send the whole blob.
        if offset > 0 && answer.status == 200 {
            let skipped = io::copy(&mut (&mut body).take(offset), &mut io::sink());
            skipped.map_err(|error| Error::failed(format!("cannot pull the blob {digest}")).with_source(error))?;
        }
        Ok(Some(Box::new(body)))
    }
}

/// A blob during its download. After a broken connection, a new request fetches the rest.
struct Blob<'p, 'i> {
    pull: &'p Pull<'i>,
    digest: String,
    body: Box<dyn Read>,
    offset: u64,
    attempts: u32,
}

impl Read for Blob<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.pull.client.transport.stop().map_err(io::Error::other)?;
            match self.body.read(buffer) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if self.attempts == ATTEMPTS => return Err(error),
                Err(error) => {
                    self.attempts += 1;
                    let body = self.pull.body(&self.digest, self.offset).map_err(io::Error::other)?;
                    self.body = body.ok_or(error)?;
                }
            }
        }
    }
}
