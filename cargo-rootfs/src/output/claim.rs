//! Names that outputs claim, and their collisions.

use std::fmt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::{Intake, Kind, Output};
use crate::error::{Error, Result};
use crate::target::Target;

/// The place that an output claims; no other output of the run may claim it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Standard output, by this option.
    Stdout(String),
    /// A file or directory, with everything below it.
    Path(Utf8PathBuf),
    /// A name in a registry, which may have several targets.
    #[cfg_attr(not(feature = "push"), allow(dead_code))]
    Reference(String),
    /// A name in an engine.
    Image {
        /// The engine's program.
        engine: &'static str,
        /// With the tag.
        name: String,
    },
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout(option) => write!(f, "`{option}`"),
            Self::Path(path) => write!(f, "the output `{path}`"),
            Self::Reference(name) => write!(f, "the image `{name}`"),
            Self::Image { name, .. } => write!(f, "the image `{name}`"),
        }
    }
}

/// Checks that no two outputs have the same name, that none is inside a directory that another one replaces, and that
/// only one uses standard output; `others` are further options that write there.
pub(crate) fn check<'o>(
    outputs: impl Iterator<Item = (&'o Target, &'o Output)> + Clone,
    current_dir: &Utf8Path,
    others: impl Iterator<Item = String>,
) -> Result<()> {
    let printed = outputs.clone().filter_map(|(_, output)| match output.place.claim() {
        Claim::Stdout(option) => Some(option),
        _ => None,
    });
    let mut printed: Vec<String> = printed.chain(others).collect();
    printed.dedup();
    if let [one, other, ..] = &printed[..] {
        return Err(Error::usage(format!("`{one}` and `{other}` both claim standard output")));
    }
    let mut errors = Vec::new();
    let mut seen: Vec<(&Kind, &Target, Claim)> = Vec::new();
    for (target, output) in outputs {
        let named = output.place.claim();
        let claim = match &named {
            Claim::Path(path) => Claim::Path(normalized(&current_dir.join(path))),
            _ => named.clone(),
        };
        let is_shared = |kind: &Kind, other: &Target| {
            let holds_several = matches!(output.place.intake(), Intake::Images(_));
            holds_several && kind.flag == output.kind.flag && other.triple() != target.triple()
        };
        let same = || seen.iter().filter(|(.., known)| *known == claim);
        if let Some((_, other, _)) = same().find(|(kind, other, _)| !is_shared(kind, other)) {
            errors.push(twice(&named, other, target));
            continue;
        }
        let platform = target.machine().platform();
        if let Some((_, other, _)) = same().find(|(_, other, _)| other.machine().platform() == platform) {
            let (one, other) = (other.triple(), target.triple());
            let error = Error::usage(format!("{named} is named for both {one} and {other}, which are one platform"));
            errors.push(error.help("put {triple} into the name"));
            continue;
        }
        if let Claim::Path(path) = &claim {
            let known = seen.iter().filter_map(|(.., known)| match known {
                Claim::Path(known) if known != path => Some(known),
                _ => None,
            });
            if let Some(other) = known.into_iter().find(|known| path.starts_with(known) || known.starts_with(path)) {
                let (inner, outer) = if path.starts_with(other) { (path, other) } else { (other, path) };
                errors.push(Error::usage(format!("output `{inner}` is inside output `{outer}`")));
            }
        }
        seen.push((output.kind, target, claim));
    }
    Error::all(errors)
}

/// Removes `.` and `..` textually. The writers resolve symlinks.
fn normalized(path: &Utf8Path) -> Utf8PathBuf {
    let mut normalized = Utf8PathBuf::new();
    for component in path.components() {
        match component {
            Utf8Component::ParentDir => {
                normalized.pop();
            }
            Utf8Component::CurDir => {}
            component => normalized.push(component),
        }
    }
    normalized
}

fn twice(claim: &Claim, one: &Target, other: &Target) -> Error {
    let (one, other) = (one.triple(), other.triple());
    if one == other {
        return Error::usage(format!("{claim} is named twice"));
    }
    let error = Error::usage(format!("{claim} is named for both {one} and {other}"));
    match claim {
        Claim::Stdout(option) => match option.split_once('=') {
            Some((format, _)) => error.help(format!("write a file for each: {format}='{{triple}}.json'")),
            None => error.help("write a file for each: --tar '{triple}.tar'"),
        },
        _ => error.help("put {triple} or {arch} into the name"),
    }
}
