//! Finds executables that contain their build directory's path: their bytes differ on another machine.
//!
//! It reports them and changes neither the files nor rustc's flags. The same pass finds dynamically linked standard
//! libraries; these are rare, and only then rustc is run for their directory.

use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use memchr::memmem::Finder;

use crate::error::{Error, Result, Warning};
use crate::host_files;
use crate::layout::Executable;

/// The size of a read; small in tests, which put matches at every edge.
const WINDOW: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };

/// The findings in a target's executables.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Each executable with the build directories whose paths it contains.
    named: Vec<(String, Vec<Utf8PathBuf>)>,
    /// True if any names a shared `libstd-<hash>.so`.
    pub(super) needs_libstd: bool,
}

/// Reads each executable once, in windows.
pub(super) fn scan<'f>(executables: &[Executable], folders: impl Iterator<Item = &'f Utf8PathBuf>) -> Result<Findings> {
    let folders: Vec<&Utf8PathBuf> = folders.filter(|folder| folder.parent().is_some()).collect();
    let mut needles: Vec<Needle> = folders.iter().map(|folder| Needle::path(folder)).collect();
    needles.push(Needle { bytes: b"libstd-".to_vec(), stands_alone: false });
    let mut findings = Findings::default();
    for executable in executables {
        let file = host_files::open(&executable.path).or_cannot("open")?;
        let found = find(file, &needles).map_err(|error| Error::io("read", &executable.path, error))?;
        findings.needs_libstd |= found[folders.len()];
        let named: Vec<_> =
            folders.iter().zip(&found).filter(|(_, found)| **found).map(|(folder, _)| (*folder).clone()).collect();
        if !named.is_empty() {
            findings.named.push((executable.name.clone(), named));
        }
    }
    Ok(findings)
}

/// A text to search for.
struct Needle {
    bytes: Vec<u8>,
    /// True if the text must not be part of a longer name.
    stands_alone: bool,
}

impl Needle {
    /// Makes a needle of a path. Strings are adjacent in an executable, so the bytes around a match say nothing in
    /// general. But a short path such as `/app`, common in containers, is also part of `text/application`.
    fn path(folder: &Utf8Path) -> Self {
        Self { bytes: folder.as_str().as_bytes().to_vec(), stands_alone: folder.components().count() <= 2 }
    }

    /// Returns whether the text is in `window`. A match at the edge of a window is whole in the next window.
    fn is_in(&self, finder: &Finder<'_>, window: &Window<'_>) -> bool {
        let Window { bytes, is_first, is_last } = *window;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        finder.find_iter(bytes).any(|start| {
            let before = start.checked_sub(1).map_or(!is_first, |before| is_name(bytes[before]));
            let after = bytes.get(start + self.bytes.len()).map_or(!is_last, |after| is_name(*after));
            !self.stands_alone || !(before || after)
        })
    }
}

/// A part of a file.
struct Window<'b> {
    bytes: &'b [u8],
    is_first: bool,
    is_last: bool,
}

/// Returns for each of `needles` whether it is in `bytes`.
fn find(mut bytes: impl Read, needles: &[Needle]) -> std::io::Result<Vec<bool>> {
    let finders: Vec<Finder<'_>> = needles.iter().map(|needle| Finder::new(&needle.bytes)).collect();
    // Includes one byte on each side: a match that starts in one window is whole in the next.
    let overlap = needles.iter().map(|needle| needle.bytes.len() + 2).max().unwrap_or(0);
    let mut found = vec![false; needles.len()];
    let mut buffer = vec![0; WINDOW + overlap];
    let (mut filled, mut is_first) = (0, true);
    loop {
        let read = bytes.read(&mut buffer[filled..])?;
        filled += read;
        let is_last = read == 0;
        if !is_last && filled < buffer.len() {
            continue;
        }
        let window = Window { bytes: &buffer[..filled], is_first, is_last };
        for ((found, finder), needle) in found.iter_mut().zip(&finders).zip(needles) {
            *found = *found || needle.is_in(finder, &window);
        }
        if is_last || found.iter().all(|found| *found) {
            return Ok(found);
        }
        buffer.copy_within(filled - overlap.., 0);
        (filled, is_first) = (overlap, false);
    }
}

/// One warning for all findings.
pub(super) fn warning(findings: &[Findings]) -> Option<Warning> {
    let named = || findings.iter().flat_map(|findings| &findings.named);
    let mut names: Vec<String> = named().map(|(name, _)| format!("`{name}`")).collect();
    let mut folders: Vec<&Utf8PathBuf> = named().flat_map(|(_, folders)| folders).collect();
    names.sort_unstable();
    names.dedup();
    folders.sort_unstable();
    folders.dedup();
    if names.is_empty() {
        return None;
    }
    // Nearly every binary that can panic contains cargo's home, so this warning is short.
    if folders.iter().all(|folder| folder.file_name() == Some(".cargo")) {
        let folder = folders[0];
        let message =
            format!("{} contains the path `{folder}`: RUSTFLAGS=--remap-path-prefix removes it", names.join(", "));
        return Some(Warning::new(message));
    }
    let list = folders.iter().map(|folder| format!("`{folder}`")).collect::<Vec<_>>().join(" and ");
    let remap = |folder: &&Utf8PathBuf| {
        format!("--remap-path-prefix={folder}=/{}", folder.file_name().unwrap_or("src").trim_start_matches('.'))
    };
    let flags = folders.iter().map(remap).collect::<Vec<_>>().join(" ");
    let message = format!("{} contains the path {list}, so building it elsewhere gives other bytes", names.join(", "));
    Some(Warning::new(message).help(format!("RUSTFLAGS=\"{flags}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns one byte fewer than requested on the first read, so that windows do not end at round numbers.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(7);
            self.0.read(&mut buffer[..length])
        }
    }

    fn needles() -> [Needle; 3] {
        [
            Needle::path("/home/me/src".into()),
            Needle::path("/app".into()),
            Needle { bytes: b"libstd-".to_vec(), stands_alone: false },
        ]
    }

    #[test]
    fn needles_are_found_across_windows() {
        let found = find(Slow(b"......x/home/me/src/main.rs....libstd-1.so"), &needles()).unwrap();
        assert_eq!(found, [true, false, true]);
        assert_eq!(find(Slow(b"/home/me/sr libst"), &needles()).unwrap(), [false; 3]);
        assert_eq!(find(Slow(b""), &needles()).unwrap(), [false; 3]);

        // A match at every position around a window's edge is found.
        for before in WINDOW - 40..WINDOW + 40 {
            let mut large = vec![b'.'; before];
            large.extend(b"/home/me/src /app/x ");
            assert_eq!(find(large.as_slice(), &needles()).unwrap(), [true, true, false], "{before}");
            large.truncate(before);
            large.extend(b"/home/me/sr /application");
            assert_eq!(find(large.as_slice(), &needles()).unwrap(), [false; 3], "{before}");
        }
    }

    #[test]
    fn a_short_path_is_no_part_of_a_longer_name() {
        for (text, is_there) in [
            ("text/application", false),
            ("see /application", false),
            ("/srv/app/main.rs", false),
            (" /app/src/main.rs", true),
            ("\0/app\0", true),
        ] {
            assert_eq!(find(Slow(text.as_bytes()), &needles()).unwrap()[1], is_there, "{text}");
        }
    }

    #[test]
    fn one_warning_names_all() {
        let findings =
            Findings { named: vec![("app".to_owned(), vec!["/home/me/.cargo".into()])], needs_libstd: false };
        let told = warning(&[findings]).unwrap();
        assert!(told.message.starts_with("`app` contains the path `/home/me/.cargo`: ") && told.help.is_none());
        let findings = Findings { named: vec![("app".to_owned(), vec!["/home/me/src".into()])], needs_libstd: false };
        let told = warning(&[findings]).unwrap();
        assert_eq!(told.help.as_deref(), Some("RUSTFLAGS=\"--remap-path-prefix=/home/me/src=/src\""));
        assert!(super::warning(&[Findings::default()]).is_none());
    }
}
