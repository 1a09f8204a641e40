//! System accounts that maintainer scripts make, by adduser(8) and useradd(8), and those that packages declare
//! (sysusers.d(5)).
//!
//! Scripts are read and not run: their commands count whatever the conditions around them, and variables have each value
//! that is assigned to them. The number of an account follows from its name, so it is the same in nearly every sysroot.

use std::collections::BTreeMap;
use std::io;

use super::READABLE;
use super::staged::Staged;
use crate::script::calls::{Call, arguments};

/// A part of every sysroot's cache key: the version of this reading.
pub(super) const KEY: &str = "accounts 1\n";

/// The files of sysusers.d(5).
const DECLARED: &str = "/usr/lib/sysusers.d/*.conf";

/// The scripts that make accounts, of a package's control files (deb-control(5)).
pub(in super::super) const SCRIPTS: [&str; 2] = ["preinst", "postinst"];

/// The numbers of system accounts (Debian policy, 9.2.2).
const NUMBERS: std::ops::Range<u32> = 100..1000;

/// The group of accounts that have none.
const NOGROUP: u32 = 65534;

const NOLOGIN: &str = "/usr/sbin/nologin";

/// The statements of scripts and declarations.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Made {
    User(User),
    /// A group, and its number if it is fixed.
    Group(String, Option<u32>),
    /// A user, and a group that it joins.
    Member(String, String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    name: String,
    number: Option<u32>,
    group: Group,
    comment: String,
    home: String,
    shell: String,
}

/// The primary group of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Group {
    /// One of the same name.
    Own,
    Named(String),
    Number(u32),
}

/// Adds the accounts of `scripts` and of declarations to passwd(5) and group(5) of `root`. Existing ones stay unchanged.
pub(super) fn add(root: &Staged, scripts: &[Vec<u8>]) -> io::Result<()> {
    let calls = scripts.iter().flat_map(|script| arguments(script, &PROGRAMS));
    let mut made: Vec<Made> = calls.flat_map(|call| of_call(&call)).collect();
    for (path, _) in root.found(DECLARED)? {
        let text = String::from_utf8_lossy(&root.read(&path)?).into_owned();
        made.extend(text.lines().filter_map(of_declaration));
    }
    let read = |path| match root.is_there(path) {
        true => root.read(path).map(|bytes| Table::parse(&String::from_utf8_lossy(&bytes))),
        false => Ok(Table::default()),
    };
    let (mut users, mut groups) = (read("/etc/passwd")?, read("/etc/group")?);
    let before = (users.lines.len(), groups.lines.len(), groups.joined);
    // Groups first: a script may name one that another script makes.
    for one in &made {
        if let Made::Group(name, number) = one {
            groups.add(name, number.unwrap_or_else(|| number_of(name, &[&users, &groups])), "");
        }
    }
    for one in &made {
        if let Made::User(user) = one {
            put(user, &mut users, &mut groups);
        }
    }
    for one in &made {
        if let Made::Member(user, group) = one {
            groups.join(user, group);
        }
    }
    if users.lines.len() > before.0 {
        root.write("/etc/passwd", users.text().as_bytes(), READABLE)?;
    }
    if (groups.lines.len(), groups.joined) > (before.1, before.2) {
        root.write("/etc/group", groups.text().as_bytes(), READABLE)?;
    }
    Ok(())
}

fn put(user: &User, users: &mut Table, groups: &mut Table) {
    let User { name, comment, home, shell, .. } = user;
    // useradd(8) refuses what would be another field or line as well.
    let is_field = |text: &String| !text.contains(|it: char| it == ':' || it.is_control());
    if users.number(name).is_some() || ![comment, home, shell].into_iter().all(is_field) {
        return;
    }
    let free = number_of(name, &[users, groups]);
    let number = user.number.unwrap_or_else(|| groups.number(name).filter(|it| !users.has(*it)).unwrap_or(free));
    let group = match &user.group {
        Group::Number(number) => *number,
        Group::Named(group) => groups.number(group).unwrap_or(NOGROUP),
        Group::Own => groups.number(name).unwrap_or_else(|| {
            groups.add(name, number, "");
            number
        }),
    };
    users.add(name, number, &format!("{group}:{comment}:{home}:{shell}"));
}

/// The number of a new account: by its name, or the next one that is free.
fn number_of(name: &str, taken: &[&Table]) -> u32 {
    let count = NUMBERS.end - NUMBERS.start;
    // FNV-1a
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let numbers = (0..count).map(|step| NUMBERS.start + (hash % count + step) % count);
    numbers.into_iter().find(|number| !taken.iter().any(|table| table.has(*number))).unwrap_or(NUMBERS.start)
}

/// The lines of /etc/passwd or of /etc/group.
#[derive(Default)]
struct Table {
    lines: Vec<String>,
    /// The number of members that were added.
    joined: usize,
}

impl Table {
    fn parse(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect(), joined: 0 }
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn number(&self, name: &str) -> Option<u32> {
        let line = self.lines.iter().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    }

    fn has(&self, number: u32) -> bool {
        self.lines.iter().any(|line| line.split(':').nth(2).and_then(|it| it.parse().ok()) == Some(number))
    }

    fn add(&mut self, name: &str, number: u32, rest: &str) {
        if self.number(name).is_none() {
            self.lines.push(format!("{name}:x:{number}:{rest}"));
        }
    }

    /// Adds a member to a group.
    fn join(&mut self, user: &str, group: &str) {
        let Some(line) = self.lines.iter_mut().find(|line| line.split(':').next() == Some(group)) else { return };
        let members = line.rsplit(':').next().unwrap_or_default();
        if !members.split(',').any(|member| member == user) {
            let comma = if members.is_empty() { "" } else { "," };
            line.push_str(&format!("{comma}{user}"));
            self.joined += 1;
        }
    }
}

/// The programs that make accounts.
const PROGRAMS: [&str; 4] = ["adduser", "addgroup", "useradd", "groupadd"];

/// Options of [`PROGRAMS`] that have a value: adduser(8), useradd(8), groupadd(8).
const VALUED: [&str; 37] = [
    "--home",
    "--shell",
    "--ingroup",
    "--uid",
    "--gid",
    "--gecos",
    "--comment",
    "--firstuid",
    "--lastuid",
    "--firstgid",
    "--lastgid",
    "--conf",
    "--home-dir",
    "--base-dir",
    "--groups",
    "--skel",
    "--key",
    "--password",
    "--root",
    "--prefix",
    "--expiredate",
    "--inactive",
    "-b",
    "-c",
    "-d",
    "-e",
    "-f",
    "-g",
    "-G",
    "-k",
    "-K",
    "-p",
    "-s",
    "-u",
    "-R",
    "-P",
    "-Z",
];

/// The accounts that one call makes.
fn of_call((program, words): &Call) -> Vec<Made> {
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    let mut names: Vec<&Vec<String>> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.first().map(String::as_str).unwrap_or_default();
        let (option, value) = match text.split_once('=') {
            Some((option, value)) if text.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ => (text.to_owned(), None),
        };
        if !text.starts_with('-') {
            names.push(word);
            continue;
        }
        // `-rM` is `-r -M`; the last of them may have a value.
        let letters: Vec<String> = match text.starts_with("--") {
            true => vec![option],
            false => text.chars().skip(1).map(|letter| format!("-{letter}")).collect(),
        };
        for letter in letters {
            let value = match (&value, VALUED.contains(&&*letter)) {
                (Some(value), _) => value.clone(),
                (None, true) => words.next().and_then(|word| word.first().cloned()).unwrap_or_default(),
                (None, false) => String::new(),
            };
            options.insert(letter, value);
        }
    }
    let has = |name: &str| options.contains_key(name);
    let value = |names: &[&str]| names.iter().find_map(|name| options.get(*name)).filter(|value| !value.is_empty());
    let number = |names: &[&str]| value(names).and_then(|value| value.parse().ok());
    let is_system = has("--system") || has("-r");
    let of_name = |name: &String| -> Vec<Made> {
        match program.as_str() {
            "groupadd" if is_system || has("-g") => vec![Made::Group(name.clone(), number(&["-g", "--gid"]))],
            "addgroup" if is_system => vec![Made::Group(name.clone(), number(&["--gid"]))],
            "adduser" if is_system => vec![Made::User(User {
                name: name.clone(),
                number: number(&["--uid"]),
                group: match (value(&["--ingroup"]), number(&["--gid"])) {
                    _ if has("--group") => Group::Own,
                    (Some(group), _) => Group::Named(group.clone()),
                    (None, Some(number)) => Group::Number(number),
                    (None, None) => Group::Number(NOGROUP),
                },
                comment: value(&["--gecos", "--comment"]).cloned().unwrap_or_default(),
                home: value(&["--home"]).cloned().unwrap_or_else(|| "/nonexistent".to_owned()),
                shell: value(&["--shell"]).cloned().unwrap_or_else(|| NOLOGIN.to_owned()),
            })],
            "useradd" if is_system => {
                let user = User {
                    name: name.clone(),
                    number: number(&["-u", "--uid"]),
                    group: match (value(&["-g", "--gid"]), number(&["-g", "--gid"])) {
                        (_, Some(number)) => Group::Number(number),
                        (Some(group), None) => Group::Named(group.clone()),
                        (None, None) => Group::Own,
                    },
                    comment: value(&["-c", "--comment"]).cloned().unwrap_or_default(),
                    home: value(&["-d", "--home", "--home-dir"]).cloned().unwrap_or_else(|| format!("/home/{name}")),
                    shell: value(&["-s", "--shell"]).cloned().unwrap_or_else(|| "/bin/sh".to_owned()),
                };
                let groups = value(&["-G", "--groups"]).into_iter().flat_map(|groups| groups.split(','));
                let joined: Vec<Made> = groups.map(|group| Made::Member(name.clone(), group.to_owned())).collect();
                [vec![Made::User(user)], joined].concat()
            }
            _ => Vec::new(),
        }
    };
    match names[..] {
        [all] => all.iter().filter(|name| is_name(name)).flat_map(of_name).collect(),
        // `adduser USER GROUP`
        [users, groups] if program.starts_with("add") => {
            let member = |user: &String| groups.iter().map(|group| Made::Member(user.clone(), group.clone())).collect();
            users.iter().filter(|name| is_name(name)).flat_map(|user| -> Vec<Made> { member(user) }).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns whether a text is the name of an account (useradd(8), "CAVEATS"; Debian has capitals as well).
fn is_name(text: &str) -> bool {
    let is_first = |first: char| first.is_ascii_alphabetic() || first == '_';
    text.len() <= 32
        && text.starts_with(is_first)
        && text.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.'))
}

/// The account of a line of sysusers.d(5).
fn of_declaration(line: &str) -> Option<Made> {
    let words = words(line);
    let word = |at: usize| words.get(at).filter(|word| *word != "-").cloned();
    let name = word(1).filter(|name| is_name(name))?;
    match words.first()?.trim_end_matches('!') {
        "u" => {
            let id = word(2).unwrap_or_default();
            let (number, group) = id.split_once(':').unwrap_or((&id, ""));
            let group = match (group, group.parse()) {
                ("", _) => Group::Own,
                (_, Ok(number)) => Group::Number(number),
                (group, Err(_)) => Group::Named(group.to_owned()),
            };
            let [comment, home, shell] = [3, 4, 5].map(word);
            Some(Made::User(User {
                name,
                number: number.parse().ok(),
                group,
                comment: comment.unwrap_or_default(),
                home: home.unwrap_or_else(|| "/".to_owned()),
                shell: shell.unwrap_or_else(|| NOLOGIN.to_owned()),
            }))
        }
        "g" => Some(Made::Group(name, word(2).and_then(|id| id.parse().ok()))),
        "m" => Some(Made::Member(name, word(2)?)),
        _ => None,
    }
}

/// The words of a line; double quotes hold one together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (Vec::new(), false);
    let mut word: Option<String> = None;
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !quoted => words.extend(word.take()),
            '#' if word.is_none() => break,
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with accounts of base-passwd, and a declaration.
    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("etc/passwd", "root:*:0:0:root:/root:/bin/bash\nproxy:*:13:13:proxy:/bin:/usr/sbin/nologin\n");
        put("etc/group", "root:*:0:\nproxy:*:13:\nvideo:*:44:\n");
        let declared =
            "# comment\nu _one - \"First one\" /run/one\nu two 500:video\ng three 44\nm _one video\nr - 1-2\n";
        put("usr/lib/sysusers.d/a.conf", declared);
        root
    }

    fn added(scripts: &[&str]) -> [String; 2] {
        let root = root();
        let scripts: Vec<Vec<u8>> = scripts.iter().map(|script| script.as_bytes().to_vec()).collect();
        add(&Staged::open(root.path()).unwrap(), &scripts).unwrap();
        ["passwd", "group"].map(|name| std::fs::read_to_string(root.path().join("etc").join(name)).unwrap())
    }

    #[test]
    fn scripts_and_declarations_make_accounts() {
        let [passwd, group] = added(&[
            "if ! getent passwd Debian-exim; then adduser --system --group --home /var/spool/exim4 --force-badname Debian-exim; fi",
            "addgroup --system maria || true\nadduser --system --ingroup maria --shell /bin/false --gecos 'A server' maria\n",
            "adduser --system --home /var/spool/squid --group proxy\nadduser --quiet --system plain\nadduser maria video",
            "useradd -rM -d /srv/x -s /bin/sh -G video,proxy other\nuseradd person\nadduser --system \"$RET\"\ngroupadd -r only",
        ]);
        let number = |table: &str, name: &str| Table::parse(table).number(name).unwrap();
        for (name, rest) in [
            ("Debian-exim", "GROUP::/var/spool/exim4:/usr/sbin/nologin"),
            ("maria", "GROUP:A server:/nonexistent:/bin/false"),
            ("plain", "65534::/nonexistent:/usr/sbin/nologin"),
            ("other", "GROUP::/srv/x:/bin/sh"),
            ("_one", "GROUP:First one:/run/one:/usr/sbin/nologin"),
            ("two", "44::/:/usr/sbin/nologin"),
        ] {
            let own = number(&passwd, name);
            assert!(NUMBERS.contains(&own), "{name}: {own}");
            let group = if rest.starts_with("GROUP") { number(&group, name).to_string() } else { String::new() };
            let line = format!("{name}:x:{own}:{}\n", rest.replace("GROUP", &group));
            assert!(passwd.contains(&line), "{line} in {passwd}");
        }
        assert_eq!(number(&passwd, "two"), 500);
        assert_eq!(number(&passwd, "Debian-exim"), number(&group, "Debian-exim"));
        assert!(group.contains("video:*:44:maria,other,_one\n") && group.contains("proxy:*:13:other\n"), "{group}");
        assert!(passwd.contains("\nproxy:*:13:13:proxy:/bin:/usr/sbin/nologin\n") && !passwd.contains("person"));
        assert!(number(&group, "only") >= NUMBERS.start && group.contains("three:x:44:\n"), "{group}");
        let numbers: std::collections::BTreeSet<&str> = passwd.lines().filter_map(|it| it.split(':').nth(2)).collect();
        assert_eq!(numbers.len(), passwd.lines().count(), "{passwd}");
    }

    #[test]
    fn no_field_becomes_another_field_or_line() {
        let [passwd, _] = added(&[
            "adduser --system --gecos 'a:b' one\nadduser --system --home '/x\nroot:x:0:0::/:/bin/sh' two",
            "useradd -r -s '/bin/sh:' three\nadduser --system four",
        ]);
        let names: Vec<&str> = passwd.lines().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["root", "proxy", "four", "_one", "two"], "`two` is declared");
        assert!(passwd.lines().all(|line| line.split(':').count() == 7), "{passwd}");
    }

    /// The number of an account does not depend on the packages beside its own.
    #[test]
    fn a_number_follows_from_the_name() {
        let alone = added(&["adduser --system --group mosquitto"]);
        let beside = added(&["adduser --system --group redis", "adduser --system --group mosquitto"]);
        let line =
            |[passwd, _]: &[String; 2]| passwd.lines().find(|it| it.starts_with("mosquitto:")).unwrap().to_owned();
        assert_eq!(line(&alone), line(&beside));
    }
}
