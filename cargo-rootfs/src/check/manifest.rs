//! Adds names to the table `rootfs` of a Cargo.toml by editing its text: comments, order and layout stay.
//!
//! toml_edit does the same, but would be a second TOML parser in every build for one option of one subcommand. The
//! present parser reports the positions of values, and an insertion needs no more. The result is parsed again, and an
//! edit with any other effect is refused.

use std::ops::Range;

use toml::Table;
use toml::de::{DeTable, DeValue};

use crate::wording::toml_string;

/// A key and the names to add to its list, such as `with` and the tools.
pub(crate) type Addition = (&'static str, Vec<String>);

/// The maximum width of a new list.
const WIDTH: usize = 100;

/// Returns `text`, a Cargo.toml, with `additions` in `[<table>.metadata.rootfs]`; `table` is `package` or `workspace`.
/// Present names are not added again. `None` if the layout of the text allows no insertion.
pub(crate) fn with_additions(text: &str, table: &str, additions: &[Addition]) -> Option<String> {
    let mut edited = text.to_owned();
    for (key, names) in additions {
        let known = names_of(&edited, table, key);
        let mut new: Vec<&String> = Vec::new();
        for name in names {
            if !known.contains(name) && !new.contains(&name) {
                new.push(name);
            }
        }
        if !new.is_empty() {
            edited = inserted(&edited, table, key, &new)?;
        }
    }
    let (mut expected, actual) = (text.parse::<Table>().ok()?, edited.parse::<Table>().ok()?);
    for (key, names) in additions {
        add(&mut expected, table, key, names)?;
    }
    (expected == actual).then_some(edited)
}

/// Makes the same addition to the parsed values.
fn add(document: &mut Table, table: &str, key: &str, names: &[String]) -> Option<()> {
    if names.is_empty() {
        return Some(());
    }
    let mut within = document;
    for name in [table, "metadata", "rootfs"] {
        let next = within.entry(name).or_insert_with(|| toml::Value::Table(Table::new()));
        within = next.as_table_mut()?;
    }
    let list = within.entry(key).or_insert_with(|| toml::Value::Array(Vec::new())).as_array_mut()?;
    for name in names {
        let value = toml::Value::String(name.clone());
        if !list.contains(&value) {
            list.push(value);
        }
    }
    Some(())
}

fn names_of(text: &str, table: &str, key: &str) -> Vec<String> {
    let document = text.parse::<Table>().unwrap_or_default();
    let within = document.get(table).and_then(|it| it.get("metadata")?.get("rootfs")?.get(key)?.as_array());
    within.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn inserted(text: &str, table: &str, key: &str, names: &[&String]) -> Option<String> {
    let (at, insertion) = match places(text, table, key)? {
        Place::List(list, last) => in_list(text, &list, last, names)?,
        Place::Table(end) => {
            let line = text[end..].find('\n').map_or(text.len(), |length| end + length + 1);
            (line, format!("{}{}", if text[..line].ends_with('\n') { "" } else { "\n" }, list(key, names)))
        }
        Place::Nowhere => {
            let gap = if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            (text.len(), format!("{end}{gap}[{table}.metadata.rootfs]\n{}", list(key, names)))
        }
    };
    let mut edited = text.to_owned();
    edited.insert_str(at, &insertion);
    Some(edited)
}

/// The position of an addition.
enum Place {
    /// An existing list, and the end of its last element, if any.
    List(Range<usize>, Option<usize>),
    /// A table with a header: the end of its last own value, or of the header.
    Table(usize),
    Nowhere,
}

fn places(text: &str, table: &str, key: &str) -> Option<Place> {
    let document = DeTable::parse(text).ok()?;
    let find = |within: &DeTable<'_>, name: &str| -> Option<Range<usize>> { Some(within.get(name)?.span()) };
    let mut within = document.get_ref();
    for name in [table, "metadata", "rootfs"] {
        match within.get(name).map(|value| value.get_ref()) {
            Some(DeValue::Table(next)) => within = next,
            Some(_) => return None,
            None => return Some(Place::Nowhere),
        }
    }
    if let Some(value) = within.get(key) {
        let DeValue::Array(list) = value.get_ref() else { return None };
        return Some(Place::List(find(within, key)?, list.iter().map(|one| one.span().end).max()));
    }
    let header = header(text, table)?;
    // Values of subtables come later, under their own headers.
    let own = within.iter().filter(|(_, value)| !matches!(value.get_ref(), DeValue::Table(_)));
    let own = own.filter(|(_, value)| !is_array_of_tables(text, value.get_ref(), value.span()));
    Some(Place::Table(own.map(|(_, value)| value.span().end).max().unwrap_or(header).max(header)))
}

/// The end of the header line of the table.
fn header(text: &str, table: &str) -> Option<usize> {
    let wanted = format!("[{table}.metadata.rootfs]");
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let plain: String = line.split('#').next().unwrap_or(line).chars().filter(|c| !c.is_whitespace()).collect();
        if plain == wanted {
            return Some(at + line.trim_end().len());
        }
        at += line.len();
    }
    None
}

/// True for `[[...]]`: the spans of its values do not end with the array.
fn is_array_of_tables(text: &str, value: &DeValue<'_>, span: Range<usize>) -> bool {
    matches!(value, DeValue::Array(_))
        && !text.get(span).is_some_and(|text| text.starts_with('[') && !text.starts_with("[["))
}

/// The position and the text of additional elements of a list.
fn in_list(text: &str, list: &Range<usize>, last: Option<usize>, names: &[&String]) -> Option<(usize, String)> {
    let quoted: Vec<String> = names.iter().map(|name| toml_string(name)).collect();
    let inside = text.get(list.clone())?;
    let Some(last) = last else {
        return Some((list.start + 1, quoted.join(", ")));
    };
    if !inside.contains('\n') {
        return Some((last, quoted.iter().map(|name| format!(", {name}")).collect()));
    }
    // One element a line, with the indentation of the last one; a comment after the last element stays with it.
    let rest = text.get(last..list.end)?;
    let comma = rest.trim_start().starts_with(',');
    let line_start = text[..last].rfind('\n').map_or(0, |at| at + 1);
    let indent: String = text[line_start..].chars().take_while(|c| c.is_whitespace()).collect();
    let lines: String = quoted.iter().map(|name| format!("\n{indent}{name},")).collect();
    if !comma {
        return Some((last, format!(",{}", lines.trim_end_matches(','))));
    }
    let end = last + rest.find('\n')?;
    Some((end, lines))
}

/// A new list, on one line or with one element a line.
fn list(key: &str, names: &[&String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| toml_string(name)).collect();
    let line = format!("{key} = [{}]\n", quoted.join(", "));
    if line.len() <= WIDTH {
        return line;
    }
    let lines: String = quoted.iter().map(|name| format!("    {name},\n")).collect();
    format!("{key} = [\n{lines}]\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, additions: &[(&'static str, &[&str])]) -> Option<String> {
        let own = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let additions: Vec<Addition> = additions.iter().map(|(key, names)| (*key, own(names))).collect();
        with_additions(text, "package", &additions)
    }

    #[test]
    fn comments_order_and_layout_stay() {
        for (text, expected) in [
            // A missing table is added.
            (
                "[package]\nname = \"a\" # a\n",
                "[package]\nname = \"a\" # a\n\n[package.metadata.rootfs]\nwith = [\"gzip\"]\n",
            ),
            ("[package]", "[package]\n\n[package.metadata.rootfs]\nwith = [\"gzip\"]\n"),
            // A missing list is added to an existing table, before other tables.
            (
                "[package.metadata.rootfs] # own\ncmd = [\"x\"] # why\n\n[dependencies]\na = \"1\"\n",
                "[package.metadata.rootfs] # own\ncmd = [\"x\"] # why\nwith = [\"gzip\"]\n\n[dependencies]\na = \"1\"\n",
            ),
            (
                "[package.metadata.rootfs]\n[[package.metadata.rootfs.rule]]\nname = \"x\"\n",
                "[package.metadata.rootfs]\nwith = [\"gzip\"]\n[[package.metadata.rootfs.rule]]\nname = \"x\"\n",
            ),
            // An existing list keeps its layout.
            (
                "[package.metadata.rootfs]\nwith = [ \"ls\" ] # x\n",
                "[package.metadata.rootfs]\nwith = [ \"ls\", \"gzip\" ] # x\n",
            ),
            ("[package.metadata.rootfs]\nwith = []\n", "[package.metadata.rootfs]\nwith = [\"gzip\"]\n"),
            (
                "[package.metadata.rootfs]\nwith = [\n  \"ls\", # lists\n  # none\n]\n",
                "[package.metadata.rootfs]\nwith = [\n  \"ls\", # lists\n  \"gzip\",\n  # none\n]\n",
            ),
            (
                "[package.metadata.rootfs]\nwith = [\n  \"ls\"\n]\n",
                "[package.metadata.rootfs]\nwith = [\n  \"ls\",\n  \"gzip\"\n]\n",
            ),
            ("[package]\nmetadata.rootfs.with = [\"ls\"]\n", "[package]\nmetadata.rootfs.with = [\"ls\", \"gzip\"]\n"),
            // The name is present.
            ("[package.metadata.rootfs]\nwith = [\"gzip\"]\n", "[package.metadata.rootfs]\nwith = [\"gzip\"]\n"),
        ] {
            assert_eq!(edited(text, &[("with", &["gzip"])]).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn several_lists_are_one_table() {
        let text = edited("", &[("with", &["a", "b\"c"]), ("include", &["/x:/x"])]).unwrap();
        assert_eq!(text, "[package.metadata.rootfs]\nwith = [\"a\", \"b\\\"c\"]\ninclude = [\"/x:/x\"]\n");
    }

    #[test]
    fn what_no_insertion_fits_is_refused() {
        for text in [
            "package.metadata.rootfs = { cmd = [\"x\"] }\n",
            "[package.metadata.rootfs]\nwith = \"ls\"\n",
            "[package.metadata]\nrootfs.cmd = [\"x\"]\n",
            "not toml",
        ] {
            assert_eq!(edited(text, &[("with", &["gzip"])]), None, "{text}");
        }
    }
}
