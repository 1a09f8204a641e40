//! `--sbom`: a bill of materials beside the outputs. Unchanged files are not read again for their digests.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use camino::Utf8PathBuf;

use super::{Attachment, Claim, EntryPlace, Intake, Job, Kind, Output, Settings, Step};
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::path::RootfsPath;
use crate::rootfs::{Body, Digests, Entry, HostFile, KnownFiles, Origin, Reasons};
use crate::sbom::{Bill, COPYRIGHT, Format, terms};
use crate::threads::Pending;
use crate::write::digest_cache::DigestCache;
use crate::write::text_file::TextFile;
use crate::write::{Observer, Sink, Staged, is_stdout};

/// A kind that accompanies others. It is not in the table, because it is no output by itself.
static SBOM: Kind = Kind {
    flag: "sbom",
    value: "FORMAT[=FILE]",
    about: "Write a bill of materials",
    more: None,
    example: None,
    verb: "Listing",
    json: "sbom",
    is_image: false,
    step: Step::Files,
    is_path: |_| true,
    parse: |name, _: Settings<'_>| Err(Error::usage(format!("`{name}` has no format"))),
};

/// The bill of a target, set when it is known.
pub(crate) type LateBill = Arc<Mutex<Draft>>;

/// A bill whose digests may be missing.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    bill: Bill,
    /// The contents of each file of the bill.
    bodies: Vec<Body>,
    /// The reasons for each file.
    origins: Vec<Reasons>,
    /// The copyright file of each of the first packages whose licences only it has.
    copyrights: Vec<Option<String>>,
    pub(crate) known: KnownFiles,
    pub(crate) cache: Option<DigestCache>,
    is_complete: bool,
}

impl Draft {
    /// A bill without digests, and the contents of each of its files.
    pub(crate) fn new(bill: Bill, bodies: Vec<Body>) -> Self {
        Self { bill, bodies, ..Self::default() }
    }

    /// Adds texts that are written when the bill is completed.
    pub(crate) fn with(self, origins: Vec<Reasons>, copyrights: Vec<Option<String>>) -> Self {
        Self { origins, copyrights, ..self }
    }

    /// Adds the reasons for all files, the licences of packages, and the digests of all files. Files without known digests
    /// are read.
    fn complete(&mut self) -> Result<&Bill> {
        let Self { bill, bodies, origins, copyrights, known, cache, is_complete } = self;
        if *is_complete {
            return Ok(bill);
        }
        for (file, origins) in bill.files.iter_mut().zip(origins) {
            file.reasons = origins.iter().map(Origin::to_string).collect();
        }
        for (package, copyright) in bill.packages.iter_mut().zip(copyrights) {
            if let Some(copyright) = copyright {
                (package.licences, package.texts) = terms(copyright);
            }
            if package.licences != [COPYRIGHT] {
                package.common = Vec::new();
            }
        }
        // Files of packages change less often than those of the project.
        let group = |is_packaged: bool| {
            let of_group = bill.files.iter().zip(&*bodies).filter(|(file, _)| file.package.is_some() == is_packaged);
            let hosts = of_group.filter_map(|(_, body)| match body {
                Body::Host(host) => Some(&**host),
                Body::Bytes(_) => None,
            });
            hosts.collect::<Vec<&HostFile>>()
        };
        let mut groups = vec![group(true), group(false)];
        groups.retain(|files| files.iter().any(|file| known.get(file).is_none()));
        if let Some(cache) = cache {
            groups.retain(|files| !cache.find(files, known));
        }
        let began = SystemTime::now();
        let mut sums = Vec::new();
        for body in &*bodies {
            sums.push(match body {
                Body::Bytes(bytes) => Digests::of(bytes),
                Body::Host(host) => match known.get(host) {
                    Some(digests) => *digests,
                    None => {
                        let digests = read(host)?;
                        known.extend([(host.state(), digests)]);
                        digests
                    }
                },
            });
        }
        cache.iter().for_each(|cache| groups.iter().for_each(|files| cache.record(files, known, began)));
        for (file, Digests { sha1, sha256 }) in bill.files.iter_mut().zip(sums) {
            (file.sha1, file.sha256) = (hex(&sha1), hex(&sha256));
        }
        *is_complete = true;
        Ok(bill)
    }
}

/// The digests of a file, which is in its planned state before and after.
fn read(host: &HostFile) -> Result<Digests> {
    let file = host.open()?;
    let digests = Digests::read(&file).map_err(|error| Error::io("read", &host.path, error))?;
    host.unchanged(&file)?;
    Ok(digests)
}

/// A bill of materials at `path`.
pub(crate) fn output(format: Format, path: Utf8PathBuf, bill: LateBill) -> Output {
    Output { kind: &SBOM, place: Box::new(Place { format, path, bill, document: Arc::default() }) }
}

#[derive(Debug)]
struct Place {
    format: Format,
    path: Utf8PathBuf,
    bill: LateBill,
    /// The text, set when it is complete.
    document: Arc<Mutex<Option<String>>>,
}

impl super::Place for Place {
    fn claim(&self) -> Claim {
        match is_stdout(self.path.as_std_path()) {
            true => Claim::Stdout(format!("--sbom {}={}", self.format.as_str(), self.path)),
            false => Claim::Path(self.path.clone()),
        }
    }

    fn intake(&self) -> Intake<'_> {
        Intake::Entries(self)
    }

    fn attachment(&self) -> Option<Attachment> {
        let text = self.document.lock().ok()?.clone()?;
        Some(Attachment { media_type: self.format.media_type(), text })
    }
}

impl EntryPlace for Place {
    fn sink(&self, _: &Job<'_>) -> Result<Box<dyn Sink>> {
        let (format, bill, document) = (self.format, Arc::clone(&self.bill), Arc::clone(&self.document));
        let file = TextFile::create(self.path.as_std_path())?;
        let early = file.early();
        let is_written = early.is_some();
        let work = move || {
            let text = format.document(bill.lock().map_err(|_| stopped())?.complete()?);
            early.map_or(Ok(()), |early| early.write(&text)).map(|()| text)
        };
        let text = Pending::start("bill", work)
            .map_err(|error| Error::failed("cannot start a thread for the bill of materials").with_source(error))?;
        Ok(Box::new(Listing { text, is_written, file, document }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// A bill that a thread makes while other sinks write the same files.
struct Listing {
    text: Pending<Result<String>>,
    /// True if the thread also writes the file.
    is_written: bool,
    file: TextFile,
    document: Arc<Mutex<Option<String>>>,
}

fn stopped() -> Error {
    Error::failed("the thread for the bill of materials stopped")
}

impl Sink for Listing {
    fn entry(&mut self, _: &RootfsPath, _: &Entry) -> Result<()> {
        Ok(())
    }

    fn data(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn is_active(&self) -> bool {
        false
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { text, is_written, file, document } = *self;
        let text = text.result()?;
        let staged = if is_written { Box::new(file) } else { file.staged(&text)? };
        *document.lock().map_err(|_| stopped())? = Some(text);
        Ok(staged)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sbom;

    /// The bill of one generated file and one of the host.
    fn draft(host: &Path, cache: Option<DigestCache>) -> Draft {
        let file = HostFile::new(host.to_owned(), &host.symlink_metadata().unwrap());
        let bodies = vec![Body::Bytes(b"text".as_slice().into()), Body::Host(Arc::new(file))];
        let files =
            ["/etc/text", "/usr/bin/host"].map(|path| sbom::File { path: path.into(), ..sbom::File::default() });
        Draft { cache, ..Draft::new(Bill { files: files.into(), ..Bill::default() }, bodies) }
    }

    fn sums(mut draft: Draft) -> Result<Vec<(String, String)>> {
        Ok(draft.complete()?.files.iter().map(|file| (file.sha1.clone(), file.sha256.clone())).collect())
    }

    /// Waits until the clock of the file system has advanced.
    fn written(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }

    #[test]
    fn digests_are_those_of_the_contents() {
        let temp = tempfile::tempdir().unwrap();
        let host = temp.path().join("host");
        written(&host, "abc");
        let [text, file] = sums(draft(&host, None)).unwrap().try_into().unwrap();
        assert_eq!(text.0, "372ea08cab33e71c02c651dbc83a474d32c676ea");
        assert_eq!(file.0, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(file.1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn an_unchanged_file_is_not_read_again() {
        let temp = tempfile::tempdir().unwrap();
        let (host, aside) = (temp.path().join("host"), temp.path().join("aside"));
        let cache = || Some(DigestCache::eager(temp.path()));
        written(&host, "abc");
        let planned = || draft(&host, cache());
        let first = sums(planned()).unwrap();
        let again = planned();
        let without = draft(&host, None);
        // A read of the file would fail.
        std::fs::rename(&host, &aside).unwrap();
        assert_eq!(sums(again).unwrap(), first);
        assert!(sums(without).is_err());
        std::fs::rename(&aside, &host).unwrap();
        // Tampered with, and the size and the mtime restored.
        let times = std::fs::FileTimes::new().set_modified(host.metadata().unwrap().modified().unwrap());
        written(&host, "xyz");
        std::fs::File::options().write(true).open(&host).unwrap().set_times(times).unwrap();
        let changed = sums(planned()).unwrap();
        assert!(changed[0] == first[0] && changed[1] != first[1]);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_recorded() {
        let temp = tempfile::tempdir().unwrap();
        let host = temp.path().join("host");
        written(&host, "abc");
        sums(draft(&host, Some(DigestCache::new(temp.path())))).unwrap();
        assert!(!temp.path().join("digests").exists());
    }
}
