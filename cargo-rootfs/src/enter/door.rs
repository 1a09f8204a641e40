//! The intermediate process: makes the namespaces, starts init in them and ends.
//!
//! Only a child that is started after unshare(2) is in the new PID namespace, so this process is not in it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};

use nix::sched::CloneFlags;
use rustix::thread::CapabilitySet;

use super::channel::Channel;
use super::message::{Failure, FromInside, ToInside};
use super::{INIT, Way};

/// The second argument of this process; it requests a separate network.
pub(super) const OWN_NETWORK: &str = "own-network";

pub(super) fn main(way: Way) -> ExitCode {
    // Without the channel there is no way to report the failure.
    let Ok(channel) = Channel::of_standard_input() else { return ExitCode::FAILURE };
    match open(way, &channel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = channel.send(&FromInside::Failed(failure), None);
            ExitCode::FAILURE
        }
    }
}

fn open(way: Way, channel: &Channel) -> Result<(), Failure> {
    let own_network = std::env::args_os().nth(1).is_some_and(|argument| argument == OWN_NETWORK);
    match way {
        Way::User | Way::Root => {
            nix::sched::unshare(namespaces(way, own_network))
                .map_err(|error| Failure::new("make namespaces", error))?;
        }
        Way::Chroot if !may_chroot() => return Err(Failure::new("change the root", rustix::io::Errno::PERM)),
        Way::Chroot | Way::Here => {}
    }
    if way == Way::User {
        let tell = |error: io::Error| Failure::new("have the users mapped", error);
        channel.send(&FromInside::Unshared, None).map_err(tell)?;
        let (ToInside::Mapped, _) = channel.receive().map_err(tell)? else {
            return Err(tell(io::ErrorKind::InvalidData.into()));
        };
    }
    let started = std::process::Command::new("/proc/self/exe").arg0(INIT).stdin(Stdio::inherit()).env_clear().spawn();
    let init = started.map_err(|error| Failure::new("start the first process in the rootfs", error))?;
    let pid = i32::try_from(init.id()).unwrap_or_default();
    channel.send(&FromInside::Passed(pid), None).map_err(|error| Failure::new("tell of it", error))
}

/// Checks for the capability that chroot(2) needs, before anything is written: root may lack it.
fn may_chroot() -> bool {
    let sets = rustix::thread::capabilities(None);
    sets.is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_CHROOT))
}

fn namespaces(way: Way, own_network: bool) -> CloneFlags {
    // The IPC namespace also removes System V shared memory at the end.
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    flags.set(CloneFlags::CLONE_NEWUSER, way == Way::User);
    flags.set(CloneFlags::CLONE_NEWNET, own_network);
    flags
}
