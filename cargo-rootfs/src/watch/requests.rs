//! System calls of a watched thread: the request at the start, and the event at the end.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::calls::{self, Call, Flags, Verb};
use super::registers::Registers;
use super::tracee::{read, root_of, text};
use super::tracer::{Process, Tracer};
use super::{Access, Event, Outcome};
use crate::path::RootfsPath;

/// The request of a call.
#[derive(Debug)]
pub(super) struct Asked {
    verb: Verb,
    access: Access,
    path: RootfsPath,
}

impl Tracer<'_> {
    /// The request of a call at its start.
    pub(super) fn asked(&self, task: Pid, registers: &Registers) -> Option<Asked> {
        let Call { verb, folder, path } = calls::find(registers.abi, registers.number)?;
        let arguments = &registers.arguments;
        let text = text(task, arguments[path])?;
        if text.is_empty() {
            return None;
        }
        let access = match verb {
            Verb::Open(Flags::In(argument)) => calls::opened_for(arguments[argument]),
            Verb::Open(Flags::At(argument)) => {
                let mut bytes = [0; 8];
                read(task, arguments[argument], &mut bytes).filter(|count| *count == bytes.len())?;
                calls::opened_for(u64::from_ne_bytes(bytes))
            }
            Verb::Look | Verb::Root => Access::Look,
            Verb::Follow => Access::Follow,
            Verb::Execute => Access::Execute,
        };
        let path = self.absolute(task, folder.map(|argument| arguments[argument]), &text)?;
        Some(Asked { verb, access, path })
    }

    /// `text` as a path from the root of the first process.
    pub(super) fn absolute(&self, task: Pid, folder: Option<u64>, text: &[u8]) -> Option<RootfsPath> {
        if text.starts_with(b"/") {
            let root = self.process(task).map_or(&[][..], |process| &process.root);
            return RootfsPath::from_bytes(&[root, text].concat());
        }
        // Only the lower half of the argument is the file descriptor.
        let from = match folder.map(|folder| folder as u32 as i32) {
            None | Some(libc::AT_FDCWD) => format!("/proc/{task}/cwd"),
            Some(file) => format!("/proc/{task}/fd/{file}"),
        };
        let folder = self.inside(fs::read_link(from).ok()?.as_os_str().as_bytes());
        Some(RootfsPath::from_bytes(&folder)?.join(text))
    }

    /// A path of /proc, relative to the root of the first process.
    pub(super) fn inside(&self, shown: &[u8]) -> Vec<u8> {
        let inside = shown.strip_prefix(&self.root[..]).filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
        match inside {
            Some(b"") => b"/".to_vec(),
            Some(rest) => rest.to_vec(),
            None => shown.to_vec(),
        }
    }

    pub(super) fn ended(&mut self, task: Pid, asked: Asked, result: i64) {
        let outcome = match result {
            0.. => Outcome::Found,
            _ if is(result, Errno::ENOENT) || is(result, Errno::ENOTDIR) => Outcome::Absent,
            _ => Outcome::Refused,
        };
        let Asked { verb, access, path } = asked;
        self.note(task, access, path.clone(), outcome);
        match verb {
            Verb::Execute if outcome == Outcome::Found => {
                // The file that the kernel executed in the end: the interpreter of a script, or an emulator.
                let shown = fs::read_link(format!("/proc/{task}/exe")).ok();
                let real = shown.and_then(|real| RootfsPath::from_bytes(&self.inside(real.as_os_str().as_bytes())));
                if let Some(process) = self.process_mut(task) {
                    process.program = Some(path.clone());
                }
                if let Some(real) = real.filter(|real| *real != path) {
                    self.note(task, Access::Execute, real, Outcome::Found);
                }
            }
            Verb::Root if outcome == Outcome::Found => {
                let root = self.inside(&root_of(task));
                if let Some(process) = self.process_mut(task) {
                    process.root = if root == b"/" { Vec::new() } else { root };
                }
            }
            _ => {}
        }
    }

    pub(super) fn note(&mut self, task: Pid, access: Access, path: RootfsPath, outcome: Outcome) {
        let Some(Process { number, program, .. }) = self.process(task).cloned() else { return };
        if self.known.insert((number, program.clone(), access, outcome, path.clone())) {
            self.seen.events.push(Event { process: number, program, access, path, outcome });
        }
    }
}

fn is(result: i64, errno: Errno) -> bool {
    result == -(errno as i64)
}
