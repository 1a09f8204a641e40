//! The closures of single files, without a plan and without a rootfs.
//!
//! Two threads share many files: one begins at the first file, one at the last, until they meet.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result};
use crate::layout::Variants;
use crate::path::RootfsPath;
use crate::resolve::{Closure, LibraryPath, Priority, Resolver, Skipped, TargetLibraries};
use crate::sysroot::Sysroot;

/// Files whose closures are requested, and the search settings.
pub(crate) struct LooseFiles<'f> {
    pub(crate) sysroot: &'f Path,
    pub(crate) files: &'f [OsString],
    /// Lists of directories, in the syntax of LD_LIBRARY_PATH.
    pub(crate) library_path: &'f [String],
    pub(crate) follows: Priority,
    /// Libraries that the target provides.
    pub(crate) given: TargetLibraries,
    pub(crate) hwcaps: Variants,
    /// True to search also for libraries that may be opened at run time.
    pub(crate) may_open: bool,
}

/// Appends the report of one closure; the text is its file's name.
type Render<'r> = dyn Fn(&mut Vec<u8>, &str, &Result<Closure, Skipped>) + Sync + 'r;

/// The minimum number of files for a second thread.
const ENOUGH: usize = 24;
/// The limit of text that the second thread buffers; it stops when it has more.
const ENOUGH_TEXT: usize = 4 << 20;

impl LooseFiles<'_> {
    /// Finds the closure of each file, renders it as text, and passes the texts to `put` in the order of the files. A
    /// faulty file does not stop the others. Returns whether all closures are complete.
    pub(crate) fn each(&self, render: &Render<'_>, put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        let current_dir = std::env::current_dir().map_err(|error| Error::io("find", "the current directory", error))?;
        let mut sysroot = Sysroot::open(self.sysroot)?;
        // The current directory exists in the tree only if the tree is the host's own.
        let is_host = sysroot.root() == Path::new("/");
        let current = current_dir.to_str().filter(|_| is_host);
        let current = current.and_then(|folder| RootfsPath::from_bytes(folder.as_bytes()));
        let inside = |path: &[u8]| match &current {
            Some(current) if !path.starts_with(b"/") => current.join(path),
            _ => RootfsPath::root().join(path),
        };
        let texts = self.library_path.iter().map(|text| if is_host { text.clone() } else { from_the_root(text) });
        let library_path: Vec<_> = texts.map(|text| LibraryPath::Text(text.into_bytes().into())).collect();
        let resolver = || {
            let resolver = Resolver::new(library_path.clone(), current.clone());
            resolver.preloading().following(self.follows).allowing(self.given.clone())
        };
        let mut first = resolver();
        let paths: Vec<RootfsPath> = self.files.iter().map(|file| inside(file.as_bytes())).collect();
        first.read_ahead(&mut sysroot, &paths);

        let is_complete = AtomicBool::new(true);
        let report = |resolver: &mut Resolver, sysroot: &mut Sysroot, text: &mut Vec<u8>, index: usize| {
            let closure = self.closure(resolver, sysroot, &paths[index]);
            if !closure.as_ref().is_ok_and(|closure| closure.missing.is_empty()) {
                is_complete.store(false, Ordering::Relaxed);
            }
            render(text, &self.files[index].to_string_lossy(), &closure);
        };
        let is_worthwhile = paths.len() >= ENOUGH && crate::threads::cores() > 1;
        let other = is_worthwhile.then(|| (resolver(), sysroot.twin()));
        let mut text = Vec::new();
        let here = |index| {
            text.clear();
            report(&mut first, &mut sysroot, &mut text, index);
            put(&text)
        };
        let there = |(resolver, sysroot): &mut (Resolver, Sysroot), index| {
            let mut text = Vec::new();
            report(resolver, sysroot, &mut text, index);
            text
        };
        let rest = meet(paths.len(), other, here, there)?;
        rest.iter().try_for_each(|text| put(text))?;
        Ok(is_complete.into_inner())
    }

    /// The closure of one file, with the requested additions.
    fn closure(&self, resolver: &mut Resolver, sysroot: &mut Sysroot, path: &RootfsPath) -> Result<Closure, Skipped> {
        let mut closure = resolver.closure(sysroot, path)?;
        if self.hwcaps == Variants::All {
            let above = resolver.closures_above(sysroot, &closure);
            above.iter().for_each(|(_, variant)| closure.add_variant(variant));
        }
        if self.may_open {
            resolver.find_may_open(sysroot, &mut closure);
        }
        Ok(closure)
    }
}

/// A library path for a sysroot: each element starts from the root, as the paths of files do. Empty elements are
/// dropped.
fn from_the_root(text: &str) -> String {
    let elements = text.split([':', ';']).filter(|element| !element.is_empty());
    let rooted = elements.map(|element| match element.as_bytes()[0] {
        b'/' | b'$' => element.to_owned(),
        _ => format!("/{element}"),
    });
    rooted.collect::<Vec<String>>().join(":")
}

/// Calls `here` in this thread for files from the first on, and `there` in another thread for files from the last on.
/// Returns the texts of the latter, in the order of the files. An error ends this thread's part.
///
/// Together with [`Resolver::read_ahead`], it saves a third: the tree of all of /usr/bin and /usr/sbin takes 14 ms on two
/// cores, and 21 ms with one thread alone.
fn meet<S: Send, E>(
    files: usize,
    other: Option<S>,
    mut here: impl FnMut(usize) -> Result<(), E>,
    there: impl Fn(&mut S, usize) -> Vec<u8> + Send + Sync,
) -> Result<Vec<Vec<u8>>, E> {
    let taken = AtomicUsize::new(0);
    let is_any_left = || taken.fetch_add(1, Ordering::Relaxed) < files;
    let from_the_end = |mut state: S| {
        let (mut texts, mut length) = (Vec::new(), 0);
        while length < ENOUGH_TEXT && is_any_left() {
            let text = there(&mut state, files - 1 - texts.len());
            length += text.len();
            texts.push(text);
        }
        texts.reverse();
        texts
    };
    thread::scope(|scope| {
        let spawn = |state| thread::Builder::new().spawn_scoped(scope, || from_the_end(state)).ok();
        let other = other.and_then(spawn);
        let mut next = 0;
        while is_any_left() {
            here(next)?;
            next += 1;
        }
        Ok(other.map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::meet;

    #[test]
    fn every_file_is_done_once_and_in_order() {
        for files in [0, 1, 2, 3, 100] {
            for other in [None, Some(())] {
                let mut first = Vec::new();
                let here = |index: usize| {
                    first.push(index.to_string().into_bytes());
                    Ok::<(), ()>(())
                };
                let rest = meet(files, other, here, |(), index| index.to_string().into_bytes()).unwrap();
                let expected: Vec<_> = (0..files).map(|index| index.to_string().into_bytes()).collect();
                assert_eq!([first, rest].concat(), expected);
            }
        }
    }

    #[test]
    fn what_is_put_by_has_a_bound() {
        let mut count = 0;
        let here = |_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            count += 1;
            Ok::<(), ()>(())
        };
        let rest = meet(64, Some(()), here, |(), _| vec![0; 1 << 20]).unwrap();
        assert!(rest.len() <= 4, "{}", rest.len());
        assert_eq!(count + rest.len(), 64);
    }
}
