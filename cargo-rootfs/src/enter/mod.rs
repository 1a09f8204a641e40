//! Enters a planned rootfs and runs a command in it, without root's rights.
//!
//! It does not choose the contents of the rootfs, and leaves no mount, process or file behind. It is no sandbox: the
//! command runs as the user, and can change the user's files as far as the binds and the network allow.
//!
//! # The processes
//! The program starts itself twice more. Each start is a fresh process with one thread: unshare(2) requires that for a
//! user namespace, and it needs no `fork`, so no `unsafe`.
//!
//! ```text
//! cargo rootfs run      builds, plans, fills the rootfs, passes signals on        `outside`
//!   door                unshare(2), starts init, ends                             `door`
//!   init                PID 1 inside: mounts, pivot_root(2), reaps                `init`
//!     the command
//! ```
//!
//! They exchange messages over one socket (`channel`, `message`). When any signal ends the outermost process, the
//! socket closes, init ends, and the kernel kills every process and drops every mount of the namespaces.
//!
//! # The place of the files
//! The rootfs is a tmpfs in the mount namespace, so nothing is left on a disk. Directories, links and files below 64
//! KiB are written there. The kernel reads larger files of the sysroot in place if it can (Linux 6.16 for users, see
//! `layers`): the tmpfs is the lower layer of an overlayfs that takes their bytes from the sysroot, and their owner,
//! mode and writes from the overlay. Otherwise the files are copied: into the tmpfs, or into a directory of the user's
//! cache if the copy takes more than half of the available memory.
//!
//! Measured on two cores, warm cache, planning included, until `true` has ended: bash and ls take 10 ms either way; 48
//! large tools (392 files, 769 MB) take 60 ms with references, 420 ms with copies into the tmpfs (750 ms without huge
//! pages), 1 s with `--dir`.
//!
//! Rejected: bind mounts of single files (17 us each, but root's files belong to nobody(65534) in a user namespace, a
//! bound file cannot be replaced, and an overlayfs does not see it); hard links (not allowed for files of other users,
//! fs.protected_hardlinks); a cache of written directories (disk space, and a cache that can be stale).
//!
//! # Differences from a container
//! All files belong to root, which is the user who started the program; other owners exist only if root started it. A
//! setuid bit has no effect on a user without a second identity. Capabilities hold inside the namespaces only.

mod bind;
mod channel;
mod chroot;
mod door;
mod emulator;
mod foreground;
mod init;
mod layers;
mod leftover;
mod message;
mod mounts;
mod network;
mod outside;
mod program;
mod refused;
mod watched;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::path::RootfsPath;
use crate::watch::Seen;

pub(crate) use bind::{Access, Bind};
pub(crate) use outside::{Entered, Files, Outcome, Outputs, Visit, stay};
pub(crate) use program::{Program, command, enter, not_started, present, run};
pub(crate) use watched::{Output, Stdin, Watching};

/// The command to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command {
    /// The program, searched for in the PATH of `env`, and its arguments; never empty.
    pub(crate) words: Vec<OsString>,
    /// The complete environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    #[serde(with = "message::rootfs_path")]
    pub(crate) workdir: RootfsPath,
    /// User and group by number; `None` means root's.
    pub(crate) user: Option<(u32, u32)>,
}

/// The network of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Network {
    /// The host's.
    Host,
    /// A separate one with a loopback interface only.
    None,
}

/// The way in which a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Ended {
    /// The exit status that a shell reports: 128 + n for signal n.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

/// The end of a watched command, and its recorded calls.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) outcome: Outcome,
    /// True if it was ended after its time limit.
    pub(crate) timed_out: bool,
    /// The end of its standard output and standard error, if they were read.
    pub(crate) output: Vec<u8>,
    pub(crate) seen: Seen,
}

/// The mechanism that enters a rootfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    /// User, mount, PID and IPC namespaces.
    User,
    /// The same without a user namespace, for root only.
    Root,
    /// chroot(2) only, for root where namespaces are forbidden.
    Chroot,
    /// No rootfs: the command runs among the host's files and is only watched.
    Here,
}

impl Way {
    const ALL: [Self; 4] = [Self::User, Self::Root, Self::Chroot, Self::Here];

    /// The name under which the program starts itself again.
    fn name(self) -> &'static str {
        match self {
            Self::User => "cargo-rootfs-door",
            Self::Root => "cargo-rootfs-door-root",
            Self::Chroot => "cargo-rootfs-door-chroot",
            Self::Here => "cargo-rootfs-door-here",
        }
    }
}

/// The name under which the program starts itself as init.
const INIT: &str = "cargo-rootfs-init";

/// Runs the work of an inner process if the program was started under one of their names. `main` calls it first.
pub(crate) fn inside(name: &OsStr) -> Option<ExitCode> {
    if name == INIT {
        return Some(init::main());
    }
    let way = Way::ALL.into_iter().find(|way| name == way.name())?;
    Some(door::main(way))
}
