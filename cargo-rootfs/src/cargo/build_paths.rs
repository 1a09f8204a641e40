//! Executables that name the folder they were built in: other bytes on another machine.
//!
//! They are reported, never changed, and no flag is set for the user. The same pass over the bytes tells
//! whether the standard library is linked dynamically, which is rare and costs a question to rustc.

use std::fs::File;
use std::io::Read;

use camino::Utf8PathBuf;
use memchr::memmem::Finder;

use crate::error::{Error, Result, Warning};
use crate::layout::Executable;

/// Bytes that are looked at at once.
const WINDOW: usize = 1 << 20;

/// What was found in a target's executables.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Each executable with the build folders whose paths it contains.
    named: Vec<(String, Vec<Utf8PathBuf>)>,
    /// Whether any names a shared `libstd-<hash>.so`.
    pub(super) needs_libstd: bool,
}

/// Reads each executable once, by windows.
pub(super) fn scan<'f>(executables: &[Executable], folders: impl Iterator<Item = &'f Utf8PathBuf>) -> Result<Findings> {
    let folders: Vec<&Utf8PathBuf> = folders.filter(|folder| folder.parent().is_some()).collect();
    // With the slash, so that `/src/app` is not found in `/src/application`.
    let mut needles: Vec<Vec<u8>> = folders.iter().map(|folder| format!("{folder}/").into_bytes()).collect();
    needles.push(b"libstd-".to_vec());
    let mut findings = Findings::default();
    for executable in executables {
        let file = File::open(&executable.path).map_err(|error| Error::io("open", &executable.path, error))?;
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

/// Which of `needles` are in `bytes`.
fn find(mut bytes: impl Read, needles: &[Vec<u8>]) -> std::io::Result<Vec<bool>> {
    let finders: Vec<Finder<'_>> = needles.iter().map(Finder::new).collect();
    let longest = needles.iter().map(Vec::len).max().unwrap_or(0);
    let mut found = vec![false; needles.len()];
    let mut window = vec![0; WINDOW + longest];
    let mut kept = 0;
    loop {
        let read = bytes.read(&mut window[kept..])?;
        if read == 0 || found.iter().all(|found| *found) {
            return Ok(found);
        }
        let filled = &window[..kept + read];
        for (found, finder) in found.iter_mut().zip(&finders) {
            *found = *found || finder.find(filled).is_some();
        }
        // A needle may begin in this window and end in the next.
        let start = filled.len() - filled.len().min(longest.saturating_sub(1));
        kept = filled.len() - start;
        window.copy_within(start..start + kept, 0);
    }
}

/// One warning for all of them.
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

    /// Gives one byte fewer than asked for at first, so that windows do not fall on round numbers.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(7);
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn needles_are_found_across_windows() {
        let needles = [b"/home/me/src/".to_vec(), b"libstd-".to_vec(), b"absent".to_vec()];
        let found = find(Slow(b"....../home/me/src/main.rs....libstd-1.so"), &needles).unwrap();
        assert_eq!(found, [true, true, false]);
        assert_eq!(find(Slow(b"/home/me/source/ libst"), &needles).unwrap(), [false; 3]);
        assert_eq!(find(Slow(b""), &needles).unwrap(), [false; 3]);

        let mut large = vec![b'.'; WINDOW + 20];
        large.extend(b"/home/me/src/");
        assert_eq!(find(large.as_slice(), &needles).unwrap(), [true, false, false]);
    }

    #[test]
    fn one_warning_names_all() {
        let findings =
            Findings { named: vec![("app".to_owned(), vec!["/home/me/.cargo".into()])], needs_libstd: false };
        let warning = warning(&[findings]).unwrap();
        assert_eq!(warning.help.as_deref(), Some("RUSTFLAGS=\"--remap-path-prefix=/home/me/.cargo=/cargo\""));
        assert!(super::warning(&[Findings::default()]).is_none());
    }
}
