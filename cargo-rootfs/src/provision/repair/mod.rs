//! Makes the files that maintainer scripts would have made: an interpreter of the rows in `templates/repair/`.
//!
//! It executes no script. An existing file stays unchanged.

mod accounts;
mod row;
mod staged;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::OnceLock;

use super::folder::Unwritable;
use super::keystore;
use crate::error::Warning;
use crate::glob::fill;
use crate::rows::{Fields, embedded, table, texts};
pub(super) use accounts::SCRIPTS;
use row::{Form, Kind, Row};
use staged::Staged;

/// The rows; they are part of every sysroot's cache key.
const DATA: &str = concat!(
    include_str!("../../../templates/repair/debian.toml"),
    include_str!("../../../templates/repair/alternatives.toml"),
    include_str!("../../../templates/repair/plugins.toml")
);

/// The directory through which symlinks of alternatives lead (update-alternatives(1)).
const ALTERNATIVES: &str = "/etc/alternatives";

/// The mode of a new file.
const READABLE: u32 = 0o644;

/// The parsed rows.
pub(super) struct Recipe {
    fields: Fields,
    rows: Vec<Row>,
}

/// Adds the system accounts of maintainer scripts and of declarations to the root at `path`.
pub(super) fn add_accounts(path: &Path, scripts: &[Vec<u8>]) -> Result<(), Unwritable> {
    let root = Staged::open(path).map_err(Unwritable::at(path))?;
    accounts::add(&root, scripts).map_err(Unwritable::at(path.join("etc/passwd")))
}

/// The rows, and the host programs that they use: everything besides the packages on which a repaired sysroot depends.
pub(super) fn key() -> String {
    let recipe = Recipe::debian();
    let runs = recipe.of(Kind::Run).filter(|row| super::apt::is_program(&row.program));
    runs.fold(DATA.to_owned() + accounts::KEY, |key, row| key + "\n" + &row.program)
}

impl Recipe {
    pub(super) fn debian() -> &'static Self {
        static DEBIAN: OnceLock<Recipe> = OnceLock::new();
        DEBIAN.get_or_init(|| Self::parse(DATA))
    }

    fn parse(text: &str) -> Self {
        let fields = embedded(text);
        let rows = row::read(&fields).expect("a test reads each row");
        Self { fields, rows }
    }

    /// Before extraction: makes the symlinks of a merged /usr.
    pub(super) fn before(&self, root: &Path, architecture: &str) -> Result<(), Unwritable> {
        let also = table(&self.fields, "merged-for").into_iter().flat_map(|table| texts(table, architecture));
        for name in texts(&self.fields, "merged").into_iter().chain(also) {
            let (directory, link) = (root.join("usr").join(name), root.join(name));
            fs::create_dir_all(&directory).map_err(Unwritable::at(&directory))?;
            symlink(format!("usr/{name}"), &link).map_err(Unwritable::at(&link))?;
        }
        Ok(())
    }

    /// After extraction: applies each row, for each of its names and of its architectures.
    pub(super) fn after(&self, path: &Path) -> Result<(), Unwritable> {
        let root = Staged::open(path).map_err(Unwritable::at(path))?;
        let triplets = root.triplets().map_err(Unwritable::at(path))?;
        for entry in self.rows.iter().flat_map(|row| entries(row, &triplets)) {
            match entry.row.kind {
                Kind::Alternative => alternative(&root, &entry),
                Kind::Copy => copy(&root, &entry),
                Kind::Link => link(&root, &entry),
                Kind::Text => text(&root, &entry),
                Kind::Join => join(&root, &entry),
                Kind::Run => run(&root, &entry),
                Kind::Unmade => Ok(()),
                Kind::Mode => mode(&root, &entry),
            }
            .map_err(Unwritable::at(path.join(entry.text(&entry.row.path).trim_start_matches('/'))))?;
        }
        Ok(())
    }

    /// Warns of files of the sysroot at `root` that are not made, for want of a program of this machine, or because a
    /// program of the sysroot makes them.
    pub(super) fn lacks(&self, root: &Path) -> Vec<Warning> {
        let Ok(root) = Staged::open(root) else { return Vec::new() };
        let is_lacking = |row: &&Row| {
            let is_made = match row.kind {
                Kind::Unmade => root.is_there(&row.path),
                _ => row.makes.iter().any(|name| root.is_there(&format!("{}/{name}", row.path))),
            };
            !is_made && root.found(&row.from).is_ok_and(|found| !found.is_empty())
        };
        let warning = |row: &Row| {
            if row.kind == Kind::Unmade {
                let message = format!("`{}` of the sysroot is not made: only `{}` makes it", row.path, row.program);
                return Warning::new(message)
                    .help("pass a root directory in which the packages are installed: --sysroot DIR");
            }
            let message = format!("`{}` of the sysroot is not made: `{}` is not installed", row.path, row.program);
            Warning::new(message).help(format!("to make it: install {} on this machine", row.package))
        };
        self.of(Kind::Run).chain(self.of(Kind::Unmade)).filter(is_lacking).map(warning).collect()
    }

    /// Files whose set-ID bits a row has set, with their modes.
    pub(super) fn set_id_files(&self, root: &Path) -> Vec<(String, u32)> {
        let Ok(root) = Staged::open(root) else { return Vec::new() };
        let of = |entry: Entry<'_>| {
            let path = entry.text(&entry.row.path);
            root.mode(&path).filter(|mode| mode & 0o6000 != 0).map(|mode| (path, mode))
        };
        self.of(Kind::Mode).flat_map(|row| entries(row, &[])).filter_map(of).collect()
    }

    /// The possible targets of the symlink at `path`, in order of preference.
    pub(super) fn choices(&self, path: &str) -> Vec<String> {
        let entries = self.of(Kind::Alternative).flat_map(|row| match row.names.is_empty() {
            true => vec![Entry { row, name: None, triplet: None }],
            false => row.names.iter().map(|name| Entry { row, name: Some(name), triplet: None }).collect(),
        });
        let those = entries.filter(|entry| entry.text(&entry.row.path) == path);
        those.flat_map(|it| it.row.first_of.iter().map(|choice| it.text(choice)).collect::<Vec<_>>()).collect()
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }
}

/// One row, for one of its names and architectures.
struct Entry<'e> {
    row: &'e Row,
    name: Option<&'e str>,
    triplet: Option<&'e str>,
}

fn entries<'e>(row: &'e Row, triplets: &'e [String]) -> Vec<Entry<'e>> {
    let names = if row.names.is_empty() { vec![None] } else { row.names.iter().map(|name| Some(&**name)).collect() };
    let triplets = match row.path.contains("{triplet}") {
        true => triplets.iter().map(|triplet| Some(&**triplet)).collect(),
        false => vec![None],
    };
    let of_name = |name| triplets.iter().map(move |triplet| Entry { row, name, triplet: *triplet });
    names.into_iter().flat_map(of_name).collect()
}

impl Entry<'_> {
    fn text(&self, text: &str) -> String {
        self.with_stars(text, &[])
    }

    /// Fills in the placeholders, including the matched stars of a pattern.
    fn with_stars(&self, text: &str, stars: &[String]) -> String {
        fill(text, |placeholder| match placeholder {
            "name" => self.name,
            "triplet" => self.triplet,
            number => stars.get(number.parse::<usize>().ok()?.checked_sub(1)?).map(String::as_str),
        })
    }

    /// The first existing one of its choices.
    fn chosen(&self, root: &Staged) -> Option<String> {
        self.row.first_of.iter().map(|choice| self.text(choice)).find(|choice| root.exists(choice))
    }

    fn found(&self, root: &Staged) -> io::Result<Vec<(String, Vec<String>)>> {
        root.found(&self.text(&self.row.from))
    }
}

fn alternative(root: &Staged, entry: &Entry<'_>) -> io::Result<()> {
    let path = entry.text(&entry.row.path);
    let Some(chosen) = entry.chosen(root).filter(|_| !root.is_there(&path)) else { return Ok(()) };
    let name = path.rsplit('/').next().unwrap_or(&path);
    // The naming scheme of alternatives of libraries for several architectures.
    let name = entry.triplet.map_or_else(|| name.to_owned(), |triplet| format!("{name}-{triplet}"));
    let via = format!("{ALTERNATIVES}/{name}");
    root.link(&via, &chosen)?;
    root.link(&path, &via)
}

fn copy(root: &Staged, entry: &Entry<'_>) -> io::Result<()> {
    for (from, stars) in entry.found(root)? {
        let path = entry.with_stars(&entry.row.path, &stars);
        let Some(mode) = root.mode(&from).filter(|_| !root.is_there(&path)) else { continue };
        let bytes = root.read(&from)?;
        match entry.row.pairs.is_empty() {
            true => root.write(&path, &bytes, mode)?,
            false => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let text = entry.row.pairs.iter().fold(text, |text, (word, by)| text.replace(word, by));
                root.write(&path, text.as_bytes(), READABLE)?;
            }
        }
    }
    Ok(())
}

fn link(root: &Staged, entry: &Entry<'_>) -> io::Result<()> {
    if let Some(chosen) = entry.chosen(root) {
        let path = entry.text(&entry.row.path);
        // A target in the same directory is named without its directory.
        let near = chosen.rsplit_once('/').filter(|(at, _)| path.rsplit_once('/').is_some_and(|it| it.0 == *at));
        root.link(&path, near.map_or(&*chosen, |(_, name)| name))?;
    }
    for (each, stars) in entry.found(root)? {
        let condition = entry.with_stars(&entry.row.condition, &stars);
        if !condition.is_empty() && !root.is_there(&condition) {
            continue;
        }
        let path = entry.with_stars(&entry.row.path, &stars);
        let number =
            if entry.row.number.is_empty() { String::new() } else { number(&root.read(&each)?, &entry.row.number) };
        root.link(&fill(&path, |name| (name == "number").then_some(&*number)), &each)?;
    }
    Ok(())
}

/// The number after `before` at the beginning of a line; without one 20, as in phpenmod(8).
fn number(bytes: &[u8], before: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    let number = text.lines().find_map(|line| line.strip_prefix(before)).unwrap_or_default();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { "20".to_owned() } else { digits }
}

fn text(root: &Staged, entry: &Entry<'_>) -> io::Result<()> {
    let (path, directory) = (entry.text(&entry.row.path), entry.text(&entry.row.directory));
    let mut text = String::new();
    for (file, part) in &entry.row.pairs {
        let file = format!("{directory}{}", entry.text(file));
        if root.exists(&file) {
            text.push_str(&fill(part, |name| {
                if name == "file" { Some(&*file) } else { entry.triplet.filter(|_| name == "triplet") }
            }));
        }
    }
    if text.is_empty() || root.is_there(&path) {
        return Ok(());
    }
    root.write(&path, (entry.text(&entry.row.head) + &text).as_bytes(), READABLE)
}

fn join(root: &Staged, entry: &Entry<'_>) -> io::Result<()> {
    let (path, condition) = (entry.text(&entry.row.path), entry.text(&entry.row.condition));
    let files = entry.found(root)?;
    if root.is_there(&path) || files.is_empty() || (!condition.is_empty() && !root.is_there(&condition)) {
        return Ok(());
    }
    let mut joined = Vec::new();
    let mut certificates = BTreeMap::new();
    for (file, _) in files {
        let bytes = root.read(&file)?;
        match entry.row.form {
            Form::Lines => {
                joined.extend(bytes);
                if joined.last() != Some(&b'\n') {
                    joined.push(b'\n');
                }
            }
            Form::Jks => {
                let stem = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let certificate = keystore::certificate(&String::from_utf8_lossy(&bytes));
                certificates.extend(certificate.map(|it| (format!("debian:{stem}.pem"), it)));
            }
        }
    }
    if entry.row.form == Form::Jks {
        joined = keystore::keystore(certificates.iter().map(|(alias, it)| (&**alias, &**it)));
    }
    root.write(&path, &joined, READABLE)
}

/// Runs a program of the host on copies: no symlink of a package can lead it out of the root, and it writes nothing
/// there.
fn run(root: &Staged, entry: &Entry<'_>) -> io::Result<()> {
    let path = entry.text(&entry.row.path);
    let files = entry.found(root)?;
    let target = |name: &String| format!("{path}/{name}");
    if files.is_empty() || entry.row.makes.iter().all(|name| root.is_there(&target(name))) {
        return Ok(());
    }
    let copies = tempfile::tempdir()?;
    for (file, _) in files {
        let Some(relative) = file.strip_prefix(&path) else { continue };
        let copy = copies.path().join(relative.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap_or(copies.path()))?;
        fs::write(copy, root.read(&file)?)?;
    }
    let program = duct::cmd(&entry.row.program, [copies.path()]).stdin_null().stdout_null().stderr_null();
    // `lacks` reports a missing program.
    let _ = program.env("LC_ALL", "C").unchecked().run();
    for name in &entry.row.makes {
        if let Ok(bytes) = fs::read(copies.path().join(name)) {
            if !root.is_there(&target(name)) {
                root.write(&target(name), &bytes, READABLE)?;
            }
        }
    }
    Ok(())
}

fn mode(root: &Staged, entry: &Entry<'_>) -> io::Result<()> {
    let releases = &entry.row.releases;
    let is_due = releases.is_empty() || root.codename().is_some_and(|release| releases.contains(&release));
    if is_due { root.set_mode(&entry.text(&entry.row.path), entry.row.mode) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
