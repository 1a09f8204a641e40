//! Readers of the packages and crates in a root, by the rules of scanners, without code of the product. They look up no
//! vulnerabilities.
//!
//! The rules are those of trivy (`pkg/fanal/analyzer/pkg/dpkg`) and osv-scalibr (`extractor/filesystem/os/dpkg` and
//! `language/rust/cargoauditable`); dpkg-query(1) is the authority on the sysroot.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json::Value;

/// A package as a scanner reports it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    /// Name and version of the source package.
    pub(crate) source: (String, String),
}

/// The fields of a record, by their names in lower case.
type Record = BTreeMap<String, String>;

const DPKG: &str = "var/lib/dpkg";

/// Compares the records in `root` with its files and with the `sysroot`: both readers find the same packages, which are
/// the owners of the packed files according to dpkg-query, and the sums are true. Returns the packages.
pub(crate) fn packages(root: &Utf8Path, sysroot: &Utf8Path) -> Result<Vec<Package>> {
    let (one, other) = (trivy(root)?, scalibr(root)?);
    ensure!(one == other, "trivy's rules find {one:#?}, osv-scalibr's {other:#?}");
    let twice = one.windows(2).find(|pair| pair[0] == pair[1]);
    ensure!(twice.is_none(), "it is listed twice: {twice:?}");
    ensure!(one.is_empty() || root.join("etc/debian_version").exists(), "nothing says that it is Debian");
    sums(root)?;
    let holders = holders(root, sysroot)?;
    let found: BTreeSet<&str> = one.iter().map(|package| package.name.as_str()).collect();
    let expected: BTreeSet<&str> = holders.values().flatten().map(String::as_str).collect();
    let has_record = |names: &BTreeSet<String>| names.iter().any(|name| found.contains(name.as_str()));
    let lacking: Vec<_> = holders.iter().filter(|(_, names)| !has_record(names)).take(9).collect();
    ensure!(lacking.is_empty(), "no record of the packages of these files: {lacking:?}");
    let invented: Vec<_> = found.difference(&expected).collect();
    ensure!(invented.is_empty(), "records of packages that no file is of: {invented:?}");
    let known = known(sysroot, &found)?;
    let wrong: Vec<_> = one.iter().filter(|package| !known.contains(package)).collect();
    ensure!(wrong.is_empty(), "dpkg-query knows them otherwise: {wrong:?}");
    Ok(one)
}

/// Reads by trivy's rules: `status`, and each file of `status.d` that does not end in `.md5sums`. A package without a
/// source is its own source.
fn trivy(root: &Utf8Path) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for (_, record) in records(root)? {
        let status = record.get("status").map(String::as_str).unwrap_or_default();
        if status.split_whitespace().any(|word| word == "deinstall" || word == "purge") {
            continue;
        }
        packages.extend(package(&record, |source| {
            let (name, rest) = source.split_once(char::is_whitespace).unwrap_or((source, ""));
            Ok((name.to_owned(), rest.trim().trim_start_matches('(').trim_end_matches(')').to_owned()))
        })?);
    }
    packages.sort();
    Ok(packages)
}

/// Reads by osv-scalibr's rules: records of `status.d` have no status, those of `status` have one of three words.
fn scalibr(root: &Utf8Path) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for (is_alone, record) in records(root)? {
        let status = record.get("status").map(|status| status.split(' ').collect::<Vec<_>>());
        match status.as_deref() {
            None if is_alone => {}
            Some([_, _, "installed"]) => {}
            Some([_, _, _]) => continue,
            other => bail!("a status that is none: {other:?}"),
        }
        packages.extend(package(&record, |source| match source.split_once(" (") {
            None => Ok((source.to_owned(), String::new())),
            Some((name, version)) => {
                let version =
                    version.strip_suffix(')').with_context(|| format!("a source without an end: {source}"))?;
                Ok((name.to_owned(), version.to_owned()))
            }
        })?);
    }
    packages.sort();
    Ok(packages)
}

fn package(record: &Record, source: impl Fn(&str) -> Result<(String, String)>) -> Result<Option<Package>> {
    let field = |name: &str| record.get(name).cloned().unwrap_or_default();
    let (name, version) = (field("package"), field("version"));
    if name.is_empty() || version.is_empty() {
        return Ok(None);
    }
    let (mut from, mut of) = source(&field("source"))?;
    if from.is_empty() {
        from.clone_from(&name);
    }
    if of.is_empty() {
        of.clone_from(&version);
    }
    Ok(Some(Package { name, version, architecture: field("architecture"), source: (from, of) }))
}

/// The records of a root, each with whether it is a file of its own.
fn records(root: &Utf8Path) -> Result<Vec<(bool, Record)>> {
    let folder = root.join(DPKG);
    let mut files = vec![(false, folder.join("status"))];
    files.extend(beside(root)?.into_iter().filter(|path| path.extension() != Some("md5sums")).map(|path| (true, path)));
    let mut records = Vec::new();
    for (is_alone, path) in files.iter().filter(|(_, path)| path.exists()) {
        let text = fs::read_to_string(path)?;
        for stanza in text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()) {
            records.push((*is_alone, record(stanza).with_context(|| format!("the record in {path}"))?));
        }
    }
    Ok(records)
}

/// The files of `status.d`.
fn beside(root: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let folder = root.join(DPKG).join("status.d");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<Utf8PathBuf> = Vec::new();
    for entry in folder.read_dir_utf8().with_context(|| format!("list {folder}"))? {
        paths.push(entry.with_context(|| format!("list {folder}"))?.into_path());
    }
    paths.sort();
    Ok(paths)
}

/// Parses a record as Go's `textproto` does: a line is `Name: value`, or continues the line before.
fn record(text: &str) -> Result<Record> {
    let mut record = Record::new();
    let mut last = None;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            let last: &String = last.as_ref().with_context(|| format!("a line that goes on with none: {line}"))?;
            record.entry(last.clone()).and_modify(|value| value.push_str(line));
            continue;
        }
        let (name, value) = line.split_once(':').with_context(|| format!("no field: {line}"))?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(is_name, "no name of a field: {name}");
        let name = name.to_ascii_lowercase();
        ensure!(record.insert(name.clone(), value.trim().to_owned()).is_none(), "`{name}` is there twice");
        last = Some(name);
    }
    Ok(record)
}

/// Checks the sums beside the records: each is the sum of an existing file, and each file is in one list.
fn sums(root: &Utf8Path) -> Result<()> {
    let mut lists = BTreeMap::new();
    for path in beside(root)?.iter().filter(|path| path.extension() == Some("md5sums")) {
        let text = fs::read_to_string(path)?;
        for line in text.lines() {
            let (_, file) = line.split_once("  ").with_context(|| format!("{path}: {line}"))?;
            ensure!(!file.starts_with('/'), "{path}: {line}");
            let earlier = lists.insert(file.to_owned(), path.clone());
            ensure!(earlier.is_none(), "{file} is in {path} and {earlier:?}");
        }
        if !text.is_empty() {
            let checked = duct::cmd!("md5sum", "--check", "--quiet", "--strict", path).dir(root).stderr_to_stdout();
            let checked = checked.stdout_capture().unchecked().run().context("start md5sum")?;
            ensure!(checked.status.success(), "{path}: {}", String::from_utf8_lossy(&checked.stdout));
        }
    }
    Ok(())
}

/// The files of `root` that are the same in the sysroot, with the packages that list each, according to dpkg-query.
///
/// A directory of several packages may be a link here: /var/run is base-files' link, and any daemon's directory.
fn holders(root: &Utf8Path, sysroot: &Utf8Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut files = Vec::new();
    walk(root, root, &mut files)?;
    let mut patterns = Vec::new();
    // Links at the top are those of a merged /usr, and packages list them as directories.
    for file in files.iter().filter(|file| file.as_str().contains('/') && !file.starts_with(DPKG)) {
        if !is_same(&root.join(file), &sysroot.join(file)) {
            continue;
        }
        let quoted: String =
            file.as_str().chars().flat_map(|c| if "[]*?\\".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
        // A merged root has usr/lib/x for a package's lib/x.
        patterns.extend(quoted.strip_prefix("usr/").map(|rest| format!("/{rest}")));
        patterns.push(format!("/{quoted}"));
    }
    let mut holders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for some in patterns.chunks(2000) {
        let said = query(sysroot, &["--search"], some)?;
        for line in
            said.lines().filter(|line| !line.starts_with("diversion by ") && !line.starts_with("local diversion"))
        {
            let (names, path) = line.split_once(": ").with_context(|| line.to_owned())?;
            let names = names.split(", ").map(|name| name.split(':').next().unwrap_or_default().to_owned());
            holders.entry(path.to_owned()).or_default().extend(names);
        }
    }
    Ok(holders)
}

/// The data of dpkg-query about the packages with these names.
fn known(sysroot: &Utf8Path, names: &BTreeSet<&str>) -> Result<Vec<Package>> {
    const FORMAT: &str = "${Package}|${Version}|${Architecture}|${source:Package}|${source:Version}\\n";
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let said = query(sysroot, &["--show", "--showformat", FORMAT], &names)?;
    let package = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [name, version, architecture, from, of] = fields[..] else { bail!("five fields: {line}") };
        let [name, version, architecture, from, of] = [name, version, architecture, from, of].map(str::to_owned);
        Ok(Package { name, version, architecture, source: (from, of) })
    };
    said.lines().map(package).collect()
}

fn query(sysroot: &Utf8Path, words: &[&str], names: &[String]) -> Result<String> {
    let database = sysroot.join(DPKG);
    let fixed = ["--admindir", database.as_str()];
    let words = fixed.iter().chain(words).copied().chain(names.iter().map(String::as_str));
    let asked = duct::cmd("dpkg-query", words).stdout_capture().stderr_null();
    // The exit code is 1 if a file has no package.
    let said = asked.unchecked().run().context("start dpkg-query")?;
    ensure!(matches!(said.status.code(), Some(0 | 1)), "dpkg-query ended with {}", said.status);
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Files and links below `folder`, relative to `root`.
fn walk(root: &Utf8Path, folder: &Utf8Path, files: &mut Vec<Utf8PathBuf>) -> Result<()> {
    for entry in folder.read_dir_utf8().with_context(|| format!("list {folder}"))? {
        let entry = entry.with_context(|| format!("list {folder}"))?;
        if entry.file_type().with_context(|| format!("look at {}", entry.path()))?.is_dir() {
            walk(root, entry.path(), files)?;
        } else {
            files.push(entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned());
        }
    }
    Ok(())
}

fn is_same(one: &Utf8Path, other: &Utf8Path) -> bool {
    let (Ok(first), Ok(second)) = (one.symlink_metadata(), other.symlink_metadata()) else { return false };
    if first.is_symlink() {
        return fs::read_link(one).ok() == fs::read_link(other).ok();
    }
    first.is_file() && second.is_file() && first.len() == second.len() && fs::read(one).ok() == fs::read(other).ok()
}

/// The crates of all executables in `root`, by osv-scalibr's rules: those that `.dep-v0` lists, except for build
/// dependencies.
pub(crate) fn crates(root: &Utf8Path) -> Result<BTreeSet<(String, String)>> {
    let mut files = Vec::new();
    walk(root, root, &mut files)?;
    let mut crates = BTreeSet::new();
    for file in files.into_iter().map(|file| root.join(file)) {
        let meta = file.symlink_metadata().with_context(|| format!("look at {file}"))?;
        if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
            continue;
        }
        let listed = duct::cmd!("objdump", "--section-headers", &file).stderr_null().unchecked().read()?;
        if !listed.contains(" .dep-v0 ") {
            continue;
        }
        let dump = "--dump-section=.dep-v0=/dev/stdout";
        let inflate = "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))";
        let section = duct::cmd!("objcopy", dump, &file, "/dev/null").pipe(duct::cmd!("python3", "-c", inflate));
        let document: Value = serde_json::from_str(&section.read()?).with_context(|| format!("crates of {file}"))?;
        for one in document["packages"].as_array().context("packages")? {
            if one["kind"].as_str().is_none_or(|kind| kind == "runtime") {
                let text = |key: &str| one[key].as_str().map(str::to_owned).with_context(|| format!("{key}: {one}"));
                crates.insert((text("name")?, text("version")?));
            }
        }
    }
    Ok(crates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_fields_each_there_once() {
        let read = record("Package: a\nSource: b (1)\nConffiles:\n /etc/x 0\n /etc/y 1").expect("a record");
        assert_eq!(read["conffiles"], " /etc/x 0 /etc/y 1");
        for wrong in ["Package: a\nPackage: b", " goes on", "no field", "a b: c"] {
            assert!(record(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sources_are_read_by_both_rules() {
        let temp = camino_tempfile::tempdir().expect("a temporary folder");
        let root = temp.path();
        let folder = root.join(DPKG).join("status.d");
        fs::create_dir_all(&folder).expect("a folder");
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
        put("one", "Package: one\nVersion: 1-2\nArchitecture: all\nSource: two (1-1)\n");
        put("three", "Package: three\nVersion: 3\nArchitecture: amd64\n");
        put("three.md5sums", "");
        let package = |name: &str, version: &str, architecture: &str, source: (&str, &str)| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
            source: (source.0.to_owned(), source.1.to_owned()),
        };
        let expected = [package("one", "1-2", "all", ("two", "1-1")), package("three", "3", "amd64", ("three", "3"))];
        assert_eq!(trivy(root).expect("records"), expected);
        assert_eq!(scalibr(root).expect("records"), expected);
        put("four", "Package: four\nVersion: 4\nStatus: deinstall ok config-files\n");
        assert_eq!(trivy(root).expect("records"), expected);
        assert_eq!(scalibr(root).expect("records"), expected);
    }
}
