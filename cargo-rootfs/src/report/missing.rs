//! The error for a missing library: its name, the objects that need it, every place tried, and the package to install.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::Error;
use crate::path::RootfsPath;
use crate::resolve::{Attempt, FoundBy, Missing, hwcaps};
use crate::target::Machine;

/// One error for one missing name and all objects that need it; `remedy` is the start of the help line that names its
/// package.
///
/// `users` are of one name, and at least one. Those with the same search places are listed together.
pub fn missing_error(users: &[&Missing], machine: Option<Machine>, remedy: &str) -> Error {
    let place = machine.map_or_else(String::new, |machine| format!(" for {machine}"));
    let name = users.first().map_or_else(Default::default, |first| String::from_utf8_lossy(&first.needed));
    let mut error = match users.first().and_then(|first| first.bad.as_ref()) {
        Some((path, why)) => Error::failed(format!("`{name}` cannot be loaded{place}: `{path}`: {why}")),
        None => Error::failed(format!("`{name}` not found{place}")),
    };
    for (trail, users) in by_trail(users) {
        for (index, user) in users.into_iter().enumerate() {
            let lead = if index == 0 { "needed by" } else { "         " };
            error = error.detail(match &user.opened {
                Some(note) => format!("{lead} {} (dlopen note: {note})", user.needed_by),
                None => format!("{lead} {}", user.needed_by),
            });
            if let Some(note) = user.opened.as_ref().filter(|note| note.sonames.len() > 1) {
                let names: Vec<_> = note.sonames.iter().map(|name| String::from_utf8_lossy(name)).collect();
                error = error.detail(format!("          any of {} will do", names.join(", ")));
            }
        }
        for (index, (by, places)) in trail.into_iter().enumerate() {
            let lead = if index == 0 { "tried " } else { "      " };
            error = error.detail(format!("{lead} {:<12}{places}", word(by)));
        }
    }
    if let Some(level) = users.iter().find_map(|user| user.only_for.as_ref()) {
        let level = String::from_utf8_lossy(level);
        return error
            .detail(format!("only glibc-hwcaps/{level} has it, which other hardware does not search"))
            .help("add the library for all hardware to the sysroot, or pass --library-path DIR");
    }
    if users.iter().all(|user| hwcaps::is_in(&user.needed_by)) && !users.is_empty() {
        return error.help("add its package to the sysroot, or leave out libraries for some hardware: --hwcaps none");
    }
    if name.contains("ld-musl-") {
        return error.help("take musl's from a root that has it, such as an unpacked Alpine: --sysroot DIR");
    }
    error.help(format!("{remedy}, or pass --library-path DIR"))
}

/// Groups the missing names of several closures by name and fault, in the order of discovery. Each object that needs a
/// name appears once, also if it is in several closures.
pub fn by_library<'m>(all: impl IntoIterator<Item = &'m Missing>) -> Vec<Vec<&'m Missing>> {
    let mut libraries: Vec<Vec<&Missing>> = Vec::new();
    let mut known = FxHashMap::default();
    let mut seen = FxHashSet::default();
    for missing in all {
        if !seen.insert((&missing.needed, &missing.needed_by)) {
            continue;
        }
        let index = *known.entry((&missing.needed, &missing.bad)).or_insert(libraries.len());
        if index == libraries.len() {
            libraries.push(Vec::new());
        }
        libraries[index].push(missing);
    }
    libraries
}

/// The places that were tried, and the objects that tried exactly these.
type Trail<'m> = (Vec<(FoundBy, String)>, Vec<&'m Missing>);

fn by_trail<'m>(users: &[&'m Missing]) -> Vec<Trail<'m>> {
    let mut trails: Vec<Trail<'m>> = Vec::new();
    for missing in users {
        let trail = grouped(&missing.tried);
        let at = trails.iter().position(|(known, _)| *known == trail).unwrap_or_else(|| {
            trails.push((trail, Vec::new()));
            trails.len() - 1
        });
        // A library of `--with-lib` is requested on the command line; no object needs it.
        if missing.needed_by != RootfsPath::root() {
            trails[at].1.push(missing);
        }
    }
    trails
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

/// The spelling of the ELF specification.
fn word(by: FoundBy) -> &'static str {
    match by {
        FoundBy::Rpath => "RPATH",
        FoundBy::Runpath => "RUNPATH",
        FoundBy::Absolute => "path",
        other => other.as_str(),
    }
}
