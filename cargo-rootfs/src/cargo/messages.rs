//! Cargo's messages: executables, and directories that may hold their libraries.
//!
//! It reads cargo's JSON only; text for the user takes another way.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Artifact, BuildScript, CrateType, Message, PackageId};

use crate::error::{Error, Result};
use crate::layout::{Artifacts, Executable};
use crate::plan::{Build, Wanted};

/// The messages so far.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Each with the index of the request it answers.
    executables: Vec<(usize, Utf8PathBuf)>,
    /// Library directories of build scripts, each with the script's OUT_DIR.
    native: Vec<(Utf8PathBuf, Utf8PathBuf)>,
    /// Directories of `dylib` and `cdylib` dependencies.
    dylibs: Vec<Utf8PathBuf>,
    /// The files of these libraries.
    shared: Vec<Utf8PathBuf>,
    /// The packages of all artifacts, new and unchanged, as `cargo metadata` names them.
    pub(super) packages: BTreeSet<String>,
}

impl Messages {
    pub(super) fn take(&mut self, message: Message, build: &Build) {
        match message {
            Message::CompilerArtifact(artifact) => self.artifact(artifact, build),
            Message::BuildScriptExecuted(script) => self.build_script(script),
            _ => {}
        }
    }

    fn artifact(&mut self, artifact: Artifact, build: &Build) {
        self.packages.insert(artifact.package_id.repr.clone());
        let of = |wanted: &Wanted| is_of(wanted, &artifact.package_id, &artifact.target);
        if let Some(index) = build.wanted.iter().position(of) {
            self.executables.extend(artifact.executable.clone().map(|path| (index, path)));
        }
        let is_shared = |kind: &CrateType| matches!(kind, CrateType::DyLib | CrateType::CDyLib);
        if artifact.target.crate_types.iter().any(is_shared) {
            let shared = artifact.filenames.iter().filter(|file| file.extension() == Some("so"));
            self.shared.extend(shared.cloned());
            self.dylibs.extend(self.shared.iter().filter_map(|file| file.parent()).map(Utf8Path::to_owned));
        }
    }

    fn build_script(&mut self, script: BuildScript) {
        for path in &script.linked_paths {
            self.native.extend(linked_folder(path.as_str()).map(|folder| (folder, script.out_dir.clone())));
        }
    }

    /// The artifacts of each target. Fails if cargo did not name a requested executable.
    pub(super) fn artifacts(&self, build: &Build, triples: &[&str]) -> Result<Vec<Artifacts>> {
        let mut errors = Vec::new();
        let mut all = Vec::new();
        for triple in triples {
            // A message does not name its target. If a target was chosen, cargo names a directory after it:
            // https://doc.rust-lang.org/cargo/reference/build-cache.html
            let is_for =
                |path: &Utf8Path| !build.chosen_target || path.components().any(|part| part.as_str() == *triple);
            let mut artifacts = Artifacts::default();
            for (index, wanted) in build.wanted.iter().enumerate() {
                let found = self.executables.iter().find(|(of, path)| *of == index && is_for(path));
                match found {
                    Some((_, path)) => {
                        artifacts.executables.push(Executable { name: wanted.name.clone(), path: path.clone() });
                    }
                    None => {
                        errors.push(Error::failed(format!("cargo built no executable `{}` for {triple}", wanted.name)))
                    }
                }
            }
            // Build scripts of the host's own programs use directories with other names.
            let native = self.native.iter().filter(|(_, out_dir)| is_for(out_dir)).map(|(folder, _)| folder);
            let dylibs = self.dylibs.iter().filter(|folder| is_for(folder));
            for folder in native.chain(dylibs) {
                if !artifacts.library_dirs.contains(folder) {
                    artifacts.library_dirs.push(folder.clone());
                }
            }
            artifacts.plugins = build.plugins.clone();
            for plugin in &mut artifacts.plugins {
                let is_it = |path: &&Utf8PathBuf| path.file_name() == Some(&plugin.file) && is_for(path);
                plugin.path = self.shared.iter().find(is_it).cloned();
            }
            all.push(artifacts);
        }
        Error::all(errors).map(|()| all)
    }
}

fn is_of(wanted: &Wanted, package: &PackageId, target: &cargo_metadata::Target) -> bool {
    wanted.package == *package && wanted.name == target.name && target.is_kind(wanted.kind.clone())
}

/// The directory of `native=/a/b`, as `cargo::rustc-link-search` takes it
/// (<https://doc.rust-lang.org/cargo/reference/build-scripts.html#rustc-link-search>).
fn linked_folder(text: &str) -> Option<Utf8PathBuf> {
    let folder = match text.split_once('=') {
        Some(("framework", _)) => return None,
        Some(("native" | "all" | "dependency" | "crate", folder)) => folder,
        _ => text,
    };
    Some(Utf8PathBuf::from(folder))
}

#[cfg(test)]
mod tests {
    use cargo_metadata::TargetKind;

    use super::*;

    fn build(chosen_target: bool) -> Build {
        let wanted = Wanted {
            package: PackageId { repr: "path+file:///ws/app#0.1.0".to_owned() },
            kind: TargetKind::Bin,
            name: "app".to_owned(),
        };
        Build {
            with: crate::options::BuildWith::Cargo,
            auditable: crate::options::Auditable::Never,
            is_written: false,
            arguments: Vec::new(),
            wanted: vec![wanted],
            workspace_root: "/ws".into(),
            target_directory: "/t".into(),
            folders: Vec::new(),
            plugins: Vec::new(),
            chosen_target,
        }
    }

    fn artifact(package: &str, name: &str, kind: &str, files: &[&str], executable: Option<&str>) -> String {
        serde_json::json!({
            "reason": "compiler-artifact", "package_id": package, "manifest_path": "/ws/app/Cargo.toml",
            "target": {"kind": [kind], "crate_types": [kind], "name": name, "src_path": "/ws/app/src/main.rs", "edition": "2021"},
            "profile": {"opt_level": "3", "debuginfo": 0, "debug_assertions": false, "overflow_checks": false, "test": false},
            "features": [], "filenames": files, "executable": executable, "fresh": false,
        })
        .to_string()
    }

    fn script(out_dir: &str, linked_paths: &[&str]) -> String {
        serde_json::json!({
            "reason": "build-script-executed", "package_id": "x", "linked_libs": [], "linked_paths": linked_paths,
            "cfgs": [], "env": [], "out_dir": out_dir,
        })
        .to_string()
    }

    fn hear(build: &Build, lines: &[String]) -> Messages {
        let mut messages = Messages::default();
        for message in Message::parse_stream(lines.join("\n").as_bytes()) {
            messages.take(message.unwrap(), build);
        }
        messages
    }

    #[test]
    fn executables_are_those_of_the_package_and_kind_that_were_wanted() {
        let build = build(false);
        let messages = hear(
            &build,
            &[
                artifact("path+file:///ws/other#0.1.0", "app", "bin", &[], Some("/t/release/other")),
                artifact("path+file:///ws/app#0.1.0", "app", "example", &[], Some("/t/release/examples/app")),
                "a line of text".to_owned(),
                artifact("path+file:///ws/app#0.1.0", "app", "bin", &[], Some("/t/release/app")),
            ],
        );
        let artifacts = messages.artifacts(&build, &["x86_64-unknown-linux-gnu"]).unwrap();
        assert_eq!(artifacts[0].executables, [Executable { name: "app".to_owned(), path: "/t/release/app".into() }]);
    }

    #[test]
    fn each_target_has_its_own_and_nothing_of_the_host() {
        let build = build(true);
        let app = |triple: &str| {
            artifact("path+file:///ws/app#0.1.0", "app", "bin", &[], Some(&format!("/t/{triple}/release/app")))
        };
        let (arm, intel) = ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu");
        let messages = hear(
            &build,
            &[
                app(intel),
                app(arm),
                script("/t/release/build/tool-1/out", &["native=/t/release/build/tool-1/out/lib"]),
                script(
                    "/t/aarch64-unknown-linux-gnu/release/build/z-1/out",
                    &["native=/t/z/lib", "framework=/f", "/plain", "native=/t/z/lib"],
                ),
                artifact("dep", "dep", "dylib", &["/t/x86_64-unknown-linux-gnu/release/deps/libdep.so"], None),
                artifact("macro", "macro", "proc-macro", &["/t/release/deps/libmacro.so"], None),
            ],
        );
        let artifacts = messages.artifacts(&build, &[arm, intel]).unwrap();
        assert_eq!(artifacts[0].executables[0].path, "/t/aarch64-unknown-linux-gnu/release/app");
        assert_eq!(artifacts[0].library_dirs, ["/t/z/lib", "/plain"]);
        assert_eq!(artifacts[1].executables[0].path, "/t/x86_64-unknown-linux-gnu/release/app");
        assert_eq!(artifacts[1].library_dirs, ["/t/x86_64-unknown-linux-gnu/release/deps"]);
    }

    #[test]
    fn an_executable_that_cargo_does_not_name_is_an_error() {
        let build = build(false);
        let error = Messages::default().artifacts(&build, &["x86_64-unknown-linux-gnu"]).unwrap_err();
        assert_eq!(error.message(), "cargo built no executable `app` for x86_64-unknown-linux-gnu");
    }
}
