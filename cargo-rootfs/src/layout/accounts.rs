//! Adds system accounts with fixed numbers that packed files name and the template lacks: those of Debian's
//! base-passwd.
//!
//! A name in a program counts if the program looks up accounts; a name in configuration counts where a user or group is
//! expected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use super::place::Layout;
use super::worklist::Worklist;
use crate::elf::Bytes;
use crate::error::Result;
use crate::path::RootfsPath;
use crate::resolve::FileId;
use crate::rootfs::Origin;
use crate::sysroot::Sysroot;

const PASSWD: &str = include_str!("../../templates/policy/base-passwd.passwd");
const GROUP: &str = include_str!("../../templates/policy/base-passwd.group");

/// Functions that look up an account.
const LOOKUPS: [&str; 5] = ["getpwnam", "getpwnam_r", "getgrnam", "getgrnam_r", "initgroups"];

/// Names that are also other words, such as facilities of syslog(3): alone they are no evidence.
const WORDS: [&str; 25] = [
    "adm", "audio", "backup", "bin", "daemon", "dip", "disk", "fax", "floppy", "games", "irc", "list", "lp", "mail",
    "man", "news", "operator", "src", "sudo", "sys", "tape", "tty", "users", "video", "voice",
];

/// The maximum size of a configuration file.
const LONGEST: usize = 256 << 10;

/// The named accounts and groups, each with the first file that names it.
pub(super) type Accounts = BTreeMap<&'static str, RootfsPath>;

/// Finds the accounts that packed programs and the files in `taken` name.
pub(super) fn find(worklist: &mut Worklist<'_>, taken: &[RootfsPath]) -> Accounts {
    let mut found = Accounts::new();
    let functions: Vec<Box<[u8]>> = LOOKUPS.iter().map(|name| Box::from(name.as_bytes())).collect();
    let names: Vec<&[u8]> = known().iter().map(|name| name.as_bytes()).collect();
    let mut seen: BTreeSet<FileId> = BTreeSet::new();
    let closures = worklist.worked.closures.iter();
    let files = closures.flat_map(|closure| {
        let own = std::iter::once((closure.id, closure.realpath.clone()));
        own.chain(closure.objects.iter().map(|object| (object.file, object.realpath.clone())))
    });
    for (file, path) in files.filter(|(file, _)| seen.insert(*file)).collect::<Vec<_>>() {
        if is_libc(path.file_name()) || worklist.view.imports_of(file, &functions).is_empty() {
            continue;
        }
        for text in worklist.view.constants_with(file, &names) {
            for name in in_constant(&text) {
                found.entry(name).or_insert_with(|| path.clone());
            }
        }
    }
    for path in taken.iter().filter(|path| is_configuration(path)) {
        let names = in_configuration(worklist.view, path);
        for name in names {
            found.entry(name).or_insert_with(|| path.clone());
        }
    }
    found
}

/// Adds the accounts to those of the template.
pub(super) fn lay_out(layout: &mut Layout<'_>, accounts: &Accounts) -> Result<()> {
    for (name, because) in accounts {
        let why = "the account or group that it names, as Debian's base-passwd has it";
        let origin = Origin::Rule { name: "accounts".into(), why: why.into(), because: because.clone() };
        let account = line(PASSWD, name);
        if let Some(account) = account {
            layout.add_line(&RootfsPath::root().join(b"etc/passwd"), account, &origin)?;
        }
        let primary = account.and_then(|line| line.split(':').nth(3));
        let by_number = primary.and_then(|id| GROUP.lines().find(|line| line.split(':').nth(2) == Some(id)));
        for group in [line(GROUP, name), by_number].into_iter().flatten() {
            layout.add_line(&RootfsPath::root().join(b"etc/group"), group, &origin)?;
        }
    }
    Ok(())
}

fn known() -> &'static BTreeSet<&'static str> {
    static KNOWN: OnceLock<BTreeSet<&str>> = OnceLock::new();
    let lines = || PASSWD.lines().chain(GROUP.lines());
    KNOWN.get_or_init(|| lines().filter_map(|line| line.split(':').next()).collect())
}

fn line(file: &'static str, name: &str) -> Option<&'static str> {
    file.lines().find(|line| line.split(':').next() == Some(name))
}

fn is_libc(name: &[u8]) -> bool {
    name.starts_with(b"libc.") || name.starts_with(b"libc-") || name.starts_with(b"ld-")
}

/// The accounts in one text of the constants: the text is such a name, or names a user or group.
fn in_constant(text: &Bytes) -> Vec<&'static str> {
    match account(text) {
        Some(name) if WORDS.contains(&name) => Vec::new(),
        Some(name) => vec![name],
        None => in_line(&**text),
    }
}

/// The known account of this name.
fn account(name: &[u8]) -> Option<&'static str> {
    let name = std::str::from_utf8(name).ok()?;
    known().get(name).copied()
}

fn is_configuration(path: &RootfsPath) -> bool {
    let directories = ["/etc", "/usr/lib/tmpfiles.d", "/usr/lib/systemd", "/lib/systemd", "/usr/lib/sysusers.d"];
    directories.iter().any(|directory| {
        let rest = path.as_bytes().strip_prefix(directory.as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&b'/'))
    })
}

fn in_configuration(view: &mut Sysroot, path: &RootfsPath) -> Vec<&'static str> {
    let Some(text) = view.read_small(path, LONGEST).and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Vec::new();
    };
    let is_tmpfiles = path.parent().is_some_and(|directory| directory.file_name() == b"tmpfiles.d");
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines.flat_map(|line| if is_tmpfiles { of_tmpfiles(line) } else { in_line(line) }).collect()
}

/// The user and the group of a line of tmpfiles.d(5).
fn of_tmpfiles(line: &str) -> Vec<&'static str> {
    let fields = line.split_whitespace().skip(3).take(2);
    fields.filter_map(|field| account(field.as_bytes())).collect()
}

/// The names after a word such as `user`, `Group=` or `chown`.
fn in_line(line: &(impl AsRef<[u8]> + ?Sized)) -> Vec<&'static str> {
    let is_between =
        |byte: &u8| matches!(byte, 0..=b' ' | b'=' | b':' | b';' | b'"' | b'\'' | b',' | b'(' | b')' | b'{' | b'}');
    let mut found = Vec::new();
    // The number of following words to which the last such word applies.
    let mut reach: usize = 0;
    for word in line.as_ref().split(is_between).filter(|word| !word.is_empty()) {
        if reach > 0 {
            found.extend(account(word));
        }
        reach = reach.saturating_sub(1).max(self::reach(word));
    }
    found
}

/// The number of words after `word` that may each be an account.
fn reach(word: &[u8]) -> usize {
    let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    let ends_with = |end: &str| {
        let rest = word.len().checked_sub(end.len());
        rest.is_some_and(|rest| word[rest..].eq_ignore_ascii_case(end.as_bytes()))
    };
    // `su root adm` and `create 0640 www-data adm` of logrotate(8), `chown www-data:adm`.
    match word.last().map(u8::to_ascii_lowercase) {
        Some(b'n' | b'p' | b'u' | b'e' | b'r' | b's') if is("chown") || is("chgrp") || is("su") => 2,
        Some(b'e') if is("create") => 3,
        Some(b'r' | b'p' | b's') if ["user", "group", "groups", "owner"].into_iter().any(ends_with) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_where_an_account_is_expected() {
        for (line, expected) in [
            ("User www-data", "www-data"),
            ("user www-data;", "www-data"),
            ("cache_effective_user proxy", "proxy"),
            ("User=daemon", "daemon"),
            ("SupplementaryGroups=video audio", "video"),
            ("export APACHE_RUN_USER=www-data", "www-data"),
            ("create 0640 www-data adm", "www-data adm"),
            ("su root list", "list"),
            ("chown backup:src /x", "backup src"),
            ("mail list news", ""),
            ("the user of it", ""),
            ("root", ""),
        ] {
            assert_eq!(in_line(line).join(" "), expected, "{line}");
        }
        assert_eq!(of_tmpfiles("d /run/squid 0755 proxy proxy -").join(" "), "proxy proxy");
    }

    #[test]
    fn words_alone_are_no_accounts_in_programs() {
        let named = |text: &str| in_constant(&Bytes::from(text.as_bytes())).join(" ");
        assert_eq!([named("www-data"), named("mail"), named("run as user mail")], ["www-data", "", "mail"]);
    }

    #[test]
    fn each_account_has_its_group() {
        for account in PASSWD.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
            assert_eq!(account.len(), 7, "{account:?}");
            assert!(GROUP.lines().any(|line| line.split(':').nth(2) == Some(account[3])), "{account:?}");
        }
    }
}
