//! Enters a planned rootfs and runs a command in it, without root's rights.
//!
//! It decides nothing about what the rootfs holds, and leaves nothing behind: no mount, no process, no file.
//! It is no sandbox either: the command is the user's own, and can do to the user's files what the binds and
//! the network let it do.
//!
//! # The processes
//! The program starts itself twice more, each time as a fresh process with one thread, because only such a
//! process may make a user namespace (unshare(2)), and because that needs no `fork`, so no `unsafe`:
//!
//! ```text
//! cargo rootfs run      builds, plans, fills the rootfs, passes signals on        `outside`
//!   door                unshare(2), starts init, ends                             `door`
//!   init                PID 1 inside: mounts, pivot_root(2), reaps                `init`
//!     the command
//! ```
//!
//! They talk over one socket (`channel`, `message`). When the outermost process is gone, by whatever signal, the socket
//! is closed, init ends, and the kernel kills every process and drops every mount of the namespaces.
//!
//! # Where the files are
//! In a tmpfs that exists in the mount namespace alone, so that nothing is left on a disk. There, directories, links
//! and files below 64 KiB are real. Larger files of the sysroot are not copied where the kernel can do without
//! (Linux 6.16 for users, see `layers`): the tmpfs is the lower layer of an overlayfs that takes their bytes from
//! the sysroot itself, while owner, mode and writes are those of the overlay. Otherwise they are copied; where
//! the copy would take more than half of the memory that is free, to a directory in the user's cache.
//!
//! Measured on two cores, warm cache, planning included, until `true` has ended: bash and ls take 10 ms either way;
//! 48 large tools (392 files, 769 MB) 60 ms with references, 420 ms with copies into the tmpfs (without huge pages
//! 750 ms), 1 s with `--dir`.
//!
//! Dropped: bind mounts of single files (17 us each, which is quick, but root's files belong to nobody in a user
//! namespace, none can be replaced, and an overlayfs does not see them); hard links (not allowed for files of
//! others, fs.protected_hardlinks); a cache of written directories (disk, and one more thing to get stale).
//!
//! # What is different from a container
//! All files belong to root, who is the user who started it; other owners exist only where root started it.
//! A setuid bit has nobody to change to. Capabilities hold inside the namespaces only.

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
    /// The program, looked up in the PATH of `env`, and its arguments; never empty.
    pub(crate) words: Vec<OsString>,
    /// The whole environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    #[serde(with = "message::rootfs_path")]
    pub(crate) workdir: RootfsPath,
    /// User and group by number; root's where `None`.
    pub(crate) user: Option<(u32, u32)>,
}

/// The network that the command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Network {
    /// The host's.
    Host,
    /// One of its own, which has a loopback interface and nothing else.
    None,
}

/// The end of a command.
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

/// The end of a watched command, and the calls seen of it.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) outcome: Outcome,
    /// True if it was ended because it took too long.
    pub(crate) timed_out: bool,
    /// The last of what it printed, to both outputs, where they were read.
    pub(crate) output: Vec<u8>,
    pub(crate) seen: Seen,
}

/// By what a rootfs is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    /// User, mount, PID and IPC namespaces.
    User,
    /// The same without a user namespace, which root alone can have.
    Root,
    /// chroot(2) and nothing else, for root where namespaces are forbidden.
    Chroot,
    /// Nothing is entered: the command runs where this program runs, and is only watched.
    Here,
}

impl Way {
    const ALL: [Self; 4] = [Self::User, Self::Root, Self::Chroot, Self::Here];

    /// The name by which the program is started again.
    fn name(self) -> &'static str {
        match self {
            Self::User => "cargo-rootfs-door",
            Self::Root => "cargo-rootfs-door-root",
            Self::Chroot => "cargo-rootfs-door-chroot",
            Self::Here => "cargo-rootfs-door-here",
        }
    }
}

/// The name by which the program is started as init.
const INIT: &str = "cargo-rootfs-init";

/// Does the work of a process inside, where the program was started as one of those: to be asked first by `main`.
pub(crate) fn inside(name: &OsStr) -> Option<ExitCode> {
    if name == INIT {
        return Some(init::main());
    }
    let way = Way::ALL.into_iter().find(|way| name == way.name())?;
    Some(door::main(way))
}
