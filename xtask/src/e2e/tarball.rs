//! The entries of a written tar, as GNU tar reads it, and unpacking. It shares no code with the product's writer.

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::lab::Lab;
use crate::process::command;
use crate::stage::need;

/// One entry, as `tar -tv --numeric-owner --full-time` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Such as `-rwxr-xr-x`.
    pub(super) mode: String,
    /// Such as `0/0`.
    pub(super) owner: String,
    /// Such as `1970-01-01 00:00:00`, in UTC.
    pub(super) mtime: String,
    /// The absolute path; that of a directory has no slash at its end.
    pub(super) path: String,
    /// The target of a link.
    pub(super) target: Option<String>,
}

/// The entries of `tar`, in its order.
pub(super) fn list(tar: &Utf8Path) -> Result<Vec<Entry>> {
    need("tar")?;
    let args = ["tar", "-tv", "--numeric-owner", "--full-time", "--utc", "-f", tar.as_str()];
    let listing = command(args).env("LC_ALL", "C").run()?.stdout;
    listing.lines().map(|line| entry(line).with_context(|| format!("tar -tv said `{line}`"))).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after.trim_start();
        Some(word.to_owned())
    };
    let (mode, owner, _size, date, time) = (word()?, word()?, word()?, word()?, word()?);
    let link = rest.split_once(" -> ").or_else(|| rest.split_once(" link to "));
    let (name, target) = link.map_or((rest, None), |(name, target)| (name, Some(target.to_owned())));
    let name = name.trim_start_matches("./").trim_matches('/');
    Some(Entry { mode, owner, mtime: format!("{date} {time}"), path: format!("/{name}"), target })
}

/// The entry at `path`, which must exist.
pub(super) fn at<'a>(entries: &'a [Entry], path: &str) -> Result<&'a Entry> {
    let found = entries.iter().find(|entry| entry.path == path);
    let paths = || entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>().join("\n");
    found.with_context(|| format!("no {path} among\n{}", paths()))
}

/// Fails if an entry's name or link target leads to the host's `folder`.
pub(super) fn never_names(entries: &[Entry], folder: &Utf8Path) -> Result<()> {
    let folder = folder.as_str().trim_matches('/');
    for entry in entries {
        let named = entry.path.contains(folder) || entry.target.as_ref().is_some_and(|target| target.contains(folder));
        ensure!(!named, "an entry names the host's /{folder}: {entry:?}");
    }
    Ok(())
}

/// Unpacks `tar` as root into a new directory of the lab, with owners and extended attributes.
pub(super) fn unpack(lab: &Lab, tar: &Utf8Path, name: &str) -> Result<Utf8PathBuf> {
    let dir = lab.folder(name)?;
    let args =
        ["tar", "-xp", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f", tar.as_str(), "-C", dir.as_str()];
    let done = command(args).run()?;
    ensure!(done.stderr.is_empty(), "{}", done.report("GNU tar had something to say"));
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn a_line_of_tar_is_read() {
        let line = "lrwxrwxrwx 0/0               0 1970-01-01 00:00:00 usr/bin/sh -> dash";
        let read = entry(line).expect("it is an entry");
        assert_eq!((read.path.as_str(), read.target.as_deref()), ("/usr/bin/sh", Some("dash")));
        assert_eq!((read.owner.as_str(), read.mtime.as_str()), ("0/0", "1970-01-01 00:00:00"));
        let folder = entry("drwxrwxrwt 0/0               0 1970-01-01 00:00:00 tmp/").expect("it is an entry");
        assert_eq!((folder.mode.as_str(), folder.path.as_str(), folder.target), ("drwxrwxrwt", "/tmp", None));
    }
}
