//! Scripts: finds their interpreters in the sysroot, and suggests the commands that they call.
//!
//! [`crate::script`] parses the first line; the worklist computes the closure of the interpreter.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::place::{IfThere, Layout};
use super::root::Root;
use super::tools;
use crate::error::{Error, Warning};
use crate::packages;
use crate::path::RootfsPath;
use crate::proof::{Claim, Start};
use crate::resolve::{FileId, Files, Find, Hwcaps};
use crate::rootfs::Origin;
use crate::script::{self, Shebang, calls, languages};
use crate::shortage::{Fault, Shortage};
use crate::sysroot::{End, Sysroot};
use crate::target::Machine;

/// A script and its interpreter.
#[derive(Debug, Clone)]
pub struct Script {
    /// The requested name.
    pub name: String,
    /// The requested path.
    pub path: RootfsPath,
    /// The path without symlinks.
    pub realpath: RootfsPath,
    /// The interpreter that its first line names.
    pub interpreter: RootfsPath,
    /// The program that the interpreter hands the script over to: env(1) does, and a shell for Tcl.
    pub program: Option<RootfsPath>,
    /// The commands of the sysroot that it seems to call; empty if no shell runs it.
    pub calls: Vec<Arc<str>>,
    /// The files that it sources.
    pub sources: Vec<RootfsPath>,
    /// The commands that replace it by `exec`.
    pub execs: Vec<Arc<str>>,
    /// True without a first line: shells and execvp(3) run it by /bin/sh, and the kernel does not.
    pub is_bare: bool,
    /// The files themselves: the script, its interpreter, the program.
    files: Vec<FileId>,
}

/// Finds the interpreter of the file at `root`, which is no ELF file; fails if no program can run it.
pub(super) fn follow(view: &mut Sysroot, root: &Root, machine: Machine) -> Result<(Script, Vec<Root>), Fault> {
    let Find::File { file, realpath } = view.find(&root.path) else {
        return Err(Error::failed(format!("{} cannot be packed", root.what())).into());
    };
    let script = Reading { view, machine, root }.read(file, realpath, 1)?;
    let brings = [Some(&script.interpreter), script.program.as_ref()].into_iter().flatten();
    let origin = Origin::InterpreterOf(script.realpath.clone());
    let roots = brings.map(|path| {
        let realpath = view.walk(path).path;
        let is_own = root.is_project && view.is_outside(&realpath);
        let brought = Root::new(path.to_string(), origin.clone(), path.clone());
        Root { is_project: is_own, is_optional: root.is_optional, ..brought }
    });
    let roots = roots.collect();
    Ok((script, roots))
}

/// The maximum number of sourced files of one script.
const MOST_PARTS: usize = 32;

/// Directories of installed files: configuration and state that a script reads belong to the machine.
const INSTALLED: [&[u8]; 3] = [b"/usr/", b"/lib/", b"/opt/"];

struct Reading<'r> {
    view: &'r mut Sysroot,
    machine: Machine,
    root: &'r Root,
}

impl Reading<'_> {
    /// Reads a script, and the scripts that are its interpreters, up to a fixed depth.
    fn read(&mut self, file: FileId, realpath: RootfsPath, depth: usize) -> Result<Script, Fault> {
        let head = self.view.head(file, script::HEAD as u64);
        // A file outside of the sysroot is named by its path on the host.
        let source = match self.view.is_outside(&realpath) {
            true => self.view.info(file).host.path.display().to_string(),
            false => realpath.to_string(),
        };
        let what = self.root.what();
        let first = script::read(&head);
        let is_bare = first.is_none() && depth == 1 && self.root.is_tool && self.is_program_text(file, &head);
        // execvp(3) and shells give it to /bin/sh.
        let bare = || Ok(Shebang { interpreter: b"/bin/sh"[..].into(), argument: None });
        let Some(first) = first.or_else(|| is_bare.then(bare)) else {
            return Err(Error::failed(format!("{what} cannot be packed"))
                .detail(format!("{source}: it is neither an ELF file nor a script"))
                .into());
        };
        let say = |why: String| {
            Error::failed(format!("{what} cannot be run"))
                .detail(format!("{source} begins with {}", script::line(&head)))
                .detail(why)
        };
        let Shebang { interpreter, argument } = first.map_err(|bad| {
            let error = say(bad.to_string());
            match bad {
                script::Bad::CarriageReturn => error.help(format!("convert its line ends: sed -i 's/\\r$//' {source}")),
                _ => error,
            }
        })?;
        let Some(interpreter) = RootfsPath::from_bytes(&interpreter) else {
            return Err(say(script::Bad::Relative.to_string()).into());
        };
        let runs = self.program(&interpreter, &say, depth)?;
        let mut read = Script {
            name: self.root.name.clone(),
            path: self.root.path.clone(),
            realpath,
            interpreter: interpreter.clone(),
            program: None,
            calls: Vec::new(),
            execs: Vec::new(),
            sources: Vec::new(),
            is_bare,
            files: vec![file, runs],
        };
        let mut shell = interpreter.file_name().to_vec();
        if shell == b"env" {
            let program = script::program_of_env(argument.as_deref()).map_err(&say)?;
            let path = self.named(&program, &say)?;
            let file = self.program(&path, &say, depth)?;
            shell = path.file_name().to_vec();
            read.files.push(file);
            read.program = Some(path);
        }
        if calls::is_shell(&shell) {
            let head = self.view.head(file, script::HEAD as u64);
            let tcl = languages::tcl_behind_shell(&head).and_then(|name| tools::find(self.view, name));
            if let Some(path) = tcl {
                // The kernel starts the shell, which is what the proof looks at.
                shell = path.file_name().to_vec();
                self.program(&path, &say, depth)?;
                read.program = Some(path);
            }
        }
        if calls::is_shell(&shell) {
            let text = self.view.head(file, calls::MAX_LENGTH as u64);
            let calls::Calls { mut all, execs, ends, sourced } = calls::commands_of(read.path.file_name(), &text);
            read.sources = self.parts(&read.realpath, ends, sourced, &mut all);
            (read.calls, read.execs) = (self.there(all), self.there(execs));
        } else if languages::is_known(&shell) && (self.root.is_tool || !self.root.is_optional) {
            let text = self.view.head(file, calls::MAX_LENGTH as u64);
            let called = if languages::is_tcl(&shell) { languages::commands_of_tcl } else { languages::commands };
            read.calls = self.there(called(&text));
        }
        Ok(read)
    }

    /// Returns whether a file that begins with `head` is an executable text.
    fn is_program_text(&mut self, file: FileId, head: &[u8]) -> bool {
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
        !head.is_empty() && head.iter().all(is_text) && self.view.info(file).mode & 0o111 != 0
    }

    /// Finds the program that env would start.
    fn named(&mut self, program: &script::Program, say: &dyn Fn(String) -> Error) -> Result<RootfsPath, Fault> {
        let text = String::from_utf8_lossy(&program.name).into_owned();
        if program.name.contains(&b'/') {
            let bad = || say(format!("`{text}` is no absolute path, and would be looked for in the current directory"));
            return Ok(RootfsPath::from_bytes(&program.name).ok_or_else(bad)?);
        }
        let found = tools::find_in(self.view, &program.name, program.path.as_deref());
        found.ok_or_else(|| self.with_package(say(format!("`{text}` is not in the PATH of the sysroot")), &text))
    }

    fn with_package(&self, error: Error, tool: &str) -> Fault {
        let package = packages::of_tool(tool, self.machine);
        let error = error.help_if(package.map(|package| format!("install {package} in the sysroot")));
        Fault::short(error, Shortage::Tool(tool.to_owned()))
    }

    /// The file at `path`, which is to be the interpreter.
    fn program(&mut self, path: &RootfsPath, say: &dyn Fn(String) -> Error, depth: usize) -> Result<FileId, Fault> {
        let walk = self.view.walk(path);
        let file = match walk.end {
            End::File(file) => file,
            End::Absent | End::NotDir => {
                let name = String::from_utf8_lossy(path.file_name()).into_owned();
                return Err(self.with_package(say(format!("`{path}` is not in the sysroot")), &name));
            }
            End::Dir(_) => return Err(say(format!("`{path}` is a directory")).into()),
            End::Special(word) => return Err(say(format!("`{path}` is a {word}")).into()),
            End::Loop => return Err(say(format!("`{path}` leads through too many symbolic links")).into()),
            End::Failed(error) => return Err(say(format!("`{path}` cannot be read: {error}")).into()),
        };
        if self.view.info(file).mode & 0o111 == 0 && !self.view.is_outside(&walk.path) {
            return Err(say(format!("`{path}` is not executable")).into());
        }
        match self.view.object(file) {
            Ok(object) if object.machine != self.machine => {
                Err(say(format!("`{path}` is for {}, not for {}", object.machine, self.machine)).into())
            }
            Ok(_) => Ok(file),
            Err(_) if depth == script::MAX_SCRIPTS => {
                Err(say(format!("`{path}` is a script again, the sixth in a row; Linux runs five")).into())
            }
            // The interpreter is itself a script, and needs an interpreter.
            Err(_) => self.read(file, walk.path, depth + 1).map(|_| file),
        }
    }

    /// The commands that the sysroot has.
    fn there(&mut self, names: BTreeSet<String>) -> Vec<Arc<str>> {
        names.into_iter().filter(|name| tools::find(self.view, name).is_some()).map(Arc::from).collect()
    }

    /// The files that a shell script sources: `sourced` by absolute paths, and `ends` of paths relative to the script.
    /// Their commands, and the programs among them, are added to `all`.
    fn parts(
        &mut self,
        script: &RootfsPath,
        ends: BTreeSet<String>,
        sourced: BTreeSet<String>,
        all: &mut BTreeSet<String>,
    ) -> Vec<RootfsPath> {
        let beside = script.parent().unwrap_or_else(RootfsPath::root);
        let named = |ends: BTreeSet<String>, sourced: BTreeSet<String>| -> Vec<RootfsPath> {
            let ends = ends.iter().map(|end| beside.join(end.as_bytes()).normalized());
            ends.chain(sourced.iter().filter_map(|path| RootfsPath::parse(path).ok())).collect()
        };
        let (mut left, mut parts) = (named(ends, sourced), Vec::new());
        while let Some(path) = left.pop() {
            let walk = self.view.walk(&path);
            let End::File(file) = walk.end else { continue };
            let is_own = self.view.is_outside(&walk.path);
            if walk.path == *script || parts.contains(&path) || parts.len() == MOST_PARTS {
                continue;
            }
            let head = self.view.head(file, 2);
            if tools::is_executable(self.view, &path) && (head == b"#!" || head == b"\x7fE") {
                all.insert(path.to_string());
            } else if is_own || INSTALLED.iter().any(|directory| walk.path.as_bytes().starts_with(directory)) {
                let text = self.view.head(file, calls::MAX_LENGTH as u64);
                let calls::Calls { all: called, ends, sourced, .. } = calls::commands(&text);
                all.extend(called);
                left.extend(named(ends, sourced));
                parts.push(path);
            }
        }
        parts
    }
}

/// The claims for the scripts' interpreters, which the proof must find in the rootfs.
pub(super) fn claims(layout: &Layout<'_>, scripts: &[Script], machine: Machine) -> Vec<Claim> {
    let claim = |script: &Script| Claim {
        names: vec![script.path.clone()],
        start: Start::Script(script.path.clone()),
        machine,
        hwcaps: Hwcaps::BASELINE,
        mapped: script.files.iter().map(|file| layout.view.inode(*file)).collect(),
        opened: Vec::new(),
        paths: Vec::new(),
        searched: Vec::new(),
    };
    scripts.iter().filter(|script| !script.is_bare).map(claim).collect()
}

/// Warns of scripts without a first line.
pub(super) fn bare(scripts: &[Script]) -> impl Iterator<Item = Warning> {
    scripts.iter().filter(|script| script.is_bare).map(|script| {
        Warning::new(format!("`{}` has no first line `#!`: a shell runs it, and the kernel does not", script.realpath))
            .help(format!("start it by a shell: sh {}", script.path))
    })
}

/// Puts the files that scripts source.
pub(super) fn lay_out(layout: &mut Layout<'_>, scripts: &[Script]) -> Result<(), Error> {
    for script in scripts {
        let origin = Origin::NeededBy(script.realpath.clone());
        script.sources.iter().try_for_each(|path| layout.copy(path, &origin, IfThere::Keep))?;
    }
    Ok(())
}
