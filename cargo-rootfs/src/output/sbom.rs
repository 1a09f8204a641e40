//! `--sbom`: a bill of materials beside the outputs. Its digests are computed from the bytes that all outputs get.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use camino::Utf8PathBuf;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Attachment, Claim, EntryPlace, Intake, Job, Kind, Output, Settings, Step};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{self, Entry};
use crate::sbom::{Bill, Format};
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
        let (digests, current, document) = (BTreeMap::new(), None, Arc::clone(&self.document));
        Ok(Box::new(Listing { format: self.format, bill, file, document, digests, current }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// The digests of a file: SHA-1, which SPDX requires, and SHA-256.
struct Sums {
    sha1: Sha1,
    sha256: Sha256,
}

impl Sums {
    fn new() -> Self {
        Self { sha1: Sha1::new(), sha256: Sha256::new() }
    }

    fn finish(self) -> (String, String) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        (hex(&self.sha1.finalize()), hex(&self.sha256.finalize()))
    }
}

/// A bill whose digests are being computed.
struct Listing {
    format: Format,
    bill: Bill,
    file: TextFile,
    document: Arc<Mutex<Option<String>>>,
    digests: BTreeMap<RootfsPath, (String, String)>,
    current: Option<(RootfsPath, Sums)>,
}

impl Listing {
    fn end(&mut self) {
        if let Some((path, sums)) = self.current.take() {
            self.digests.insert(path, sums.finish());
        }
    }
}

impl Sink for Listing {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.end();
        match &entry.kind {
            rootfs::Kind::File(_) => self.current = Some((path.clone(), Sums::new())),
            rootfs::Kind::Hardlink(first) => {
                let sums = self.digests.get(first).cloned().unwrap_or_default();
                self.digests.insert(path.clone(), sums);
            }
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some((_, sums)) = &mut self.current {
            if self.format == Format::Spdx {
                sums.sha1.update(bytes);
            }
            sums.sha256.update(bytes);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        self.end();
        let Self { format, mut bill, file, document, mut digests, .. } = *self;
        for file in &mut bill.files {
            let path = RootfsPath::parse(&file.path)?;
            (file.sha1, file.sha256) = digests.remove(&path).unwrap_or_default();
        }
        let text = format.document(&bill);
        let staged = file.staged(&text)?;
        *document.lock().map_err(|_| Error::failed("another thread failed"))? = Some(text);
        Ok(staged)
    }
}
