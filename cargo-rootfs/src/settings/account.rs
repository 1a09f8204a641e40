//! Users and groups of a rootfs, from its own passwd(5) and group(5), never from the host's.

use std::collections::BTreeSet;
use std::io::Read;

use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::rootfs::{Body, Kind, Rootfs};
use crate::wording::and_more;

/// The user and groups that run a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// The home directory; `/` if unknown.
    pub(crate) home: String,
}

/// The account of `USER[:GROUP]`, by names or numbers, in `rootfs`; root by default.
pub(crate) fn account(typed: Option<&str>, rootfs: &Rootfs) -> Result<Account> {
    let passwd = text(rootfs, "/etc/passwd");
    let (user, group) = match typed.unwrap_or("0").split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (typed.unwrap_or("0"), None),
    };
    let lines: Vec<Vec<&str>> = passwd.lines().map(|line| line.split(':').collect()).collect();
    let line = lines.iter().find(|fields| matches!(fields[..], [name, _, id, ..] if name == user || id == user));
    let unknown = |what: &str, name: &str| Error::failed(format!("the rootfs has no {what} `{name}`"));
    let number = |field: Option<&&str>| field.and_then(|id| id.parse::<u32>().ok());
    let id = match line {
        Some(fields) => number(fields.get(2)),
        None => user.parse().ok(),
    };
    let primary = line.and_then(|fields| number(fields.get(3))).unwrap_or(0);
    let group = match group {
        None => Some(primary),
        Some(name) => {
            let groups = text(rootfs, "/etc/group");
            let known = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
            let mut known = known.filter(|fields| fields.first() == Some(&name));
            known.next().map_or_else(|| name.parse().ok(), |fields| number(fields.get(2)))
        }
    };
    let home = line.and_then(|fields| fields.get(5)).filter(|home| home.starts_with('/')).unwrap_or(&"/");
    Ok(Account {
        user: id.ok_or_else(|| unknown("user", user))?,
        group: group.ok_or_else(|| unknown("group", typed.unwrap_or_default()))?,
        home: (*home).to_owned(),
    })
}

/// The largest number of an account that engines take (moby's `user` package).
const LARGEST: u32 = i32::MAX as u32;

/// The same for the user of an image; its error lists the accounts. `None` is root, with or without an account.
pub(super) fn named(typed: Option<&str>, rootfs: &Rootfs) -> Result<Account> {
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut numbers = typed.unwrap_or_default().split(':').filter(is_number);
    if let Some(number) = numbers.find(|number| number.parse::<u32>().ok().is_none_or(|number| number > LARGEST)) {
        return Err(Error::failed(format!(
            "the image's user `{}` has a number that is too large",
            typed.unwrap_or_default()
        ))
        .detail(format!("`{number}` is more than {LARGEST}, the largest one that engines take"))
        .help("give a smaller number, as `--user 65532:65532`"));
    }
    account(typed, rootfs).map_err(|_| {
        let typed = typed.unwrap_or_default();
        let (user, group) = typed.split_once(':').map_or((typed, None), |(user, group)| (user, Some(group)));
        let is_user = account(Some(user), rootfs).is_err();
        let (what, name, file) = match group {
            Some(group) if !is_user => ("group", group, "/etc/group"),
            _ => ("user", user, "/etc/passwd"),
        };
        let text = text(rootfs, file);
        let known: Vec<&str> =
            text.lines().filter_map(|line| line.split(':').next()).filter(|it| !it.is_empty()).collect();
        let error = Error::failed(format!("the image's {what} `{name}` is not in its {file}"));
        let error =
            if known.is_empty() { error } else { error.detail(format!("it has {}", and_more(known.iter(), 8))) };
        error.help("give a number, as `--user 65532:65532`, or include a passwd(5) and a group(5) that have the name")
    })
}

/// The groups of a process of `account` in an engine; without a typed group, those of group(5) too.
pub(super) fn groups(account: &Account, typed: Option<&str>, rootfs: &Rootfs) -> BTreeSet<u32> {
    let mut groups = BTreeSet::from([account.group]);
    let Some(user) = typed.filter(|typed| !typed.contains(':')) else { return groups };
    let passwd = text(rootfs, "/etc/passwd");
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = lines.find_map(|fields| match fields[..] {
        [name, _, id, ..] if name == user || id == user => Some(name),
        _ => None,
    });
    for line in text(rootfs, "/etc/group").lines() {
        if let [_, _, id, members] = line.split(':').collect::<Vec<_>>()[..] {
            if name.is_some_and(|name| members.split(',').any(|member| member == name)) {
                groups.extend(id.parse::<u32>());
            }
        }
    }
    groups
}

/// `USER[:GROUP]` with numbers in place of the names that `rootfs` knows. Kubernetes checks only a numeric user for not
/// being root. A user without a typed group keeps the groups of the image.
pub(crate) fn numeric(typed: &str, rootfs: &Rootfs) -> String {
    let number = |file: &str, name: &str| {
        let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let text = if is_number { String::new() } else { text(rootfs, file) };
        let known = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
        let id = known.and_then(|fields| fields.get(2)?.parse::<u32>().ok());
        id.map_or_else(|| name.to_owned(), |id| id.to_string())
    };
    match typed.split_once(':') {
        Some((user, group)) => format!("{}:{}", number("/etc/passwd", user), number("/etc/group", group)),
        None => number("/etc/passwd", typed),
    }
}

/// A file of the rootfs; empty if missing.
fn text(rootfs: &Rootfs, path: &str) -> String {
    let Ok(path) = RootfsPath::parse(path) else { return String::new() };
    let way = rootfs.way(&path);
    let mut bytes = Vec::new();
    match way.last().map(|(_, entry)| &entry.kind) {
        Some(Kind::File(Body::Bytes(body))) => bytes.extend_from_slice(body),
        Some(Kind::File(Body::Host(file))) => {
            // If it cannot be read, filling the rootfs reports the error.
            let _ = file.open().map(|file| file.take(1 << 20).read_to_end(&mut bytes));
        }
        _ => {}
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::{Entry, Origin};

    fn rootfs(passwd: &str, group: &str) -> Rootfs {
        let mut rootfs = Rootfs::default();
        let mut put = |path: &str, kind| {
            let origin = Origin::Template("base".to_owned());
            rootfs.insert(RootfsPath::parse(path).unwrap(), Entry::new(kind, 0o755, origin));
        };
        put("/", Kind::Dir);
        put("/etc", Kind::Dir);
        put("/etc/passwd", Kind::File(Body::Bytes(passwd.as_bytes().into())));
        put("/etc/group", Kind::File(Body::Bytes(group.as_bytes().into())));
        rootfs
    }

    fn of(user: u32, group: u32, home: &str) -> Account {
        Account { user, group, home: home.to_owned() }
    }

    /// The rules of a Dockerfile's `USER`: a user's group comes from passwd, or is root; a name needs an account, a
    /// number does not.
    #[test]
    fn names_and_numbers() {
        let rootfs = rootfs("root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/srv:\n", "root:x:0:\nstaff:x:50:app\n");
        for (typed, meant) in [
            (None, of(0, 0, "/root")),
            (Some("app"), of(7, 8, "/srv")),
            (Some("7"), of(7, 8, "/srv")),
            (Some("app:staff"), of(7, 50, "/srv")),
            (Some("app:9"), of(7, 9, "/srv")),
            (Some("1234"), of(1234, 0, "/")),
        ] {
            assert_eq!(account(typed, &rootfs).unwrap(), meant, "{typed:?}");
        }
        for typed in ["nobody", "app:wheel", "", ":staff", "-1"] {
            assert_eq!(account(Some(typed), &rootfs).unwrap_err().exit_code(), 1, "{typed}");
        }
        assert_eq!(account(None, &Rootfs::default()).unwrap(), of(0, 0, "/"));
        for (typed, number) in [
            ("app", "7"),
            ("app:staff", "7:50"),
            ("12:staff", "12:50"),
            ("app:9", "7:9"),
            ("nobody", "nobody"),
            ("app:wheel", "7:wheel"),
            ("1234", "1234"),
        ] {
            assert_eq!(numeric(typed, &rootfs), number);
        }
    }
}
