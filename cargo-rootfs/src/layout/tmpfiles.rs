//! Directories that exist when a system has started: a daemon keeps its sockets and state there. Packed files of
//! tmpfiles.d(5) and the services of packed daemons make them.
//!
//! Lines of other types, with specifiers, or outside of /run and /var are for the system.

use super::accounts::Accounts;
use super::place::{IfThere, Layout};
use super::units;
use crate::error::Result;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Kind, Origin};

/// The maximum size of a file; those of packages have a few lines.
const LONGEST: usize = 64 << 10;

/// Makes the directories of the files among `taken`, and of `services`.
pub(super) fn lay_out<'p>(
    layout: &mut Layout<'_>,
    taken: impl Iterator<Item = &'p RootfsPath>,
    services: &'p [RootfsPath],
    accounts: &Accounts,
) -> Result<()> {
    let is_one = |path: &&RootfsPath| {
        path.file_name().ends_with(b".conf") && path.parent().is_some_and(|it| it.file_name() == b"tmpfiles.d")
    };
    for file in taken.filter(is_one).chain(services) {
        let text = layout.view.read_small(file, LONGEST).and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.unwrap_or_default();
        let lines = match units::is_service(file) {
            true => units::directories(&text),
            false => text.lines().filter_map(line).collect(),
        };
        for Line { path, mode, user, group } in lines {
            // One line must not fail the run.
            if layout.is_below_a_file(&path) {
                continue;
            }
            let (uid, gid) = accounts.owner(user, group);
            let why = "a directory that it makes when a system starts";
            let origin = Origin::Rule { name: "tmpfiles".into(), why: why.into(), because: file.clone() };
            let entry = Entry { uid, gid, ..Entry::new(Kind::Dir, mode, origin) };
            layout.put(&path, entry, IfThere::Keep)?;
        }
    }
    Ok(())
}

/// A directory: a line of type `d`, or a name in a setting of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    pub(super) path: RootfsPath,
    pub(super) mode: u32,
    pub(super) user: &'t str,
    pub(super) group: &'t str,
}

fn line(text: &str) -> Option<Line<'_>> {
    let mut fields = text.split_whitespace();
    let is_directory = matches!(fields.next()?, "d" | "D" | "d!" | "D!");
    let path = fields.next().filter(|path| is_directory && !path.contains(['%', '*', '?', '[']))?;
    let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
    let path = RootfsPath::parse(path.trim_end_matches('/')).ok()?;
    let is_state = matches!(path.components().next(), Some(b"run" | b"var")) && path.components().nth(1).is_some();
    let mode = fields.next().unwrap_or("-").trim_start_matches(['~', ':']);
    let mode = if mode == "-" { Some(0o755) } else { u32::from_str_radix(mode, 8).ok() };
    let mut name = || fields.next().unwrap_or("-").trim_start_matches(':');
    let (user, group) = (name(), name());
    Some(Line { path, mode: mode?, user, group }).filter(|_| is_state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_directories() {
        let of = |text| line(text).map(|it| format!("{} {:o} {} {}", it.path, it.mode, it.user, it.group));
        for (text, expected) in [
            ("d /run/mysqld 0755 mysql root -", Some("/run/mysqld 755 mysql root")),
            ("D /var/run/x/ 2775 a b", Some("/run/x 2775 a b")),
            ("d /var/lib/x", Some("/var/lib/x 755 - -")),
            ("d- /run/x :0700 root :root", None),
            ("f /run/x 0644", None),
            ("d /run/user/%i", None),
            ("d /run", None),
            ("d /tmp/x 1777", None),
            ("# d /run/x", None),
            ("", None),
        ] {
            assert_eq!(of(text).as_deref(), expected, "{text}");
        }
    }
}
