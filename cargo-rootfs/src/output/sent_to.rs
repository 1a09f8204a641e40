//! Repositories to which blobs were sent, by this run and by earlier ones: another repository of the same registry can mount
//! a blob from there.
//!
//! A wrong record costs nothing: the registry then accepts the bytes (distribution-spec, "Mounting a blob from another
//! repository").

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::host_files;

/// The maximum number of records of a registry; the oldest ones are dropped.
const MOST: usize = 4096;

/// The records of all registries, in memory and, with a cache, in a file for each registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentTo {
    directory: Option<PathBuf>,
    here: Rc<RefCell<Vec<Record>>>,
}

/// A blob that a repository of a registry has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Record {
    host: String,
    digest: String,
    repository: String,
}

impl SentTo {
    /// Records in the directory `sent` of the cache at `root`.
    pub(crate) fn in_cache(root: &Path) -> Self {
        Self { directory: Some(root.join("sent")), ..Self::default() }
    }

    /// The records of `host`, the newest last.
    pub(super) fn of(&self, host: &str) -> Sources {
        let mut records = self.stored(host);
        records.extend(self.here.borrow().iter().filter(|record| record.host == host).cloned());
        Sources(records)
    }

    /// Records that `repository` of `host` has the blobs with these digests.
    pub(super) fn record<'d>(&self, host: &str, repository: &str, digests: impl Iterator<Item = &'d str>) {
        let record = |digest: &str| Record {
            host: host.to_owned(),
            digest: digest.to_owned(),
            repository: repository.to_owned(),
        };
        self.here.borrow_mut().extend(digests.map(record));
        // Without the file, a later run sends the bytes.
        let _ = self.store(host);
    }

    fn file(&self, host: &str) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(host.replace('/', "_")))
    }

    fn stored(&self, host: &str) -> Vec<Record> {
        let text = self.file(host).and_then(|file| host_files::text(&file).ok()).unwrap_or_default();
        let record = |line: &str| {
            let (digest, repository) = line.split_once(' ')?;
            Some(Record { host: host.to_owned(), digest: digest.to_owned(), repository: repository.to_owned() })
        };
        text.lines().filter_map(record).collect()
    }

    /// Of two runs that store at the same time, one may overwrite the records of the other.
    fn store(&self, host: &str) -> io::Result<()> {
        let (Some(directory), Some(file)) = (&self.directory, self.file(host)) else { return Ok(()) };
        let (earlier, mut records) = (self.stored(host), self.of(host).0);
        let mut known = rustc_hash::FxHashSet::default();
        records.reverse();
        records.retain(|record| known.insert(record.clone()));
        records.truncate(MOST);
        records.reverse();
        if records == earlier {
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "a failure is not reported: a later run sends the bytes")]
        std::fs::create_dir_all(directory)?;
        let lines = records.iter().map(|record| format!("{} {}\n", record.digest, record.repository));
        let mut new = tempfile::Builder::new().prefix(".").tempfile_in(directory)?;
        new.write_all(lines.collect::<String>().as_bytes())?;
        new.persist(file)?;
        Ok(())
    }
}

/// The records of one registry.
pub(super) struct Sources(Vec<Record>);

impl Sources {
    /// The repository other than `here` that received the blob `digest` last.
    pub(super) fn find(&self, digest: &str, here: &str) -> Option<&str> {
        let has = |record: &&Record| record.digest == digest && record.repository != here;
        self.0.iter().rev().find(has).map(|record| &*record.repository)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_later_run_knows_the_repository_of_a_blob() {
        let cache = tempfile::tempdir().unwrap();
        let first = SentTo::in_cache(cache.path());
        first.record("localhost:5000", "me/one", ["sha256:a", "sha256:b"].into_iter());
        assert_eq!(first.of("localhost:5000").find("sha256:a", "me/two"), Some("me/one"));
        let later = SentTo::in_cache(cache.path());
        later.record("localhost:5000", "me/two", ["sha256:b", "sha256:c"].into_iter());
        let sources = SentTo::in_cache(cache.path()).of("localhost:5000");
        assert_eq!(sources.find("sha256:a", "me/two"), Some("me/one"));
        assert_eq!(sources.find("sha256:b", "me/three"), Some("me/two"), "the newest");
        assert_eq!(sources.find("sha256:b", "me/two"), Some("me/one"));
        assert_eq!(sources.find("sha256:c", "me/two"), None, "a repository is no source for itself");
        assert_eq!(SentTo::in_cache(cache.path()).of("example.com").find("sha256:a", "me/two"), None);
        assert_eq!(SentTo::default().of("localhost:5000").find("sha256:a", "me/two"), None);
    }

    #[test]
    fn records_are_bounded_and_damaged_ones_are_ignored() {
        let cache = tempfile::tempdir().unwrap();
        let sent = SentTo::in_cache(cache.path());
        let digests: Vec<String> = (0..MOST + 10).map(|number| format!("sha256:{number}")).collect();
        sent.record("host", "me/app", digests.iter().map(String::as_str));
        let file = cache.path().join("sent/host");
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), MOST);
        let later = SentTo::in_cache(cache.path());
        assert_eq!(later.of("host").find("sha256:9", "other"), None, "the oldest are dropped");
        assert_eq!(later.of("host").find("sha256:10", "other"), Some("me/app"));
        fs::write(&file, [b"\xff\xff".as_slice(), b"no digest\n"].concat()).unwrap();
        assert_eq!(later.of("host").find("sha256:10", "other"), None);
        later.record("host", "me/app", ["sha256:10"].into_iter());
        assert_eq!(later.of("host").find("sha256:10", "other"), Some("me/app"));
    }
}
