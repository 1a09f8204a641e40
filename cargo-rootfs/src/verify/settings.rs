//! Checks the settings of an image: its program, user and working directory exist, and the program is for its platform.

use serde_json::Value;

use super::Verified;
use super::closures::{is_program, runs};
use crate::error::{Error, Warning};
use crate::inspect::{Found, Inspected, NodeKind, View};
use crate::path::{RootfsPath, command_paths};
use crate::resolve::{FileId, Files};

/// The maximum size of a passwd or group file.
const ACCOUNTS: usize = 1 << 20;

pub(super) fn check(image: &Inspected, view: &mut View<'_>, verified: &mut Verified) {
    let config = &image.config["config"];
    if image.platform.is_none() {
        return;
    }
    let workdir = config["WorkingDir"].as_str().filter(|workdir| !workdir.is_empty()).unwrap_or("/");
    match program(config, workdir, view) {
        Ok(None) => verified.warnings.push(Warning::new("the image names no program to start")),
        Ok(Some(path)) => {
            let fails =
                |why: String| Error::failed(format!("the program `{path}` of the image would not start: {why}"));
            verified.errors.extend(runs(view, &path).map_err(fails).err());
            verified.errors.extend(is_for_platform(image, view, &path).err());
        }
        Err(error) => verified.errors.push(error),
    }
    if let Some(user) = config["User"].as_str().filter(|user| !user.is_empty()) {
        verified.errors.extend(accounts(user, view).err());
    }
    match RootfsPath::from_bytes(workdir.as_bytes()).map(|path| view.tree.find(&path)) {
        None => verified.errors.push(Error::failed(format!("the working directory `{workdir}` is not absolute"))),
        Some(Found::Node(_, node)) if matches!(node.kind, NodeKind::Dir) => {}
        Some(Found::Absent) => {
            let message =
                format!("the working directory `{workdir}` is not in the image; engines make it, owned by root");
            verified.warnings.push(Warning::new(message));
        }
        Some(_) => verified.errors.push(Error::failed(format!("the working directory `{workdir}` is no directory"))),
    }
}

/// The path of the program that the image starts.
fn program(config: &Value, workdir: &str, view: &mut View<'_>) -> Result<Option<RootfsPath>, Error> {
    let first = |key: &str| config[key].as_array()?.first()?.as_str().map(|word| (key.to_lowercase(), word.to_owned()));
    let Some((key, word)) = first("Entrypoint").or_else(|| first("Cmd")) else { return Ok(None) };
    let failed = |why: String| Error::failed(format!("the {key} of the image cannot start: {why}"));
    if word.contains('/') {
        let base = RootfsPath::from_bytes(workdir.as_bytes()).unwrap_or_else(RootfsPath::root);
        let path = RootfsPath::from_bytes(word.as_bytes()).unwrap_or_else(|| base.join(word.as_bytes()));
        return is_program(view, &path).map(|()| Some(path)).map_err(failed);
    }
    let environment = config["Env"].as_array().map(Vec::as_slice).unwrap_or_default();
    let path = environment.iter().filter_map(Value::as_str).find_map(|line| line.strip_prefix("PATH="));
    let mut paths = command_paths(word.as_bytes(), path.map(str::as_bytes));
    let found = paths.find(|path| is_program(view, path).is_ok());
    found.map(Some).ok_or_else(|| failed(format!("`{word}` is in no directory of its PATH")))
}

/// Fails if the program is an ELF file for another architecture than the image's.
fn is_for_platform(image: &Inspected, view: &mut View<'_>, path: &RootfsPath) -> Result<(), Error> {
    let Some((_, _, content)) = view.tree.content(path) else { return Ok(()) };
    let Ok(object) = view.object(FileId::new(content.number)) else { return Ok(()) };
    let architecture = image.config["architecture"].as_str().unwrap_or_default();
    match object.machine.platform() {
        Some((own, _)) if own != architecture => {
            Err(Error::failed(format!("`{path}` is for {own}, and the image for {architecture}")))
        }
        _ => Ok(()),
    }
}

/// Fails if `USER[:GROUP]` has a name without an account in the image; numbers need no account.
fn accounts(user: &str, view: &View<'_>) -> Result<(), Error> {
    let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    for (name, file, what) in [(Some(user), "/etc/passwd", "user"), (group, "/etc/group", "group")] {
        let Some(name) = name.filter(|name| name.parse::<u32>().is_err() && !name.is_empty()) else { continue };
        let text = RootfsPath::parse(file).ok().and_then(|path| view.tree.read(&path, ACCOUNTS)).unwrap_or_default();
        let mut lines = text.split(|byte| *byte == b'\n');
        if !lines.any(|line| line.split(|byte| *byte == b':').next() == Some(name.as_bytes())) {
            return Err(Error::failed(format!("the {what} `{name}` of the image is not in its {file}")));
        }
    }
    Ok(())
}
