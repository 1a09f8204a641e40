//! `--locale`: the files that glibc's setlocale(3) opens for a name.
//!
//! It packs only the given names, and does not guess the locales of a program.

use super::place::{IfThere, Layout};
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::Files;
use crate::rootfs::Origin;
use crate::shortage::Fault;
use crate::sysroot::{End, Sysroot};

/// The directory that glibc searches by default (`_nl_default_locale_path`, locale/findlocale.c).
const FOLDER: &str = "/usr/lib/locale";

/// All locales of a distribution in one file, which glibc searches first (locale/loadarchive.c).
const ARCHIVE: &str = "/usr/lib/locale/locale-archive";

/// The number of bytes of the archive read at once.
const CHUNK: usize = 1 << 20;

/// The directories and archives of the locales; missing ones are added to `faults`.
pub(super) fn find(view: &mut Sysroot, names: &[String], faults: &mut Vec<Fault>) -> Vec<(RootfsPath, Origin)> {
    let mut found: Vec<(RootfsPath, Origin)> = Vec::new();
    for name in names {
        // libc has these two built in (locale(7)).
        if matches!(name.as_str(), "C" | "POSIX") {
            continue;
        }
        match one(view, name) {
            Some(path) => found.push((path, Origin::Locale(name.clone()))),
            None => faults.push(missing(view, name).into()),
        }
    }
    found
}

fn one(view: &mut Sysroot, name: &str) -> Option<RootfsPath> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let names = spellings(name);
    let folder = RootfsPath::root().join(FOLDER.as_bytes());
    let own = names.iter().map(|name| folder.join(name.as_bytes()));
    let mut own = own.filter(|path| matches!(view.walk(path).end, End::Dir(_)));
    own.next().or_else(|| {
        let archive = RootfsPath::root().join(ARCHIVE.as_bytes());
        is_in_archive(view, &archive, &names).then_some(archive)
    })
}

/// The name as given, and with its codeset in glibc's normal form: only letters and digits, lower case
/// (`_nl_normalize_codeset`, intl/l10nflist.c).
fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if let Some((language, rest)) = name.split_once('.') {
        let (codeset, modifier) = rest.split_once('@').map_or((rest, None), |(codeset, it)| (codeset, Some(it)));
        let mut plain: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect();
        plain.make_ascii_lowercase();
        if plain.bytes().all(|byte| byte.is_ascii_digit()) {
            plain.insert_str(0, "iso");
        }
        let modifier = modifier.map_or_else(String::new, |it| format!("@{it}"));
        spellings.push(format!("{language}.{plain}{modifier}"));
    }
    spellings.dedup();
    spellings
}

/// Returns whether the archive has one of the names among its strings, each of which ends in a zero.
fn is_in_archive(view: &mut Sysroot, archive: &RootfsPath, names: &[String]) -> bool {
    let End::File(file) = view.walk(archive).end else { return false };
    let size = view.info(file).host.size;
    let overlap = names.iter().map(String::len).max().unwrap_or(0) + 2;
    let mut at = 0;
    while at < size {
        let Ok(chunk) = view.part(file, at, CHUNK + overlap) else { return false };
        if names.iter().any(|name| memchr::memmem::find(&chunk, format!("\0{name}\0").as_bytes()).is_some()) {
            return true;
        }
        at += CHUNK as u64;
    }
    false
}

fn missing(view: &mut Sysroot, name: &str) -> Error {
    let folder = RootfsPath::root().join(FOLDER.as_bytes());
    let names = view.names(&folder);
    let known: Vec<_> = names.iter().filter_map(|name| std::str::from_utf8(name).ok()).collect();
    let mut error = Error::failed(format!("the locale `{name}` is not in the sysroot"));
    error = error.detail(format!("tried  {FOLDER}/{}, and {ARCHIVE}", spellings(name).join(&format!(", {FOLDER}/"))));
    if !known.is_empty() {
        error = error.detail(format!("there  {}", known.join(", ")));
    }
    let language = name.split(['.', '@']).next().unwrap_or(name);
    error.help(format!("make it there: localedef -i {language} -f UTF-8 {language}.UTF-8"))
}

/// Puts the found files into the rootfs.
pub(super) fn lay_out(layout: &mut Layout<'_>, found: &[(RootfsPath, Origin)]) -> Result<()> {
    found.iter().try_for_each(|(path, origin)| match matches!(layout.view.walk(path).end, End::Dir(_)) {
        true => layout.copy_tree(path, &[], origin),
        false => layout.copy(path, origin, IfThere::Fail),
    })
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn codesets_are_spelled_as_in_folders() {
        for (name, expected) in [
            ("C.UTF-8", "C.UTF-8 C.utf8"),
            ("de_DE.UTF-8", "de_DE.UTF-8 de_DE.utf8"),
            ("de_DE.ISO-8859-15@euro", "de_DE.ISO-8859-15@euro de_DE.iso885915@euro"),
            ("ja_JP.8859-1", "ja_JP.8859-1 ja_JP.iso88591"),
            ("de_DE", "de_DE"),
            ("de_DE.utf8", "de_DE.utf8"),
        ] {
            assert_eq!(spellings(name).join(" "), expected);
        }
    }
}
