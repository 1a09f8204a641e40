//! Programs that run another program, and its position in their command line.

/// A program that runs another one.
pub(super) struct Runner {
    row: &'static Row,
    /// The number of arguments that still precede the command.
    left: usize,
    /// True if the next word is the value of an option.
    is_value: bool,
    /// True if the next word is a script.
    is_text: bool,
}

/// The meaning of a word for a runner.
pub(super) enum Next {
    /// An option, its value, or another argument.
    Argument,
    /// The command.
    Command,
    /// The text of a script.
    Text,
    /// A file that a shell reads.
    File,
}

/// The command line syntax of a runner.
struct Row {
    names: &'static [&'static [u8]],
    /// Options that take the next word as their value.
    with_value: &'static [&'static [u8]],
    /// The number of arguments before the command.
    arguments: usize,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Command,
    /// A shell: a file, or a text after `-c`.
    Shell,
    /// A user's shell: only a text after `-c`.
    User,
    /// `.` and `source`.
    Source,
}

/// Options of find(1) and start-stop-daemon(8) before a command.
pub(super) const BEFORE_COMMAND: [&[u8]; 8] =
    [b"-exec", b"-execdir", b"-ok", b"-okdir", b"--exec", b"-x", b"--startas", b"-a"];

/// Programs with these options.
pub(super) const FINDERS: [&[u8]; 3] = [b"find", b"start-stop-daemon", b"/sbin/start-stop-daemon"];

const fn plain(names: &'static [&'static [u8]], with_value: &'static [&'static [u8]], arguments: usize) -> Row {
    Row { names, with_value, arguments, kind: Kind::Command }
}

static ROWS: [Row; 22] = [
    plain(
        &[
            b"command",
            b"nohup",
            b"setsid",
            b"which",
            b"type",
            b"chronic",
            b"fakeroot",
            b"dbus-run-session",
            b"catchsegv",
        ],
        &[],
        0,
    ),
    plain(&[b"exec"], &[b"-a"], 0),
    plain(&[b"nice"], &[b"-n", b"--adjustment"], 0),
    plain(&[b"env"], &[b"-u", b"--unset", b"-C", b"--chdir"], 0),
    plain(&[b"sudo"], &[b"-u", b"-g", b"-h", b"-p", b"-C", b"-T", b"-R", b"-D", b"-r", b"-t", b"-U"], 0),
    plain(&[b"doas"], &[b"-u", b"-C"], 0),
    plain(&[b"timeout"], &[b"-s", b"--signal", b"-k", b"--kill-after"], 1),
    plain(
        &[b"xargs"],
        &[
            b"-a",
            b"-d",
            b"-E",
            b"-I",
            b"-L",
            b"-n",
            b"-P",
            b"-s",
            b"--arg-file",
            b"--delimiter",
            b"--max-args",
            b"--max-procs",
        ],
        0,
    ),
    plain(&[b"ionice"], &[b"-c", b"-n", b"--class", b"--classdata"], 0),
    plain(&[b"chrt", b"taskset"], &[b"-T", b"-P", b"-D"], 1),
    plain(&[b"stdbuf"], &[b"-i", b"-o", b"-e"], 0),
    plain(&[b"chroot"], &[], 1),
    plain(&[b"flock"], &[b"-w", b"-E", b"--timeout", b"--conflict-exit-code"], 1),
    plain(&[b"unshare"], &[b"-S", b"-G", b"-R", b"-w", b"--root", b"--wd", b"--setuid", b"--setgid"], 0),
    plain(&[b"nsenter"], &[b"-t", b"-S", b"-G", b"--target"], 0),
    plain(&[b"setpriv", b"prlimit", b"linux32", b"linux64", b"eatmydata"], &[], 0),
    plain(&[b"runuser", b"gosu", b"su-exec", b"setuidgid", b"chpst"], &[b"-u", b"-g", b"-G", b"-s"], 1),
    plain(&[b"watch"], &[b"-n", b"--interval"], 0),
    plain(&[b"tini", b"dumb-init", b"catatonit"], &[b"-p", b"-e"], 0),
    Row {
        names: &[b"sh", b"bash", b"dash", b"ash", b"ksh", b"mksh", b"zsh"],
        with_value: &[b"-o", b"+o", b"-O", b"--rcfile", b"--init-file"],
        arguments: 0,
        kind: Kind::Shell,
    },
    Row { names: &[b"su"], with_value: &[b"-s", b"-g", b"-G", b"-w"], arguments: 0, kind: Kind::User },
    Row { names: &[b".", b"source"], with_value: &[], arguments: 0, kind: Kind::Source },
];

impl Runner {
    /// The runner of this name, if it is one.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let row = ROWS.iter().find(|row| row.names.contains(&name))?;
        Some(Self { row, left: row.arguments, is_value: false, is_text: false })
    }

    /// Handles the next word of its command line; `None` is a computed word.
    pub(super) fn take(&mut self, word: Option<&[u8]>, is_assignment: bool) -> Next {
        if std::mem::take(&mut self.is_value) {
            return Next::Argument;
        }
        if self.is_text {
            return Next::Text;
        }
        if self.row.kind == Kind::Source {
            return Next::File;
        }
        match word {
            Some(option @ [b'-' | b'+', _, ..]) => {
                let is_short = option.get(1) != Some(&b'-');
                let is_shell = matches!(self.row.kind, Kind::Shell | Kind::User);
                self.is_text = is_shell && option[0] == b'-' && is_short && option.contains(&b'c');
                self.is_text |= matches!(option, b"--command" | b"-c") && (is_shell || self.row.names[0] == b"flock");
                self.is_value = !self.is_text && self.row.with_value.contains(&option);
                Next::Argument
            }
            Some(b"-") => Next::Argument,
            _ if is_assignment => Next::Argument,
            _ if self.left > 0 => {
                self.left -= 1;
                Next::Argument
            }
            _ if self.row.kind == Kind::User => Next::Argument,
            _ if self.row.kind == Kind::Shell => Next::File,
            _ => Next::Command,
        }
    }
}
