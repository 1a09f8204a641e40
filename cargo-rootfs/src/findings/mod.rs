//! The vocabulary in which [`crate::check`] and [`crate::trace`] judge the recorded calls of a command.
//!
//! It runs and prints nothing. A wrong finding is worse than a missing one, so requests that programs make on every
//! machine (noise) are ignored.

mod trees;

use crate::path::{DEFAULT_PATH, RootfsPath};
use crate::policy::Policy;

pub(crate) use trees::{Real, owners};

/// The contents of a sysroot and of a rootfs, by paths that may contain symlinks.
pub(crate) trait Trees {
    /// Looks a path up in the sysroot.
    fn sysroot(&mut self, path: &RootfsPath) -> There;
    /// True if the rootfs has an entry at the path.
    fn is_packed(&mut self, path: &RootfsPath) -> bool;
    /// The first path on the way to the file at `path` without an entry in the rootfs: a symlink, or the file itself.
    fn first_absent(&mut self, path: &RootfsPath) -> RootfsPath;
    /// The target of the symlink that the sysroot has at `path`, if the rootfs has no entry there.
    fn unpacked_link(&mut self, path: &RootfsPath) -> Option<String>;
    /// The names of the sysroot's packages that own these paths.
    fn packages(&mut self, paths: &[RootfsPath]) -> Vec<Option<String>> {
        vec![None; paths.len()]
    }
    /// True for a path of the project on the host, which is not part of the sysroot.
    fn is_projects(&self, _: &RootfsPath) -> bool {
        false
    }
    /// The interpreter of the file at `path`, if it is a script.
    fn interpreter(&mut self, path: &RootfsPath) -> Option<RootfsPath>;
    /// The number of regular files directly in a directory of the sysroot.
    fn count(&mut self, folder: &RootfsPath) -> usize;
    /// The policy for noise.
    fn policy(&self) -> &Policy {
        Policy::built_in()
    }
}

/// The file at a path, with symlinks followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum There {
    Nothing,
    /// A directory, by its real path.
    Folder(RootfsPath),
    /// A regular file, with its real path and its permission to execute.
    File(RootfsPath, Execution),
}

/// The permission to execute a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Execution {
    Allowed,
    Forbidden,
}

/// True in a directory of programs, where a command is found by its name only.
pub(crate) fn is_in_path(path: &RootfsPath) -> bool {
    path.parent().is_some_and(|folder| DEFAULT_PATH.split(':').any(|it| it.as_bytes() == folder.as_bytes()))
}

/// True for the name of a shared object: `libz.so.1`, `_ssl.cpython-311-x86_64-linux-gnu.so`.
pub(crate) fn is_library(path: &RootfsPath) -> bool {
    let name = path.file_name();
    name.ends_with(b".so") || memchr::memmem::find(name, b".so.").is_some()
}

/// True in a default search directory of loaders, where a library is found by its name only:
/// `/usr/lib/x86_64-linux-gnu`.
pub(crate) fn is_in_library_folder(path: &RootfsPath) -> bool {
    let parts: Vec<&[u8]> = path.components().collect();
    let parts = match parts[..] {
        [b"usr", ref rest @ ..] => rest,
        _ => &parts[..],
    };
    match parts {
        [first, _] => matches!(*first, b"lib" | b"lib64" | b"lib32" | b"libx32"),
        // Debian's multiarch directories: a machine, a system, a C library.
        [b"lib", triplet, _] => triplet.iter().filter(|byte| **byte == b'-').count() == 2,
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::watch::{Access, Event, Outcome};

    /// Trees in memory. A sysroot path that ends in a slash is a directory, one that ends in `*` an executable file; `a
    /// -> b` is a symlink to the real path `b`.
    #[derive(Default)]
    pub(crate) struct Memory {
        sysroot: BTreeMap<RootfsPath, There>,
        packed: BTreeSet<RootfsPath>,
        interpreters: BTreeMap<RootfsPath, RootfsPath>,
        packages: BTreeMap<RootfsPath, String>,
        project: Option<RootfsPath>,
        dangling: BTreeSet<RootfsPath>,
    }

    pub(crate) fn path(text: &str) -> RootfsPath {
        RootfsPath::parse(text).unwrap()
    }

    impl Memory {
        pub(crate) fn new(sysroot: &[&str], packed: &[&str]) -> Self {
            let mut memory = Self::default();
            for text in sysroot {
                let (name, real) = text.split_once(" -> ").unwrap_or((text, text));
                let at = path(name.trim_end_matches('*'));
                let real_path = path(real.trim_end_matches('*'));
                let there = if real.ends_with('/') {
                    There::Folder(real_path)
                } else if real.ends_with('*') {
                    There::File(real_path, Execution::Allowed)
                } else {
                    There::File(real_path, Execution::Forbidden)
                };
                memory.folders_of(&at);
                memory.sysroot.insert(at, there);
            }
            for text in packed {
                let mut at = Some(path(text));
                while let Some(path) = at {
                    at = path.parent();
                    memory.packed.insert(path);
                }
            }
            memory
        }

        pub(crate) fn interpreter(mut self, script: &str, interpreter: &str) -> Self {
            self.interpreters.insert(path(script), path(interpreter));
            self
        }

        /// Sets the package that owns a file.
        pub(crate) fn package(mut self, file: &str, package: &str) -> Self {
            self.packages.insert(path(file), package.to_owned());
            self
        }

        /// Adds a dangling symlink to the rootfs.
        pub(crate) fn dangling(mut self, link: &str) -> Self {
            self.dangling.insert(path(link));
            self
        }

        /// Sets the directory of the project.
        pub(crate) fn project(mut self, directory: &str) -> Self {
            self.project = Some(path(directory));
            self
        }

        fn folders_of(&mut self, at: &RootfsPath) {
            let mut parent = at.parent();
            while let Some(folder) = parent {
                parent = folder.parent();
                self.sysroot.entry(folder.clone()).or_insert(There::Folder(folder));
            }
        }
    }

    impl Trees for Memory {
        fn sysroot(&mut self, path: &RootfsPath) -> There {
            self.sysroot.get(&path.normalized()).cloned().unwrap_or(There::Nothing)
        }

        fn is_packed(&mut self, path: &RootfsPath) -> bool {
            self.packed.contains(path) && !self.dangling.contains(path)
        }

        fn interpreter(&mut self, path: &RootfsPath) -> Option<RootfsPath> {
            self.interpreters.get(path).cloned()
        }

        fn unpacked_link(&mut self, path: &RootfsPath) -> Option<String> {
            let real = match self.sysroot.get(path)? {
                There::File(real, _) | There::Folder(real) => real.clone(),
                There::Nothing => return None,
            };
            (real != *path && !self.packed.contains(path)).then(|| real.to_string())
        }

        fn first_absent(&mut self, path: &RootfsPath) -> RootfsPath {
            match self.sysroot.get(path) {
                Some(There::File(real, _) | There::Folder(real)) if self.packed.contains(path) => real.clone(),
                _ => path.clone(),
            }
        }

        fn packages(&mut self, paths: &[RootfsPath]) -> Vec<Option<String>> {
            let real = |path: &RootfsPath| match self.sysroot.get(path) {
                Some(There::File(real, _) | There::Folder(real)) => real.clone(),
                _ => path.clone(),
            };
            paths.iter().map(|path| self.packages.get(&real(path)).cloned()).collect()
        }

        fn is_projects(&self, path: &RootfsPath) -> bool {
            self.project.as_ref().is_some_and(|project| path.is_within(project))
        }

        fn count(&mut self, folder: &RootfsPath) -> usize {
            let files = self.sysroot.iter().filter(|(_, there)| matches!(there, There::File(..)));
            files.filter(|(path, _)| path.parent().as_ref() == Some(folder)).count()
        }
    }

    /// Parses lines of `PROCESS PROGRAM VERB PATH RESULT`, such as `1 sh exec /bin/ls absent`.
    pub(crate) fn events(lines: &[&str]) -> Vec<Event> {
        lines
            .iter()
            .map(|line| {
                let [process, program, verb, asked, outcome] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{line}")
                };
                Event {
                    process: process.parse().unwrap(),
                    program: Some(path(&format!("/usr/bin/{program}"))),
                    access: match verb {
                        "open" => Access::Open,
                        "write" => Access::Write,
                        "look" => Access::Look,
                        "link" => Access::Follow,
                        "exec" => Access::Execute,
                        _ => panic!("{line}"),
                    },
                    path: path(asked),
                    outcome: match outcome {
                        "found" => Outcome::Found,
                        "absent" => Outcome::Absent,
                        "refused" => Outcome::Refused,
                        _ => panic!("{line}"),
                    },
                }
            })
            .collect()
    }

    #[test]
    fn folders_that_loaders_search() {
        for (text, is) in [
            ("/usr/lib/x86_64-linux-gnu/libz.so.1", true),
            ("/lib/aarch64-linux-gnu/libz.so.1", true),
            ("/lib64/ld-linux-x86-64.so.2", true),
            ("/usr/lib/libz.so.1", true),
            ("/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", false),
            ("/usr/lib/python3.11/lib-dynload/_ssl.so", false),
            ("/usr/lib/sudo/sudoers.so", false),
            ("/opt/lib/libz.so.1", false),
        ] {
            assert_eq!(is_in_library_folder(&path(text)), is, "{text}");
        }
    }
}
