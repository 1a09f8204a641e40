//! The configuration of an image, as far as it is known before the layout.
//!
//! [`crate::image`] checks its syntax.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::select::{STANDARD, Selection};
use super::{Purpose, Request};
use crate::error::{Error, Result, Warning};
use crate::image::{ImageConfig, rfc3339};
use crate::layers::Layered;
use crate::layout::Assembly;
use crate::options::{ImageArgs, Layer, OutputArgs, Pair, ProcessArgs};
use crate::output::Engine;
use crate::path::RootfsPath;
use crate::settings;
use crate::target::Target;
use crate::write::compress::Compression;

/// The image's configuration, and its command: the command's path is known only after the layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImagePlan {
    pub(crate) config: ImageConfig,
    pub(crate) start: Start,
    pub(crate) layered: Layered,
    pub(crate) compression: Compression,
    /// The workspace, whose git commit is the image's revision.
    pub(crate) workspace: Option<Utf8PathBuf>,
    /// Labels and annotations that the user removed.
    dropped: Dropped,
}

/// Names given without a value.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dropped {
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

/// The command that an image starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// No command of its own.
    #[default]
    Nothing,
    /// This command line, as its entrypoint.
    Given(Vec<String>),
    /// The executable of this index, as its entrypoint.
    Executable(usize),
    /// The first tool, as its command.
    FirstTool,
}

impl ImagePlan {
    /// The configuration with the paths of the layout. `epoch` is the creation time in seconds since 1970, and
    /// `revision` the commit of the workspace.
    pub(crate) fn config(&self, assembly: &Assembly, epoch: i64, revision: Option<&str>) -> ImageConfig {
        let mut config = self.config.clone();
        config.user = config.user.map(|user| settings::numeric(&user, &assembly.rootfs));
        let created = (epoch > 0).then(|| rfc3339(epoch));
        for (name, value) in [("created", created), ("revision", revision.map(str::to_owned))] {
            let (name, Some(value)) = (format!("{STANDARD}{name}"), value) else { continue };
            if !self.dropped.labels.contains(&name) {
                config.labels.entry(name).or_insert(value);
            }
        }
        for (name, value) in config.labels.iter().filter(|(name, _)| name.starts_with(STANDARD)) {
            if !self.dropped.annotations.contains(name) {
                config.annotations.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let path = |path: Option<&RootfsPath>| path.map(ToString::to_string).into_iter().collect();
        match &self.start {
            Start::Given(entrypoint) => config.entrypoint.clone_from(entrypoint),
            Start::Executable(index) => config.entrypoint = path(assembly.executables.get(*index)),
            Start::FirstTool => config.cmd = path(assembly.tools.first()),
            Start::Nothing => {}
        }
        config.created = epoch;
        config
    }
}

/// The plan of one target's images. Warns of options without effect.
pub(super) fn image(
    layer: &Layer,
    target: &Target,
    selection: &Selection,
    has_image: bool,
    workspace: Option<&Utf8Path>,
    request: &Request<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<ImagePlan> {
    let (args, process) = (layer.image.clone(), layer.process.clone());
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
    if let Purpose::Write(output, image, process) = request.purpose {
        if let Some(flag) = image_flag(output, image, process).filter(|_| !has_image) {
            warnings.push(Warning::new(format!("`--{flag}` has no effect: no output is an image")));
        }
    }

    let mut config = ImageConfig::new(target)?;
    config.cmd = cmd.unwrap_or_default();
    config.env.extend(process.env.into_iter().flatten().map(|pair| (pair.name, pair.value)));
    if has_image {
        config.labels.extend(selection.labels.iter().cloned());
    }
    let mut dropped = Dropped::default();
    for (typed, kept, dropped) in [
        (args.label, &mut config.labels, &mut dropped.labels),
        (args.annotation, &mut config.annotations, &mut dropped.annotations),
    ] {
        for Pair { name, value } in typed.into_iter().flatten() {
            match value.as_str() {
                "" => {
                    kept.remove(&name);
                    dropped.insert(name);
                }
                _ => drop(kept.insert(name, value)),
            }
        }
    }
    config.volumes = args.volume.into_iter().flatten().map(|volume| volume.to_string()).collect();
    if let Some(signal) = &args.stop_signal {
        config.set_stop_signal(signal)?;
    }
    config.user = process.user;
    config.workdir = process.workdir.map(|folder| folder.to_string());
    let ports = args.expose.unwrap_or_default();
    Error::all(ports.iter().filter_map(|port| config.add_port(port).err()).collect())?;
    config.check()?;
    let workspace = if has_image { workspace.map(Utf8Path::to_owned) } else { None };
    Ok(ImagePlan {
        config,
        start,
        layered: args.layers.unwrap_or_default(),
        compression: args.compression.unwrap_or_default(),
        workspace,
        dropped,
    })
}

/// The words of a command: verbatim, or the elements of a JSON array if that is the only word, as in a Dockerfile. A
/// single empty word means none, as in `docker run --entrypoint ""`.
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

/// The first typed flag that applies only to images.
fn image_flag(output: &OutputArgs, typed: &ImageArgs, process: &ProcessArgs) -> Option<&'static str> {
    let flags = [
        ("engine", output.engine.is_some_and(|engine| engine != Engine::default())),
        ("entrypoint", typed.entrypoint.is_some()),
        ("cmd", typed.cmd.is_some()),
        ("env", process.env.is_some()),
        ("user", process.user.is_some()),
        ("workdir", process.workdir.is_some()),
        ("label", typed.label.is_some()),
        ("expose", typed.expose.is_some()),
        ("annotation", typed.annotation.is_some()),
        ("volume", typed.volume.is_some()),
        ("stop-signal", typed.stop_signal.is_some()),
        ("layers", typed.layers.is_some()),
        ("compression", typed.compression.is_some()),
    ];
    flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}
