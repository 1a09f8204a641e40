//! How an image runs, as far as that is known before the rootfs is laid out.

use super::Request;
use super::select::Selection;
use crate::cli::options::{Engine, OutputArgs, Pair};
use crate::error::{Error, Result, Warning};

/// Where a shell looks for programs; what docker gives an image that says nothing.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The image's configuration, but for paths that the layout decides.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageSettings {
    pub(crate) start: Start,
    pub(crate) cmd: Vec<String>,
    /// `NAME=VALUE`
    pub(crate) env: Vec<String>,
    pub(crate) user: Option<String>,
    pub(crate) workdir: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) expose: Vec<String>,
}

/// What an image starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing of its own.
    #[default]
    Nothing,
    /// This command line, as its entrypoint.
    Given(Vec<String>),
    /// The executable of this index, as its entrypoint.
    Executable(usize),
    /// The first tool, as its command.
    FirstTool,
}

/// The settings of one target's images. Warns of what has no effect.
pub(super) fn settings(
    args: OutputArgs,
    selection: &Selection,
    has_image: bool,
    request: &Request<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<ImageSettings> {
    let (entrypoint, cmd) = (args.entrypoint.map(words).transpose()?, args.cmd.map(words).transpose()?);
    let start = match (entrypoint, selection.main) {
        (Some(entrypoint), _) => Start::Given(entrypoint),
        (None, Some(index)) => Start::Executable(index),
        (None, None) if request.build.selection.tools_only && cmd.is_none() => Start::FirstTool,
        (None, None) => Start::Nothing,
    };
    if has_image && start == Start::Nothing && cmd.is_none() && selection.executables() > 1 {
        warnings.push(
            Warning::new(
                "the image has no entrypoint: it holds several binaries, and none is the package's `default-run`",
            )
            .help("choose one with `--entrypoint PATH`, or set `default-run` in Cargo.toml"),
        );
    }
    if let Some(flag) = request.output.filter(|_| !has_image).and_then(image_flag) {
        warnings.push(Warning::new(format!("`--{flag}` has no effect: no output is an image")));
    }

    let text = |pair: Pair| format!("{}={}", pair.name, pair.value);
    let mut env: Vec<String> = args.env.unwrap_or_default().into_iter().map(text).collect();
    if !env.iter().any(|variable| variable.starts_with("PATH=")) {
        env.insert(0, format!("PATH={PATH}"));
    }
    Ok(ImageSettings {
        start,
        cmd: cmd.unwrap_or_default(),
        env,
        user: args.user,
        workdir: args.workdir.map(|folder| folder.to_string()),
        labels: args.label.unwrap_or_default().into_iter().map(|pair| (pair.name, pair.value)).collect(),
        expose: args.expose.unwrap_or_default(),
    })
}

/// The words of a command: as they are, or those of the JSON array that is the only one, as in a Dockerfile.
/// One empty word means none, as for `docker run --entrypoint ""`.
fn words(given: Vec<String>) -> Result<Vec<String>> {
    match given.as_slice() {
        [only] if only.is_empty() => Ok(Vec::new()),
        [only] if only.starts_with('[') => serde_json::from_str(only).map_err(|error| {
            Error::usage(format!("`{only}` is not a JSON array of strings, as [\"/bin/sh\", \"-c\"]"))
                .with_source(error)
        }),
        _ => Ok(given),
    }
}

/// The first flag that was typed and is for images alone.
fn image_flag(typed: &OutputArgs) -> Option<&'static str> {
    let flags = [
        ("engine", typed.engine.is_some_and(|engine| engine != Engine::default())),
        ("entrypoint", typed.entrypoint.is_some()),
        ("cmd", typed.cmd.is_some()),
        ("env", typed.env.is_some()),
        ("user", typed.user.is_some()),
        ("workdir", typed.workdir.is_some()),
        ("label", typed.label.is_some()),
        ("expose", typed.expose.is_some()),
    ];
    flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}
