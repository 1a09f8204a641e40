//! The error for a library that is missing: what, who needs it, every place tried, what to install.

use crate::error::Error;
use crate::resolve::{Attempt, FoundBy, Missing};
use crate::target::Machine;

/// One error for one missing name; `package` is what to install, where that is known.
pub fn missing_error(missing: &Missing, machine: Option<Machine>, package: Option<&str>) -> Error {
    let name = String::from_utf8_lossy(&missing.needed);
    let place = machine.map_or_else(String::new, |machine| format!(" for {machine}"));
    let mut error = match &missing.bad {
        Some((path, why)) => Error::failed(format!("`{name}` cannot be loaded{place}: `{path}`: {why}")),
        None => Error::failed(format!("`{name}` not found{place}")),
    };
    if missing.needed_by.as_bytes() != b"/" {
        error = error.detail(format!("needed by {}", missing.needed_by));
    }
    for (index, (by, places)) in grouped(&missing.tried).into_iter().enumerate() {
        let lead = if index == 0 { "tried " } else { "      " };
        error = error.detail(format!("{lead} {:<12}{places}", word(by)));
    }
    match package {
        Some(package) => error.help(format!("install {package} in the sysroot, or pass --library-path DIR")),
        None => error.help("add its package to the sysroot, or pass --library-path DIR"),
    }
}

fn grouped(tried: &[Attempt]) -> Vec<(FoundBy, String)> {
    let mut lines: Vec<(FoundBy, String)> = Vec::new();
    for attempt in tried {
        let place = match (&attempt.place, &attempt.why_not) {
            (Some(place), Some(why)) => format!("{place} ({why})"),
            (Some(place), None) => place.to_string(),
            (None, Some(why)) => format!("({why})"),
            (None, None) => "(no entry)".to_owned(),
        };
        match lines.last_mut() {
            Some((by, places)) if *by == attempt.by => {
                places.push_str(", ");
                places.push_str(&place);
            }
            _ => lines.push((attempt.by, place)),
        }
    }
    lines
}

/// The field's own spelling.
fn word(by: FoundBy) -> &'static str {
    match by {
        FoundBy::Rpath => "RPATH",
        FoundBy::Runpath => "RUNPATH",
        FoundBy::Absolute => "path",
        other => other.as_str(),
    }
}
