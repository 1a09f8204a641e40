//! Facts of a project on which its starting files depend.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Metadata, Package};

use crate::error::{Error, Result};
use crate::host_files::{self, Walk};
use crate::rows::{self, Fields};

/// The facts of one project.
#[derive(Debug)]
pub(super) struct Facts {
    /// The manifest that gets the table.
    pub(super) manifest: Utf8PathBuf,
    /// True if that manifest has a package, and not only a workspace.
    pub(super) is_package: bool,
    /// True if the manifest already has the table.
    pub(super) has_table: bool,
    pub(super) workspace_root: Utf8PathBuf,
    /// The root of the checkout, which contains the pipelines.
    pub(super) repository: Utf8PathBuf,
    /// The packages with executables, by name.
    pub(super) packages: Vec<String>,
    /// The executables of all of them.
    pub(super) binaries: Vec<String>,
    /// The Linux targets in cargo's configuration.
    pub(super) targets: Vec<String>,
    /// Programs that the sources start, each with the first source file that does so.
    pub(super) starts: Vec<(String, Utf8PathBuf)>,
    /// Crates of the lock that link with a native library.
    pub(super) native: Vec<String>,
    /// The crate of the lock that uses TLS, if any.
    pub(super) tls: Option<String>,
}

static NAMES: LazyLock<Fields> = LazyLock::new(|| rows::embedded(include_str!("../../templates/policy/init.toml")));

/// True if a crate of this name links with a native library on Linux.
fn is_native(name: &str) -> bool {
    name.ends_with("-sys") && !rows::list(&NAMES, "foreign").any(|start| name.starts_with(start))
}

/// The maximum number of source files that are read.
const MOST: usize = 2000;

impl Facts {
    /// Collects the facts of `project`; `configured` are the targets of cargo's configuration.
    pub(super) fn of(project: &Metadata, configured: &[String]) -> Result<Self> {
        let members = || project.packages.iter().filter(|package| project.workspace_members.contains(&package.id));
        let of_binaries: Vec<&Package> =
            members().filter(|package| package.targets.iter().any(cargo_metadata::Target::is_bin)).collect();
        if of_binaries.is_empty() {
            return Err(Error::failed(format!("no package of `{}` has a binary", project.workspace_root))
                .help("add src/main.rs, or package tools alone: cargo rootfs --tools-only --with bash,ls"));
        }
        let is_root = |package: &&&Package| package.manifest_path == project.workspace_root.join("Cargo.toml");
        let own = match of_binaries.as_slice() {
            [one] => Some(*one),
            several => several.iter().find(is_root).copied(),
        };
        let manifest =
            own.map_or_else(|| project.workspace_root.join("Cargo.toml"), |package| package.manifest_path.clone());
        let metadata = own.map_or(&project.workspace_metadata, |package| &package.metadata);
        let mut starts = Vec::new();
        for package in &of_binaries {
            let sources = package.manifest_path.with_file_name("src");
            starts.extend(started(&sources).into_iter().map(|(name, file)| {
                let shown = file.strip_prefix(&project.workspace_root).unwrap_or(&file).to_owned();
                (name, shown)
            }));
        }
        // clap's `Command::new` takes the program's own name.
        let is_own = |name: &String| {
            of_binaries
                .iter()
                .any(|package| package.name == *name || package.targets.iter().any(|target| target.name == *name))
        };
        starts.retain(|(name, _)| !is_own(name));
        starts.sort();
        starts.dedup_by(|one, other| one.0 == other.0);
        let locked = locked(&project.workspace_root.join("Cargo.lock"));
        let binaries = of_binaries.iter().flat_map(|package| &package.targets).filter(|target| target.is_bin());
        let root = &project.workspace_root;
        let repository = root.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(root).to_owned();
        Ok(Self {
            manifest,
            is_package: own.is_some(),
            has_table: !metadata["rootfs"].is_null(),
            workspace_root: root.clone(),
            repository,
            packages: of_binaries.iter().map(|package| package.name.to_string()).collect(),
            binaries: binaries.map(|target| target.name.clone()).collect(),
            targets: configured.iter().filter(|target| target.contains("-linux-")).cloned().collect(),
            starts,
            native: locked.iter().filter(|name| is_native(name)).cloned().collect(),
            tls: rows::list(&NAMES, "tls").find(|name| locked.contains(*name)).map(str::to_owned),
        })
    }

    /// The name of the table.
    pub(super) fn table_name(&self) -> &'static str {
        if self.is_package { "[package.metadata.rootfs]" } else { "[workspace.metadata.rootfs]" }
    }
}

/// The names of the packages in a Cargo.lock; none without one.
fn locked(path: &Utf8Path) -> BTreeSet<String> {
    let text = host_files::text(path).ok().unwrap_or_default();
    let names = text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    names.map(str::to_owned).collect()
}

/// Programs that the sources below `folder` start, each with the first source file that does so.
fn started(folder: &Utf8Path) -> Vec<(String, Utf8PathBuf)> {
    let paths = Walk::below(folder, "read").filter_map(|found| Utf8PathBuf::from_path_buf(found.ok()?.path).ok());
    let mut found = Vec::new();
    for path in paths.filter(|path| path.extension() == Some("rs")).take(MOST) {
        let text = host_files::text(&path).ok().unwrap_or_default();
        found.extend(programs(&text).into_iter().map(|name| (name, path.clone())));
    }
    found
}

/// The names in `Command::new("NAME")` and `cmd!("NAME"` of a source file, without its comments and tests.
fn programs(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    // Other crates, such as clap, have a `Command` too.
    if !["process", "duct", "xshell"].iter().any(|word| text.contains(word)) {
        return Vec::new();
    }
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let calls =
        lines.flat_map(|line| ["Command::new(\"", "cmd!(\""].into_iter().filter_map(move |call| line.split_once(call)));
    let names = calls.filter_map(|(_, after)| after.split('"').next());
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+/".contains(&byte))
    };
    // A path in the project is not a tool.
    names
        .filter(is_name)
        .filter(|name| {
            !rows::list(&NAMES, "not-meant").any(|other| other == *name)
                && (!name.contains('/') || name.starts_with('/'))
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn started_programs_are_read_from_the_sources() {
        let text = "use std::process::Command;\nlet x = Command::new(\"git\");\n// Command::new(\"no\")\ncmd!(\"sh\", \"-c\");\nCommand::new(path);\n\
                    Command::new(\"cargo\");\nCommand::new(\"cygpath\");\nCommand::new(\"./x\");\n#[cfg(test)]\nCommand::new(\"diff\")";
        assert_eq!(programs(text), ["git", "sh"]);
        assert!(programs("use clap::Command;\nCommand::new(\"app\").subcommand(Command::new(\"add\"))").is_empty());
    }

    #[test]
    fn native_crates_are_those_of_linux() {
        assert!(is_native("openssl-sys") && is_native("libz-sys"));
        assert!(!is_native("windows-sys") && !is_native("web-sys") && !is_native("dirs-sys") && !is_native("serde"));
    }
}
