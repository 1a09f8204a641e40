//! Unpacks the file of a package into a directory of the cache, once for all sysroots.
//!
//! dpkg-deb and tar unpack it. Its scripts are neither kept nor run.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::{fs, io};

use super::cache::{CONTROL, Cache, FILES, NAMES, OWNERS};
use super::folder::Unwritable;
use super::lock::Package;
use super::repair::Recipe;
use super::request::{Stop, TICK};
use crate::error::{Error, Result};

/// Set-user-ID and set-group-ID (inode(7)).
const SET_ID: u32 = 0o6000;

/// Unpacks `debs`, as many at once as there are cores. The reported error is that of the first failed package in order,
/// independent of timing.
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
                        // The receiver outlives this thread.
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
            // A package may have directories that forbid their owner to remove files.
            let _ = super::folder::remove(staging.path());
            Err(error)
        }
    }
}

fn fill(cache: &Cache, architecture: &str, deb: &Path, staging: &Path) -> Result<()> {
    let failed = |error: std::io::Error| cache.unwritable(staging, error);
    let (root, control) = (staging.join(FILES), staging.join(CONTROL));
    fs::create_dir(&root).map_err(failed)?;
    // A file in /bin of a package gets into /usr/bin.
    Recipe::debian().before(&root, architecture).map_err(|Unwritable(path, error)| cache.unwritable(&path, error))?;
    let names = files(cache, deb, &root)?;
    let mut records = program("dpkg-deb");
    records.args([OsStr::new("--control"), deb.as_os_str(), control.as_os_str()]);
    said(cache, deb, records.output().map(|output| vec![("dpkg-deb", output)]))?;
    if !rustix::process::geteuid().is_root() && has_set_id(&root, &names) {
        let listing = ["--list", "--verbose", "--file=-", "--numeric-owner", "--quoting-style=literal"];
        let listed = tar(cache, deb, &listing.map(OsStr::new))?;
        let owners = owners(&listed, &|path| real(&root, path));
        fs::write(control.join(OWNERS), owners).map_err(failed)?;
    }
    fs::write(control.join(NAMES), list(&names)).map_err(failed)
}

fn has_set_id(root: &Path, names: &[u8]) -> bool {
    let mut names = names.split(|byte| *byte == b'\n').filter(|name| !name.is_empty());
    names.any(|name| {
        let metadata = root.join(OsStr::from_bytes(name)).symlink_metadata();
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & SET_ID != 0)
    })
}

/// The real path of `path` in the root, through the symlinks of a merged /usr.
fn real(root: &Path, path: &str) -> Option<String> {
    let path = root.join(path);
    let folder = path.parent()?.canonicalize().ok()?.join(path.file_name()?);
    Some(format!("/{}", folder.strip_prefix(root.canonicalize().ok()?).ok()?.to_str()?))
}

/// Lines of dpkg's statoverride, `user group mode path`, for the set-ID files in the output of `tar --list --verbose
/// --numeric-owner`: `-rwsr-xr-x 0/0  71912 2022-11-12 08:00 ./bin/su`.
fn owners(listed: &[u8], real: &dyn Fn(&str) -> Option<String>) -> String {
    let mut lines = String::new();
    for line in String::from_utf8_lossy(listed).lines() {
        let mut rest = line;
        let mut word = || {
            let (word, after) = rest.split_once(' ')?;
            rest = after.trim_start();
            Some(word)
        };
        let (Some(mode), Some(owner)) = (word(), word()) else { continue };
        let (Some(_size), Some(_date), Some(_time)) = (word(), word(), word()) else { continue };
        let (Some((user, group)), Some(mode)) = (owner.split_once('/'), set_id_mode(mode)) else { continue };
        if let Some(path) = real(rest) {
            lines.push_str(&format!("#{user} #{group} {mode:o} {path}\n"));
        }
    }
    lines
}

/// The mode of a file from text such as `-rwsr-xr-x`; `None` if it is no file, or has no set-ID bits.
fn set_id_mode(text: &str) -> Option<u32> {
    let bits = text.strip_prefix('-')?;
    let bit = |(at, letter): (usize, char)| {
        let permission = if letter.is_ascii_uppercase() || letter == '-' { 0 } else { 0o400 >> at };
        let special = if matches!(letter, 's' | 'S' | 't' | 'T') { 0o4000 >> (at / 3) } else { 0 };
        permission | special
    };
    let mode = bits.chars().enumerate().take(9).map(bit).fold(0, |mode, bits| mode | bits);
    (mode & SET_ID != 0).then_some(mode)
}

/// Extracts the files, and returns their names. `dpkg-deb --extract` is not used: it would replace the symlinks of a
/// merged /usr by directories.
fn files(cache: &Cache, deb: &Path, root: &Path) -> Result<Vec<u8>> {
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
    let words: Vec<&OsStr> = words.into_iter().map(OsStr::new).chain([root.as_os_str()]).collect();
    tar(cache, deb, &words)
}

/// Runs tar(1) with the files of a package; returns its output.
fn tar(cache: &Cache, deb: &Path, words: &[&OsStr]) -> Result<Vec<u8>> {
    let (mut archive, mut tar) = (program("dpkg-deb"), program("tar"));
    archive.arg("--fsys-tarfile").arg(deb);
    tar.args(words).env_remove("TAR_OPTIONS");
    let outputs = piped(archive, tar);
    said(cache, deb, outputs.map(|[archive, tar]| vec![("dpkg-deb", archive), ("tar", tar)]))
}

fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs `from | to`. The rest of a stream that `to` does not read is read here: dpkg-deb fails if its reader ends first,
/// and hides the error of `to`.
fn piped(mut from: Command, mut to: Command) -> io::Result<[Output; 2]> {
    let mut first = from.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stream = first.stdout.take();
    let read = stream.as_ref().map(|stream| stream.as_fd().try_clone_to_owned()).transpose()?;
    let second = to.stdin(read.map_or_else(Stdio::null, Stdio::from)).output();
    // The command has another copy of the reading end.
    drop(to);
    if second.is_ok() {
        stream.as_mut().map(|stream| io::copy(stream, &mut io::sink())).transpose()?;
    }
    drop(stream);
    let first = first.wait_with_output()?;
    Ok([first, second?])
}

/// The standard output of the last program, unless one has failed.
fn said(cache: &Cache, deb: &Path, outputs: io::Result<Vec<(&str, Output)>>) -> Result<Vec<u8>> {
    let mut outputs = outputs.map_err(|error| Error::io("run", "dpkg-deb and tar", error))?;
    if outputs.iter().all(|(_, output)| output.status.success()) {
        return Ok(outputs.pop().map(|(_, output)| output.stdout).unwrap_or_default());
    }
    let said = outputs.iter().filter(|(_, output)| !output.status.success()).map(|(name, output)| {
        let signal = output.status.signal().map(|signal| format!("{name} was ended by signal {signal}\n"));
        String::from_utf8_lossy(&output.stderr).into_owned() + &signal.unwrap_or_default()
    });
    let said = said.collect::<String>();
    let error = match said.contains("No space left on device") {
        true => Error::failed(format!("cannot extract `{}`: the disk is full", deb.display()))
            .help("make room: cargo rootfs sysroot prune --all"),
        false => Error::failed(format!("cannot extract `{}` in `{}`", deb.display(), cache.root().display())),
    };
    Err(said.lines().take(4).fold(error, |error, line| error.detail(line.to_owned())))
}

/// The names that tar prints, in the format of dpkg: absolute, the root as `/.`, directories without a trailing slash.
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
    fn owners_of_set_id_files_are_noted() {
        let listed = "drwxrwsr-x 0/8         0 2022-11-12 08:00 ./var/mail/\n-rwsr-xr-x 0/0     71912 2022-11-12 08:00 ./bin/su\n\
                      -rwxr-sr-x 0/5     35048 2022-11-12 08:00 ./usr/bin/wall\n-rwxr-xr-x 0/0 1 2022-11-12 08:00 ./bin/ls\n\
                      -rwSr--r-- 1/1 1 2022-11-12 08:00 ./a b\nhrwsr-xr-x 0/0 0 2022-11-12 08:00 ./x link to ./bin/su\n";
        let real = |path: &str| Some(path.trim_start_matches('.').replace("/bin/su", "/usr/bin/su"));
        assert_eq!(
            owners(listed.as_bytes(), &real),
            "#0 #0 4755 /usr/bin/su\n#0 #5 2755 /usr/bin/wall\n#1 #1 4644 /a b\n"
        );
        assert_eq!(owners(listed.as_bytes(), &|_| None), "");
    }

    /// A reader may end at the end of an archive, before that of the stream.
    #[test]
    fn a_stream_is_read_to_its_end() {
        let shell = |script: &str| {
            let mut command = program("sh");
            command.args(["-c", script]);
            command
        };
        let from = || shell("head -c 1000000 /dev/zero || { echo broken >&2; exit 1; }");
        let [from_, to] = piped(from(), shell("head -c 10 | wc -c")).unwrap();
        assert!(from_.status.success() && to.status.success(), "{from_:?}");
        assert_eq!(to.stdout.trim_ascii(), b"10");
        let [_, killed] = piped(from(), shell("kill -9 $$")).unwrap();
        assert_eq!(killed.status.signal(), Some(9));
        assert_eq!(piped(from(), program("/absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn names_are_listed_as_dpkg_has_them() {
        assert_eq!(list(b"./\n./bin/\n./bin/bash\n./usr/share/a b\n"), b"/.\n/bin\n/bin/bash\n/usr/share/a b\n");
        assert_eq!(list(b""), b"");
    }
}
