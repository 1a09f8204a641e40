//! Compares two directories of archives, entry by entry.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use camino::Utf8Path;

use super::cause::{self, Paths};
use crate::error::{Error, Result};
use crate::host_files;

/// The current entry of an archive.
struct Reached {
    path: String,
    header: Vec<u8>,
    body: Vec<u8>,
}

/// The result of a comparison without a difference.
#[derive(Default)]
pub(super) struct Same {
    archives: usize,
    size: u64,
    /// Executables that contain the current date, each with its text.
    pub(super) dated: BTreeMap<String, String>,
}

impl fmt::Display for Same {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archives =
            if self.archives == 1 { "one archive".to_owned() } else { format!("{} archives", self.archives) };
        write!(f, "the same bytes ({archives}, {})", indicatif::HumanBytes(self.size))
    }
}

/// Compares the archives of two runs. Fails with the first differing entry. `date` is the day of both builds, such as
/// `2026-11-30`; `None` if executables may contain it.
pub(super) fn directories(one: &Utf8Path, other: &Utf8Path, paths: &Paths<'_>, date: Option<&str>) -> Result<Same> {
    let names = host_files::names(one).or_cannot("read")?;
    let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
    let mut same = Same { archives: names.len(), ..Same::default() };
    for name in names {
        archives(&one.join(name), &other.join(name), paths, date, &mut same)?;
    }
    Ok(same)
}

fn archives(one: &Utf8Path, other: &Utf8Path, paths: &Paths<'_>, date: Option<&str>, same: &mut Same) -> Result<()> {
    let open = |path: &Utf8Path| host_files::open(path).or_cannot("read");
    let unreadable = |error| Error::io("read", one, error);
    let (mut first, mut second) = (tar::Archive::new(open(one)?), tar::Archive::new(open(other)?));
    let (mut firsts, mut seconds) = (first.entries().map_err(unreadable)?, second.entries().map_err(unreadable)?);
    loop {
        let pair = (next(&mut firsts).map_err(unreadable)?, next(&mut seconds).map_err(unreadable)?);
        match pair {
            (None, None) => return Ok(()),
            (Some(a), Some(b)) if a.path == b.path => {
                if a.body != b.body {
                    return Err(cause::of_bodies(&a.path, &a.body, &b.body, paths));
                }
                if a.header != b.header {
                    return Err(Error::failed(format!(
                        "two builds differ: `{}` has another mode, size or time",
                        a.path
                    )));
                }
                same.size += a.body.len() as u64;
                if let Some(text) = date.and_then(|date| cause::day(&a.body, date)) {
                    same.dated.insert(a.path, text);
                }
            }
            (a, b) => {
                let (a, b) = (a.map(|entry| entry.path), b.map(|entry| entry.path));
                // Entries are sorted: the lesser one is missing on the other side.
                let (path, which) = match (&a, &b) {
                    (Some(a), Some(b)) if a < b => (a, "first"),
                    (Some(a), None) => (a, "first"),
                    (_, Some(b)) => (b, "second"),
                    (None, None) => return Ok(()),
                };
                return Err(Error::failed(format!("two builds differ: only the {which} one has `{path}`")));
            }
        }
    }
}

fn next<R: Read>(entries: &mut tar::Entries<'_, R>) -> io::Result<Option<Reached>> {
    let Some(entry) = entries.next() else { return Ok(None) };
    let mut entry = entry?;
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let path = format!("/{}", name.trim_start_matches("./"));
    let header = entry.header().as_bytes().to_vec();
    let mut body = Vec::new();
    entry.read_to_end(&mut body)?;
    Ok(Some(Reached { path, header, body }))
}
