//! `--sbom`: a bill of materials beside the outputs. Its digests are computed from the bytes that all outputs get.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use camino::Utf8PathBuf;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Attachment, Claim, EntryPlace, Intake, Job, Kind, Output, Settings, Step};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{self, Entry};
use crate::sbom::{Bill, Format, hex};
use crate::write::text_file::TextFile;
use crate::write::{Observer, Sink, Staged};

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
pub(crate) type LateBill = Arc<OnceLock<Bill>>;

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
        Claim::Path(self.path.clone())
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
        let bill = self.bill.get().cloned().unwrap_or_default();
        let file = TextFile::create(self.path.as_std_path())?;
        let (digests, document) = (Digests::begin(self.format)?, Arc::clone(&self.document));
        Ok(Box::new(Listing { format: self.format, bill, file, document, digests, links: BTreeMap::new() }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// A thread that computes the digests of files while other sinks write the same bytes, which takes them less time.
struct Digests {
    parts: SyncSender<Part>,
    thread: JoinHandle<BTreeMap<RootfsPath, Sums>>,
}

/// The beginning of a file, or more bytes of it.
enum Part {
    File(RootfsPath),
    Bytes(Box<[u8]>),
}

/// The most queued parts; each has up to 256 KiB.
const WAITING: usize = 8;

/// The digests of a file: SHA-1, which SPDX requires, and SHA-256.
#[derive(Clone, Default)]
struct Sums {
    sha1: Sha1,
    sha256: Sha256,
}

impl Digests {
    fn begin(format: Format) -> Result<Self> {
        let (parts, waiting) = sync_channel(WAITING);
        let make = move || {
            let mut sums: BTreeMap<RootfsPath, Sums> = BTreeMap::new();
            let mut current = (None, Sums::default());
            for part in waiting {
                match part {
                    Part::File(path) => {
                        let (path, done) = std::mem::replace(&mut current, (Some(path), Sums::default()));
                        sums.extend(path.map(|path| (path, done)));
                    }
                    Part::Bytes(bytes) => {
                        if format == Format::Spdx {
                            current.1.sha1.update(&bytes);
                        }
                        current.1.sha256.update(&bytes);
                    }
                }
            }
            sums.extend(current.0.map(|path| (path, current.1)));
            sums
        };
        let thread = std::thread::Builder::new().name("digests".to_owned()).spawn(make);
        let thread = thread.map_err(|error| Error::failed("cannot start a thread for digests").with_source(error))?;
        Ok(Self { parts, thread })
    }

    fn give(&self, part: Part) -> Result<()> {
        self.parts.send(part).map_err(|_| Error::failed("the thread for digests stopped"))
    }

    fn finish(self) -> Result<BTreeMap<RootfsPath, Sums>> {
        drop(self.parts);
        self.thread.join().map_err(|_| Error::failed("the thread for digests stopped"))
    }
}

/// A bill whose digests are being computed.
struct Listing {
    format: Format,
    bill: Bill,
    file: TextFile,
    document: Arc<Mutex<Option<String>>>,
    digests: Digests,
    /// Hard links, with the first name of each file.
    links: BTreeMap<RootfsPath, RootfsPath>,
}

impl Sink for Listing {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        match &entry.kind {
            rootfs::Kind::File(_) => self.digests.give(Part::File(path.clone()))?,
            rootfs::Kind::Hardlink(first) => drop(self.links.insert(path.clone(), first.clone())),
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.digests.give(Part::Bytes(bytes.into()))
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { format, mut bill, file, document, digests, links } = *self;
        let sums = digests.finish()?;
        for file in &mut bill.files {
            let path = RootfsPath::parse(&file.path)?;
            let Some(found) = sums.get(links.get(&path).unwrap_or(&path)).cloned() else { continue };
            (file.sha1, file.sha256) = (hex(&found.sha1.finalize()), hex(&found.sha256.finalize()));
        }
        let text = format.document(&bill);
        let staged = file.staged(&text)?;
        *document.lock().map_err(|_| Error::failed("another thread failed"))? = Some(text);
        Ok(staged)
    }
}
