//! `trace`: runs a command with the whole sysroot, and turns the used files that the rootfs lacks into configuration.
//!
//! [`crate::watch`] watches the command. Used tools and libraries are packed, one by one, so that files of their
//! closures and rules are not listed.

mod metadata;
mod used;
mod worth;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::enter::{
    self, Access, Bind, Command, Entered, Files, Network, Outcome, Outputs, Program, Stdin, Visit, Watching,
};
use crate::error::{Error, Result, Warning};
use crate::events::Events;
use crate::host_files;
use crate::path::RootfsPath;
use crate::pipeline::{Epoch, Rooted};
use crate::sysroot::Sysroot;
use crate::wording::shell_word;

use used::Own;
use worth::Worth;

/// A command, and the rootfs with which its used files are compared.
pub(crate) struct Trace<'t> {
    /// The command; if empty, the project's only executable.
    pub(crate) words: &'t [OsString],
    pub(crate) rooted: &'t Rooted,
}

/// The result of a command, and the files to pack for it.
pub(crate) struct Traced {
    /// The exit code of the command.
    pub(crate) code: i32,
    /// Values for `with`.
    pub(crate) with: Vec<String>,
    /// Values for `with-lib`.
    pub(crate) with_lib: Vec<String>,
    /// Files, each with the program to which it belongs.
    pub(crate) rules: Vec<Rule>,
    /// TOML for Cargo.toml; empty if nothing is to be packed.
    pub(crate) metadata: String,
}

/// Files of one program.
pub(crate) struct Rule {
    name: String,
    program: String,
    /// The program's path in the image; `None` if the image has no program for them.
    pub(crate) when: Option<String>,
    pub(crate) take: Vec<String>,
    /// Symlinks that the program read, with their targets.
    pub(crate) links: Vec<(String, String)>,
    /// Directories that the program listed, and of which no file is packed.
    pub(crate) folders: Vec<String>,
}

impl Traced {
    /// Reports the number of files to pack. A status other than 0 becomes an error with that exit code.
    pub(crate) fn end(&self, events: &dyn Events) -> Result<()> {
        let files = self.rules.iter().map(|rule| rule.take.len() + rule.links.len() + rule.folders.len());
        match self.with.len() + self.with_lib.len() + files.sum::<usize>() {
            0 => events.status("Finished", &"the rootfs has all that it used"),
            count => events.status("Finished", &format_args!("{count} to be packed, as metadata for Cargo.toml")),
        }
        if self.code == 0 { Ok(()) } else { Err(Error::command(self.code, "")) }
    }
}

impl Trace<'_> {
    /// Runs the command to its end.
    pub(crate) fn run(&self, events: &dyn Events) -> Result<Traced> {
        let mut sysroot = Sysroot::open(self.rooted.sysroot().as_std_path())?;
        let root = sysroot.root().to_owned();
        let (entered, command) = if root == Path::new("/") { self.here()? } else { self.inside(&root, events)? };
        let word = command.words[0].clone();
        let words: Vec<_> = command.words.iter().map(|word| shell_word(&word.to_string_lossy())).collect();
        events.status("Tracing", &format_args!("`{}`", words.join(" ")));
        let how = Watching { stdin: Stdin::Own, output: None, limit: None };
        let mut left = |count: usize| {
            let processes = if count == 1 { "process" } else { "processes" };
            events.status("Waiting", &format_args!("for {count} remaining {processes}; Ctrl-C stops waiting"));
        };
        let watched = entered.watch(command, how, &mut left)?;
        watched.seen.notes.iter().for_each(|note| events.warning(&Warning::new(note.clone())));

        let mut worth = Worth::new(self.rooted);
        worth.find(&watched.seen.events, &self.own(&root), &mut sysroot)?;
        worth.warnings.iter().for_each(|warning| events.warning(warning));
        let code = match watched.outcome {
            Outcome::Ended(ended) => ended.code(),
            Outcome::NotStarted(error) => return Err(enter::not_started(&word, error)),
        };
        let metadata = worth.metadata(&root);
        let Worth { with, with_lib, rules, .. } = worth;
        Ok(Traced { code, with, with_lib, rules, metadata })
    }

    /// Prepares a run on the host: in this directory, with this environment.
    fn here(&self) -> Result<(Entered, Command)> {
        let mut words = self.command(|index| self.rooted.artifacts.executables[index].path.as_os_str().to_owned())?;
        if let Some(path) = self.project_part(&words[0]) {
            words[0] = self.rooted.artifacts.executables[path].path.as_os_str().to_owned();
        }
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        if !self.rooted.artifacts.library_dirs.is_empty() {
            // `cargo run` sets this variable too.
            let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let dirs = self.rooted.artifacts.library_dirs.iter().map(|dir| dir.clone().into_std_path_buf());
            let all = std::env::join_paths(dirs.chain(std::env::split_paths(&before)));
            let all = all.map_err(|error| Error::failed("cannot set LD_LIBRARY_PATH").with_source(error))?;
            env.retain(|(name, _)| name != "LD_LIBRARY_PATH");
            env.push(("LD_LIBRARY_PATH".into(), all));
        }
        let folder = std::env::current_dir().map_err(|error| Error::io("find", "the current directory", error))?;
        let workdir = RootfsPath::from_bytes(folder.as_os_str().as_bytes()).unwrap_or_else(RootfsPath::root);
        let entered = enter::stay(&outputs()?)?;
        Ok((entered, Command { words, env, workdir, user: None }))
    }

    /// Enters the tree at `root`, with the environment of an image.
    fn inside(&self, root: &Path, events: &dyn Events) -> Result<(Entered, Command)> {
        let in_image = |index: usize| OsString::from(self.rooted.assembly.executables[index].to_string());
        let mut words = self.command(in_image)?;
        if let Some(index) = self.project_part(&words[0]) {
            words[0] = in_image(index);
        }
        let command = enter::command(
            Program::Words(&words),
            &self.rooted.image(Epoch::default()),
            &self.rooted.assembly.rootfs,
            events,
        )?;
        let executables = self.rooted.artifacts.executables.iter().zip(&self.rooted.assembly.executables);
        let binds = executables.map(|(executable, path)| {
            let source = host_files::real(&executable.path).or_cannot("find")?;
            Ok(Bind { source, destination: path.clone(), access: Access::ReadOnly })
        });
        let visit = Visit {
            files: Files::Folder(root),
            machine: self.rooted.plan.target.machine(),
            network: Network::Host,
            binds: binds.collect::<Result<_>>()?,
            epoch: 0,
            outputs: outputs()?,
        };
        Ok((enter::enter(&visit, events)?, command))
    }

    /// The command, or the project's only executable.
    fn command(&self, executable: impl Fn(usize) -> OsString) -> Result<Vec<OsString>> {
        match (self.words, self.rooted.artifacts.executables.len()) {
            ([], 1) => Ok(vec![executable(0)]),
            ([], _) => Err(Error::usage("no program to run is chosen: there are several binaries, or none")
                .help("name it: `cargo rootfs trace ... -- CMD`")),
            (words, _) => Ok(words.to_vec()),
        }
    }

    /// The project's executable that a word names: by file name, or by path in the image.
    fn project_part(&self, word: &OsString) -> Option<usize> {
        let names = self.rooted.artifacts.executables.iter().zip(&self.rooted.assembly.executables);
        let mut names = names.map(|(executable, path)| (executable.name.as_bytes(), path.as_bytes()));
        names.position(|(name, path)| word.as_bytes() == name || word.as_bytes() == path)
    }

    /// Directories with files of the project or of the user.
    fn own(&self, root: &Path) -> Own {
        if root != Path::new("/") {
            return Own::default();
        }
        let of = |names: &[&str]| names.iter().filter_map(std::env::var_os).map(PathBuf::from).collect::<Vec<_>>();
        let trees = self.rooted.artifacts.build_tree.iter().map(|folder| folder.clone().into_std_path_buf());
        let tools =
            of(&["CARGO_HOME", "RUSTUP_HOME", "TMPDIR"]).into_iter().chain(trees).chain(std::env::current_dir());
        let homes = of(&["HOME"]);
        // Their default places, in addition to the variables.
        let usual = homes.iter().flat_map(|home| [".cargo", ".rustup"].map(|name| home.join(name))).collect::<Vec<_>>();
        let real = |folders: Vec<PathBuf>| {
            let folders = folders.into_iter().filter_map(|folder| host_files::real(&folder).ok());
            let folders = folders.filter_map(|folder| RootfsPath::from_bytes(folder.as_os_str().as_bytes()));
            // A directory `/` or `/usr` is not the project's.
            folders
                .filter(|folder| folder.components().next().is_some() && folder.as_bytes() != b"/usr")
                .collect::<Vec<RootfsPath>>()
        };
        let (home, mut project) = (real(homes), real(tools.chain(usual).collect()));
        // If the current directory is the home itself, its files belong to the user, not to a project.
        project.retain(|folder| !home.contains(folder));
        Own { project, home }
    }
}

/// Standard output is reserved for the configuration.
fn outputs() -> Result<Outputs> {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned();
    stderr.map(Outputs::To).map_err(|error| Error::failed("cannot share standard error").with_source(error))
}
