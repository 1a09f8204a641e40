//! From the files of packages to a root file system, and to dpkg's records of it.
//!
//! dpkg-deb and tar unpack them; none of their scripts is kept, let alone run.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::lock::Section;
use super::repair::Recipe;
use crate::error::{Error, Result};

/// Where dpkg keeps what it knows (dpkg(1)).
const ADMIN: &str = "var/lib/dpkg";

/// Control files that say something of a package and do nothing to a system (deb-control(5) and its like).
const RECORDS: [&str; 6] = ["md5sums", "conffiles", "shlibs", "symbols", "triggers", "templates"];

/// Fills `root`, which is empty, with the packages of `section`; `debs` are their files, in the same order.
pub(super) fn extract(
    cache: &Cache,
    section: &Section,
    debs: &[PathBuf],
    root: &Path,
    stop: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let failed = |error: std::io::Error| cache.unwritable(root, error);
    let recipe = Recipe::debian();
    recipe.before(root, &section.architecture).map_err(failed)?;
    let info = root.join(ADMIN).join("info");
    fs::create_dir_all(&info).map_err(failed)?;
    let mut status = Vec::new();
    for (package, deb) in section.packages.iter().zip(debs) {
        stop()?;
        let names = unpack(cache, deb, root)?;
        let control = tempfile::tempdir_in(root.parent().unwrap_or(root)).map_err(failed)?;
        let records = duct::cmd("dpkg-deb", [OsStr::new("--control"), deb.as_os_str(), control.path().as_os_str()]);
        run(cache, deb, records)?;
        let fields = fs::read_to_string(control.path().join("control")).map_err(failed)?;
        let stem = match field(&fields, "Multi-Arch") {
            Some("same") => format!("{}:{}", package.name, section.architecture),
            _ => package.name.clone(),
        };
        fs::write(info.join(format!("{stem}.list")), list(&names)).map_err(failed)?;
        for record in RECORDS {
            let file = control.path().join(record);
            if file.is_file() {
                fs::copy(file, info.join(format!("{stem}.{record}"))).map_err(failed)?;
            }
        }
        status.write_all(&stanza(&fields)).map_err(failed)?;
    }
    fs::write(root.join(ADMIN).join("status"), status).map_err(failed)?;
    recipe.after(root).map_err(failed)
}

/// `dpkg-deb --extract` would put folders in the place of the links of a merged /usr. Gives the names.
fn unpack(cache: &Cache, deb: &Path, root: &Path) -> Result<Vec<u8>> {
    let archive = duct::cmd("dpkg-deb", [OsStr::new("--fsys-tarfile"), deb.as_os_str()]);
    let words = [
        "--extract",
        "--verbose",
        "--file=-",
        "--preserve-permissions",
        "--numeric-owner",
        "--keep-directory-symlink",
        "--warning=no-timestamp",
        "--quoting-style=literal",
        "--directory",
    ];
    let words = words.into_iter().map(OsStr::new).chain([root.as_os_str()]);
    run(cache, deb, archive.pipe(duct::cmd("tar", words).env_remove("TAR_OPTIONS")))
}

fn run(cache: &Cache, deb: &Path, command: duct::Expression) -> Result<Vec<u8>> {
    let output = command
        .env("LC_ALL", "C")
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|error| Error::io("run", "dpkg-deb and tar", error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = match said.contains("No space left on device") {
        true => Error::failed(format!("cannot extract `{}`: the disk is full", deb.display()))
            .help("make room: cargo rootfs sysroot prune --all"),
        false => Error::failed(format!("cannot extract `{}` in `{}`", deb.display(), cache.root().display())),
    };
    Err(said.lines().take(4).fold(error, |error, line| error.detail(line.to_owned())))
}

/// The names that tar prints, as dpkg keeps them: absolute, the root as `/.`, folders without a slash.
fn list(names: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    for name in names.split(|byte| *byte == b'\n').filter(|name| !name.is_empty()) {
        let name = name.strip_prefix(b".").unwrap_or(name);
        let name = name.strip_suffix(b"/").unwrap_or(name);
        list.extend(if name.is_empty() { b"/." } else { name });
        list.push(b'\n');
    }
    list
}

/// A package's paragraph in dpkg's status, where it is installed.
fn stanza(fields: &str) -> Vec<u8> {
    let mut text = String::new();
    for line in fields.lines() {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("Package:") {
            text.push_str("Status: install ok installed\n");
        }
    }
    text.push('\n');
    text.into_bytes()
}

fn field<'f>(fields: &'f str, key: &str) -> Option<&'f str> {
    fields.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_dpkg_has_them() {
        assert_eq!(list(b"./\n./bin/\n./bin/bash\n./usr/share/a b\n"), b"/.\n/bin\n/bin/bash\n/usr/share/a b\n");
        assert_eq!(list(b""), b"");
    }

    #[test]
    fn an_extracted_package_is_told_of_as_installed() {
        let fields = "Package: bash\nMulti-Arch: foreign\nDescription: x\n Package: no field\n";
        let text = String::from_utf8(stanza(fields)).unwrap();
        assert_eq!(
            text,
            "Package: bash\nStatus: install ok installed\nMulti-Arch: foreign\nDescription: x\n Package: no field\n\n"
        );
        assert_eq!(field(fields, "Multi-Arch"), Some("foreign"));
    }
}
