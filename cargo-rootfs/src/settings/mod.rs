//! Checks the settings of an image against its rootfs: programs, accounts, directories and preloaded libraries.
//!
//! It reads only the plan of the rootfs. [`crate::image`] rejects malformed settings.

mod account;
mod environment;
mod look_up;

use std::collections::BTreeSet;
use std::ffi::OsStr;

use crate::error::{Error, Warning};
use crate::image::ImageConfig;
use crate::path::RootfsPath;
use crate::resolve::{Closure, Libc};
use crate::rootfs::{Entry, Kind, Rootfs};
use crate::wording::shell_word;
pub(crate) use account::{Account, account, numeric};
pub(crate) use look_up::{Found, look_up};

/// Finds settings with which a container of this image could not start: one error each.
///
/// `closures` are those of the rootfs: they have the search paths of its loaders.
pub(crate) fn prove(image: &ImageConfig, rootfs: &Rootfs, closures: &[(String, Closure)]) -> Vec<Error> {
    let mut errors = Vec::new();
    let account = account::named(image.user.as_deref(), rootfs).map_err(|error| errors.push(error)).ok();
    errors.extend(workdir(image, rootfs));
    errors.extend(program(image, rootfs, account.as_ref()));
    errors.extend(preloads(image, rootfs, closures));
    errors
}

/// Finds settings with which a container starts, and programs do something else than the setting says.
pub(crate) fn doubts(image: &ImageConfig, rootfs: &Rootfs, closures: &[(String, Closure)]) -> Vec<Warning> {
    environment::doubts(image, rootfs, closures)
}

/// Checks that the working directory is a directory. Engines make a missing one.
fn workdir(image: &ImageConfig, rootfs: &Rootfs) -> Option<Error> {
    let typed = image.workdir.as_deref()?;
    let mut at = RootfsPath::root();
    for part in RootfsPath::parse(typed).ok()?.components() {
        at = at.join(part);
        if rootfs.way(&at).last().is_some_and(|(_, entry)| !matches!(entry.kind, Kind::Dir)) {
            return Some(
                Error::failed(format!("the image's working directory `{typed}` cannot be a directory"))
                    .detail(format!("`{at}` is a file in the rootfs"))
                    .help("give a directory: --workdir /"),
            );
        }
    }
    None
}

/// Checks that the image's program exists, and that its user may execute it.
fn program(image: &ImageConfig, rootfs: &Rootfs, account: Option<&Account>) -> Option<Error> {
    let (what, flag, words) = match image.entrypoint.is_empty() {
        false => ("entrypoint", "--entrypoint", &image.entrypoint),
        true => ("command", "--cmd", &image.cmd),
    };
    let word = words.first()?;
    let path = image.env.get("PATH").map_or("", String::as_str);
    let workdir = image.workdir.as_deref().and_then(|text| RootfsPath::parse(text).ok());
    let workdir = workdir.unwrap_or_else(RootfsPath::root);
    match look_up(OsStr::new(word), path, &workdir, rootfs) {
        Found::Executable(entry_path) => {
            let account = account.filter(|account| account.user != 0)?;
            let closed = closed_to(account, image.user.as_deref(), rootfs, &entry_path)?;
            let user = image.user.as_deref().unwrap_or_default();
            Some(
                Error::failed(format!("the image's user `{user}` may not execute its {what} `{word}`"))
                    .detail(closed)
                    .help("give the file a mode by its --include, as SRC:DST:0755, or choose another --user"),
            )
        }
        Found::Plain => Some(
            Error::failed(format!("the image's {what} `{word}` cannot be executed"))
                .detail("it is in the rootfs, and is a directory or has no execute permission")
                .help(format!("name a program: {flag} PATH")),
        ),
        Found::Absent => {
            let error = Error::failed(format!("the image's {what} `{word}` is not in the rootfs"));
            let name = word.rsplit('/').next().unwrap_or(word);
            let mut same_name = rootfs.iter().filter(|(path, entry)| {
                path.file_name() == name.as_bytes() && !matches!(entry.kind, Kind::Dir) && entry.mode & 0o111 != 0
            });
            Some(match same_name.next() {
                Some((near, _)) => error.help(format!("`{near}` is: {flag} {near}")),
                None if word.split_whitespace().nth(1).is_some() => {
                    let words = word.split_whitespace().map(|word| format!("{flag} {}", shell_word(word)));
                    error.help(format!("give each word by itself: {}", words.collect::<Vec<_>>().join(" ")))
                }
                None if word.starts_with('/') => error.help(format!(
                    "add it from the sysroot: --with {word}, or a file of the project: --include FILE:{word}:0755"
                )),
                None => error.help(format!("add it: --with {word}")),
            })
        }
    }
}

/// The directory or file on the path to `path` that `account` may not pass; `None` if there is none.
fn closed_to(account: &Account, typed: Option<&str>, rootfs: &Rootfs, path: &RootfsPath) -> Option<String> {
    let groups = account::groups(account, typed, rootfs);
    let way = std::iter::successors(Some(path.clone()), RootfsPath::parent).collect::<Vec<_>>();
    way.iter().rev().find_map(|at| {
        let entry = rootfs.get(at)?;
        let Entry { mode, uid, gid, .. } = entry;
        (!may_execute(entry, account.user, &groups))
            .then(|| format!("`{at}` has the mode {mode:04o} and belongs to {uid}:{gid}"))
    })
}

/// Execute or search permission by the rules of the kernel (path_resolution(7), "Permissions").
fn may_execute(entry: &Entry, user: u32, groups: &BTreeSet<u32>) -> bool {
    let bit = match () {
        () if entry.uid == user => 0o100,
        () if groups.contains(&entry.gid) => 0o010,
        () => 0o001,
    };
    entry.mode & bit != 0
}

/// Checks that the loader will find the libraries of LD_PRELOAD and LD_AUDIT (ld.so(8)).
fn preloads(image: &ImageConfig, rootfs: &Rootfs, closures: &[(String, Closure)]) -> Vec<Error> {
    let loaders: Vec<_> = closures.iter().filter_map(|(_, closure)| closure.loader.as_ref()).collect();
    let workdir = image.workdir.as_deref().and_then(|text| RootfsPath::parse(text).ok());
    let workdir = workdir.unwrap_or_else(RootfsPath::root);
    let is_file = |path: &RootfsPath| {
        rootfs.way(path).last().is_some_and(|(_, entry)| matches!(entry.kind, Kind::File(_) | Kind::Hardlink(_)))
    };
    let mut directories: BTreeSet<RootfsPath> = BTreeSet::new();
    directories.extend(loaders.iter().flat_map(|loader| loader.default_dirs.iter().cloned()));
    directories.extend(closures.iter().flat_map(|(_, closure)| &closure.objects).filter_map(|it| it.path.parent()));
    let search = image.env.get("LD_LIBRARY_PATH").map_or("", String::as_str);
    directories.extend(search.split([':', ';']).filter_map(|text| RootfsPath::from_bytes(text.as_bytes())));
    // A token has another value for each program.
    let is_there = |closure: &Closure, name: &str| {
        let directory = closure.realpath.parent();
        let values = closure.loader.as_ref().map(|loader| loader.expand(name.as_bytes(), directory.as_ref()));
        values.flatten().is_some_and(|path| is_file(&workdir.join(&path).normalized()))
    };
    let is_found = |name: &str| match name.contains('/') {
        true => closures.iter().any(|(_, closure)| is_there(closure, name)),
        false => {
            let is_requested = closures.iter().any(|(requested, _)| requested == name);
            is_requested || directories.iter().any(|directory| is_file(&directory.join(name.as_bytes())))
        }
    };
    let is_audited = loaders.iter().any(|loader| loader.libc == Libc::Glibc);
    let lists = [("LD_PRELOAD", &[' ', ':'][..], !loaders.is_empty()), ("LD_AUDIT", &[':'], is_audited)];
    let names = lists.iter().filter(|(.., is_read)| *is_read).flat_map(|(variable, separators, _)| {
        let list = image.env.get(*variable).map_or("", String::as_str);
        list.split(*separators).filter(|name| !name.is_empty()).map(move |name| (variable, name))
    });
    let error = |(variable, name): (&&str, &str)| {
        let error = Error::failed(format!("{variable} of the image names `{name}`, which is not in the rootfs"));
        error.help(match name.contains('$') {
            true => "add the file to which its tokens lead: --with-lib PATH".to_owned(),
            false => format!("add it: --with-lib {name}"),
        })
    };
    names.filter(|(_, name)| !is_found(name)).map(error).collect()
}

#[cfg(test)]
mod tests;
