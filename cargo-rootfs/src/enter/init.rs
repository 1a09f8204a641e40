//! The first process inside: furnishes the rootfs, starts the command, reaps orphans and passes signals on.
//!
//! When it ends, the kernel ends the namespaces and every process in them. The command is a child of it and not PID 1:
//! PID 1 ignores each signal without a handler, Ctrl-C included (pid_namespaces(7)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, WaitOptions};

use super::channel::Channel;
use super::leftover::Leftover;
use super::message::{Failure, FromInside, Orders, Place, ToInside};
use super::mounts::Furnished;
use super::{Command, Ended, Network, Way, chroot, emulator, mounts, network};

pub(super) fn main() -> ExitCode {
    // The name that ps(1) shows inside; without it, ps shows the link `exe`.
    let _ = rustix::thread::set_name(c"rootfs-init");
    let Ok(channel) = Channel::of_standard_input() else { return ExitCode::FAILURE };
    match live(&channel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = channel.send(&FromInside::Failed(failure), None);
            ExitCode::FAILURE
        }
    }
}

fn live(channel: &Channel) -> Result<(), Failure> {
    // Signals that the terminal sends to the group are for the command.
    let signals = Signals::block().map_err(|error| Failure::new("wait for signals", error))?;

    let (ToInside::Orders(orders), _) = channel.receive().map_err(Failure::lost)? else {
        return Err(Failure::nonsense());
    };
    let (furnished, leftover) = match orders.way {
        Way::User | Way::Root => enter(channel, &orders).map(|(furnished, left)| (furnished, Some(left)))?,
        Way::Chroot => chroot::enter(channel, &orders).map(|(furnished, left)| (furnished, Some(left)))?,
        // `Way::Here` does not remove what a command leaves on the host.
        Way::Here => (Furnished::default(), None),
    };
    channel.send(&FromInside::Furnished { notes: furnished.notes }, None).map_err(Failure::lost)?;

    let ended = match channel.receive() {
        Ok((ToInside::Start(command), Some(stdin))) => {
            match start(channel, &signals, &command, furnished.emulator, stdin)? {
                Some(child) => attend(channel, &signals, child),
                None => return Ok(()),
            }
        }
        _ => None,
    };
    if let Some(leftover) = leftover {
        leftover.end(ended.is_none());
    }
    match ended {
        Some(ended) => channel.send(&FromInside::Ended(ended), None).map_err(Failure::lost),
        None => Ok(()),
    }
}

/// Blocks all signals and reads them; a separate file becomes readable when a child changes state.
struct Signals {
    children: SignalFd,
    before: SigSet,
}

impl Signals {
    fn block() -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        SigSet::all().thread_block()?;
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self { children: SignalFd::with_flags(&children, flags)?, before })
    }

    /// Starts a process with the previous signal mask: execve(2) passes the mask on.
    fn spawn(&self, process: &mut std::process::Command) -> io::Result<std::process::Child> {
        self.before.thread_set_mask()?;
        let child = process.spawn();
        SigSet::all().thread_block()?;
        child
    }
}

/// Enters the rootfs in the namespaces.
fn enter(channel: &Channel, orders: &Orders) -> Result<(Furnished, Leftover), Failure> {
    let base = mounts::base()?;
    let empty = FromInside::Empty { refers: mounts::refers() };
    channel.send(&empty, Some(base.as_fd())).map_err(Failure::lost)?;
    let leftover = loop {
        let (ToInside::Filled(place), _) = channel.receive().map_err(Failure::lost)? else {
            return Err(Failure::nonsense());
        };
        match mounts::place(&place) {
            Err(_) if matches!(place, Place::Overlay(_)) => {
                channel.send(&FromInside::NoOverlay, None).map_err(Failure::lost)?
            }
            result => {
                result?;
                break Leftover::of_namespaces(&place)?;
            }
        }
    };
    if orders.network == Network::None {
        network::loopback_up().map_err(|error| Failure::new("set up the loopback interface", error))?;
    }
    Ok((mounts::furnish(orders)?, leftover))
}

/// Starts the command. Reports a failed execve(2) to the host and returns `None`.
fn start(
    channel: &Channel,
    signals: &Signals,
    command: &Command,
    emulator: Option<&Path>,
    stdin: OwnedFd,
) -> Result<Option<Pid>, Failure> {
    let workdir = command.workdir.below(Path::new("/"));
    std::env::set_current_dir(&workdir)
        .map_err(|error| Failure::new(format!("use `{}` as the current directory", workdir.display()), error))?;
    let word = &command.words[0];
    let path = command.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
    let mut process = match emulator {
        Some(emulator) => emulator::command(emulator, word, &path),
        None => std::process::Command::new(word),
    };
    process.args(&command.words[1..]).env_clear().envs(command.env.iter().map(|(name, value)| (name, value)));
    process.stdin(Stdio::from(stdin));
    if let Some((user, group)) = command.user {
        process.gid(group).uid(user);
    }
    let message = match signals.spawn(&mut process) {
        Ok(child) => {
            channel.send(&FromInside::Started, None).map_err(Failure::lost)?;
            return Ok(i32::try_from(child.id()).ok().and_then(Pid::from_raw));
        }
        Err(error) => FromInside::NotStarted(error.raw_os_error().unwrap_or_default()),
    };
    channel.send(&message, None).map_err(Failure::lost).map(|()| None)
}

/// Waits until `child` ends; `None` if the host's side is gone.
fn attend(channel: &Channel, signals: &Signals, child: Pid) -> Option<Ended> {
    loop {
        if let Some(ended) = reap(channel, child) {
            return Some(ended);
        }
        let mut ready = [PollFd::new(&signals.children, PollFlags::IN), PollFd::new(channel, PollFlags::IN)];
        match rustix::event::poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        let told = !ready[1].revents().is_empty();
        while let Ok(Some(_)) = signals.children.read_signal() {}
        if told {
            match channel.receive() {
                Ok((ToInside::Signal { number, by_terminal }, _)) => pass_on(child, number, by_terminal),
                _ => return None,
            }
        }
    }
}

/// Reaps every process that has ended: the command, and orphans of other processes.
fn reap(channel: &Channel, child: Pid) -> Option<Ended> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
    while let Ok(Some((pid, status))) = rustix::process::wait(options) {
        if pid != child {
            continue;
        }
        if let Some(code) = status.exit_status() {
            return Some(Ended::Exited(code));
        }
        if let Some(signal) = status.terminating_signal() {
            return Some(Ended::Killed(signal));
        }
        // The terminal stops a command of the outermost process's group together with that process.
        if status.stopped() && !shares_group(child) {
            let _ = channel.send(&FromInside::Stopped, None);
        }
    }
    None
}

/// Passes a signal on. The terminal has already sent its own signals to the whole group (termios(3), ISIG).
fn pass_on(child: Pid, number: i32, by_terminal: bool) {
    if by_terminal && shares_group(child) {
        return;
    }
    if let Some(signal) = rustix::process::Signal::from_named_raw(number) {
        let _ = rustix::process::kill_process(child, signal);
    }
}

/// Returns whether `child` is still in this process's group. In a PID namespace both groups read as 0, because the
/// group is outside.
fn shares_group(child: Pid) -> bool {
    let child = nix::unistd::Pid::from_raw(child.as_raw_nonzero().get());
    nix::unistd::getpgid(Some(child)) == nix::unistd::getpgid(None)
}
