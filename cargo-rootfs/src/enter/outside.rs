//! The host's side: starts the inner processes, fills the rootfs, and waits until the command has ended.
//!
//! It mounts nothing, and changes only the signal mask of its own process.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::process::{Pid, WaitOptions};

use super::channel::Channel;
use super::foreground::{Foreground, Signals};
use super::layers::{References, mount_points};
use super::message::{Emulator, Failure, FromInside, Orders, Place, ToInside};
use super::{Bind, Command, Ended, Network, Way, door, emulator, refused};
use crate::error::{Error, Result, Warning};
use crate::rootfs::Rootfs;
use crate::target::Machine;
use crate::write::Observer;
use crate::write::dir::{self, Temporary};

/// The rootfs to enter, and the additions to it.
#[derive(Debug)]
pub(crate) struct Visit<'v> {
    pub(crate) files: Files<'v>,
    pub(crate) machine: Machine,
    pub(crate) network: Network,
    pub(crate) binds: Vec<Bind>,
    /// The modification time of the files, in seconds since 1970.
    pub(crate) epoch: i64,
    /// The standard output and standard error of the command.
    pub(crate) outputs: Outputs,
}

/// The source of the files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Files<'v> {
    /// A plan.
    Rootfs(&'v Rootfs),
    /// A host directory with a root file system, absolute and without symlinks; it stays unchanged.
    Folder(&'v Path),
}

/// The destination of standard output and standard error.
#[derive(Debug)]
pub(crate) enum Outputs {
    /// Those of this process.
    Own,
    /// Both into this file.
    To(OwnedFd),
}

impl Outputs {
    fn of(&self, door: &mut std::process::Command) -> io::Result<()> {
        if let Self::To(file) = self {
            door.stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file.try_clone()?));
        }
        Ok(())
    }
}

/// A rootfs that is ready for a command. Dropping it removes it.
pub(crate) struct Entered {
    pub(super) inside: Inside,
    pub(super) signals: Signals,
    /// Dropped after the processes that use it.
    pub(super) _folder: Option<Temporary>,
}

/// The outcome of a start.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The command ran.
    Ended(Ended),
    /// The command could not be executed.
    NotStarted(io::Error),
}

/// The reason why one way of entering failed.
enum Refusal {
    /// This machine does not allow it; another way may succeed.
    Closed(Failure),
    /// The rootfs itself is faulty: no other way helps.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Makes `visit` ready for a command. `observer` receives the number of copied bytes and the notes.
///
/// # Errors
///
/// No emulator for the machine; forbidden namespaces, with the name of the setting; changed files; no space.
pub(crate) fn enter(visit: &Visit<'_>, observer: &mut dyn Observer, interrupted: &AtomicBool) -> Result<Entered> {
    let emulator = emulator::needed(visit.machine)?;
    let mut closed = Vec::new();
    for way in ways(visit) {
        match enter_by(way, visit, &emulator, observer, interrupted) {
            Ok(entered) => return Ok(entered),
            Err(Refusal::Closed(failure)) => closed.push((way, failure)),
            Err(Refusal::Error(error)) => return Err(error),
        }
    }
    let error = refused::explain(&closed);
    Err(match (visit.network, visit.binds.is_empty()) {
        (Network::Host, true) => error,
        _ => error.detail("chroot alone has neither `--bind` nor `--network none`"),
    })
}

/// The ways of entering, the best one first.
fn ways(visit: &Visit<'_>) -> impl Iterator<Item = Way> {
    let is_root = rustix::process::geteuid().is_root();
    let needs_mounts = visit.network == Network::None || !visit.binds.is_empty();
    // A chroot would write into the directory.
    let is_plan = matches!(visit.files, Files::Rootfs(_));
    Way::ALL.into_iter().filter(move |way| match way {
        Way::User => true,
        Way::Root => is_root,
        Way::Chroot => is_root && !needs_mounts && is_plan,
        Way::Here => false,
    })
}

/// Prepares a command that runs among the host's files.
pub(crate) fn stay(outputs: &Outputs) -> Result<Entered> {
    let inside = Inside::start(Way::Here, Network::Host, outputs).map_err(|failure| failed(&failure))?;
    let orders = Orders {
        way: Way::Here,
        network: Network::Host,
        binds: Vec::new(),
        resolv_conf: None,
        terminal: None,
        emulator: Emulator::Kernel,
    };
    inside.tell(&ToInside::Orders(orders), None)?;
    match inside.hear()?.0 {
        FromInside::Furnished { .. } => {}
        FromInside::Failed(failure) => return Err(failed(&failure)),
        _ => return Err(nonsense()),
    }
    let signals = Signals::hold().map_err(|error| Error::failed("cannot hold signals").with_source(error))?;
    Ok(Entered { inside, signals, _folder: None })
}

fn enter_by(
    way: Way,
    visit: &Visit<'_>,
    emulator: &Emulator,
    observer: &mut dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Entered, Refusal> {
    let inside = Inside::start(way, visit.network, &visit.outputs).map_err(Refusal::Closed)?;
    let orders = Orders {
        way,
        network: visit.network,
        binds: visit.binds.clone(),
        resolv_conf: (visit.network == Network::Host).then(|| fs::read("/etc/resolv.conf").ok()).flatten(),
        terminal: terminal().map(Into::into),
        emulator: emulator.clone(),
    };
    inside.tell(&ToInside::Orders(orders), None)?;
    let (refers, base) = match inside.hear()? {
        (FromInside::Empty { refers }, base) => (refers, base),
        (FromInside::Failed(failure), _) => return Err(Refusal::Closed(failure)),
        _ => return Err(nonsense().into()),
    };
    let mut filling = Filling { visit, base, folder: None, observer, interrupted };
    let mut place = filling.fill(refers)?;
    let notes = loop {
        // From here on signals belong to the command. An earlier one has been handled.
        inside.tell(&ToInside::Filled(place), None)?;
        match inside.hear()?.0 {
            FromInside::NoOverlay => place = filling.fill(false)?,
            FromInside::Furnished { notes } => break notes,
            FromInside::Failed(failure) => return Err(failed(&failure).into()),
            _ => return Err(nonsense().into()),
        }
    };
    let folder = filling.folder;
    notes.into_iter().for_each(|note| observer.warn(Warning::new(note)));
    let signals = Signals::hold().map_err(|error| Error::failed("cannot hold signals").with_source(error))?;
    if interrupted.load(Ordering::Relaxed) {
        return Err(Error::interrupted().into());
    }
    Ok(Entered { inside, signals, _folder: folder })
}

/// The device of the terminal that the command will use.
fn terminal() -> Option<PathBuf> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let name = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
        .into_iter()
        .find_map(|file| rustix::termios::ttyname(file, Vec::new()).ok())?;
    name.into_string().ok().map(PathBuf::from)
}

/// Writes the rootfs to a place from which it can be entered.
struct Filling<'v, 'o> {
    visit: &'v Visit<'v>,
    /// The tmpfs; `None` if mounts are not possible.
    base: Option<OwnedFd>,
    folder: Option<Temporary>,
    observer: &'o mut dyn Observer,
    interrupted: &'o AtomicBool,
}

impl Filling<'_, '_> {
    fn fill(&mut self, refers: bool) -> Result<Place> {
        let (rootfs, epoch) = match self.visit.files {
            Files::Rootfs(rootfs) => (rootfs, self.visit.epoch),
            Files::Folder(folder) => return Ok(Place::Below(folder.to_owned())),
        };
        let Some(base) = &self.base else { return self.on_disk(rootfs) };
        if refers {
            let mountinfo = fs::read("/proc/self/mountinfo").unwrap_or_default();
            let References { layers, files } = References::of(rootfs, &mount_points(&mountinfo));
            if !files.is_empty() {
                let lower = open_in(base, super::mounts::LOWER)?;
                dir::fill(rootfs, lower.as_fd(), epoch, files, self.observer, self.interrupted)?;
                return Ok(Place::Overlay(layers.into_iter().map(Into::into).collect()));
            }
        }
        // The command itself needs the other half.
        let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
        if available.is_some_and(|available| rootfs.size() > available / 2) {
            return self.on_disk(rootfs);
        }
        const COPY: &str = "copy";
        rustix::fs::mkdirat(base, COPY, Mode::RWXU).map_err(|error| Error::io("make", COPY, error.into()))?;
        let copy = open_in(base, COPY)?;
        dir::fill(rootfs, copy.as_fd(), epoch, Default::default(), self.observer, self.interrupted)?;
        Ok(Place::Memory(COPY.to_owned()))
    }

    fn on_disk(&mut self, rootfs: &Rootfs) -> Result<Place> {
        let folder = self.folder.insert(Temporary::new(&cache())?);
        dir::fill(rootfs, folder.folder(), self.visit.epoch, Default::default(), self.observer, self.interrupted)?;
        let path = folder.path().canonicalize().map_err(|error| Error::io("find", folder.path(), error))?;
        Ok(Place::Folder(path))
    }
}

fn open_in(base: &OwnedFd, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let name = name.trim_start_matches('/');
    rustix::fs::openat(base, name, flags, Mode::empty()).map_err(|error| Error::io("open", name, error.into()))
}

/// The user's cache (XDG Base Directory Specification): unlike /tmp, it is rarely in memory. If its file system forbids
/// to execute programs, another directory is taken.
fn cache() -> PathBuf {
    let folder = |name: &str, below: &str| {
        std::env::var_os(name).map(|value| Path::new(&value).join(below)).filter(|path| path.is_absolute())
    };
    let caches = folder("XDG_CACHE_HOME", "").or_else(|| folder("HOME", ".cache"));
    let folders: Vec<PathBuf> = caches.into_iter().chain([PathBuf::from("/var/tmp"), std::env::temp_dir()]).collect();
    let lacks = |flags| folders.iter().find(move |folder| !has(folder, flags));
    let unfit = StatVfsMountFlags::NOEXEC | StatVfsMountFlags::RDONLY;
    // Only a chroot needs devices.
    let best = lacks(unfit | StatVfsMountFlags::NODEV).or_else(|| lacks(unfit));
    best.unwrap_or(&folders[0]).join("cargo-rootfs")
}

/// Returns whether the file system of `folder`, or of its nearest existing ancestor, has one of these flags.
fn has(folder: &Path, flags: StatVfsMountFlags) -> bool {
    let existing = folder.ancestors().find(|folder| folder.exists());
    existing.and_then(|folder| rustix::fs::statvfs(folder).ok()).is_none_or(|stat| stat.f_flag.intersects(flags))
}

/// MemAvailable of /proc/meminfo, in bytes (proc(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The inner processes. Dropping it ends them.
pub(super) struct Inside {
    pub(super) channel: Channel,
    pub(super) init: Option<Pid>,
}

impl Inside {
    fn start(way: Way, network: Network, outputs: &Outputs) -> Result<Self, Failure> {
        let start = |error: io::Error| Failure::new("start the program again", error);
        // The intermediate process ends at once; then init becomes a child of this process and can be waited for.
        nix::sys::prctl::set_child_subreaper(true).map_err(|error| start(error.into()))?;
        let (channel, there) = Channel::pair().map_err(start)?;
        let mut door = std::process::Command::new("/proc/self/exe");
        door.arg0(way.name()).env_clear().stdin(Stdio::from(there));
        outputs.of(&mut door).map_err(start)?;
        if network == Network::None {
            door.arg(door::OWN_NETWORK);
        }
        let mut door = door.spawn().map_err(start)?;
        let mut inside = Self { channel, init: None };
        let passed = inside.pass(door.id());
        let _ = door.wait();
        passed.map(|()| inside)
    }

    /// Waits until the process `door` has started init.
    fn pass(&mut self, door: u32) -> Result<(), Failure> {
        let lost = |error| Failure::new("start a process in namespaces", error);
        loop {
            match self.channel.receive().map_err(lost)?.0 {
                FromInside::Unshared => {
                    map_users(door).map_err(|error| Failure::new("map users into a namespace", error))?;
                    self.channel.send(&ToInside::Mapped, None).map_err(lost)?;
                }
                FromInside::Passed(init) => {
                    self.init = Pid::from_raw(init);
                    return Ok(());
                }
                FromInside::Failed(failure) => return Err(failure),
                _ => return Err(lost(io::ErrorKind::InvalidData.into())),
            }
        }
    }

    pub(super) fn tell(&self, message: &ToInside, file: Option<std::os::fd::BorrowedFd<'_>>) -> Result<()> {
        self.channel.send(message, file).map_err(lost)
    }

    pub(super) fn hear(&self) -> Result<(FromInside, Option<OwnedFd>)> {
        self.channel.receive().map_err(lost)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // Init reads the end of file and ends, and with it all processes of the namespaces.
        self.channel.close();
        if let Some(init) = self.init {
            let wait = || rustix::process::waitpid(Some(init), WaitOptions::empty());
            while wait().is_err_and(|error| error == rustix::io::Errno::INTR) {}
        }
    }
}

/// Maps the user to root in the namespace of the process `door`. For root, all users map to themselves.
fn map_users(door: u32) -> io::Result<()> {
    let write = |file: &str, text: &str| fs::write(format!("/proc/{door}/{file}"), text);
    if rustix::process::geteuid().is_root() {
        let all = |file: &str| Ok::<_, io::Error>(identity(&fs::read_to_string(format!("/proc/self/{file}"))?));
        let map = || write("uid_map", &all("uid_map")?).and_then(|()| write("gid_map", &all("gid_map")?));
        match map() {
            // Without CAP_SETUID, root has only the rights of an ordinary user.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            result => return result,
        }
    }
    // A process without that right must also give up setgroups(2) (user_namespaces(7)).
    write("setgroups", "deny")?;
    write("uid_map", &format!("0 {} 1", rustix::process::geteuid().as_raw()))?;
    write("gid_map", &format!("0 {} 1", rustix::process::getegid().as_raw()))
}

/// A map for a namespace below one that has `map`: all users keep their numbers.
fn identity(map: &str) -> String {
    let lines = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace();
        let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(format!("{first} {first} {count}\n"))
    });
    lines.collect()
}

impl Entered {
    /// Runs `command` with this process's standard streams until it ends.
    ///
    /// Signals that arrive meanwhile go to the command.
    pub(crate) fn run(self, command: Command) -> Result<Outcome> {
        let foreground = Foreground::of_this_process();
        self.inside.tell(&ToInside::Start(command), Some(io::stdin().as_fd()))?;
        let outcome = loop {
            let mut ready =
                [PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.inside.channel, PollFlags::IN)];
            match rustix::event::poll(&mut ready, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(lost(error.into())),
            }
            let told = !ready[1].revents().is_empty();
            self.pass_signals();
            if let Some(outcome) = told.then(|| self.listen(foreground.as_ref())).transpose()?.flatten() {
                break outcome;
            }
        };
        // A shell that has ended leaves the terminal to a group that no longer exists.
        foreground.and_then(|foreground| foreground.take_back());
        Ok(outcome)
    }

    /// Passes pending signals on, and returns whether there was one.
    pub(super) fn pass_signals(&self) -> bool {
        let mut any = false;
        while let Some((number, by_terminal)) = self.signals.next() {
            any = true;
            // If init is gone, the next `hear` reports it.
            let _ = self.inside.tell(&ToInside::Signal { number, by_terminal }, None);
        }
        any
    }

    /// Receives one message of the command; returns the outcome if the command has ended.
    pub(super) fn listen(&self, foreground: Option<&Foreground>) -> Result<Option<Outcome>> {
        match self.inside.hear()?.0 {
            FromInside::Started => {}
            FromInside::Stopped => {
                if let Some(foreground) = foreground {
                    foreground.stop();
                    self.inside.tell(&ToInside::Signal { number: CONTINUE, by_terminal: false }, None)?;
                }
            }
            FromInside::Ended(ended) => return Ok(Some(Outcome::Ended(ended))),
            FromInside::NotStarted(errno) => {
                return Ok(Some(Outcome::NotStarted(io::Error::from_raw_os_error(errno))));
            }
            FromInside::Failed(failure) => return Err(failed(&failure)),
            _ => return Err(nonsense()),
        }
        Ok(None)
    }
}

pub(super) const CONTINUE: i32 = rustix::process::Signal::CONT.as_raw();

pub(super) fn failed(failure: &Failure) -> Error {
    Error::failed(format!("cannot {}", failure.what)).with_source(io::Error::from_raw_os_error(failure.errno))
}

/// The inner processes are gone without a message.
pub(super) fn lost(error: io::Error) -> Error {
    Error::failed("the processes in the rootfs are gone").with_source(error)
}

pub(super) fn nonsense() -> Error {
    lost(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_in_bytes() {
        assert_eq!(available("MemTotal: 2 kB\nMemAvailable:   1024 kB\n"), Some(1 << 20));
        assert_eq!(available("MemTotal: 2 kB\n"), None);
    }

    #[test]
    fn a_folder_that_will_be_is_on_the_file_system_above_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has(&folder.path().join("absent/below"), StatVfsMountFlags::RDONLY));
        let flags = rustix::fs::statvfs("/proc").unwrap().f_flag;
        assert_eq!(has(Path::new("/proc/absent"), flags), !flags.is_empty());
    }

    #[test]
    fn root_keeps_the_numbers_that_it_has() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        // The map of a rootless podman container.
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
