//! Parses one manifest's table, key by key.
//!
//! All errors are reported together. It checks types, and does not interpret values.

use std::sync::LazyLock;

use camino::Utf8PathBuf;
use serde_json::{Map, Value};

use super::values::type_name;
use super::{BuildKeys, ContentArgs, ImageArgs, Layer, Layers, OutputArgs, ProcessArgs};
use crate::error::{Error, Result};
use crate::options::args::EnterArgs;
use crate::options::build::{CompilationArgs, SelectionArgs};
use crate::options::reserved;
use crate::options::terminal::TerminalArgs;
use crate::output::KINDS;
use crate::policy::{self, Kind, Row};
use crate::rows::Problem;
use crate::runtime::{self, Rule};
use crate::target::Target;
use crate::wording::near_or_all;

fn keys() -> Vec<&'static str> {
    let outputs = KINDS.iter().map(|kind| kind.flag).collect();
    [
        BuildKeys::keys(),
        ContentArgs::keys(),
        outputs,
        OutputArgs::keys(),
        ImageArgs::keys(),
        ProcessArgs::keys(),
        vec!["target"],
    ]
    .concat()
}

/// Options that only the command line has, each with the reason.
static COMMAND_LINE_ONLY: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let others = [
        BuildKeys::flags(),
        SelectionArgs::flags(),
        CompilationArgs::flags(),
        TerminalArgs::flags(),
        EnterArgs::flags(),
    ]
    .concat();
    [
        ContentArgs::flags(),
        OutputArgs::flags(),
        ImageArgs::flags(),
        ProcessArgs::flags(),
        others,
        OF_WORKSPACES.to_vec(),
    ]
    .concat()
});

/// The same for options that clap-cargo declares.
const OF_WORKSPACES: [(&str, &str); 3] = [
    ("package", "set `default-members` in the workspace"),
    ("workspace", "set `default-members` in the workspace"),
    ("exclude", "set `default-members` in the workspace"),
];

/// The place of a table: its file, and `package` or `workspace`.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) path: Utf8PathBuf,
    pub(crate) table: &'static str,
}

/// Reads the `rootfs` table of `metadata`, the whole metadata of a package or workspace.
pub(crate) fn read(metadata: &Value, manifest: &Manifest) -> Result<Layers> {
    let mut layers = Layers::default();
    let mut reader = Reader { manifest, at: format!("{}.metadata.rootfs", manifest.table), errors: Vec::new() };
    match metadata.get("rootfs") {
        None => {}
        Some(Value::Object(table)) => reader.table(table, &mut layers),
        Some(Value::Array(_)) => reader.errors.push(other_cargo_rootfs(&reader)),
        Some(other) => reader.errors.push(Error::usage(format!(
            "`{}` in `{}` is {}, not a table",
            reader.at,
            manifest.path,
            type_name(other)
        ))),
    }
    Error::all(reader.errors).map(|()| layers)
}

/// The error for a table of another cargo-rootfs: crates.io has an unrelated version 0.2.2, whose configuration is
/// `[[package.metadata.rootfs]]`.
fn other_cargo_rootfs(reader: &Reader<'_>) -> Error {
    Error::usage(format!("`[[{}]]` in `{}` is an array of tables, not a table", reader.at, reader.manifest.path))
        .detail(
            "it was written for another program of this name, cargo-rootfs 0.2.2 on crates.io, and means nothing here",
        )
        .help(format!("move it away, and write what this one is to do into a table, `[{}]`", reader.at))
}

/// One table of a manifest while it is read.
pub(in crate::options) struct Reader<'m> {
    pub(super) manifest: &'m Manifest,
    pub(super) at: String,
    errors: Vec<Error>,
}

impl Reader<'_> {
    fn table(&mut self, table: &Map<String, Value>, layers: &mut Layers) {
        for (key, value) in table {
            let read = match key.as_str() {
                "target" => self.targets(value, layers),
                _ => layers.build.read(self, key, value).unwrap_or_else(|| self.key(key, value, &mut layers.all)),
            };
            self.errors.extend(read.err());
        }
    }

    fn targets(&mut self, value: &Value, layers: &mut Layers) -> Result<()> {
        let Value::Object(tables) = value else {
            return Err(self
                .wrong_type("target", value, "a table for each triple")
                .help("set `build.target` in .cargo/config.toml to choose what to build for"));
        };
        for (triple, table) in tables {
            let at = format!("{}.target.{triple}", self.at);
            let Value::Object(table) = table else {
                self.errors.push(self.wrong_type(&format!("target.{triple}"), table, "a table"));
                continue;
            };
            let mut below = Reader { manifest: self.manifest, at, errors: Vec::new() };
            if let Err(error) = Target::parse(triple) {
                below.errors.push(below.wrong_value(error));
            }
            let mut layer = Layer::default();
            for (key, value) in table {
                let read = match BuildKeys::default().read(&below, key, value) {
                    Some(_) => Err(Error::usage(format!(
                        "`{}.{key}` in `{}` cannot depend on the target: one build serves all",
                        below.at, below.manifest.path
                    ))
                    .help(format!("move it to `[{}]`", self.at))),
                    None => below.key(key, value, &mut layer),
                };
                below.errors.extend(read.err());
            }
            self.errors.append(&mut below.errors);
            layers.target.insert(triple.clone(), layer);
        }
        Ok(())
    }

    fn key(&self, key: &str, value: &Value, layer: &mut Layer) -> Result<()> {
        let Layer { content, output, image, process } = layer;
        let read = content.read(self, key, value);
        let read = read
            .or_else(|| output.read(self, key, value))
            .or_else(|| image.read(self, key, value))
            .or_else(|| process.read(self, key, value));
        read.unwrap_or_else(|| {
            let kind = KINDS.iter().copied().find(|kind| kind.flag == key).ok_or_else(|| self.unknown(key))?;
            let placed = |name: String| if (kind.is_path)(&name) { self.joined(name).into() } else { name };
            output.named.set(kind, self.lines(key, value)?.into_iter().map(placed).collect());
            Ok(())
        })
    }

    /// The rules of a table.
    pub(in crate::options) fn rules(&self, _key: &str, value: &Value) -> Result<Vec<Rule>> {
        self.rows(runtime::from_json(value))
    }

    /// The rows of policy of a table.
    pub(in crate::options) fn policy(&self, key: &str, value: &Value) -> Result<Vec<Row>> {
        let kind = match key {
            "secret" => Kind::Secret,
            "documentation" => Kind::Documentation,
            _ => Kind::Noise,
        };
        self.rows(policy::from_json(kind, value))
    }

    fn rows<T>(&self, read: std::result::Result<Vec<T>, Vec<Problem>>) -> Result<Vec<T>> {
        let problem = |problem: Problem| {
            let error = Error::usage(format!("{}, in `{}` of `{}`", problem.message, self.at, self.manifest.path));
            error.help_if(problem.help)
        };
        match read {
            Ok(rows) => Ok(rows),
            Err(problems) => Error::all(problems.into_iter().map(problem).collect()).map(|()| Vec::new()),
        }
    }

    fn unknown(&self, key: &str) -> Error {
        let (at, path) = (&self.at, &self.manifest.path);
        if reserved::is_flag(key) {
            return Error::usage(format!("`{at}.{key}` in `{path}` is not supported yet"));
        }
        if let Some((_, why)) = COMMAND_LINE_ONLY.iter().find(|(name, _)| *name == key) {
            return Error::usage(format!("`{at}.{key}` in `{path}` is for the command line alone: {why}"));
        }
        let help = near_or_all(key, &keys(), "the keys are");
        Error::usage(format!("`{at}.{key}` in `{path}` is not a key of cargo rootfs")).help(help)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use serde_json::json;

    use super::*;
    use crate::options::Options;

    fn error(table: &Value) -> Error {
        let manifest = Manifest { path: "/ws/Cargo.toml".into(), table: "package" };
        read(&json!({ "rootfs": table }), &manifest).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_named_by_key_and_file() {
        for (table, message) in [
            (
                json!({"wiht": "bash"}),
                "`package.metadata.rootfs.wiht` in `/ws/Cargo.toml` is not a key of cargo rootfs\n  help: did you mean `with`?",
            ),
            (
                json!({"with": 3}),
                "`package.metadata.rootfs.with` in `/ws/Cargo.toml` is a number, and must be a string or a list of strings",
            ),
            (
                json!({"with": ["a", 3]}),
                "`package.metadata.rootfs.with` in `/ws/Cargo.toml` is a list, and must be a string or a list of strings",
            ),
            (
                json!({"bins": "yes"}),
                "`package.metadata.rootfs.bins` in `/ws/Cargo.toml` is a string, and must be true or false",
            ),
            (
                json!({"env": {"A": 1}}),
                "`package.metadata.rootfs.env.A` in `/ws/Cargo.toml` is a number, and must be a string",
            ),
            (
                json!({"include": "a"}),
                "`package.metadata.rootfs.include` in `/ws/Cargo.toml`: `a` is not SRC:DST[:MODE[:UID:GID]]",
            ),
            (
                json!({"engine": "lxc"}),
                "`package.metadata.rootfs.engine` in `/ws/Cargo.toml`: `lxc` is not an engine: docker or podman",
            ),
            (
                json!({"dlopen": "none"}),
                "`package.metadata.rootfs.dlopen` in `/ws/Cargo.toml`: `none` is not a priority: required, recommended or suggested",
            ),
            (
                json!({"hwcaps": "x86-64-v3"}),
                "`package.metadata.rootfs.hwcaps` in `/ws/Cargo.toml`: `x86-64-v3` is neither `none` nor `all`",
            ),
            (json!({"cpio": "x"}), "`package.metadata.rootfs.cpio` in `/ws/Cargo.toml` is not supported yet"),
            (
                json!({"force": true}),
                "`package.metadata.rootfs.force` in `/ws/Cargo.toml` is for the command line alone: what may be replaced is decided at each run",
            ),
            (
                json!({"target": {"aarch64-unknown-linux-gnu": {"profile": "dev"}}}),
                "`package.metadata.rootfs.target.aarch64-unknown-linux-gnu.profile` in `/ws/Cargo.toml` cannot depend on the target: one build serves all\n  help: move it to `[package.metadata.rootfs]`",
            ),
            (
                json!({"target": {"arm64": {}}}),
                "`package.metadata.rootfs.target.arm64` in `/ws/Cargo.toml`: target `arm64` is not one that a rootfs can be made for\n  it does not name Linux",
            ),
            (json!("web"), "`package.metadata.rootfs` in `/ws/Cargo.toml` is a string, not a table"),
            (json!({"user": ""}), "`package.metadata.rootfs.user` in `/ws/Cargo.toml` is empty"),
        ] {
            let error = error(&table);
            assert_eq!((error.to_string().as_str(), error.exit_code()), (message, 2), "{table}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        assert_eq!(error(&json!({"with": 1, "tar": 2, "nonsense-key": 3})).each().count(), 3);
    }

    #[test]
    fn the_array_of_tables_of_another_program_is_explained() {
        let error = error(&json!([{"name": "x"}])).to_string();
        assert!(error.contains("cargo-rootfs 0.2.2 on crates.io"), "{error}");
    }

    #[test]
    fn every_flag_is_a_key_or_is_said_not_to_be_one() {
        let for_cargo = ["manifest-path", "config", "all", "help", "version"];
        for argument in Options::command().get_arguments() {
            let Some(long) = argument.get_long() else { continue };
            let told = COMMAND_LINE_ONLY.iter().any(|(name, _)| *name == long);
            assert!(keys().contains(&long) ^ (told || for_cargo.contains(&long)), "--{long}");
        }
    }
}
