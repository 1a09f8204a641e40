//! Writes a difference as text for a terminal.

use std::fmt::Write as _;

use super::{Both, Change, Diff, FileChange, Floor, Versioned, growth_text, percent_text, size_text};

/// The lines of the text. Names are escaped, because they come from the compared images.
pub(crate) fn text(diff: &Diff) -> String {
    let mut out = String::new();
    let platform = diff.platform.as_ref().map(|it| format!(" ({})", shown(it))).unwrap_or_default();
    let _ = writeln!(out, "{} -> {}{platform}", diff.names.0, diff.names.1);
    if let Some(totals) = &diff.totals {
        let sizes = |(old, new): Both<u64>| {
            if old == new {
                return size_text(old);
            }
            let (growth, percent) = (growth_text(old, new), percent_text(old, new));
            format!("{} -> {}  {growth}{percent}", size_text(old), size_text(new))
        };
        let _ = writeln!(out, "size     {}", sizes(totals.size));
        if totals.stored.0 > 0 && totals.stored.1 > 0 {
            let _ = writeln!(out, "layers   {}", sizes(totals.stored));
        }
        let entries = match totals.entries {
            (old, new) if old == new => old.to_string(),
            (old, new) => format!("{old} -> {new}"),
        };
        let _ = writeln!(out, "entries  {entries}");
        floor(&mut out, "glibc", &totals.glibc);
        floor(&mut out, "linux", &totals.kernel);
    }
    versions(&mut out, "packages", &diff.packages);
    versions(&mut out, "crates", &diff.crates);
    if let [name] = &diff.list_no_crates[..] {
        let _ = writeln!(out, "\ncrates: not compared, `{}` has no list of them", shown(name));
    }
    files(&mut out, &diff.files);
    if diff.is_empty() {
        out.push_str("nothing else differs\n");
    }
    out
}

/// Escapes characters that a terminal would interpret as commands.
pub(super) fn shown(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn floor(out: &mut String, of: &str, (old, new): &Both<Option<Floor>>) {
    let version = |floor: &Option<Floor>| floor.as_ref().map_or("none".to_owned(), |floor| floor.version.clone());
    let by = new.as_ref().map(|floor| format!("  (for {})", shown(&floor.by.to_string()))).unwrap_or_default();
    match (version(old), version(new)) {
        (old, new) if old == new && old == "none" => {}
        (old, new) if old == new => _ = writeln!(out, "{of}    {new} or later"),
        (old, new) => _ = writeln!(out, "{of}    {old} -> {new}{by}"),
    }
}

/// `1 up, 2 new`
pub(super) fn counts(changes: &[Versioned]) -> String {
    let count = |wanted: Change| changes.iter().filter(|change| change.change == wanted).count();
    let all = [Change::Up, Change::Down, Change::New, Change::Gone].map(|change| (count(change), change.as_str()));
    let some: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    some.join(", ")
}

fn versions(out: &mut String, of: &str, changes: &[Versioned]) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{of}: {}", counts(changes));
    for Versioned { name, change, old, new, size } in changes {
        let version = |it: &Option<String>| shown(it.as_deref().unwrap_or_default());
        let (old, new) = (version(old), version(new));
        let (sign, versions) = match change {
            Change::Up => ('^', format!("{old} -> {new}")),
            Change::Down => ('v', format!("{old} -> {new}")),
            Change::New => ('+', new),
            Change::Gone => ('-', old),
        };
        let growth = if size.0 == size.1 { String::new() } else { format!("  {}", growth_text(size.0, size.1)) };
        let _ = writeln!(out, "  {sign} {} {versions}{growth}", shown(name));
    }
}

/// Added, removed and changed files, with the sums.
pub(super) fn parts(files: &[FileChange]) -> [(&'static str, Vec<&FileChange>, String); 3] {
    let part = |word: &'static str, wanted: &dyn Fn(&FileChange) -> bool| {
        let files: Vec<&FileChange> = files.iter().filter(|file| wanted(file)).collect();
        let sum = |side: &dyn Fn(&FileChange) -> Option<u64>| files.iter().filter_map(|file| side(file)).sum::<u64>();
        let growth = growth_text(sum(&|file| file.old), sum(&|file| file.new));
        (word, files, growth)
    };
    [
        part("added", &|file| file.old.is_none()),
        part("removed", &|file| file.new.is_none()),
        part("changed", &|file| file.old.is_some() && file.new.is_some()),
    ]
}

/// The package and the reason of a file, in one phrase.
pub(super) fn because(file: &FileChange) -> String {
    let parts: Vec<&str> = file.package.as_deref().into_iter().chain(file.reason.as_deref()).collect();
    shown(&parts.join(", "))
}

fn files(out: &mut String, files: &[FileChange]) {
    let parts = parts(files);
    let some = parts.iter().filter(|(_, files, _)| !files.is_empty());
    let counts: Vec<String> = some.map(|(word, files, growth)| format!("{} {word} ({growth})", files.len())).collect();
    if counts.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nfiles: {}", counts.join(", "));
    for file in files {
        let mut more: Vec<String> = Vec::new();
        let sign = match (file.old, file.new) {
            (None, Some(new)) => {
                more.push(size_text(new));
                '+'
            }
            (Some(old), None) => {
                more.push(size_text(old));
                '-'
            }
            (old, new) => {
                if old != new {
                    more.push(growth_text(old.unwrap_or(0), new.unwrap_or(0)));
                }
                '~'
            }
        };
        more.extend(file.notes.iter().map(|note| shown(note)));
        let because = because(file);
        let because = if because.is_empty() { String::new() } else { format!("  [{because}]") };
        let _ = writeln!(out, "  {sign} {}  {}{because}", shown(&file.path.to_string()), more.join(", "));
    }
}
