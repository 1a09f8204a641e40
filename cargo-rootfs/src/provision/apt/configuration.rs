//! apt's configuration: a separate state, the host's sources, proxies and certificates, and none of the host's hooks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The paths of the host's sources (sources.list(5)).
const SOURCES: (&str, &str) = ("/etc/apt/sources.list", "/etc/apt/sources.list.d");

/// The texts of the host's sources.list(5) files, by name. The host's apt configuration names their places.
pub(super) fn host_sources() -> Result<Vec<(String, String)>> {
    let words = ["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"];
    let said = duct::cmd("apt-config", words).stdin_null().stderr_null().unchecked().read().unwrap_or_default();
    let place = |name: &str, usual: &str| {
        let value = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''));
        PathBuf::from(value.unwrap_or(usual))
    };
    let mut files = vec![place("LIST", SOURCES.0)];
    let parts = fs::read_dir(place("PARTS", SOURCES.1)).into_iter().flatten().flatten().map(|entry| entry.path());
    // apt reads the files in the order of their names, and only those with these extensions.
    let ends = |path: &PathBuf| path.extension().is_some_and(|end| end == "list" || end == "sources");
    let mut parts: Vec<_> = parts.filter(ends).collect();
    parts.sort();
    files.extend(parts);
    let mut texts = Vec::new();
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", file, error)),
        }
    }
    Ok(texts)
}

/// Keeps the host's proxies and certificates, and drops its hooks, pins and further indexes (apt.conf(5)).
pub(super) fn configuration(folder: &Path, architecture: &str) -> Result<String> {
    let folder = folder.to_str().filter(|text| !text.contains(['"', '\n', ';']));
    let folder = folder.ok_or_else(|| {
        Error::failed("the cache directory's path cannot be written in apt's configuration")
            .help("name another directory: export CARGO_ROOTFS_CACHE=DIR")
    })?;
    // Without root, apt cannot change to another user; with root, `_apt` may not enter root's cache directory.
    Ok(format!(
        "Dir::State \"{folder}\";\nDir::State::lists \"{folder}/lists\";\nDir::State::status \"/dev/null\";\n\
         Dir::State::extended_states \"{folder}/extended_states\";\n\
         Dir::Cache \"{folder}\";\nDir::Cache::archives \"{folder}/archives\";\n\
         Dir::Cache::pkgcache \"{folder}/pkgcache.bin\";\nDir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts \"{folder}/sources\";\n\
         Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"{folder}/preferences\";\n\
         Dir::Log \"{folder}\";\n\
         APT::Architecture \"{architecture}\";\n#clear APT::Architectures;\nAPT::Architectures {{ \"{architecture}\"; }};\n\
         APT::Default-Release \"\";\nAPT::Install-Recommends \"false\";\nAPT::Install-Suggests \"false\";\n\
         APT::Get::Assume-Yes \"true\";\nAPT::Get::AllowUnauthenticated \"false\";\nAPT::Get::Simulate \"false\";\n\
         APT::Get::List-Cleanup \"false\";\nAPT::Sandbox::User \"root\";\n#clear APT::Update;\n#clear APT::NeverAutoRemove;\n#clear DPkg;\n#clear AptCli;\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"3\";\nAcquire::AllowInsecureRepositories \"false\";\n\
         Acquire::AllowWeakRepositories \"false\";\nAcquire::AllowDowngradeToInsecureRepositories \"false\";\n\
         Acquire::http::Timeout \"20\";\nAcquire::https::Timeout \"20\";\n\
         #clear Acquire::IndexTargets::deb;\nAcquire::IndexTargets::deb::Packages {{\n\
         MetaKey \"$(COMPONENT)/binary-$(ARCHITECTURE)/Packages\";\nflatMetaKey \"Packages\";\n\
         ShortDescription \"Packages\";\nDescription \"$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages\";\n\
         flatDescription \"$(RELEASE) Packages\";\nOptional \"false\";\n}};\n\
         {}{}{}",
        index_of_files("Contents-deb", &format!("$(COMPONENT)/Contents-{architecture}"), ""),
        index_of_files(super::FALLBACK, &format!("Contents-{architecture}"), "Contents-deb"),
        index_of_files("Contents-all", "$(COMPONENT)/Contents-all", ""),
    ))
}

/// One kind of index, as apt.conf(5) describes it. With `fallback_of`, apt fetches it only if the mirror lacks that
/// index.
fn index_of_files(name: &str, key: &str, fallback_of: &str) -> String {
    let fallback = if fallback_of.is_empty() { String::new() } else { format!("Fallback-Of \"{fallback_of}\";\n") };
    let identifier = if fallback_of.is_empty() { name } else { fallback_of };
    format!(
        "Acquire::IndexTargets::deb::{name} {{\nMetaKey \"{key}\";\nflatMetaKey \"{identifier}\";\n\
         ShortDescription \"Contents\";\nDescription \"$(RELEASE) {key}\";\nflatDescription \"$(RELEASE) Contents\";\n\
         Identifier \"{identifier}\";\nOptional \"true\";\nKeepCompressed \"true\";\nDefaultEnabled \"false\";\n{fallback}}};\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::apt::Contents;

    #[test]
    fn indexes_of_files_are_fetched_when_they_are_asked_for() {
        let text = configuration(Path::new("/c"), "arm64").unwrap();
        let mut targets = text.split("Acquire::IndexTargets::deb::").filter(|target| target.starts_with("Contents-"));
        assert!(targets.all(|target| target.contains("\nDefaultEnabled \"false\";\n")), "{text}");
        let all: Vec<_> = [Contents::Architecture, Contents::All].into_iter().flat_map(Contents::enabled).collect();
        let known = text.matches("Acquire::IndexTargets::deb::Contents-").count();
        assert_eq!(all.len(), known, "{all:?}");
    }

    #[test]
    fn hooks_of_the_host_do_not_run() {
        let text = configuration(Path::new("/c"), "arm64").unwrap();
        for line in ["#clear APT::Update;", "#clear DPkg;", "#clear AptCli;", "Dir::State::status \"/dev/null\";"] {
            assert!(text.lines().any(|known| known == line), "{text}");
        }
        assert!(configuration(Path::new("/c\"; x"), "arm64").is_err());
    }
}
