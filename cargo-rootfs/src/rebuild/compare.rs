//! Two directories of archives, compared entry by entry.

use std::fs::File;
use std::io::{self, Read};

use camino::Utf8Path;

use super::cause::{self, Paths};
use crate::error::{Error, Result};

/// The entry of an archive that a comparison has reached.
struct Reached {
    path: String,
    header: Vec<u8>,
    body: Vec<u8>,
}

/// Compares the archives of two runs, and says what is the same. Fails with the first entry that differs.
pub(super) fn directories(one: &Utf8Path, other: &Utf8Path, paths: &Paths<'_>) -> Result<String> {
    let mut names: Vec<String> = one
        .read_dir_utf8()
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().to_owned())).collect::<io::Result<_>>())
        .map_err(|error| Error::io("read", one, error))?;
    names.sort();
    let mut size = 0;
    for name in &names {
        size += archives(&one.join(name), &other.join(name), paths)?;
    }
    let archives = if names.len() == 1 { "one archive".to_owned() } else { format!("{} archives", names.len()) };
    Ok(format!("the same bytes ({archives}, {})", indicatif::HumanBytes(size)))
}

fn archives(one: &Utf8Path, other: &Utf8Path, paths: &Paths<'_>) -> Result<u64> {
    let open = |path: &Utf8Path| File::open(path).map_err(|error| Error::io("read", path, error));
    let unreadable = |error| Error::io("read", one, error);
    let (mut first, mut second) = (tar::Archive::new(open(one)?), tar::Archive::new(open(other)?));
    let (mut firsts, mut seconds) = (first.entries().map_err(unreadable)?, second.entries().map_err(unreadable)?);
    let mut size = 0;
    loop {
        let pair = (next(&mut firsts).map_err(unreadable)?, next(&mut seconds).map_err(unreadable)?);
        match pair {
            (None, None) => return Ok(size),
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
                size += a.body.len() as u64;
            }
            (a, b) => {
                let (a, b) = (a.map(|entry| entry.path), b.map(|entry| entry.path));
                // Entries are sorted: the lesser one is missing on the other side.
                let (path, which) = match (&a, &b) {
                    (Some(a), Some(b)) if a < b => (a, "first"),
                    (Some(a), None) => (a, "first"),
                    (_, Some(b)) => (b, "second"),
                    (None, None) => return Ok(size),
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
