//! `--fail-on`: differences that a pipeline forbids.

use super::{Change, Diff, Floor, size_text};
use crate::error::Error;
use crate::wording::lines_and_more;

/// A forbidden difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Forbidden {
    /// The size grows by more than this percentage.
    GrowPercent(f64),
    /// The size grows by more than this number of bytes.
    GrowBytes(u64),
    /// A file gains set-ID bits or capabilities.
    Rights,
    /// A package is new.
    Package,
    /// A crate is new.
    Crate,
    /// A newer glibc is needed.
    Glibc,
    /// A newer kernel is needed.
    Kernel,
}

/// Parses one word of the list.
pub(crate) fn parse_forbidden(text: &str) -> Result<Forbidden, Error> {
    let unknown = || {
        Error::usage(format!("`{text}` is not a difference that can be forbidden"))
            .help("known are grow:5%, grow:10MiB, setuid, package, crate, glibc and kernel")
    };
    Ok(match text {
        "setuid" => Forbidden::Rights,
        "package" => Forbidden::Package,
        "crate" => Forbidden::Crate,
        "glibc" => Forbidden::Glibc,
        "kernel" => Forbidden::Kernel,
        _ => {
            let amount = text.strip_prefix("grow:").ok_or_else(unknown)?;
            if let Some(percent) = amount.strip_suffix('%') {
                let percent: f64 = percent.parse().map_err(|_| unknown())?;
                return if percent >= 0.0 { Ok(Forbidden::GrowPercent(percent)) } else { Err(unknown()) };
            }
            let end = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
            let number: u64 = amount[..end].parse().map_err(|_| unknown())?;
            let unit = match amount[end..].trim_end_matches("iB").trim_end_matches('B') {
                "" => 1,
                "K" | "k" => 1 << 10,
                "M" => 1 << 20,
                "G" => 1 << 30,
                _ => return Err(unknown()),
            };
            Forbidden::GrowBytes(number.checked_mul(unit).ok_or_else(unknown)?)
        }
    })
}

impl Forbidden {
    /// The word of the list, without its amount.
    fn word(self) -> &'static str {
        match self {
            Self::GrowPercent(_) | Self::GrowBytes(_) => "grow",
            Self::Rights => "setuid",
            Self::Package => "package",
            Self::Crate => "crate",
            Self::Glibc => "glibc",
            Self::Kernel => "kernel",
        }
    }
}

/// One error for each of `forbidden` that occurred, or that cannot be judged.
pub(crate) fn violations(diff: &Diff, forbidden: &[Forbidden]) -> Vec<Error> {
    forbidden.iter().filter_map(|forbidden| violation(diff, *forbidden)).collect()
}

const AUDITABLE: &str = "build both with `--auditable always`";

/// The number of names in an error.
const NAMED: usize = 10;

fn listed(message: &str, names: Vec<String>) -> Option<Error> {
    if names.is_empty() {
        return None;
    }
    Some(lines_and_more(names.iter(), NAMED).into_iter().fold(Error::failed(message), Error::detail))
}

fn violation(diff: &Diff, forbidden: Forbidden) -> Option<Error> {
    let new = |changes: &[super::Versioned]| {
        let new = changes.iter().filter(|change| change.change == Change::New);
        new.map(|change| format!("{} {}", change.name, change.new.as_deref().unwrap_or_default())).collect()
    };
    let cannot = |why: String| Error::failed(format!("cannot judge `{}` of --fail-on: {why}", forbidden.word()));
    let Some(totals) = &diff.totals else {
        return match forbidden {
            Forbidden::Package => listed("packages are new", new(&diff.packages)),
            _ => Some(cannot("a lock has only packages".to_owned()).help("compare images")),
        };
    };
    let size = totals.size;
    let grown = size.1.saturating_sub(size.0);
    let grows = |limit: String| {
        Error::failed(format!("the size grew by {}, and {limit} is allowed", size_text(grown))).detail(format!(
            "from {} to {}",
            size_text(size.0),
            size_text(size.1)
        ))
    };
    match forbidden {
        Forbidden::GrowPercent(percent) => {
            let is_more = grown as f64 > size.0 as f64 * percent / 100.0;
            (grown > 0 && is_more).then(|| grows(format!("{percent}%")))
        }
        Forbidden::GrowBytes(bytes) => (grown > bytes).then(|| grows(size_text(bytes))),
        Forbidden::Rights => {
            let gained = diff.files.iter().filter(|file| file.gains_rights);
            listed("files gained set-ID bits or capabilities", gained.map(|file| file.path.to_string()).collect())
        }
        Forbidden::Package => listed("packages are new", new(&diff.packages)),
        Forbidden::Crate => match &diff.list_no_crates[..] {
            [one, other] => Some(cannot(format!("neither `{one}` nor `{other}` has a list of crates")).help(AUDITABLE)),
            [name] => Some(cannot(format!("`{name}` has no list of crates")).help(AUDITABLE)),
            _ => listed("crates are new", new(&diff.crates)),
        },
        Forbidden::Glibc => raised("glibc", &totals.glibc),
        Forbidden::Kernel => raised("Linux", &totals.kernel),
    }
}

fn raised(of: &str, (old, new): &super::Both<Option<Floor>>) -> Option<Error> {
    let new = new.as_ref()?;
    if old.as_ref().is_some_and(|old| old.numbers >= new.numbers) {
        return None;
    }
    let before = old.as_ref().map_or("none", |old| &old.version);
    Some(
        Error::failed(format!("a newer {of} is needed: {}, and {before} before", new.version))
            .detail(format!("needed by {}", new.by)),
    )
}
