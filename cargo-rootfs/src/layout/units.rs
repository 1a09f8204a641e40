//! Directories that systemd makes before it starts a daemon: `RuntimeDirectory=` and similar settings of a unit
//! (systemd.exec(5)).
//!
//! Without systemd nothing makes them, and the daemon cannot write its socket or its state.

use std::collections::BTreeMap;

use super::tmpfiles::Line;
use crate::path::RootfsPath;

/// The settings, and the directories below which systemd makes theirs for a system service.
const SETTINGS: [(&str, &str); 5] = [
    ("RuntimeDirectory", "/run"),
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
    ("ConfigurationDirectory", "/etc"),
];

/// Returns whether a path is that of a system service, and not of a template for several.
pub(super) fn is_service(path: &RootfsPath) -> bool {
    let name = path.file_name();
    let is_of_system = || path.parent().is_some_and(|it| it.as_bytes().ends_with(b"/systemd/system"));
    name.ends_with(b".service") && !name.ends_with(b"@.service") && is_of_system()
}

/// The programs that a service starts, by their absolute paths.
pub(super) fn programs(text: &str) -> impl Iterator<Item = RootfsPath> {
    let started = settings(text).filter(|(key, _)| key.starts_with("Exec"));
    started.filter_map(|(_, value)| {
        let program = value.split_whitespace().next()?;
        RootfsPath::parse(program.trim_start_matches(['@', '-', ':', '+', '!'])).ok()
    })
}

/// The directories of a service.
pub(super) fn directories(text: &str) -> Vec<Line<'_>> {
    let values: BTreeMap<&str, &str> = settings(text).collect();
    let value = |key: &str| values.get(key).copied().filter(|value| !value.is_empty());
    let user = value("User").unwrap_or("root");
    let group = value("Group").unwrap_or(user);
    let mut lines = Vec::new();
    for (key, top) in SETTINGS {
        let mode = value(&format!("{key}Mode")).and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o755);
        // systemd owns configuration itself.
        let (user, group) = if top == "/etc" { ("root", "root") } else { (user, group) };
        // A name may have a symlink behind a colon.
        let names = value(key).into_iter().flat_map(str::split_whitespace).filter_map(|it| it.split(':').next());
        let paths = names
            .filter(|name| !name.contains('%'))
            .filter_map(|name| RootfsPath::parse(&format!("{top}/{name}")).ok());
        lines.extend(paths.map(|path| Line { path, mode, user, group }));
    }
    lines
}

fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_programs_of_a_service() {
        let text = "[Unit]\nDescription=a b\n[Service]\nUser=quux\nExecStartPre=-/usr/bin/check --all\n\
                    ExecStart=!/usr/sbin/quuxd -D\nRuntimeDirectory=quux quux/more:link\nRuntimeDirectoryMode=2750\n\
                    StateDirectory=quux\nConfigurationDirectory=quux\nLogsDirectory=%p\n# CacheDirectory=quux\n";
        let of: Vec<_> =
            directories(text).iter().map(|it| format!("{} {:o} {} {}", it.path, it.mode, it.user, it.group)).collect();
        let expected = [
            "/run/quux 2750 quux quux",
            "/run/quux/more 2750 quux quux",
            "/var/lib/quux 755 quux quux",
            "/etc/quux 755 root root",
        ];
        assert_eq!(of, expected);
        let programs: Vec<_> = programs(text).map(|path| path.to_string()).collect();
        assert_eq!(programs, ["/usr/bin/check", "/usr/sbin/quuxd"]);
    }

    #[test]
    fn services_of_the_system_alone() {
        for (path, expected) in [
            ("/usr/lib/systemd/system/quux.service", true),
            ("/lib/systemd/system/quux.service", true),
            ("/lib/systemd/system/quux@.service", false),
            ("/lib/systemd/system/quux.socket", false),
            ("/lib/systemd/user/quux.service", false),
        ] {
            assert_eq!(is_service(&RootfsPath::parse(path).unwrap()), expected, "{path}");
        }
    }
}
