//! OUTPUT: names with their placeholders filled in, and no two of them the same.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::RootfsPlan;
use crate::error::{Error, Result};
use crate::options::OutputArgs;
use crate::write::dir::Replace;
use crate::write::docker::{Engine, ImageName};

/// One place to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// A tar archive.
    Tar(Utf8PathBuf),
    /// A tar archive on standard output.
    Stdout,
    /// A folder; whether it may replace what it did not make.
    Dir(Utf8PathBuf, Replace),
    /// An image in an engine, under this name.
    Image {
        /// Which engine.
        engine: Engine,
        /// With its tag.
        name: ImageName,
    },
}

/// What the placeholders stand for.
#[derive(Debug)]
pub(super) struct Names<'n> {
    pub(super) package: Option<&'n str>,
    pub(super) version: Option<&'n str>,
    pub(super) triple: &'n str,
    pub(super) arch: &'n str,
}

/// Ends of names that ask for what a later version has.
const COMPRESSED: [&str; 8] = [".gz", ".tgz", ".zst", ".tzst", ".xz", ".txz", ".bz2", ".lz4"];

/// The outputs of one target. `target_dir` is where the default goes; without one, an output must be named.
pub(super) fn outputs(args: &OutputArgs, names: &Names<'_>, target_dir: Option<&Utf8Path>) -> Result<Vec<Output>> {
    if !args.names_any() {
        let folder = target_dir.ok_or_else(|| {
            Error::usage("nothing says where the rootfs goes, and there is no project to put it beside")
                .help("name an output: --tar PATH, --dir PATH or --docker-import NAME")
        })?;
        let file = names.fill("{package}-{triple}.tar")?;
        return Ok(vec![Output::Tar(folder.join("rootfs").join(file))]);
    }
    let replace = if args.force { Replace::Force } else { Replace::OwnOnly };
    let mut outputs = Vec::new();
    for path in args.tar.iter().flatten() {
        outputs.push(tar(&names.fill(path)?)?);
    }
    for path in args.dir.iter().flatten() {
        outputs.push(Output::Dir(names.fill(path)?.into(), replace));
    }
    for name in args.docker_import.iter().flatten() {
        // What an engine would refuse only after the build.
        let name = ImageName::parse(&names.fill(name)?)?;
        outputs.push(Output::Image { engine: args.engine.unwrap_or_default(), name });
    }
    Ok(outputs)
}

fn tar(path: &str) -> Result<Output> {
    if path == "-" {
        return Ok(Output::Stdout);
    }
    if let Some(end) = COMPRESSED.iter().find(|end| path.ends_with(*end)) {
        let plain = path.trim_end_matches(end).trim_end_matches(".tar");
        return Err(Error::usage(format!("a compressed archive, `{path}`, is not supported yet"))
            .help(format!("write `{plain}.tar`, and compress that")));
    }
    Ok(Output::Tar(path.into()))
}

impl Names<'_> {
    /// Puts values in the places of `{package}`, `{version}`, `{triple}` and `{arch}`.
    fn fill(&self, template: &str) -> Result<String> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(Error::usage(format!("the `{{` in `{template}` is not closed")));
            };
            let value = match name {
                "package" => self.package,
                "version" => self.version,
                "triple" => Some(self.triple),
                "arch" => Some(self.arch),
                _ => {
                    return Err(Error::usage(format!("`{{{name}}}` in `{template}` is not known"))
                        .help("a name may hold {package}, {version}, {triple} and {arch}"));
                }
            };
            let value = value.ok_or_else(|| {
                Error::usage(format!("`{{{name}}}` in `{template}` has no value here: no package is built"))
            })?;
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// No two outputs under one name, none in a folder that another one replaces, and one standard output.
pub(super) fn check(plans: &[RootfsPlan], current_dir: &Utf8Path, json: bool) -> Result<()> {
    let all = || plans.iter().flat_map(|plan| plan.outputs.iter().map(move |output| (plan, output)));
    if json && all().any(|(_, output)| *output == Output::Stdout) {
        return Err(Error::usage("`--tar -` and `--message-format json` both claim standard output"));
    }
    let mut errors = Vec::new();
    let mut seen: Vec<(&RootfsPlan, Utf8PathBuf)> = Vec::new();
    for (plan, output) in all() {
        let key = key(output, current_dir);
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == key) {
            errors.push(twice(output, other, plan));
            continue;
        }
        let around = seen.iter().find(|(_, known)| key.starts_with(known) || known.starts_with(&key));
        if let Some((_, other)) = around {
            errors.push(Error::usage(format!("the outputs `{key}` and `{other}` lie one in the other")));
        }
        seen.push((plan, key));
    }
    Error::all(errors)
}

/// Equal for two outputs that would overwrite each other. Only files' keys are absolute paths.
fn key(output: &Output, current_dir: &Utf8Path) -> Utf8PathBuf {
    match output {
        Output::Stdout => "-".into(),
        Output::Tar(path) | Output::Dir(path, _) => normalized(&current_dir.join(path)),
        Output::Image { engine, name } => format!("{} {name}", engine.program()).replace('/', "\\").into(),
    }
}

/// `.` and `..` by their text: which file it is, symlinks considered, is for the writers to find out.
fn normalized(path: &Utf8Path) -> Utf8PathBuf {
    let mut normalized = Utf8PathBuf::new();
    for component in path.components() {
        match component {
            Utf8Component::ParentDir => {
                normalized.pop();
            }
            Utf8Component::CurDir => {}
            component => normalized.push(component),
        }
    }
    normalized
}

fn twice(output: &Output, one: &RootfsPlan, other: &RootfsPlan) -> Error {
    let name = match output {
        Output::Stdout => "`--tar -`".to_owned(),
        Output::Tar(path) | Output::Dir(path, _) => format!("the output `{path}`"),
        Output::Image { name, .. } => format!("the image `{name}`"),
    };
    let (one, other) = (one.target.triple(), other.target.triple());
    if one == other {
        return Error::usage(format!("{name} is named twice"));
    }
    let error = Error::usage(format!("{name} is named for both {one} and {other}"));
    match output {
        Output::Stdout => error.help("write a file for each: --tar '{triple}.tar'"),
        _ => error.help("put {triple} or {arch} into the name"),
    }
}
