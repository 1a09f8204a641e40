//! Errors and warnings for symbol versions: the versions, the object that needs them, and the glibc for which it was
//! linked.

use crate::distro::OsRelease;
use crate::error::{Error, Warning};
use crate::proposal;
use crate::resolve::{Lack, Unsatisfied, Unversioned};

/// One error for one object and one library. `system` is the sysroot's distribution.
pub(crate) fn version_error(lacking: &Unsatisfied, system: &OsRelease) -> Error {
    let object = &lacking.needed_by;
    match &lacking.why {
        Lack::Versions { versions, library } => {
            let names: Vec<_> = versions.iter().map(|it| format!("`{}`", String::from_utf8_lossy(it))).collect();
            let word = if names.len() == 1 { "version" } else { "versions" };
            let error = Error::failed(format!("{word} {} not found in `{library}`", names.join(", ")));
            linked_for(error.detail(format!("needed by {object}")), lacking).help(newer(lacking, system))
        }
        Lack::Library { name, version } => {
            let (name, version) = (String::from_utf8_lossy(name), String::from_utf8_lossy(version));
            Error::failed(format!("version `{version}` is needed of `{name}`, which nothing loads"))
                .detail(format!("needed by {object}"))
                .help(format!("make it load the library: `patchelf --add-needed {name} FILE`"))
        }
        Lack::Revision { file, revision } => {
            Error::failed(format!("`{file}` has version records of revision {revision}, which no loader reads"))
                .detail(format!("met for {object}"))
        }
        Lack::Relr => {
            Error::failed(format!("`{object}` has DT_RELR and does not need the version `GLIBC_ABI_DT_RELR`"))
                .help("link it with `-Wl,-z,pack-relative-relocs`")
        }
    }
}

fn linked_for(error: Error, lacking: &Unsatisfied) -> Error {
    match (lacking.linked_for, lacking.present) {
        (Some(linked), Some(present)) => {
            error.detail(format!("linked for glibc {linked} or newer; the sysroot has versions up to {present}"))
        }
        (Some(linked), None) => error.detail(format!("linked for glibc {linked} or newer")),
        (None, _) => error,
    }
}

/// The source of a newer library; for an older glibc, it is another sysroot.
fn newer(lacking: &Unsatisfied, system: &OsRelease) -> String {
    let too_old = lacking.linked_for.filter(|linked| lacking.present.is_some_and(|present| present < *linked));
    match too_old.map(|glibc| proposal::suite_with_glibc(glibc, system)) {
        Some(suite) => format!("take libraries of a newer release: --sysroot {suite}"),
        None => "take executable and libraries from the same or a newer distribution: --sysroot DIR".to_owned(),
    }
}

/// ld.so's own text, and its reaction if it does not continue.
pub fn unversioned_warning(pair: &Unversioned) -> Warning {
    let Unversioned { needed_by, library, is_bare } = pair;
    let ends = if *is_bare { "; ld.so ends where it looks up a symbol of it" } else { "" };
    Warning::new(format!("`{library}`: no version information available (required by {needed_by}){ends}"))
}
