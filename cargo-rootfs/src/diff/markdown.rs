//! Writes a difference as Markdown for a comment on a pull request.

use std::fmt::Write as _;

use super::text::{because, counts, parts};
use super::{Both, Diff, Floor, Versioned, growth_text, percent_text, size_text};

/// The limit of rows in a table: a comment on GitHub has at most 65,536 characters.
const ROWS: usize = 60;

/// A comment. Names are escaped code, so that they contain no markup.
pub(crate) fn markdown(diff: &Diff) -> String {
    let mut out = String::new();
    let platform = diff.platform.as_ref().map(|it| format!(" ({})", code(it))).unwrap_or_default();
    let headline = match &diff.totals {
        Some(totals) if totals.size.0 != totals.size.1 => {
            let (old, new) = totals.size;
            format!("{}{}", growth_text(old, new), percent_text(old, new))
        }
        _ if diff.is_empty() => "no difference".to_owned(),
        Some(_) => "same size".to_owned(),
        None => counts(&diff.packages),
    };
    let _ = writeln!(out, "### Root filesystem{platform}: {headline}\n");
    let _ = writeln!(out, "{} → {}\n", code(&diff.names.0), code(&diff.names.1));
    if let Some(totals) = &diff.totals {
        out.push_str("| | before | after | |\n| --- | ---: | ---: | ---: |\n");
        let mut sizes = |of: &str, (old, new): Both<u64>| {
            let change = if old == new { String::new() } else { growth_text(old, new) + &percent_text(old, new) };
            let _ = writeln!(out, "| {of} | {} | {} | {change} |", size_text(old), size_text(new));
        };
        sizes("size", totals.size);
        if totals.stored.0 > 0 && totals.stored.1 > 0 {
            sizes("layers", totals.stored);
        }
        let _ = writeln!(out, "| entries | {} | {} | |", totals.entries.0, totals.entries.1);
        floor(&mut out, "glibc", &totals.glibc);
        floor(&mut out, "Linux", &totals.kernel);
        out.push('\n');
    }
    let rights: Vec<String> =
        diff.files.iter().filter(|file| file.gains_rights).map(|file| code(&file.path.to_string())).collect();
    if !rights.is_empty() {
        let _ = writeln!(out, "> [!WARNING]\n> Run with more rights: {}\n", rights.join(", "));
    }
    versions(&mut out, "Packages", &diff.packages);
    versions(&mut out, "Crates", &diff.crates);
    if let [name] = &diff.list_no_crates[..] {
        let _ = writeln!(out, "Crates are not compared: {} has no list of them\n", code(name));
    }
    files(&mut out, diff);
    out
}

fn floor(out: &mut String, of: &str, (old, new): &Both<Option<Floor>>) {
    let version = |floor: &Option<Floor>| floor.as_ref().map(|floor| floor.version.clone()).unwrap_or_default();
    let (before, after) = (version(old), version(new));
    if before.is_empty() && after.is_empty() {
        return;
    }
    let by = new.as_ref().filter(|_| before != after).map(|floor| code(&floor.by.to_string())).unwrap_or_default();
    let _ = writeln!(out, "| {of} at least | {before} | {after} | {by} |");
}

/// Text as an HTML `<code>` element: a name may contain backticks, bars and tags.
fn code(text: &str) -> String {
    let mut out = String::from("<code>");
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Markdown interprets these within HTML too.
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '@' | '#' | '~' | ':' => _ = write!(out, "&#{};", u32::from(c)),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out + "</code>"
}

fn begin(out: &mut String, title: &str, count: usize) -> bool {
    let is_long = count > 10;
    let _ = match is_long {
        true => writeln!(out, "<details><summary>{title}</summary>\n"),
        false => writeln!(out, "**{title}**\n"),
    };
    is_long
}

fn end(out: &mut String, is_long: bool, count: usize) {
    if count > ROWS {
        let _ = writeln!(out, "\nand {} more", count - ROWS);
    }
    out.push_str(if is_long { "\n</details>\n\n" } else { "\n" });
}

fn versions(out: &mut String, of: &str, changes: &[Versioned]) {
    if changes.is_empty() {
        return;
    }
    let is_long = begin(out, &format!("{of}: {}", counts(changes)), changes.len());
    out.push_str("| | | before | after | |\n| --- | --- | --- | --- | ---: |\n");
    for Versioned { name, change, old, new, size } in changes.iter().take(ROWS) {
        let version = |version: &Option<String>| version.as_ref().map(|it| code(it)).unwrap_or_default();
        let growth = if size.0 == size.1 { String::new() } else { growth_text(size.0, size.1) };
        let (name, change, old, new) = (code(name), change.as_str(), version(old), version(new));
        let _ = writeln!(out, "| {change} | {name} | {old} | {new} | {growth} |");
    }
    end(out, is_long, changes.len());
}

fn files(out: &mut String, diff: &Diff) {
    for (word, files, growth) in parts(&diff.files) {
        if files.is_empty() {
            continue;
        }
        let title = format!("Files {word}: {} ({growth})", files.len());
        let is_long = begin(out, &title, files.len());
        out.push_str("| file | | | because |\n| --- | ---: | --- | --- |\n");
        for file in files.iter().take(ROWS) {
            let growth = growth_text(file.old.unwrap_or(0), file.new.unwrap_or(0));
            let notes: Vec<String> = file.notes.iter().map(|note| code(note)).collect();
            let because = Some(because(file)).filter(|it| !it.is_empty()).map(|it| code(&it)).unwrap_or_default();
            let path = code(&file.path.to_string());
            let _ = writeln!(out, "| {path} | {growth} | {} | {because} |", notes.join(", "));
        }
        end(out, is_long, files.len());
    }
}
