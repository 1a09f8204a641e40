//! The watching thread, which turns stops of watched threads into [`Event`]s.
//!
//! ptrace(2) requires that the attaching thread does everything, so one thread does, and it waits only for its own
//! tracees. Other threads of the program must not wait for a watched process: they would take the status of its stops.
//!
//! # Real-time signals
//! The crate `nix` has no names for real-time signals, so they cannot be passed on, and their receivers would wait for
//! ever: the C library's threads use one to change their user. But a thread that ends releases its tracees, and each
//! continues with the signal that stopped it, as long as no wait has taken the status (`do_wait`, kernel/exit.c). So at
//! such a signal the thread ends, and the next one seizes all tracees again: calls of a few hundred microseconds are
//! not recorded.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::io::IoSliceMut;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::calls::{self, Call, Flags, Verb};
use super::registers::{self, Registers};
use super::{Access, Event, Outcome, Seen};
use crate::path::RootfsPath;

/// A watch that continues until no watched process is left.
pub(crate) struct Watch {
    thread: JoinHandle<Seen>,
    shared: Arc<Shared>,
}

/// The state that both threads share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    watched: Mutex<BTreeSet<i32>>,
}

impl Watch {
    /// Watches all processes that `parent` starts from now on.
    pub(crate) fn children_of(parent: i32) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (ready, seized) = std::sync::mpsc::channel();
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("watch".to_owned()).spawn(move || watch(parent, &ready, &shared))?
        };
        seized.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        Ok(Self { thread, shared })
    }

    /// The number of watched threads.
    pub(crate) fn watched(&self) -> usize {
        self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until no watched process is left, and returns the recorded calls.
    pub(crate) fn finish(self) -> Seen {
        self.thread.join().unwrap_or_default()
    }

    /// Releases the remaining processes, and returns the recorded calls.
    pub(crate) fn stop(self) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        while !self.thread.is_finished() {
            // A stop wakes the thread; a process that is not stopped ignores this signal.
            let watched = self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner).first().copied();
            if let Some(pid) = watched {
                let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGCONT);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.finish()
    }
}

fn watch(parent: i32, ready: &Sender<io::Result<()>>, shared: &Shared) -> Seen {
    let mut tracer = Tracer::new(shared);
    let mut first = true;
    loop {
        // Each round is a separate thread, whose end releases the tracees.
        let end = std::thread::scope(|scope| {
            let tracer = &mut tracer;
            let round = scope.spawn(move || {
                if first {
                    let options = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
                    let options = options | Options::PTRACE_O_TRACECLONE | OPTIONS;
                    let seized = ptrace::seize(Pid::from_raw(parent), options);
                    let failed = seized.is_err();
                    let _ = ready.send(seized.map_err(io::Error::from));
                    if failed {
                        return End::Over;
                    }
                    tracer.parent = Some(Pid::from_raw(parent));
                } else {
                    tracer.seize_again();
                }
                tracer.run()
            });
            round.join()
        });
        first = false;
        match end {
            Ok(End::LetGo) => {}
            Ok(End::Over) => return tracer.seen,
            Err(_) => {
                tracer.seen.notes.push("the thread that watches has ended too early".to_owned());
                return tracer.seen;
            }
        }
    }
}

/// The reported events of every child.
const OPTIONS: Options = Options::PTRACE_O_TRACESYSGOOD
    .union(Options::PTRACE_O_TRACEFORK)
    .union(Options::PTRACE_O_TRACEVFORK)
    .union(Options::PTRACE_O_TRACECLONE)
    .union(Options::PTRACE_O_TRACEEXEC);

/// The end of a round.
enum End {
    /// No watched process is left, or the watch was stopped.
    Over,
    /// A signal arrived that cannot be passed on.
    LetGo,
}

/// The time limit for a thread to release processes that the next one must seize.
const PATIENCE: Duration = Duration::from_secs(1);

struct Tracer<'s> {
    shared: &'s Shared,
    /// The process that will start the first watched one, until it has done so.
    parent: Option<Pid>,
    tasks: BTreeMap<i32, Task>,
    processes: BTreeMap<i32, Process>,
    /// The number of processes so far.
    count: u32,
    /// The root of the first process.
    root: Vec<u8>,
    known: HashSet<(u32, Option<RootfsPath>, Access, Outcome, RootfsPath)>,
    seen: Seen,
}

/// A thread.
#[derive(Debug, Default)]
struct Task {
    /// Its process.
    group: i32,
    call: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Outside,
    /// In a system call; `None` if the call is irrelevant.
    Inside(Option<Asked>),
}

/// The request of a call.
#[derive(Debug)]
struct Asked {
    verb: Verb,
    access: Access,
    path: RootfsPath,
}

#[derive(Debug, Clone)]
struct Process {
    number: u32,
    program: Option<RootfsPath>,
    /// The prefix of paths if its root is below that of the first process.
    root: Vec<u8>,
}

impl<'s> Tracer<'s> {
    fn new(shared: &'s Shared) -> Self {
        Self {
            shared,
            parent: None,
            tasks: BTreeMap::new(),
            processes: BTreeMap::new(),
            count: 0,
            root: Vec::new(),
            known: HashSet::new(),
            seen: Seen::default(),
        }
    }

    /// Runs until no watched process is left.
    fn run(&mut self) -> End {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                return End::Over;
            }
            match waitid(Id::All, flags | WaitPidFlag::WNOWAIT) {
                Ok(status) => self.stopped(status),
                Err(Errno::EINTR) => {}
                // A signal without a name in nix.
                Err(Errno::EINVAL) => return End::LetGo,
                Err(_) => return End::Over,
            }
        }
    }

    fn stopped(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::PtraceSyscall(task) => {
                self.at_call(task);
                go_on(task, None);
            }
            WaitStatus::PtraceEvent(task, signal, 0) | WaitStatus::Stopped(task, signal) => {
                self.meet(task);
                go_on(task, Some(signal));
            }
            WaitStatus::PtraceEvent(task, _, event) => self.at_event(task, event),
            WaitStatus::Exited(task, _) | WaitStatus::Signaled(task, ..) => {
                let _ = waitpid(task, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
                self.forget(task);
            }
            // SIGKILL has ended the stop meanwhile.
            _ => {}
        }
    }

    fn at_event(&mut self, task: Pid, event: i32) {
        if Some(task) == self.parent {
            let is_child =
                matches!(event, libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE);
            // The child is recorded even if its own first stop has not arrived yet.
            if is_child && ptrace::detach(task, None).is_ok() {
                self.parent = None;
            } else {
                let _ = ptrace::cont(task, None);
            }
            return;
        }
        self.meet(task);
        if matches!(event, libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE) {
            // Its parent may end before the first stop of the child, which is then the only remaining process. A child
            // that has already ended is dropped.
            let child = ptrace::getevent(task).ok().and_then(|child| i32::try_from(child).ok());
            self.watched().extend(child.filter(|child| is_alive(Pid::from_raw(*child))));
        }
        if event == libc::PTRACE_EVENT_EXEC {
            // Whichever thread executes a program, the number of the first thread is kept (ptrace(2), "execve(2) under
            // ptrace").
            if let Ok(former) = ptrace::getevent(task) {
                let former = i32::try_from(former).unwrap_or_default();
                if let Some(state) = (former != task.as_raw()).then(|| self.tasks.remove(&former)).flatten() {
                    self.tasks.insert(task.as_raw(), Task { group: task.as_raw(), ..state });
                }
            }
        }
        go_on(task, None);
    }

    fn watched(&self) -> MutexGuard<'s, BTreeSet<i32>> {
        self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a thread at its first stop.
    fn meet(&mut self, task: Pid) {
        if Some(task) == self.parent || self.tasks.contains_key(&task.as_raw()) {
            return;
        }
        let status = fs::read_to_string(format!("/proc/{task}/status")).unwrap_or_default();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim_start_matches(':').trim().parse::<i32>().ok()
        };
        let group = number("Tgid").unwrap_or(task.as_raw());
        self.tasks.insert(task.as_raw(), Task { group, call: State::Outside });
        self.watched().insert(task.as_raw());
        if !self.processes.contains_key(&group) {
            let parent = number("PPid").and_then(|parent| self.processes.get(&parent));
            let process = match parent {
                Some(parent) => Process { number: self.count, ..parent.clone() },
                None => Process { number: self.count, program: None, root: Vec::new() },
            };
            if self.count == 0 {
                self.root = root_of(task);
            }
            self.count += 1;
            self.processes.insert(group, process);
        }
    }

    fn forget(&mut self, task: Pid) {
        if Some(task) == self.parent {
            self.parent = None;
        }
        self.watched().remove(&task.as_raw());
        let Some(Task { group, .. }) = self.tasks.remove(&task.as_raw()) else { return };
        if !self.tasks.values().any(|task| task.group == group) {
            self.processes.remove(&group);
        }
    }

    /// Handles the start or the end of a system call.
    fn at_call(&mut self, task: Pid) {
        self.meet(task);
        let Ok(registers) = registers::of(task) else { return };
        let Some(state) = self.tasks.get_mut(&task.as_raw()).map(|task| std::mem::take(&mut task.call)) else { return };
        match state {
            State::Inside(Some(asked)) => self.ended(task, asked, registers.result),
            State::Inside(None) => {}
            State::Outside if registers.may_begin() => {
                let asked = self.asked(task, &registers);
                if let Some(task) = self.tasks.get_mut(&task.as_raw()) {
                    task.call = State::Inside(asked);
                }
            }
            // The end of a call whose start was not recorded.
            State::Outside => {}
        }
    }

    /// The request of a call at its start.
    fn asked(&self, task: Pid, registers: &Registers) -> Option<Asked> {
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
    fn absolute(&self, task: Pid, folder: Option<u64>, text: &[u8]) -> Option<RootfsPath> {
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
    fn inside(&self, shown: &[u8]) -> Vec<u8> {
        let inside = shown.strip_prefix(&self.root[..]).filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
        match inside {
            Some(b"") => b"/".to_vec(),
            Some(rest) => rest.to_vec(),
            None => shown.to_vec(),
        }
    }

    fn process(&self, task: Pid) -> Option<&Process> {
        self.tasks.get(&task.as_raw()).and_then(|task| self.processes.get(&task.group))
    }

    fn process_mut(&mut self, task: Pid) -> Option<&mut Process> {
        let group = self.tasks.get(&task.as_raw())?.group;
        self.processes.get_mut(&group)
    }

    fn ended(&mut self, task: Pid, asked: Asked, result: i64) {
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

    fn note(&mut self, task: Pid, access: Access, path: RootfsPath, outcome: Outcome) {
        let Some(Process { number, program, .. }) = self.process(task).cloned() else { return };
        if self.known.insert((number, program.clone(), access, outcome, path.clone())) {
            self.seen.events.push(Event { process: number, program, access, path, outcome });
        }
    }

    /// Seizes all tracees that the last thread released, and the processes that they have started since.
    fn seize_again(&mut self) {
        let mut seized = BTreeSet::new();
        let mut ahead: Vec<i32> = self.tasks.keys().copied().collect();
        while let Some(task) = ahead.pop() {
            if !seized.insert(task) {
                continue;
            }
            if !seize_late(Pid::from_raw(task)) {
                self.forget(Pid::from_raw(task));
                continue;
            }
            self.tasks.entry(task).or_default().call = State::Outside;
            ahead.extend(relatives(task));
        }
        // New ones are recorded at their first stop.
        self.tasks.retain(|_, task| task.group != 0);
    }
}

/// A thread's siblings, and the children of each.
fn relatives(task: i32) -> Vec<i32> {
    let siblings = fs::read_dir(format!("/proc/{task}/task")).into_iter().flatten().flatten();
    let siblings: Vec<i32> = siblings.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let children = siblings.iter().flat_map(|sibling| {
        let text = fs::read_to_string(format!("/proc/{task}/task/{sibling}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    });
    children.chain(siblings.iter().copied()).collect()
}

/// Seizes a thread that another thread may not have released yet.
fn seize_late(task: Pid) -> bool {
    let started = Instant::now();
    loop {
        match ptrace::seize(task, OPTIONS) {
            // Its calls are watched from its next stop on.
            Ok(()) => return ptrace::interrupt(task).is_ok(),
            Err(Errno::EPERM) if started.elapsed() < PATIENCE && is_alive(task) => {
                std::thread::sleep(Duration::from_micros(50));
            }
            Err(_) => return false,
        }
    }
}

fn is_alive(task: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{task}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim_start().starts_with(['Z', 'X']))
}

fn root_of(task: Pid) -> Vec<u8> {
    let root = fs::read_link(format!("/proc/{task}/root")).map(|root| root.as_os_str().as_bytes().to_vec());
    root.ok().filter(|root| root != b"/").unwrap_or_default()
}

fn is(result: i64, errno: Errno) -> bool {
    result == -(errno as i64)
}

/// Continues to the next call; a process that was killed meanwhile is reported later.
fn go_on(task: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(task, signal);
}

/// The text at `address` up to the NUL; `None` if it is unreadable, or longer than any path.
fn text(task: Pid, address: u64) -> Option<Vec<u8>> {
    const PAGE: u64 = 4096;
    let mut text = Vec::new();
    let mut address = address;
    while text.len() < libc::PATH_MAX as usize {
        // The next page may not be mapped.
        let mut part = [0; 256];
        let length = part.len().min((PAGE - address % PAGE) as usize);
        let count = read(task, address, &mut part[..length])?;
        if let Some(end) = part[..count].iter().position(|byte| *byte == 0) {
            text.extend_from_slice(&part[..end]);
            return Some(text);
        }
        text.extend_from_slice(&part[..count]);
        address += count as u64;
    }
    None
}

fn read(task: Pid, address: u64, into: &mut [u8]) -> Option<usize> {
    let remote = RemoteIoVec { base: usize::try_from(address).ok()?, len: into.len() };
    process_vm_readv(task, &mut [IoSliceMut::new(into)], &[remote]).ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::watch::Event;

    /// The recorded calls of `script`, run by a shell that is itself a child of the parent.
    #[allow(clippy::print_stderr)]
    fn seen(script: &str) -> Option<Vec<Event>> {
        let outer = format!("read -r line; sh -c '{script}'; :");
        let mut parent = Command::new("sh").args(["-c", &outer]).stdin(Stdio::piped()).spawn().unwrap();
        let watch = Watch::children_of(parent.id() as i32);
        drop(parent.stdin.take());
        // Before waiting for the parent: a wait in another thread of this process would take the status of stops.
        let seen = watch.map(Watch::finish);
        parent.wait().unwrap();
        match seen {
            Ok(seen) => Some(seen.events),
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn asked(events: &[Event], access: Access, outcome: Outcome) -> Vec<String> {
        let asked = events.iter().filter(|event| (event.access, event.outcome) == (access, outcome));
        asked.map(|event| event.path.to_string()).collect()
    }

    #[test]
    fn files_and_programs_of_children_are_seen() {
        let script = "cd /usr; read -r line < bin/../../etc/passwd; cat /etc/group /none/x > /dev/null 2>&1; /none/y; \
                      readlink /proc/self/exe > /dev/null";
        let Some(events) = seen(script) else { return };
        let opened = asked(&events, Access::Open, Outcome::Found);
        assert!(opened.contains(&"/usr/bin/../../etc/passwd".to_owned()), "{opened:?}");
        assert!(opened.contains(&"/etc/group".to_owned()), "{opened:?}");
        assert!(asked(&events, Access::Open, Outcome::Absent).contains(&"/none/x".to_owned()));
        assert!(asked(&events, Access::Execute, Outcome::Absent).contains(&"/none/y".to_owned()));
        assert!(asked(&events, Access::Write, Outcome::Found).contains(&"/dev/null".to_owned()));
        assert!(asked(&events, Access::Follow, Outcome::Found).contains(&"/proc/self/exe".to_owned()));
        let by = events.iter().find(|event| event.path.to_string() == "/etc/group").unwrap();
        assert!(by.program.as_ref().unwrap().file_name() == b"cat", "{by:?}");
    }

    /// SIGRTMIN + 3 of the kernel; a shell handles it only by number.
    #[test]
    fn real_time_signals_arrive_and_the_watch_goes_on() {
        let handled = "trap \"read -r line < /etc/hostname; handled=yes\" 37; kill -37 $$; sleep 0.3; \
                       [ $handled = yes ] && read -r line < /etc/passwd";
        let Some(events) = seen(handled) else { return };
        assert!(asked(&events, Access::Open, Outcome::Found).contains(&"/etc/passwd".to_owned()), "{events:?}");
    }

    #[test]
    fn who_is_left_can_be_let_go() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read -r line; sleep 100 & sleep 0.3; echo $!"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut parent = shell.spawn().unwrap();
        let watch = Watch::children_of(parent.id() as i32);
        drop(parent.stdin.take());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line).unwrap();
        parent.wait().unwrap();
        let sleep = Pid::from_raw(line.trim().parse().unwrap());
        match watch.map(Watch::stop) {
            Ok(seen) => assert!(!seen.events.is_empty()),
            Err(error) => assert!(std::env::var_os("CI").is_none(), "{error}"),
        }
        assert!(is_alive(sleep));
        nix::sys::signal::kill(sleep, Signal::SIGKILL).unwrap();
    }
}
