//! Parsers of the output of apt's programs.

use super::super::lock::Package;
use crate::error::{Error, Result};

/// The packages in the output of `apt-cache policy` that have a candidate version.
pub(super) fn with_candidate(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = None;
    for line in text.lines() {
        match line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            Some(head) => name = Some(head.split(':').next().unwrap_or(head).to_owned()),
            None if line.trim_start().starts_with("Candidate:") && !line.ends_with("(none)") => {
                names.extend(name.take())
            }
            None => {}
        }
    }
    names
}

/// Parses a line of `--print-uris`: `'http://...' name_version_arch.deb 1234 SHA256:abc`.
pub(super) fn resolved(line: &str) -> Result<Package> {
    let not_understood = || Error::failed("cannot understand what apt prints").detail(line.to_owned());
    let rest = line.strip_prefix('\'').and_then(|rest| rest.split_once("' ")).ok_or_else(not_understood)?.1;
    let mut words = rest.split(' ');
    let (file, _size, digest) = (words.next(), words.next(), words.next());
    let mut parts = file.unwrap_or_default().splitn(3, '_');
    let (Some(name), Some(version), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(not_understood());
    };
    let sha256 = digest.and_then(|digest| digest.strip_prefix("SHA256:")).filter(|digest| digest.len() == 64);
    let sha256 = sha256.ok_or_else(not_understood)?;
    // In a file name, apt escapes only the colon of an epoch (apt's `QuoteString`).
    let version = version.replace("%3a", ":").replace("%3A", ":");
    Ok(Package { name: name.to_owned(), version, sha256: sha256.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_packages() {
        let hash = "b".repeat(64);
        let line = format!(
            "'http://m/pool/main/a/attr/libattr1_2.5.1-4_arm64.deb' libattr1_1%3a2.5.1-4_arm64.deb 21888 SHA256:{hash}"
        );
        let one = resolved(&line).unwrap();
        assert_eq!(one.spec(), "libattr1=1:2.5.1-4");
        assert_eq!(one.sha256, hash);
        for line in ["'http://m/x.deb' x_1_arm64.deb 3 MD5Sum:abc", "'http://m/x.deb' x.deb 3 SHA256:abc", "x", "'x"] {
            assert!(resolved(line).is_err(), "{line}");
        }
    }

    #[test]
    fn packages_without_a_version_are_not_known() {
        let text = "bash:\n  Installed: (none)\n  Candidate: 5.2.15-2+b13\n  Version table:\n     5.2.15-2+b13 500\n\
                    awk:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\nzlib1g:arm64:\n  Candidate: 1:1.2\n";
        assert_eq!(with_candidate(text), ["bash", "zlib1g"]);
    }
}
