//! From the file of a package to a folder of the cache, once for all sysroots that it is part of.
//!
//! dpkg-deb and tar unpack it; none of its scripts is kept, let alone run.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::cache::{CONTROL, Cache, FILES, NAMES};
use super::lock::Package;
use super::repair::Recipe;
use super::request::{Stop, TICK};
use crate::error::{Error, Result};

/// Unpacks `debs`, as many at once as there are cores; which error is told does not depend on who was first.
pub(super) fn unpack(cache: &Cache, architecture: &str, debs: &[(&Package, PathBuf)], stop: Stop<'_>) -> Result<()> {
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut errors = Vec::new();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..cores.min(debs.len()) {
            let send = send.clone();
            let (next, is_over) = (&next, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((package, deb)) = debs.get(index) else { return };
                    if let Err(error) = one(cache, architecture, package, deb) {
                        is_over.store(true, Ordering::Relaxed);
                        // Who receives it outlives this thread.
                        let _ = send.send((index, error));
                    }
                }
            });
        }
        drop(send);
        loop {
            match receive.recv_timeout(TICK) {
                Ok(error) => errors.push(error),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) if stop().is_err() => is_over.store(true, Ordering::Relaxed),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    });
    stop()?;
    errors.sort_by_key(|(index, _)| *index);
    errors.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
}

fn one(cache: &Cache, architecture: &str, package: &Package, deb: &Path) -> Result<()> {
    let staging = cache.staged_package()?;
    let filled = fill(cache, architecture, deb, staging.path());
    match filled {
        Ok(()) => cache.keep_unpacked(staging, package, architecture),
        Err(error) => {
            // What packages' folders do not let their owner remove, at least by himself.
            let _ = super::folder::remove(staging.path());
            Err(error)
        }
    }
}

fn fill(cache: &Cache, architecture: &str, deb: &Path, staging: &Path) -> Result<()> {
    let failed = |error: std::io::Error| cache.unwritable(staging, error);
    let (root, control) = (staging.join(FILES), staging.join(CONTROL));
    fs::create_dir(&root).map_err(failed)?;
    // Where packages still have /bin/x, it lands in /usr/bin.
    Recipe::debian().before(&root, architecture).map_err(failed)?;
    let names = files(cache, deb, &root)?;
    let records = duct::cmd("dpkg-deb", [OsStr::new("--control"), deb.as_os_str(), control.as_os_str()]);
    run(cache, deb, records)?;
    fs::write(control.join(NAMES), list(&names)).map_err(failed)
}

/// `dpkg-deb --extract` would put folders in the place of the links of a merged /usr. Gives the names.
fn files(cache: &Cache, deb: &Path, root: &Path) -> Result<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_dpkg_has_them() {
        assert_eq!(list(b"./\n./bin/\n./bin/bash\n./usr/share/a b\n"), b"/.\n/bin\n/bin/bash\n/usr/share/a b\n");
        assert_eq!(list(b""), b"");
    }
}
