//! Watches a process's children, and theirs: which files they open, look at and execute, and which they ask for in vain.
//!
//! Interpretation is elsewhere ([`crate::check`], [`crate::trace`]): this room lists the calls in order, each thing
//! once.
//!
//! # How
//! By ptrace(2), of which the kernel asks no privilege for one's own processes. The parent is seized before it starts
//! anything, so that its children are watched from their first instruction on; it is let go as soon as it has a child.
//! All threads, forks and executed programs follow. A path is read when a system call begins, and what became of it
//! when the call ends, from the registers of the machine (`registers`) by a table of the calls that take paths (`calls`).
//!
//! The kernel opens a script's interpreter and a program's loader itself, and no call says so: who is executed is looked
//! up in /proc afterwards.
//!
//! # What is different for who is watched
//! Programs run slower: each system call stops twice. Measured on two busy cores: `find /usr/share` takes 1.6 s for
//! 0.7 s. Job control by SIGSTOP does not stop them, and a setuid program gets no other user, unless root watches.

mod calls;
mod refused;
mod registers;
mod tracer;

use crate::path::RootfsPath;

pub(crate) use refused::explain;
pub(crate) use tracer::Watch;

/// Something that a process asked the kernel for, by a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Equal for the threads of one process, and for the programs that it becomes by execve(2).
    pub(crate) process: u32,
    /// The path by which the process's program was executed.
    pub(crate) program: Option<RootfsPath>,
    pub(crate) access: Access,
    /// Absolute, seen from the root of the first process. A `..` stays, and links are not resolved.
    pub(crate) path: RootfsPath,
    pub(crate) outcome: Outcome,
}

/// The purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// To be read, or a directory to be listed.
    Open,
    /// To be made or written.
    Write,
    /// To ask for its existence or its kind.
    Look,
    /// To read the target of a symlink.
    Follow,
    Execute,
}

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Found,
    /// Nothing is there (ENOENT, ENOTDIR).
    Absent,
    /// Anything else, as EACCES.
    Refused,
}

/// The calls seen of a parent's children.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// In order, each thing once for each process.
    pub(crate) events: Vec<Event>,
    /// The reasons for which some calls were not seen, in sentences.
    pub(crate) notes: Vec<String>,
}
