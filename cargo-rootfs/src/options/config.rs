//! `[package.metadata.rootfs]` and related tables: from tables to layers of options, and from layers to one.
//!
//! It reads no file: cargo's metadata contains the tables, each with its manifest.

mod read;
mod values;

use std::collections::BTreeMap;

use super::build::{CompilationArgs, SelectionArgs};
use super::content::ContentArgs;
use super::image::{ImageArgs, ProcessArgs};
use super::layered::{Lists, layered};
use super::output::OutputArgs;
use super::values::{Auditable, BuildWith};
use crate::error::{Error, Result};
use values::parse_build_with;

pub(super) use read::Reader;
pub(crate) use read::{Manifest, read};
pub(super) use values::{
    parse_compression, parse_engine, parse_layers, parse_priority, parse_runtime, parse_variants, parse_word, word,
};

/// The settings of one table of configuration, or of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) content: ContentArgs,
    pub(crate) output: OutputArgs,
    pub(crate) image: ImageArgs,
    pub(crate) process: ProcessArgs,
}

/// A manifest's table, with its tables for single targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    pub(crate) build: BuildKeys,
    pub(crate) all: Layer,
    pub(crate) target: BTreeMap<String, Layer>,
}

layered! {
    /// Configuration keys for the build. One build serves all targets, so they cannot depend on a target.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct BuildKeys {
        selection: SelectionArgs = executables("bin" | "bins" | "example", Reader::executables);
        features: Vec<String> = names("features", Reader::list);
        all_features: bool = switch("all-features", Reader::flag);
        no_default_features: bool = switch("no-default-features", Reader::flag);
        profile: Option<String> = value("profile", Reader::text);
        build_with: Option<BuildWith> = value("build-with", word(parse_build_with));
        auditable: Option<Auditable> = value("auditable", word(parse_word));
    }
}

/// The options for the target `triple`: the package's override the workspace's, and the command line's override both.
pub(crate) fn merge(workspace: &Layers, package: &Layers, command_line: Layer, triple: &str) -> Layer {
    let workspace = workspace.for_target(triple);
    let package = package.for_target(triple);
    command_line.over(package.over(workspace, Lists::Replace), Lists::Extend)
}

impl Layers {
    /// Merges the tables of several packages in one rootfs. Their lists are concatenated; their values must agree
    /// unless the command line, `typed`, sets them.
    pub(crate) fn of_all(packages: Vec<(String, Self)>, typed: &Layer, building: &CompilationArgs) -> Result<Self> {
        let CompilationArgs { profile, build_with, auditable, .. } = building.clone();
        let typed_build = BuildKeys { profile, build_with, auditable, ..BuildKeys::default() };
        let mut sum = Self::default();
        let mut errors = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (name, layers) in packages {
            let mut clashes = sum.all.clashes(&layers.all, typed);
            for (triple, layer) in &layers.target {
                clashes.extend(sum.target.get(triple).map(|known| known.clashes(layer, typed)).unwrap_or_default());
            }
            clashes.extend(sum.build.clashes(&layers.build, &typed_build));
            errors.extend(clashes.into_iter().map(|key| {
                let others = names.join(", ");
                Error::usage(format!("`{name}` sets another `{key}` in `package.metadata.rootfs` than {others}"))
                    .help(format!("give `--{key}`, or choose one package with `-p {name}`"))
            }));
            for (triple, layer) in layers.target {
                let known = sum.target.remove(&triple).unwrap_or_default();
                sum.target.insert(triple, layer.beside(known));
            }
            sum.all = layers.all.beside(sum.all);
            sum.build = layers.build.merge(sum.build, Lists::Extend);
            names.push(format!("`{name}`"));
        }
        Error::all(errors).map(|()| sum)
    }

    fn for_target(&self, triple: &str) -> Layer {
        match self.target.get(triple) {
            Some(target) => target.clone().over(self.all.clone(), Lists::Extend),
            None => self.all.clone(),
        }
    }
}

impl BuildKeys {
    /// The package's keys over the workspace's.
    pub(crate) fn over(self, far: Self) -> Self {
        self.merge(far, Lists::Replace)
    }
}

impl Layer {
    /// Merges this package's layer with another one's: outputs are concatenated like other lists.
    fn beside(self, other: Self) -> Self {
        let named = self.output.named.clone().after(other.output.named.clone());
        let mut both = self.over(other, Lists::Extend);
        both.output.named = named;
        both
    }

    /// The keys with different values, except those that the command line sets.
    fn clashes(&self, other: &Self, typed: &Self) -> Vec<&'static str> {
        let mut keys = self.content.clashes(&other.content, &typed.content);
        keys.extend(self.output.clashes(&other.output, &typed.output));
        keys.extend(self.image.clashes(&other.image, &typed.image));
        keys.extend(self.process.clashes(&other.process, &typed.process));
        keys
    }

    fn over(self, far: Self, lists: Lists) -> Self {
        Self {
            content: self.content.merge(far.content, lists),
            output: self.output.merge(far.output, lists),
            image: self.image.merge(far.image, lists),
            process: self.process.merge(far.process, lists),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::options::Options;

    fn layers(table: &Value, manifest: &str, name: &'static str) -> Layers {
        read(table, &Manifest { path: manifest.into(), table: name }).unwrap()
    }

    fn merged(workspace: &Value, package: &Value, line: &[&str]) -> Layer {
        let workspace = layers(workspace, "/ws/Cargo.toml", "workspace");
        let package = layers(package, "/ws/app/Cargo.toml", "package");
        let options = Options::parse_from([&["cargo-rootfs"], line].concat());
        merge(
            &workspace,
            &package,
            Layer { content: options.content, output: options.output, image: options.image, process: options.process },
            "aarch64-unknown-linux-gnu",
        )
    }

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn the_command_line_extends_lists_and_overrides_values() {
        let package = json!({"rootfs": {"with": "bash, ls", "template": "web", "env": {"A": "1", "B": "2"}}});
        let layer = merged(&Value::Null, &package, &["--with", "cat", "--template", "none", "--env", "A=3"]);
        assert_eq!(layer.content.with, words(&["bash", "ls", "cat"]));
        assert_eq!(layer.content.template.as_deref(), Some("none"));
        let env: Vec<_> = layer.process.env.unwrap().into_iter().map(|pair| (pair.name, pair.value)).collect();
        assert_eq!(env, [("A".to_owned(), "3".to_owned()), ("B".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn the_package_overrides_the_workspace_lists_included() {
        let workspace = json!({"rootfs": {"with": ["bash"], "user": "nonroot", "with-lib": ["libz.so.1"]}});
        let package = json!({"rootfs": {"with": ["ls"], "with-lib": []}});
        let layer = merged(&workspace, &package, &[]);
        assert_eq!(layer.content.with, words(&["ls"]));
        assert_eq!(layer.content.with_lib, words(&[]));
        assert_eq!(layer.process.user.as_deref(), Some("nonroot"));
    }

    #[test]
    fn a_target_table_extends_the_table_it_is_in() {
        let package = json!({"rootfs": {"with": "bash", "template": "web", "target": {
            "aarch64-unknown-linux-gnu": {"with": "ls", "template": "base", "sysroot": "arm/64"},
            "x86_64-unknown-linux-gnu": {"with": "cat"},
        }}});
        let layer = merged(&Value::Null, &package, &[]);
        assert_eq!(layer.content.with, words(&["bash", "ls"]));
        assert_eq!(layer.content.template.as_deref(), Some("base"));
        assert_eq!(layer.content.sysroot.as_deref(), Some("/ws/app/arm/64"));
    }

    #[test]
    fn any_output_on_the_command_line_replaces_all_configured_ones() {
        let package = json!({"rootfs": {"tar": "a.tar", "dir": "b", "entrypoint": ["x", "y"]}});
        let layer = merged(&Value::Null, &package, &["--docker-import", "app"]);
        assert_eq!((layer.output.named.of("tar").len(), layer.output.named.of("dir").len()), (0, 0));
        assert_eq!(layer.output.named.of("docker-import"), ["app"]);
        assert_eq!(layer.image.entrypoint, words(&["x", "y"]));

        let layer = merged(&Value::Null, &package, &["--entrypoint", "z"]);
        assert_eq!(layer.output.named.of("tar"), ["/ws/app/a.tar"]);
        assert_eq!(layer.image.entrypoint, words(&["z"]), "a command is one value");
    }

    #[test]
    fn paths_are_relative_to_the_manifest_that_holds_them() {
        let path = "lib:/opt/lib:$ORIGIN/../lib";
        let workspace = json!({"rootfs": {"include": "etc:/etc", "library-path": path, "template": "web"}});
        let package = json!({"rootfs": {"dir": "out", "docker-import": "app", "sysroot": "auto"}});
        let layer = merged(&workspace, &package, &["--include", "here:/there"]);
        let sources: Vec<_> = layer.content.include.unwrap().into_iter().map(|include| include.source).collect();
        assert_eq!(sources, ["/ws/etc", "here"]);
        assert_eq!(layer.content.library_path.unwrap(), ["/ws/lib", "/opt/lib", "$ORIGIN/../lib"]);
        assert_eq!(layer.content.template.as_deref(), Some("web"), "a built-in's name is no path");
        assert_eq!(layer.content.sysroot.as_deref(), Some("auto"), "a word is no path");
        assert_eq!(layer.output.named.of("dir"), ["/ws/app/out"]);
        assert_eq!(layer.output.named.of("docker-import"), ["app"]);
    }

    #[test]
    fn executables_are_one_choice() {
        let far = layers(
            &json!({"rootfs": {"bin": ["a", "b"], "features": "x,y", "profile": "dist"}}),
            "/Cargo.toml",
            "workspace",
        );
        let near = layers(&json!({"rootfs": {"bins": true, "features": ["z"]}}), "/Cargo.toml", "package");
        let keys = near.build.over(far.build);
        assert!(keys.selection.bins && keys.selection.bin.is_empty());
        assert_eq!(keys.features, ["z"]);
        assert_eq!(keys.profile.as_deref(), Some("dist"));
    }
    #[test]
    fn rows_of_policy_add_up() {
        let row = |name: &str| json!([{"name": name, "paths": ["/srv/x"]}]);
        let workspace = json!({"rootfs": {"noise": row("far")}});
        let package = json!({"rootfs": {"documentation": row("near"), "secret": [
            {"name": "nearer", "is": "key", "paths": ["/srv/y"]},
        ]}});
        assert_eq!(merged(&workspace, &package, &[]).content.policy.len(), 3);
        let wrong = json!({"rootfs": {"noise": [{"name": "x", "pahts": []}]}});
        let error = read(&wrong, &Manifest { path: "/Cargo.toml".into(), table: "package" }).unwrap_err();
        assert!(error.to_string().contains("unknown key `pahts` of noise `x`"), "{error}");
    }
}
