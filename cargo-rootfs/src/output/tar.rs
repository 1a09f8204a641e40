//! `--tar`: an archive, as a file or on standard output.

use std::fmt;

use camino::Utf8PathBuf;

use super::{Claim, EntryPlace, Intake, Job, Kind, Settings, Step};
use crate::error::{Error, Result};
use crate::write::compress::Compression;
use crate::write::{Sink, tar};

pub(super) static TAR: Kind = Kind {
    flag: "tar",
    value: "PATH",
    about: "Write a tar archive, `-` for standard output; `.tar.gz` and `.tar.zst` are compressed (repeatable)",
    more: Some(
        "The names of outputs may hold {package}, {version}, {triple} and {arch}. Where there is no output, a \
         tar goes to `<target-dir>/rootfs/<package>-<triple>.tar`.",
    ),
    example: Some("PATH"),
    verb: "Packing",
    json: "tar",
    is_image: false,
    step: Step::Files,
    is_path: |name| name != STDOUT,
    parse: |name, _: Settings<'_>| Ok(Box::new(parse(name)?)),
};

/// The name of standard output.
const STDOUT: &str = "-";

/// Suffixes of names, and the compression of each.
const COMPRESSED: [(&str, Compression); 4] = [
    (".gz", Compression::Gzip),
    (".tgz", Compression::Gzip),
    (".zst", Compression::Zstd),
    (".tzst", Compression::Zstd),
];

/// Suffixes of unsupported compressions.
const UNSUPPORTED: [&str; 4] = [".xz", ".txz", ".bz2", ".lz4"];

#[derive(Debug)]
pub(super) enum Place {
    File(Utf8PathBuf),
    Compressed(Utf8PathBuf, Compression),
    Stdout,
}

fn parse(name: &str) -> Result<Place> {
    if name == STDOUT {
        return Ok(Place::Stdout);
    }
    if let Some((_, compression)) = COMPRESSED.iter().find(|(end, _)| name.ends_with(end)) {
        return Ok(Place::Compressed(name.into(), *compression));
    }
    if let Some(end) = UNSUPPORTED.iter().find(|end| name.ends_with(*end)) {
        let plain = name.trim_end_matches(end).trim_end_matches(".tar");
        return Err(Error::usage(format!("a compressed archive, `{name}`, is not supported yet"))
            .help(format!("write `{plain}.tar`, and compress that")));
    }
    Ok(Place::File(name.into()))
}

impl super::Place for Place {
    fn claim(&self) -> Claim {
        match self {
            Self::File(path) | Self::Compressed(path, _) => Claim::Path(path.clone()),
            Self::Stdout => Claim::Stdout(format!("--tar {STDOUT}")),
        }
    }

    fn intake(&self) -> Intake<'_> {
        Intake::Entries(self)
    }
}

impl EntryPlace for Place {
    fn sink(&self, job: &Job<'_>) -> Result<Box<dyn Sink>> {
        match self {
            Self::File(path) => tar::TarFile::create(path, job.epoch),
            Self::Compressed(path, compression) => tar::TarFile::compressed(path, job.epoch, *compression),
            Self::Stdout => tar::stdout(job.epoch),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Compressed(path, _) => path.fmt(f),
            Self::Stdout => f.write_str("to standard output"),
        }
    }
}
