//! `--with`: tools by the names that users type.

use super::root::Root;
use crate::elf::ReadError;
use crate::error::Error;
use crate::packages;
use crate::path::{RootfsPath, command_paths, program_directories};
use crate::resolve::BadObject;
use crate::rootfs::Origin;
use crate::shortage::{Fault, Shortage};
use crate::sysroot::{End, Sysroot};
use crate::target::Target;
use crate::wording::{did_you_mean, nearest};

/// Looks up every tool; errors are added to `faults`. Returns the path of each in the image.
pub(super) fn roots(
    view: &mut Sysroot,
    tools: &[String],
    target: &Target,
    roots: &mut Vec<Root>,
    faults: &mut Vec<Fault>,
) -> Vec<RootfsPath> {
    let mut found = Vec::new();
    for tool in tools {
        match look_up(view, tool, target) {
            Ok(path) => {
                if !found.contains(&path) {
                    roots.push(Root::tool(tool, Origin::Tool(tool.clone()), path.clone()));
                    found.push(path);
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    found
}

/// Fails for a name that no tool can have.
pub(crate) fn check_name(tool: &str) -> Result<(), Error> {
    if tool.is_empty() {
        return Err(Error::usage("--with was given an empty name"));
    }
    if tool.contains('/') && !tool.starts_with('/') {
        return Err(Error::usage(format!("tool `{tool}` is neither a name nor an absolute path"))
            .help("take a file of the project by --include, a prebuilt executable by --binary"));
    }
    Ok(())
}

fn look_up(view: &mut Sysroot, tool: &str, target: &Target) -> Result<RootfsPath, Fault> {
    check_name(tool)?;
    let path = if tool.starts_with('/') {
        let path = RootfsPath::parse(tool)?;
        match view.walk(&path).end {
            End::File(_) => path,
            End::Absent if view.is_hidden(&path) => {
                return Err(Error::failed(format!("tool `{tool}` lies in the project's own build tree"))
                    .help(format!("take it as a file: --include {tool}:/usr/local/bin/NAME"))
                    .into());
            }
            End::Absent | End::NotDir => return Err(unknown(view, tool, target)),
            End::Dir(_) => return Err(Error::failed(format!("tool `{tool}` is a directory")).into()),
            End::Special(word) => return Err(Error::failed(format!("tool `{tool}` is a {word}")).into()),
            End::Loop => {
                return Err(Error::failed(format!("tool `{tool}` leads through too many symbolic links")).into());
            }
            End::Failed(error) => {
                return Err(Error::failed(format!("cannot read tool `{tool}`")).detail(error.to_string()).into());
            }
        }
    } else {
        find(view, tool)
            .ok_or_else(|| not_executable(view, tool).map_or_else(|| unknown(view, tool, target), Fault::from))?
    };
    Ok(path)
}

/// Looks up a command by its name in the default PATH, or by its absolute path.
pub(crate) fn find(view: &mut Sysroot, command: &str) -> Option<RootfsPath> {
    find_in(view, command.as_bytes(), None)
}

/// Looks up a command by its name in `path`, or by its absolute path.
pub(super) fn find_in(view: &mut Sysroot, command: &[u8], path: Option<&[u8]>) -> Option<RootfsPath> {
    command_paths(command, path).find(|path| is_executable(view, path))
}

/// Returns whether a path leads to an executable file.
pub(super) fn is_executable(view: &mut Sysroot, path: &RootfsPath) -> bool {
    let End::File(file) = view.walk(path).end else { return false };
    view.info(file).mode & 0o111 != 0
}

/// The error for a name that exists but is no executable file.
fn not_executable(view: &mut Sysroot, tool: &str) -> Option<Error> {
    let (path, why) = command_paths(tool.as_bytes(), None).find_map(|path| {
        let why = match view.walk(&path).end {
            End::Absent | End::NotDir => return None,
            End::File(_) => "it is not executable".to_owned(),
            End::Dir(_) => "it is a directory".to_owned(),
            End::Special(word) => format!("it is a {word}"),
            End::Loop => "it leads through too many symbolic links".to_owned(),
            End::Failed(error) => error.to_string(),
        };
        Some((path, why))
    })?;
    Some(Error::failed(format!("tool `{tool}` cannot be packed")).detail(format!("{path}: {why}")))
}

/// The error for an unknown tool, with the package that contains it, if dpkg knows one, or else the most similar tool.
fn unknown(view: &mut Sysroot, tool: &str, target: &Target) -> Fault {
    let name = tool.rsplit('/').next().unwrap_or(tool);
    let root = view.root().display().to_string();
    let mut error = Error::failed(format!("tool `{tool}` not found in the sysroot `{root}`"));
    let dangling = command_paths(tool.as_bytes(), None).find_map(|path| dangling(view, &path));
    let is_spelt_right = dangling.is_some();
    if let Some(dangling) = dangling {
        error = error.detail(dangling);
    }
    let elsewhere = packages::elsewhere(view.root(), name).filter(|_| name == tool);
    let is_there = |path: &String| RootfsPath::parse(path).is_ok_and(|path| is_executable(view, &path));
    if let Some(path) = elsewhere.filter(is_there) {
        error = error.help(format!("it is in no PATH: --with {path}"));
    } else if let Some(package) = packages::of_tool(name, target.machine())
        .or_else(|| packages::of_tool_in_debian(view.root(), name, target.machine()))
    {
        error = error.help(packages::remedy(view.root(), Some(&package)));
    } else if !is_spelt_right {
        let others = program_directories().flat_map(|folder| view.names(&folder));
        let others: Vec<_> = others.filter_map(|other| String::from_utf8(other.into_vec()).ok()).collect();
        error = error.help_if(nearest(name, others.iter().map(String::as_str)).map(did_you_mean));
    }
    Fault::short(error, Shortage::Tool(tool.to_owned()))
}

/// The text about a dangling symlink.
fn dangling(view: &mut Sysroot, path: &RootfsPath) -> Option<String> {
    let walk = view.walk(path);
    // The symlinks of a merged /usr do not count.
    let is_link = walk.links.iter().any(|(link, _)| link.file_name() == path.file_name());
    let leads_nowhere = is_link && matches!(walk.end, End::Absent | End::NotDir);
    leads_nowhere.then(|| format!("{path} is a link that leads to {}, which is not there", walk.path))
}

impl From<ReadError> for BadObject {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Malformed(malformed) => Self::Malformed(malformed),
            ReadError::Io(error) => Self::Unreadable(error.to_string()),
        }
    }
}
