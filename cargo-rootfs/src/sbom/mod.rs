//! Bills of materials: the contents of a rootfs in SPDX 2.3 and CycloneDX 1.6.
//!
//! Pure functions from data to text: the same bill gives the same bytes. It reads nothing; the pipeline gathers the
//! data.

mod crates;
mod cyclonedx;
mod json;
mod languages;
mod licence;
mod purl;
mod spdx;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::hex::hex;
pub(crate) use crates::{Crate, CrateSource, licences, of_binary, of_metadata, retain_compiled, retain_known};
pub(crate) use cyclonedx::REASON;
pub(crate) use languages::{of_go, of_node, of_python};
use licence::Licence;
pub(crate) use licence::{COPYRIGHT, terms};

/// A format of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).
    Spdx,
    /// CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>).
    CycloneDx,
}

impl Format {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Spdx, Self::CycloneDx];

    /// Its value on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Spdx => "spdx",
            Self::CycloneDx => "cyclonedx",
        }
    }

    /// The ending of its files, by which tools identify the format.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Spdx => "spdx.json",
            Self::CycloneDx => "cdx.json",
        }
    }

    /// Its media type (<https://www.iana.org/assignments/media-types/>).
    #[cfg_attr(not(feature = "push"), allow(dead_code))]
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Spdx => "application/spdx+json",
            Self::CycloneDx => "application/vnd.cyclonedx+json",
        }
    }

    /// Writes a bill of materials as a document.
    pub(crate) fn document(self, bill: &Bill) -> String {
        let mut text = match self {
            Self::Spdx => spdx::document(bill),
            Self::CycloneDx => cyclonedx::document(bill),
        };
        text.push('\n');
        text
    }
}

/// The contents of one rootfs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bill {
    /// The name of the project, or its substitute.
    pub(crate) name: String,
    /// The version of the project.
    pub(crate) version: Option<String>,
    /// The target triple.
    pub(crate) triple: String,
    /// The licence field of the project's Cargo.toml.
    pub(crate) licence: Option<String>,
    /// The authors of the project: `Name <address>`.
    pub(crate) authors: Vec<String>,
    /// The creation time, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) distribution: Option<Distribution>,
    /// Packages with a file in the rootfs.
    pub(crate) packages: Vec<Package>,
    /// Crates that were compiled into the executables.
    pub(crate) crates: Vec<Crate>,
    /// Regular files, in order.
    pub(crate) files: Vec<File>,
}

/// The distribution of the packages, by os-release(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    pub(crate) id: String,
    pub(crate) version: Option<String>,
    pub(crate) name: Option<String>,
}

/// A package of the distribution, or of a language's package manager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Package {
    /// The type of its package URL: `deb`, `apk`, `alpm`, `pypi`, `npm`, `golang`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    /// The source package and its version, if either differs.
    pub(crate) source: Option<(String, String)>,
    /// Its licences verbatim; all of them apply.
    pub(crate) licences: Vec<String>,
    /// The texts of these, by their names.
    pub(crate) texts: BTreeMap<String, String>,
    /// Common licences of the distribution to which its copyright file refers, if that is not machine-readable.
    pub(crate) common: Vec<String>,
    /// The maintainer: `Name <address>`.
    pub(crate) maintainer: Option<String>,
    pub(crate) homepage: Option<String>,
    /// Its dependencies in the bill.
    pub(crate) depends: Vec<usize>,
    /// The number of its installed files.
    pub(crate) files: usize,
}

/// A regular file of the rootfs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct File {
    /// The absolute path in the rootfs.
    pub(crate) path: String,
    /// Hexadecimal digits; empty until it was read.
    pub(crate) sha1: String,
    pub(crate) sha256: String,
    /// The package that owns it.
    pub(crate) package: Option<usize>,
    /// The reasons for its presence, one sentence each.
    pub(crate) reasons: Vec<String>,
    /// The crate of the executable, which is the root of its dependencies.
    pub(crate) compiled_of: Option<usize>,
}

impl Package {
    fn licence(&self) -> Option<Licence> {
        Some(Licence::of_package(&self.licences)?.with_texts(&self.texts))
    }
}

impl Bill {
    /// The files of a package in the rootfs.
    fn files_of(&self, package: usize) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.package == Some(package))
    }

    /// `3 of 120 files`, for a package.
    fn part(&self, package: usize) -> String {
        let count = self.files_of(package).count();
        let all = self.packages[package].files.max(count);
        if all == 0 {
            return "compiled parts".to_owned();
        }
        if all == 1 { format!("{count} of 1 file") } else { format!("{count} of {all} files") }
    }
}

/// A time in the notation of both formats (RFC 3339, in UTC).
fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil from days (Howard Hinnant, chrono-compatible low-level date algorithms).
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// SHA-256 of a text, in hexadecimal digits.
fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// The name and the address in `Name <address>`.
fn person(text: &str) -> (&str, Option<&str>) {
    match text.split_once('<') {
        Some((name, address)) => (name.trim().trim_matches('"'), Some(address.trim_end_matches('>').trim())),
        None => (text.trim(), None),
    }
}
