//! What programs ask for on every machine, whether it is there or not, and what belongs to one machine or person alone.
//!
//! It is a table: paths and names, each with who asks.

use crate::path::RootfsPath;

/// Folders that hold no files of a distribution, or none that a program cannot do without.
const FOLDERS: &[&str] = &[
    // The kernel's, and what is there for the time that a machine runs.
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/var/run",
    "/var/lock",
    // Temporary files, caches, logs: made where they are needed.
    "/tmp",
    "/var/tmp",
    "/var/cache",
    "/var/log",
    "/var/backups",
    // A person's own.
    "/root",
    "/home",
    "/mnt",
    "/media",
    // Message catalogues and locales: without them a program speaks English (setlocale(3), gettext(3)). Others than C
    // are asked for by name.
    "/usr/share/locale",
    "/usr/share/locale-langpack",
    "/usr/lib/locale",
    // Debuggers look for a file there for every one that they open.
    "/usr/lib/debug",
    "/usr/share/gdb/auto-load",
    // Where qemu-user looks for a guest's files before it takes those that are asked for (`-L`).
    "/etc/qemu-binfmt",
    "/usr/gnemul",
];

/// Files.
const FILES: &[&str] = &[
    // ld.so(8): a list that helps to find libraries, and one that is rarely there.
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ld.so.nohwcap",
    // A machine's own: it has none in UTC, and engines put the last four in.
    "/etc/localtime",
    "/etc/timezone",
    "/etc/machine-id",
    "/etc/mtab",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
];

/// Names of files and folders, wherever they are.
const NAMES: &[&str] = &[
    // Python writes it where it may.
    "__pycache__",
    // ld.so(8): looked into before the folder that it is in.
    "glibc-hwcaps",
    // iconv(3) has it for speed; the list that it is made of stands beside it.
    "gconv-modules.cache",
];

/// Whether it says nothing that this is missing, or used.
pub(crate) fn is_noise(path: &RootfsPath) -> bool {
    let is_within = |folder: &&str| {
        let rest = path.as_bytes().strip_prefix(folder.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    path.parent().is_none()
        || FOLDERS.iter().any(is_within)
        || FILES.iter().any(|file| path.as_bytes() == file.as_bytes())
        || path.components().any(|part| NAMES.iter().any(|name| part == name.as_bytes()))
}

/// Whether it is configuration: programs ask for it, and have defaults.
pub(crate) fn is_configuration(path: &RootfsPath) -> bool {
    path.components().next() == Some(b"etc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_program_asks_for_is_noise() {
        for (path, is) in [
            ("/", true),
            ("/proc/self/maps", true),
            ("/process", false),
            ("/etc/ld.so.cache", true),
            ("/etc/ssl/openssl.cnf", false),
            ("/usr/share/locale/de/LC_MESSAGES/git.mo", true),
            ("/usr/lib/locale/C.utf8/LC_CTYPE", true),
            ("/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache", true),
            ("/usr/lib/x86_64-linux-gnu/gconv/gconv-modules", false),
            ("/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1", true),
            ("/usr/lib/python3/dist-packages/__pycache__/x.pyc", true),
            ("/usr/share/terminfo/x/xterm", false),
        ] {
            assert_eq!(is_noise(&RootfsPath::parse(path).unwrap()), is, "{path}");
        }
    }
}
