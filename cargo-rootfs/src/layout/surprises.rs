//! Reports facts that users should know before they use the image: files that run with more rights than their caller,
//! and files that were not packed.
//!
//! There is one line for each kind. The decisions were made elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::secrets::Secret;
use crate::error::Warning;
use crate::path::RootfsPath;
use crate::wording::{and_more, include};

/// The number of named unpacked files in a warning; the others are counted. Files of the other kinds are all named.
const NAMED: usize = 6;

/// The reports, collected while files are put into their places.
#[derive(Default)]
pub(super) struct Surprises {
    /// Files that keep a set-ID bit, with the bit's name.
    kept: Vec<(RootfsPath, &'static str)>,
    /// Files that lose one, with the bit's name and the owner whose rights it gave.
    lost: Vec<(RootfsPath, &'static str, u32)>,
    capabilities: Vec<(RootfsPath, String)>,
    held_back: BTreeMap<RootfsPath, Secret>,
    /// Files of the sysroot that this user may not read.
    unreadable: BTreeSet<RootfsPath>,
}

impl Surprises {
    /// Reports a file that runs as root for every caller.
    pub(super) fn keeps(&mut self, path: &RootfsPath, word: &'static str) {
        self.kept.push((path.clone(), word));
    }

    /// Reports a file that ran as `owner` and no longer does.
    pub(super) fn loses(&mut self, path: &RootfsPath, word: &'static str, owner: u32) {
        self.lost.push((path.clone(), word, owner));
    }

    /// Reports a file that has these capabilities for every caller.
    pub(super) fn has_capabilities(&mut self, path: &RootfsPath, names: String) {
        self.capabilities.push((path.clone(), names));
    }

    /// Reports an unpacked file of a taken directory or package.
    pub(super) fn held_back(&mut self, path: RootfsPath, secret: Secret) {
        self.held_back.insert(path, secret);
    }

    /// Reports a file that the current user may not read.
    pub(super) fn unreadable(&mut self, path: RootfsPath) {
        self.unreadable.insert(path);
    }

    /// All warnings, one for each kind.
    pub(super) fn warnings(self, root: &Path) -> Vec<Warning> {
        let mut warnings = Vec::new();
        match &self.kept[..] {
            [] => {}
            [(path, word)] => warnings.push(format!("`{path}` keeps its {word} bit (root)")),
            kept => {
                let list = join(kept.iter().map(|(path, word)| format!("`{path}` ({word})")));
                warnings.push(format!("{} keep their set-ID bits (root): {list}", files(kept.len())));
            }
        }
        match &self.lost[..] {
            [] => {}
            [(path, word, owner)] => {
                warnings.push(format!(
                    "`{path}` loses its {word} bit: it belonged to {owner}, and all files are owned 0:0"
                ));
            }
            lost => {
                let list = join(lost.iter().map(|(path, word, owner)| format!("`{path}` ({word} {owner})")));
                warnings.push(format!(
                    "{} lose their set-ID bits, because all files are owned 0:0: {list}",
                    files(lost.len())
                ));
            }
        }
        match &self.capabilities[..] {
            [] => {}
            [(path, names)] => warnings.push(format!("`{path}` keeps its file capabilities: {names}")),
            several => {
                let list = join(several.iter().map(|(path, names)| format!("`{path}` ({names})")));
                warnings.push(format!("{} keep their file capabilities: {list}", files(several.len())));
            }
        }
        let mut warnings: Vec<_> = warnings.into_iter().map(Warning::new).collect();
        if let Some((first, _)) = self.held_back.first_key_value() {
            let all = self.held_back.iter().map(|(path, secret)| format!("`{path}` ({secret})"));
            let message = format!("left out: {}", and_more(all, NAMED));
            let help = format!("to pack it anyway: {}", include(root, first));
            warnings.push(Warning::new(message).help(help));
        }
        if !self.unreadable.is_empty() {
            let list = and_more(self.unreadable.iter().map(|path| format!("`{path}`")), NAMED);
            warnings.push(Warning::new(format!("left out, without permission to read it in the sysroot: {list}")));
        }
        warnings
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RootfsPath {
        RootfsPath::parse(text).unwrap()
    }

    #[test]
    fn one_line_a_kind() {
        let mut surprises = Surprises::default();
        for name in ["/usr/bin/su", "/usr/bin/mount"] {
            surprises.keeps(&path(name), "setuid");
            surprises.loses(&path(name), "setgid", 42);
            surprises.has_capabilities(&path(name), "cap_net_raw".to_owned());
        }
        for number in 0..9 {
            surprises.held_back(path(&format!("/etc/{number}.key")), Secret::Key);
        }
        surprises.unreadable(path("/etc/sudoers"));
        let said: Vec<_> = surprises.warnings("/".as_ref()).into_iter().map(|warning| warning.message).collect();
        assert_eq!(
            said,
            [
                "2 files keep their set-ID bits (root): `/usr/bin/su` (setuid), `/usr/bin/mount` (setuid)",
                "2 files lose their set-ID bits, because all files are owned 0:0: `/usr/bin/su` (setgid 42), `/usr/bin/mount` (setgid 42)",
                "2 files keep their file capabilities: `/usr/bin/su` (cap_net_raw), `/usr/bin/mount` (cap_net_raw)",
                "left out: `/etc/0.key` (a private key), `/etc/1.key` (a private key), `/etc/2.key` (a private key), \
                 `/etc/3.key` (a private key), `/etc/4.key` (a private key), `/etc/5.key` (a private key) and 3 more",
                "left out, without permission to read it in the sysroot: `/etc/sudoers`",
            ]
        );
    }
}
