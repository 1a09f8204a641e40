//! Kinds of output: one file for each kind, and the table of all kinds.
//!
//! A kind has its option, its configuration key and its verb, and makes the sinks of its outputs. Options, help,
//! configuration, collisions and messages are loops over [`KINDS`]. [`crate::write`] writes the bytes; nothing is
//! printed here.

mod checksums;
mod claim;
mod dir;
mod docker;
mod finished;
mod layering;
mod oci;
mod oci_archive;
mod placeholders;
mod places;
mod preview;
#[cfg(feature = "push")]
mod push;
mod release;
mod sbom;
#[cfg_attr(not(feature = "push"), allow(dead_code))]
mod sent_to;
mod tar;
#[cfg(feature = "push")]
#[cfg(test)]
mod tests;

use std::fmt::{self, Debug, Display};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result};
use crate::write::compress::Compression;
use crate::write::dir::Replace;
use crate::write::layer_cache::LayerCache;
use crate::write::{Sink, Staged};
use finished::FinishedImage;

pub(crate) use checksums::Checksums;
pub(crate) use claim::{Claim, check};
pub(crate) use docker::Engine;
pub(crate) use placeholders::Placeholders;
pub(crate) use preview::preview;
pub(crate) use release::{Job, Listener, Written, write};
pub(crate) use sbom::{Draft, LateBill, output as sbom};
pub(crate) use sent_to::SentTo;

/// All kinds, in the order of the help.
pub(crate) static KINDS: &[&Kind] = &[
    &tar::TAR,
    &dir::DIR,
    &docker::IMPORT,
    &docker::LOAD,
    &oci::OCI,
    &oci_archive::OCI_ARCHIVE,
    #[cfg(feature = "push")]
    &push::PUSH,
];

/// One kind of output.
pub(crate) struct Kind {
    /// Its option without the dashes, also its configuration key.
    pub(crate) flag: &'static str,
    /// The value of the option in the help.
    pub(crate) value: &'static str,
    /// The help of the option, in one line.
    pub(crate) about: &'static str,
    /// A further paragraph of `--help`.
    pub(crate) more: Option<&'static str>,
    /// An example value, if this kind is suggested to a run that names no output.
    example: Option<&'static str>,
    /// The verb of its status line.
    verb: &'static str,
    /// Its name in JSON.
    json: &'static str,
    /// True for an image, to which the options of images apply.
    pub(crate) is_image: bool,
    /// The step in which it gets its name.
    step: Step,
    /// Returns whether the name of an output is a path of the host; such a path in a manifest is relative to the
    /// manifest.
    pub(crate) is_path: fn(&str) -> bool,
    /// Parses the name of an output, with placeholders filled. It reads no file.
    parse: fn(&str, Settings<'_>) -> Result<Box<dyn Place>>,
}

/// The order in which the outputs of all targets get their names. The step with the fewest possible failures comes
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Files and directories of the host.
    Files,
    /// Images in an engine.
    Engines,
    /// Images in a registry, whose names other users see.
    #[cfg_attr(not(feature = "push"), allow(dead_code))]
    Registries,
}

/// Options that some kinds use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'s> {
    /// The container engine.
    pub(crate) engine: Engine,
    /// The directories that may be replaced.
    pub(crate) replace: Replace,
    /// Hosts of registries that may use plain http or an invalid certificate.
    #[cfg_attr(not(feature = "push"), allow(dead_code))]
    pub(crate) insecure: &'s [String],
}

/// One named output.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) kind: &'static Kind,
    pub(crate) place: Box<dyn Place>,
}

/// The destination of an output. Its [`Display`] follows the verb in a status line.
pub(crate) trait Place: Debug + Display + Send + Sync {
    /// The names that it claims; paths as the user named them.
    fn claim(&self) -> Claim;

    /// The form in which it takes a rootfs.
    fn intake(&self) -> Intake<'_>;

    /// A document about the rootfs, available after it was written; it is attached to images in registries.
    fn attachment(&self) -> Option<Attachment> {
        None
    }
}

/// A document that is attached to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) media_type: &'static str,
    pub(crate) text: String,
}

/// The form in which an output takes a rootfs.
#[derive(Clone, Copy)]
pub(crate) enum Intake<'p> {
    /// Entry by entry; each place has one target.
    Entries(&'p dyn EntryPlace),
    /// As the finished images of all targets with its name.
    Images(&'p dyn ImagePlace),
}

/// A place that takes the entries of one target.
pub(crate) trait EntryPlace {
    /// Starts to write the contents of `job`.
    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>>;
}

/// A place that takes the images of one or more targets.
pub(crate) trait ImagePlace {
    /// A directory on the file system to which it writes layers, if it writes them to one.
    fn directory(&self) -> Option<&Path>;

    /// Returns true if it may not need the bytes of layers, because another store has them.
    fn may_lack_bytes(&self) -> bool {
        false
    }

    /// Stages `images`, in the order of the targets.
    fn stage<'a>(&self, images: &[Rc<FinishedImage>], interrupted: &'a AtomicBool) -> Result<Box<dyn Staged + 'a>>;

    /// The same for a place that uses the other places of a run.
    fn stage_in<'a>(&self, images: &[Rc<FinishedImage>], run: &Run<'a>) -> Result<Box<dyn Staged + 'a>> {
        self.stage(images, run.interrupted)
    }
}

/// The run that writes the outputs.
#[cfg_attr(not(feature = "push"), allow(dead_code))]
pub(crate) struct Run<'a> {
    pub(crate) listener: &'a dyn Listener,
    pub(crate) interrupted: &'a AtomicBool,
    /// The compression of layers.
    pub(crate) compression: Compression,
    /// The cache of layers, if used.
    pub(crate) cache: Option<LayerCache>,
    /// Repositories to which blobs were sent: other repositories of a registry can mount the blobs from them.
    pub(crate) sent_to: SentTo,
}

impl Kind {
    /// Makes the output of this kind with this name.
    pub(crate) fn output(&'static self, name: &str, settings: Settings<'_>) -> Result<Output> {
        Ok(Output { kind: self, place: (self.parse)(name, settings)? })
    }
}

impl Output {
    /// Returns whether its image has layers by packages.
    pub(crate) fn has_layers(&self) -> bool {
        matches!(self.place.intake(), Intake::Images(_))
    }
}

impl Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.flag)
    }
}

/// The output of a run that names none: an archive in cargo's target directory.
pub(crate) fn default(target_dir: &Utf8Path, names: &Placeholders<'_>) -> Result<Output> {
    let path: Utf8PathBuf = target_dir.join("rootfs").join(names.fill("{package}-{triple}.tar")?);
    Ok(Output { kind: &tar::TAR, place: Box::new(tar::Place::File(path)) })
}

/// The error of a run that names no output and has no default.
pub(crate) fn none_named() -> Error {
    let examples = KINDS.iter().filter_map(|kind| Some(format!("--{} {}", kind.flag, kind.example?)));
    let examples: Vec<String> = examples.collect();
    let (last, others) = examples.split_last().expect("some are suggested");
    Error::usage("the rootfs has no destination: there is no project to put it beside")
        .help(format!("name an output: {} or {last}", others.join(", ")))
}

/// The error of `--digest-file` if no output has a digest: an engine's import adds the current time.
pub(crate) fn without_digest() -> Error {
    let kinds: &[&Kind] = &[
        #[cfg(feature = "push")]
        &push::PUSH,
        &oci_archive::OCI_ARCHIVE,
    ];
    let named: Vec<String> = kinds.iter().map(|kind| format!("--{} {}", kind.flag, kind.value)).collect();
    Error::usage("`--digest-file` has no effect: no output is an image with a digest")
        .help(format!("name one: {}", named.join(" or ")))
}
