//! A directory with a project, made in one line, and runs of the program in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A temporary directory. Printed text has `[ROOT]` in place of its path.
pub(crate) struct Project {
    folder: TempDir,
}

/// The output of a run, and its exit code.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A package `app` with one binary; `more` is appended to its manifest.
    pub(crate) fn app(more: &str) -> Self {
        Self::empty().package(".", "app", more).file("src/main.rs", "fn main() {}\n")
    }

    /// A virtual workspace of `app` (binaries `app` and `admin`), `tool` (one binary) and `lib` (none).
    pub(crate) fn workspace(more: &str) -> Self {
        Self::empty()
            .file("Cargo.toml", &format!("[workspace]\nmembers = ['app', 'tool', 'lib']\nresolver = '2'\n{more}"))
            .package("app", "app", "")
            .file("app/src/main.rs", "fn main() {}\n")
            .file("app/src/bin/admin.rs", "fn main() {}\n")
            .package("tool", "tool", "")
            .file("tool/src/main.rs", "fn main() {}\n")
            .package("lib", "lib", "")
            .file("lib/src/lib.rs", "")
    }

    /// Adds a manifest in `folder`.
    pub(crate) fn package(self, folder: &str, name: &str, more: &str) -> Self {
        let manifest = format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n{more}\n");
        self.file(&format!("{folder}/Cargo.toml"), &manifest)
    }

    /// Adds a file, with its parent directories.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `cargo rootfs` in the directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_in(".", arguments, &[])
    }

    /// Runs `cargo rootfs` in a subdirectory, with these variables.
    pub(crate) fn run_in(&self, below: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let output = self.command(below, arguments, variables).output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: self.redacted(&output.stdout),
            stderr: self.redacted(&output.stderr),
        }
    }

    /// The command of such a run.
    pub(crate) fn command(&self, below: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-rootfs"));
        command.arg("rootfs").args(arguments).current_dir(self.path().join(below));
        // Variables of the developer's shell or the outer cargo must not change the test.
        let is_kept = |name: &str| !name.starts_with("CARGO_") || name == "CARGO_HOME";
        let outer = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept));
        command.env_clear().envs(outer).env_remove("RUSTFLAGS").env_remove("SOURCE_DATE_EPOCH");
        command.env("COLUMNS", "100").env("CARGO_NET_OFFLINE", "true").envs(variables.iter().copied());
        command
    }

    fn redacted(&self, printed: &[u8]) -> String {
        let root = self.path().canonicalize().unwrap();
        let text = String::from_utf8(printed.to_vec()).unwrap();
        text.replace(root.to_str().unwrap(), "[ROOT]").replace(self.path().to_str().unwrap(), "[ROOT]")
    }

    /// Every path below the directory, so that a test can check that nothing was written.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
                files.push(entry.path().strip_prefix(self.path()).unwrap().to_owned());
            }
        }
        files.sort();
        files
    }
}

impl Run {
    /// Checks that it failed with this code, and printed exactly this to standard error and nothing to standard output.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, stderr: impl snapbox::IntoData) {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        snapbox::assert_data_eq!(self.stderr.as_str(), stderr.into_data().raw());
    }
}

/// A reason without the lines of sizes, which depend on the compiler.
pub(crate) fn without_sizes(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("    size ")).map(|line| format!("{line}\n")).collect()
}
