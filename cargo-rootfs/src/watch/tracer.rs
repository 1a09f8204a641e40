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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::registers;
use super::requests::Asked;
use super::tracee::{is_alive, relatives, root_of};
use super::{Access, Outcome, Seen};
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

/// The state of the watching thread.
pub(super) struct Tracer<'s> {
    shared: &'s Shared,
    /// The process that will start the first watched one, until it has done so.
    parent: Option<Pid>,
    tasks: BTreeMap<i32, Task>,
    processes: BTreeMap<i32, Process>,
    /// The number of processes so far.
    count: u32,
    /// The root of the first process.
    pub(super) root: Vec<u8>,
    pub(super) known: HashSet<(u32, Option<RootfsPath>, Access, Outcome, RootfsPath)>,
    pub(super) seen: Seen,
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

/// A watched process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) number: u32,
    pub(super) program: Option<RootfsPath>,
    /// The prefix of paths if its root is below that of the first process.
    pub(super) root: Vec<u8>,
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

    pub(super) fn process(&self, task: Pid) -> Option<&Process> {
        self.tasks.get(&task.as_raw()).and_then(|task| self.processes.get(&task.group))
    }

    pub(super) fn process_mut(&mut self, task: Pid) -> Option<&mut Process> {
        let group = self.tasks.get(&task.as_raw())?.group;
        self.processes.get_mut(&group)
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

/// Continues to the next call; a process that was killed meanwhile is reported later.
fn go_on(task: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(task, signal);
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
