//! System accounts that packed files name and of which the template has none: those with fixed numbers of Debian's
//! base-passwd, and those that packages made in the sysroot.
//!
//! Names in programs count where they look accounts up, and names in scripts and configuration where a user or group is
//! expected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rustc_hash::FxHashSet;

use super::place::Layout;
use super::worklist::Worklist;
use crate::elf::Bytes;
use crate::error::Result;
use crate::path::RootfsPath;
use crate::resolve::{FileId, Files};
use crate::rootfs::Origin;
use crate::rows::{self, Fields};
use crate::sysroot::Sysroot;

const PASSWD: &str = include_str!("../../templates/policy/base-passwd.passwd");
const GROUP: &str = include_str!("../../templates/policy/base-passwd.group");

static EVIDENCE: LazyLock<Fields> =
    LazyLock::new(|| rows::embedded(include_str!("../../templates/policy/accounts.toml")));

/// The maximum size of a configuration file.
const LONGEST: usize = 256 << 10;

/// The numbers of accounts that packages make (Debian policy, 9.2.2).
const MADE: std::ops::Range<u32> = 100..1000;

/// The accounts and groups that are named, each with the first file that names it.
#[derive(Default)]
pub(super) struct Accounts {
    known: Known,
    named: BTreeMap<String, RootfsPath>,
}

impl Accounts {
    /// The numbers of a user and a group; 0 of one that is unknown.
    pub(super) fn owner(&self, user: &str, group: &str) -> (u32, u32) {
        let [uid, _] = self.known.ids(user);
        let [_, gid] = self.known.ids(group);
        (user.parse().ok().or(uid).unwrap_or(0), group.parse().ok().or(gid).unwrap_or(0))
    }
}

/// The lines of all accounts and groups that may be named.
#[derive(Default)]
struct Known {
    passwd: Vec<String>,
    group: Vec<String>,
    names: BTreeSet<String>,
}

impl Known {
    /// Those of base-passwd.
    fn fixed() -> Self {
        Self::of(lines(PASSWD), lines(GROUP))
    }

    fn of(passwd: Vec<String>, group: Vec<String>) -> Self {
        let names = passwd.iter().chain(&group).filter_map(|line| line.split(':').next()).map(str::to_owned).collect();
        Self { passwd, group, names }
    }

    /// The same, and those that packages made in the sysroot.
    fn read(view: &Sysroot) -> Self {
        let made = |path: &str, fixed: &str| -> Vec<String> {
            let path = RootfsPath::parse(path).ok();
            // It becomes an input where a name of it is used.
            let bytes = path.and_then(|path| view.peek(&path, LONGEST)).unwrap_or_default();
            let fixed = lines(fixed);
            let is_made = |it: &String| {
                let id = it.split(':').nth(2).and_then(|id| id.parse().ok());
                let name = it.split(':').next().unwrap_or_default();
                id.is_some_and(|id| MADE.contains(&id)) && it.split(':').count() >= 4 && line(&fixed, name).is_none()
            };
            let made = lines(&String::from_utf8(bytes).unwrap_or_default()).into_iter().filter(is_made);
            fixed.iter().cloned().chain(made).collect()
        };
        Self::of(made("/etc/passwd", PASSWD), made("/etc/group", GROUP))
    }

    /// The account of this name.
    fn account(&self, name: &[u8]) -> Option<&str> {
        let name = std::str::from_utf8(name).ok()?;
        self.names.get(name).map(String::as_str)
    }

    /// Returns whether a package made an account.
    fn is_made(&self, name: &str) -> bool {
        self.ids(name)[0].is_some_and(|id| MADE.contains(&id))
    }

    /// The number of an account, and that of a group.
    fn ids(&self, name: &str) -> [Option<u32>; 2] {
        [&self.passwd, &self.group].map(|lines| line(lines, name)?.split(':').nth(2)?.parse().ok())
    }
}

/// Finds the accounts that packed programs and scripts, and the files `taken`, name.
pub(super) fn find(worklist: &mut Worklist<'_>, taken: &[RootfsPath]) -> Accounts {
    let known = Known::read(worklist.view);
    let mut named = BTreeMap::new();
    let boxed = |name: &[u8]| Box::<[u8]>::from(name);
    let functions: Vec<_> = rows::list(&EVIDENCE, "functions").map(|name| boxed(name.as_bytes())).collect();
    let names: Vec<&[u8]> = known.names.iter().map(|name| name.as_bytes()).collect();
    let functions_of_names: Vec<Box<[u8]>> = names.iter().copied().map(boxed).collect();
    let mut seen: FxHashSet<FileId> = FxHashSet::default();
    let closures = worklist.worked.closures.iter();
    let files = closures.flat_map(|closure| {
        let objects = closure.objects.iter().map(|object| (object.file, &object.realpath));
        std::iter::once((closure.id, &closure.realpath)).chain(objects)
    });
    let files = files.filter(|(file, _)| seen.insert(*file)).map(|(file, path)| (file, path.clone()));
    for (file, path) in files.collect::<Vec<_>>() {
        if is_libc(path.file_name()) || worklist.view.imports_of(file, &functions).is_empty() {
            continue;
        }
        // Names of functions that it calls, such as bind(2), say nothing.
        let called = worklist.view.imports_of(file, &functions_of_names);
        // Linkers let it be the end of a path of the program.
        if let Some(own) = known.account(path.file_name()).filter(|own| known.is_made(own)) {
            named.entry(own.to_owned()).or_insert_with(|| path.clone());
        }
        let info = worklist.view.info(file);
        let owner = [info.uid, info.gid];
        for text in worklist.view.constants_with(file, &names) {
            let in_text = named_in_constant(&known, &text, owner);
            for name in in_text.into_iter().filter(|name| !called.iter().any(|at| names[*at] == name.as_bytes())) {
                named.entry(name.to_owned()).or_insert_with(|| path.clone());
            }
        }
    }
    let scripts = worklist.worked.scripts.iter().map(|script| script.realpath.clone()).collect::<Vec<_>>();
    for path in taken.iter().filter(|path| is_configuration(path)).chain(&scripts) {
        for name in in_configuration(worklist.view, &known, path) {
            named.entry(name).or_insert_with(|| path.clone());
        }
    }
    let fixed = Known::fixed();
    if !named.keys().all(|name: &String| fixed.names.contains(name)) {
        for path in ["/etc/passwd", "/etc/group"].iter().filter_map(|path| RootfsPath::parse(path).ok()) {
            worklist.view.find(&path);
        }
    }
    Accounts { known, named }
}

/// Adds the accounts to those of the template.
pub(super) fn lay_out(layout: &mut Layout<'_>, accounts: &Accounts) -> Result<()> {
    for (name, because) in &accounts.named {
        let why = "the account or group that it names";
        let origin = Origin::Rule { name: "accounts".into(), why: why.into(), because: because.clone() };
        let Known { passwd, group, .. } = &accounts.known;
        let account = line(passwd, name);
        if let Some(account) = account {
            layout.add_line(&RootfsPath::root().join(b"etc/passwd"), account, &origin)?;
        }
        let primary = account.and_then(|line| line.split(':').nth(3));
        let by_number = primary.and_then(|id| group.iter().find(|line| line.split(':').nth(2) == Some(id)));
        for group in [line(group, name), by_number.map(String::as_str)].into_iter().flatten() {
            layout.add_line(&RootfsPath::root().join(b"etc/group"), group, &origin)?;
        }
    }
    Ok(())
}

fn lines(file: &str) -> Vec<String> {
    file.lines().map(str::to_owned).collect()
}

fn line<'l>(lines: &'l [String], name: &str) -> Option<&'l str> {
    lines.iter().map(String::as_str).find(|line| line.split(':').next() == Some(name))
}

fn is_libc(name: &[u8]) -> bool {
    name.starts_with(b"libc.") || name.starts_with(b"libc-") || name.starts_with(b"ld-")
}

/// The accounts that one text among constants names: it is such a name, or says that one is a user or group. A word of
/// other things counts where the file belongs to that account, as that of at(1) does to `daemon`; linkers let it be the end
/// of a longer text.
fn named_in_constant<'k>(known: &'k Known, text: &Bytes, owner: [u32; 2]) -> Vec<&'k str> {
    let last = text.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let is_word = |name: &str| rows::list(&EVIDENCE, "words").any(|word| word == name);
    let is_owner = |name: &str| known.ids(name).iter().zip(owner).any(|(id, owner)| *id == Some(owner));
    if let Some(name) = known.account(last).filter(|name| is_word(name) && is_owner(name)) {
        return vec![name];
    }
    match known.account(text) {
        Some(name) if is_word(name) => Vec::new(),
        Some(name) => vec![name],
        // The name of an account that a package made is the end of the path of its directory, as of /etc/postfix.
        None => match known.account(text.rsplit(|byte| *byte == b'/').next().unwrap_or_default()) {
            Some(name) if known.is_made(name) => vec![name],
            _ => named_in_line(known, &**text),
        },
    }
}

fn is_configuration(path: &RootfsPath) -> bool {
    let directories = ["/etc", "/usr/lib/tmpfiles.d", "/usr/lib/systemd", "/lib/systemd", "/usr/lib/sysusers.d"];
    directories.iter().any(|directory| {
        let rest = path.as_bytes().strip_prefix(directory.as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&b'/'))
    })
}

fn in_configuration(view: &mut Sysroot, known: &Known, path: &RootfsPath) -> Vec<String> {
    let Some(text) = view.read_small(path, LONGEST).and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Vec::new();
    };
    let is_tmpfiles = path.parent().is_some_and(|directory| directory.file_name() == b"tmpfiles.d");
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let found =
        lines.flat_map(|line| if is_tmpfiles { named_in_tmpfiles(known, line) } else { named_in_line(known, line) });
    found.map(str::to_owned).collect()
}

/// The user and the group of a line of tmpfiles.d(5).
fn named_in_tmpfiles<'k>(known: &'k Known, line: &str) -> Vec<&'k str> {
    let fields = line.split_whitespace().skip(3).take(2);
    fields.filter_map(|field| known.account(field.as_bytes())).collect()
}

/// Names behind a word such as `user`, `Group=` or `chown`.
fn named_in_line<'k>(known: &'k Known, line: &(impl AsRef<[u8]> + ?Sized)) -> Vec<&'k str> {
    let is_between =
        |byte: &u8| matches!(byte, 0..=b' ' | b'=' | b':' | b';' | b'"' | b'\'' | b',' | b'(' | b')' | b'{' | b'}');
    let mut found = Vec::new();
    // The number of following words to which the last such word applies.
    let mut reach: usize = 0;
    for word in line.as_ref().split(is_between).filter(|word| !word.is_empty()) {
        if reach > 0 {
            found.extend(known.account(word));
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

    const OWNER: [u32; 2] = [0, 0];

    fn known() -> Known {
        let made = [lines(PASSWD), lines("quux:x:104:110::/run/quux:/usr/sbin/nologin")].concat();
        Known::of(made, lines(GROUP))
    }

    fn named(text: &str, owner: [u32; 2]) -> String {
        named_in_constant(&known(), &Bytes::from(text.as_bytes()), owner).join(" ")
    }

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
            ("chown quux:adm /x", "quux adm"),
        ] {
            assert_eq!(named_in_line(&known(), line).join(" "), expected, "{line}");
        }
        assert_eq!(named_in_tmpfiles(&known(), "d /run/squid 0755 proxy proxy -").join(" "), "proxy proxy");
    }

    #[test]
    fn words_alone_are_no_accounts_in_programs() {
        for (text, expected) in [
            ("www-data", "www-data"),
            ("mail", ""),
            ("run as user mail", "mail"),
            ("quux", "quux"),
            ("/etc/quux", "quux"),
            ("/var/www-data", ""),
        ] {
            assert_eq!(named(text, OWNER), expected, "{text}");
        }
    }

    /// As /usr/bin/at belongs to `daemon`, and wall(1) to the group `tty`.
    #[test]
    fn a_word_is_the_account_that_owns_the_file() {
        assert_eq!(named("cannot get uid for daemon", [1, 1]), "daemon");
        assert_eq!([named("daemon", [1, 1]), named("tty", [0, 5]), named("tty", [5, 0])], ["daemon", "tty", ""]);
    }

    #[test]
    fn each_account_has_its_group() {
        for account in PASSWD.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
            assert_eq!(account.len(), 7, "{account:?}");
            assert!(GROUP.lines().any(|line| line.split(':').nth(2) == Some(account[3])), "{account:?}");
        }
    }
}
