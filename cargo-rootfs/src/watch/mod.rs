//! Watches the descendants of a process: the files that they open, look up and execute, with or without success.
//!
//! It lists the calls in order, each distinct one once; [`crate::check`] and [`crate::trace`] interpret them.
//!
//! # Mechanism
//! ptrace(2) needs no privilege for one's own processes. The parent is seized before it starts any process, so that its
//! children are watched from their first instruction on; it is released as soon as it has a child. All threads, forks
//! and executed programs are followed. The path is read at the start of a system call, and the result at its end, from
//! the registers of the machine (`registers`), by a table of the calls with a path (`calls`).
//!
//! The kernel itself opens the interpreter of a script and the loader of a program, without a call. The executed file
//! is read from /proc afterwards.
//!
//! # Effects on watched processes
//! Programs run slower: each system call stops twice. Measured on two busy cores: `find /usr/share` takes 1.6 s instead
//! of 0.7 s. SIGSTOP does not stop them for job control, and a setuid program does not change its user, unless root
//! watches.

mod calls;
mod refused;
mod registers;
mod requests;
mod tracee;
mod tracer;

use crate::path::RootfsPath;

pub(crate) use refused::explain;
pub(crate) use tracer::Watch;

/// A system call with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Equal for the threads of one process, also after execve(2).
    pub(crate) process: u32,
    /// The path by which the process's program was executed.
    pub(crate) program: Option<RootfsPath>,
    pub(crate) access: Access,
    /// Absolute, from the root of the first process. `..` and symlinks are not resolved.
    pub(crate) path: RootfsPath,
    pub(crate) outcome: Outcome,
}

/// The purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// To read a file or list a directory.
    Open,
    /// To make or write a file.
    Write,
    /// To check its existence or its type.
    Look,
    /// To read the target of a symlink.
    Follow,
    Execute,
}

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Found,
    /// The path does not exist (ENOENT, ENOTDIR).
    Absent,
    /// Any other error, such as EACCES.
    Refused,
}

/// The recorded calls of a parent's descendants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// In order, each distinct one once for each process.
    pub(crate) events: Vec<Event>,
    /// The reasons why some calls were not recorded, in sentences.
    pub(crate) notes: Vec<String>,
}
