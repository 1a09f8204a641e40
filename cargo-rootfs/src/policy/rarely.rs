//! Libraries that are opened for features that hardly any rootfs needs.

use std::sync::OnceLock;

use crate::glob::Glob;
use crate::rows;

/// Libraries, and the objects that open them.
struct RarelyOpened {
    by: Vec<Glob>,
    libraries: Vec<Glob>,
}

/// Returns whether an object rarely opens this library: trees show it, but no warning names it.
pub(crate) fn is_rarely_opened_by(by: &[u8], soname: &[u8]) -> bool {
    rows().iter().any(|row| matches(&row.by, by) && matches(&row.libraries, soname))
}

/// The same for any opening object.
#[cfg(feature = "cli")]
pub(crate) fn is_rarely_opened(soname: &[u8]) -> bool {
    rows().iter().any(|row| matches(&row.libraries, soname))
}

fn matches(globs: &[Glob], name: &[u8]) -> bool {
    globs.iter().any(|glob| glob.matches_name(name).is_some())
}

fn rows() -> &'static [RarelyOpened] {
    static ROWS: OnceLock<Vec<RarelyOpened>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let fields = rows::embedded(include_str!("../../templates/policy/rarely-opened.toml"));
        let read = fields.iter().flat_map(|(_, datum)| read(datum).expect("a test reads each row"));
        read.collect()
    })
}

fn read(datum: &rows::Datum) -> Result<Vec<RarelyOpened>, Vec<rows::Problem>> {
    rows::named("rarely-opened", datum, |reader, _, fields, _| {
        let mut row = RarelyOpened { by: Vec::new(), libraries: Vec::new() };
        for (key, value) in fields {
            match key.as_str() {
                "name" => {}
                "why" => drop(reader.text(key, value)),
                "by" => row.by = globs(reader, key, value),
                "libraries" => row.libraries = globs(reader, key, value),
                _ => reader.unknown(key, value, &["name", "why", "by", "libraries"]),
            }
        }
        Some(row)
    })
}

pub(super) fn globs(reader: &mut rows::Reader, key: &str, datum: &rows::Datum) -> Vec<Glob> {
    let texts = reader.texts_at(key, datum);
    let globs = texts.into_iter().flat_map(|(text, at)| match Glob::parse(text) {
        Ok(globs) => globs,
        Err(why) => {
            reader.problem(at, format!("`{text}` in `{key}` of {}: {why}", reader.row));
            Vec::new()
        }
    });
    globs.collect()
}
