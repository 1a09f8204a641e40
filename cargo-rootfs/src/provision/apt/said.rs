//! Messages of a failed apt, and their causes.

use std::process::Output;

use crate::error::Error;

/// The messages of a failed apt.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Its errors and warnings, without their prefix.
    lines: Vec<String>,
    /// The causes of failed fetches; for a Release file, the error itself does not contain the cause.
    reasons: Vec<String>,
}

impl Said {
    pub(super) fn of(output: &Output) -> Self {
        Self::of_texts(&String::from_utf8_lossy(&output.stdout), &String::from_utf8_lossy(&output.stderr))
    }

    fn of_texts(progress: &str, text: &str) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            let marked = ["E: ", "W: "].iter().find_map(|mark| line.strip_prefix(mark));
            match marked.map(str::trim) {
                Some(line) if lines.iter().any(|known| known == line) => {}
                Some(line) => lines.push(line.to_owned()),
                // A continuation of the previous line.
                None => lines.last_mut().filter(|_| line.starts_with(' ')).into_iter().for_each(|last| {
                    last.push(' ');
                    last.push_str(line.trim());
                }),
            }
        }
        // The summary adds no information.
        lines.retain(|line| {
            !line.starts_with("Some index files failed") && !line.starts_with("Unable to fetch some archives")
        });
        // `Err:2 http://m bookworm Release`, with the cause on the next line.
        let pairs = progress.lines().zip(progress.lines().skip(1));
        let reasons = pairs.filter(|(line, why)| line.starts_with("Err:") && why.starts_with(' '));
        Self { lines, reasons: reasons.map(|(_, why)| why.trim().to_owned()).collect() }
    }

    /// The cause if the mirror cannot be reached.
    fn unreachable(&self) -> Option<&str> {
        let words = [
            "Temporary failure resolving",
            "Could not resolve",
            "Could not connect",
            "Cannot initiate the connection",
            "Network is unreachable",
            "connection timed out",
            // The mirror accepts the request and sends nothing until apt's last attempt has failed.
            "Connection failed",
            "Connection timed out",
            "Unable to connect",
        ];
        let said = self.lines.iter().chain(&self.reasons);
        said.map(String::as_str).find(|line| words.iter().any(|word| line.contains(word)))
    }

    fn says(&self, words: &[&str]) -> bool {
        self.lines.iter().any(|line| words.iter().any(|word| line.contains(word)))
    }

    /// Returns whether the mirror was in the middle of an update.
    pub(super) fn is_halfway(&self) -> bool {
        self.says(&[
            "Hash Sum mismatch",
            "Mirror sync in progress",
            "File has unexpected size",
            "Unexpected end of",
            "Error reading from server",
            "Remote end closed",
            "Undetermined Error",
        ])
    }

    /// Returns whether the apt of a killed run is still running: this run holds the suite's lock, so no other run does.
    pub(super) fn is_held(&self) -> bool {
        self.says(&["Could not get lock"])
    }

    /// The name and version of a package whose version is no longer available.
    pub(super) fn gone(&self) -> Option<(&str, &str)> {
        self.lines.iter().find_map(|line| {
            // Version '1.0' for 'bash' was not found
            let mut words = line.strip_prefix("Version '")?.split('\'');
            let (version, _, name) = (words.next()?, words.next()?, words.next()?);
            line.ends_with("was not found").then_some((name, version))
        })
    }

    /// The name of an unknown package.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix("Unable to locate package "))
    }

    pub(super) fn has_no_suite(&self) -> bool {
        self.says(&["does not have a Release file", "no longer has a Release file"])
    }

    /// The error with a known cause in this program's words, and apt's messages as details.
    pub(super) fn error(&self, what: &str) -> Error {
        let (why, help) = if self.says(&["No space left on device", "enough free space"]) {
            ("the disk is full", Some("make room: cargo rootfs sysroot prune --all"))
        } else if self.unreachable().is_some() {
            // apt reports a Release file that it could not fetch as a missing one.
            ("the mirror cannot be reached", Some("use only what is there: --offline"))
        } else if self.says(&[
            "NO_PUBKEY",
            "BADSIG",
            "EXPKEYSIG",
            "EXPSIG",
            "REVKEYSIG",
            "not signed",
            "invalid signature",
            "couldn't be verified",
        ]) {
            ("its signature is not valid, or is of a key that is not known here", None)
        } else if self.has_no_suite() {
            ("the mirror does not have this suite", None)
        } else if self.says(&["is not valid yet", "is expired"]) {
            ("its signature is of another time: is the clock right?", None)
        } else if self.is_held() {
            ("the apt of a run that was killed has not ended", Some("try again when it has"))
        } else if self.is_halfway() {
            ("the mirror is in the middle of an update, or broke off", Some("try again in a few minutes"))
        } else {
            ("", None)
        };
        let message = if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") };
        let reason = self.unreachable().filter(|reason| !self.lines.iter().any(|line| line == reason));
        let lines = reason.into_iter().chain(self.lines.iter().map(String::as_str));
        lines.take(6).fold(Error::failed(message), |error, line| error.detail(line)).help_if(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_apt_failed() {
        let error = |text: &str| Said::of_texts("", text).error("cannot fetch").message().to_owned();
        for (text, why) in [
            ("E: Failed to fetch http://m/x  Hash Sum mismatch\n   Hashes of expected file:\n", "middle of an update"),
            ("E: The repository 'http://m nope Release' does not have a Release file.\n", "does not have this suite"),
            (
                "W: GPG error: http://m bookworm InRelease: The following signatures couldn't be verified because the \
              public key is not available: NO_PUBKEY 0E98\nE: The repository 'http://m' is not signed.\n",
                "signature",
            ),
            ("E: Failed to fetch http://m/  Temporary failure resolving 'm'\n", "cannot be reached"),
            (
                "E: Failed to fetch http://m/dists/x/InRelease  Connection failed [IP: 127.0.0.1 80]\n",
                "cannot be reached",
            ),
            (
                "E: Could not get lock /c/lists/lock. It is held by process 7 (apt-get)\nE: Unable to lock directory /c\n",
                "a run that was killed",
            ),
            ("E: Write error - write (28: No space left on device)\n", "disk is full"),
        ] {
            assert!(error(text).contains(why), "{text}");
        }
        assert_eq!(error("E: Unable to locate package x\n"), "cannot fetch");
        let missing = "E: The repository 'http://m nope Release' does not have a Release file.\n";
        let told = |why: &str| {
            let progress = format!("Ign:1 http://m nope InRelease\nErr:2 http://m nope Release\n  {why}\nReading\n");
            Said::of_texts(&progress, missing).error("cannot fetch").to_string()
        };
        assert!(
            told("404  Not Found [IP: 127.0.0.1 80]")
                .starts_with("cannot fetch: the mirror does not have this suite\n")
        );
        let why = "Cannot initiate the connection to m:80 (127.0.0.1). - connect (101: Network is unreachable)";
        assert!(
            told(why).starts_with(&format!("cannot fetch: the mirror cannot be reached\n  {why}\n")),
            "{}",
            told(why)
        );
        let unknown = Said::of_texts("", "Reading\nE: Unable to locate package gone-sed\n");
        assert_eq!(unknown.unknown(), Some("gone-sed"));
        let gone = Said::of_texts("", "E: Version '1:2~x' for 'bash' was not found\n");
        assert_eq!(gone.gone(), Some(("bash", "1:2~x")));
    }
}
