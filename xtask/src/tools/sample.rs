//! Commands drawn from all packages of a large root, each packed by its name alone. A command must print the same as in
//! the whole root, with the same status, and find every file that it found there, or the run that packed it must have
//! named the file.
//!
//! Commands run only with `--version` or `--help`; the rows of the table do real jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use fs_err as fs;

use super::room;
use crate::parallel::in_parallel;
use crate::process::SET_BY_CARGO;
use crate::setup::sysroot;
use crate::stage::{Tier, cannot, need};
use crate::{host, made, packed};

/// The default seed, and that of `cargo xtask acceptance`.
pub(crate) const SEED: u64 = 1;

/// The number of commands in `cargo xtask acceptance`.
const COUNT: usize = 40;

/// The commands of a run.
pub(crate) enum Choice {
    Drawn { count: usize, seed: u64 },
    Named(Vec<String>),
}

impl Choice {
    pub(crate) fn of_acceptance() -> Self {
        Self::Drawn { count: COUNT, seed: SEED }
    }
}

/// The time limit of a command, which has no terminal and no network. A second would be enough on an idle machine.
const SECONDS: &str = "20";

/// Commands that kill others, or print nothing about themselves.
const NOT_DRAWN: [&str; 4] = ["killall5", "[", "ctrlaltdel", "fstab-decode"];

/// Options that most commands answer, in the order of trial.
const ASKS: [&str; 2] = ["--version", "--help"];

/// Puts a layer to be written to on a root, in a namespace of its own, and goes on.
const OVERLAY: [&str; 6] = [
    "unshare",
    "--mount",
    "--",
    "sh",
    "-c",
    r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay -o "lowerdir=$0,upperdir=/mnt/upper,workdir=/mnt/work" overlay "$0"
exec "$@"
"#,
];

/// Directories of files that no command misses: those of `templates/policy/noise.toml`, and of a root's own room.
struct Noise {
    paths: Vec<String>,
    names: Vec<String>,
}

impl Noise {
    fn read() -> Result<Self> {
        let text = include_str!("../../../templates/policy/noise.toml");
        let table: toml::Table = toml::from_str(text).context("read the rows of noise")?;
        let rows = table["noise"].as_array().context("rows of noise")?;
        // No root has its sysroot's passwords of accounts.
        let own = ["/work", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"].map(str::to_owned);
        let mut noise = Self { paths: own.into(), names: Vec::new() };
        for path in rows.iter().filter_map(|row| row["paths"].as_array()).flatten().filter_map(toml::Value::as_str) {
            let of = if path.starts_with('/') { &mut noise.paths } else { &mut noise.names };
            of.extend(alternatives(path));
        }
        Ok(noise)
    }

    fn holds(&self, path: &str) -> bool {
        let below =
            |top: &String| path.strip_prefix(top.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path == "/"
            || self.paths.iter().any(below)
            || path.split('/').any(|part| self.names.iter().any(|it| it == part))
    }
}

/// The texts of `a{b,c}`; the rows have one pair of braces at most.
fn alternatives(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('{') else { return vec![text.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![text.to_owned()] };
    inside.split(',').map(|one| format!("{before}{one}{after}")).collect()
}

/// The end of a command in a root.
struct Ended {
    status: Option<i32>,
    said: String,
    /// Paths that it opened, executed or looked up successfully.
    found: BTreeSet<String>,
    /// The opened ones among them: files to read, directories to list.
    opened: BTreeSet<String>,
    /// Paths that it looked up and that did not exist.
    absent: BTreeSet<String>,
}

impl Ended {
    /// Its lines, sorted: programs that it starts may print at the same time, as groff's do.
    fn lines(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.said.lines().collect();
        lines.sort_unstable();
        lines
    }

    /// Returns whether a path was of no use: a directory that is empty, or was not listed, and nothing below it was found,
    /// as ncurses searches /etc/terminfo; or a file that was taken for a directory, as the loader takes /usr/bin/x86_64 for
    /// one of libraries beside node.
    fn got_nothing_of(&self, root: &Utf8Path, path: &str) -> bool {
        let below = format!("{path}/");
        let is_below =
            |paths: &BTreeSet<String>| paths.range(below.clone()..).next().is_some_and(|it| it.starts_with(&below));
        let directory = root.join(path.trim_start_matches('/'));
        if !directory.is_dir() {
            return !self.opened.contains(path) && is_below(&self.absent);
        }
        has_no_file(&directory) || !self.opened.contains(path) && !is_below(&self.found)
    }
}

/// Returns whether a directory holds nothing but directories that hold nothing, as /usr/local mostly does.
fn has_no_file(directory: &Utf8Path) -> bool {
    let Ok(mut entries) = directory.read_dir_utf8() else { return false };
    entries.all(|entry| {
        let entry = entry.ok().and_then(|entry| Some((entry.file_type().ok()?, entry)));
        // A link leads to what is elsewhere.
        entry.is_some_and(|(kind, entry)| kind.is_symlink() || kind.is_dir() && has_no_file(entry.path()))
    })
}

/// The verdict on one command.
enum Verdict {
    Works,
    /// It does not, and the run that packed it named the missing file.
    Told(String),
    /// It prints the same, but lacks files of the whole root.
    Lacks(String),
    Fails(String),
}

/// `cargo xtask tools --sample COUNT [--seed SEED]`, or `--sample NAME,NAME`
pub(crate) fn run(choice: &Choice) -> Result<()> {
    if !host::is_root() {
        return cannot("roots are entered by root alone");
    }
    ["unshare", "strace", "timeout"].into_iter().try_for_each(need)?;
    sysroot::make_for_sample()?;
    let root = packed::open(host::sysroot_sample())?;
    let packages = fs::read_dir(root.join("var/lib/dpkg/info"))?;
    let packages = packages.flatten().filter(|it| it.path().extension().is_some_and(|it| it == "list")).count();
    ensure!(packages >= 1000, "{root} has {packages} packages, and should have a thousand");
    let ours = made::program(Tier::Full)?;
    let noise = Noise::read()?;
    room::prepare(&root)?;

    let (commands, how) = match choice {
        Choice::Drawn { count, seed } => (drawn(&root, *count, *seed)?, format!("seed {seed}")),
        Choice::Named(names) => (names.clone(), "by name".to_owned()),
    };
    println!("  {} commands of {packages} packages, {how}", commands.len());
    let verdicts = in_parallel(&commands, |name| {
        let verdict = judged(&ours, &root, name, &noise).unwrap_or_else(|error| Verdict::Fails(format!("{error:#}")));
        match &verdict {
            Verdict::Works => println!("  works   {name}"),
            Verdict::Told(what) => println!("  told    {name}: {what}"),
            Verdict::Lacks(what) => println!("  lacks   {name}: {what}"),
            Verdict::Fails(why) => println!("  FAILED  {name}: {why}"),
        }
        Ok(verdict)
    })?;
    let of = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
    let (works, told) = (of(|it| matches!(it, Verdict::Works)), of(|it| matches!(it, Verdict::Told(_))));
    let (right, failed) = (works + told, of(|it| matches!(it, Verdict::Fails(_))));
    let bound = |right| 100.0 * wilson(right, verdicts.len());
    println!(
        "\n  {how}: of {} commands {works} work, of {told} more it is said what they lack: with 95% certainty at least \
         {:.1}% of all; {failed} answer otherwise than in the whole root: at least {:.1}% do not",
        verdicts.len(),
        bound(right),
        bound(verdicts.len() - failed)
    );
    // The share of all commands that has to be right: 38 of 40.
    let wrong = verdicts.len() - right;
    ensure!(wrong * 20 <= verdicts.len(), "{wrong} of {} commands are wrong, more than a twentieth", verdicts.len());
    Ok(())
}

/// The lower bound of Wilson's interval of 95%.
fn wilson(right: usize, all: usize) -> f64 {
    const Z: f64 = 1.96;
    let (all, share) = (all as f64, right as f64 / all as f64);
    let middle = share + Z * Z / (2.0 * all);
    let width = Z * (share * (1.0 - share) / all + Z * Z / (4.0 * all * all)).sqrt();
    (middle - width) / (1.0 + Z * Z / all)
}

/// Commands of a root in an order that depends only on the seed.
fn drawn(root: &Utf8Path, count: usize, seed: u64) -> Result<Vec<String>> {
    use std::os::unix::fs::PermissionsExt;
    let mut names = BTreeSet::new();
    for folder in ["usr/bin", "usr/sbin", "usr/games"] {
        let Ok(entries) = root.join(folder).read_dir_utf8() else { continue };
        for entry in entries {
            let entry = entry.with_context(|| format!("read {root}/{folder}"))?;
            // The target of an alternative is another command's file.
            let Ok(meta) = entry.path().symlink_metadata() else { continue };
            if meta.is_file() && meta.permissions().mode() & 0o111 != 0 && !NOT_DRAWN.contains(&entry.file_name()) {
                let path = format!("/{folder}/{}", entry.file_name());
                names.insert(if folder == "usr/games" { path } else { entry.file_name().to_owned() });
            }
        }
    }
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by_key(|name| rank(seed, name));
    names.truncate(count);
    Ok(names)
}

/// The place of a command in the order of a seed. It depends on no other command, so that a new one changes at most one of a
/// sample.
fn rank(seed: u64, name: &str) -> u64 {
    // FNV-1a, and the last step of splitmix64, which spreads its last bytes.
    let start = 0xcbf2_9ce4_8422_2325;
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    let hash = bytes.fold(start, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn judged(ours: &Utf8Path, full: &Utf8Path, name: &str, noise: &Noise) -> Result<Verdict> {
    let temp = camino_tempfile::Builder::new().prefix("cargo-rootfs-sample.").tempdir()?;
    let folder = temp.path();
    let root = folder.join("root");
    let words = ["rootfs", "--tools-only", "--with", name, "--sysroot", full.as_str(), "--dir", root.as_str()];
    let packed = duct::cmd(ours.as_str(), words).stdout_null().stderr_capture().unchecked().run()?;
    let said = String::from_utf8_lossy(&packed.stderr).into_owned();

    let mut asked = ASKS[0];
    let mut whole = enter(full, folder, name, asked)?;
    if whole.status != Some(0) {
        let other = enter(full, folder, name, ASKS[1])?;
        if other.status == Some(0) {
            (asked, whole) = (ASKS[1], other);
        }
    }
    if !packed.status.success() {
        // A command that the whole root cannot run is skipped.
        let cannot_run = matches!(whole.status, Some(126 | 127)) || whole.status.is_none();
        let last = said.lines().find(|line| line.starts_with("error")).unwrap_or_default();
        return Ok(if cannot_run {
            Verdict::Told(last.to_owned())
        } else {
            Verdict::Fails(format!("not packed: {last}"))
        });
    }
    room::prepare(&root)?;
    let ours = enter(&root, folder, name, asked)?;
    // Messages have names between backticks, and in the lines to paste.
    let words: BTreeSet<&str> = said.split(|c: char| c.is_whitespace() || "`,".contains(c)).collect();
    let is_told = |path: &str| {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|it| it.matches('/').count() > 2);
        let own = Utf8Path::new(path).file_name().unwrap_or(path);
        parents.chain([path]).any(|it| said.contains(it)) || own.len() > 1 && words.contains(own)
    };
    let lacks: Vec<&String> = whole
        .found
        .iter()
        .filter(|path| ours.absent.contains(*path) && !ours.found.contains(*path) && !noise.holds(path))
        .filter(|path| !whole.got_nothing_of(full, path))
        .collect();
    let untold: Vec<&&String> = lacks.iter().filter(|path| !is_told(path)).collect();
    // A second run in the whole root shows the output that differs between runs.
    let is_same = ours.status == whole.status
        && (ours.lines() == whole.lines() || enter(full, folder, name, asked)?.lines() != whole.lines());
    Ok(match (is_same, &untold[..], &lacks[..]) {
        (true, [], []) => Verdict::Works,
        (_, [], [first, ..]) => Verdict::Told(format!("{first} and all others that it lacks are named")),
        (true, [first, ..], _) => {
            Verdict::Lacks(format!("{asked}: {} files are not there, such as {first}", untold.len()))
        }
        (false, first, _) => {
            // Some draw a dialog, with control characters.
            let line = |ended: &Ended| {
                let first = ended.said.lines().next().unwrap_or_default();
                format!("{:?} `{}`", ended.status, first.escape_debug().take(100).collect::<String>())
            };
            let first = first.first().map_or(String::new(), |path| format!(", lacks {path}"));
            Verdict::Fails(format!("{asked}: {}, not {}{first}", line(&ours), line(&whole)))
        }
    })
}

/// Runs a command in a root under strace(1).
fn enter(root: &Utf8Path, folder: &Utf8Path, name: &str, option: &str) -> Result<Ended> {
    let log = folder.join("log");
    let argv = [name.to_owned(), option.to_owned()];
    let killed = ["timeout", "--signal=KILL", SECONDS].map(str::to_owned);
    let watched = ["strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o", log.as_str()].map(str::to_owned);
    // What a command writes is not there for the next one.
    let inside = OVERLAY.map(str::to_owned).into_iter().chain([root.to_string()]).chain(room::words(root, [], &argv));
    let words: Vec<String> = killed
        .into_iter()
        .chain(watched)
        .chain(["unshare".to_owned(), "--net".to_owned(), "--".to_owned()])
        .chain(inside)
        .collect();
    let expression = duct::cmd(&words[0], &words[1..]).stdin_null().stdout_capture().stderr_capture().unchecked();
    let cleaned = SET_BY_CARGO.iter().fold(expression, |it, name| it.env_remove(name));
    let ended = cleaned.run().context("start strace")?;
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let [found, opened, absent] = calls(&fs::read_to_string(&log).unwrap_or_default());
    let _ = fs::remove_file(Path::new(log.as_str()));
    Ok(Ended { status: ended.status.code(), said, found, opened, absent })
}

/// The paths of a strace(1) log after the change of root: those that were found, the opened ones among them, and those
/// that did not exist.
fn calls(log: &str) -> [BTreeSet<String>; 3] {
    let [mut found, mut opened, mut absent] = [const { BTreeSet::new() }; 3];
    let mut lines = log.lines().skip_while(|line| !line.contains(" chroot("));
    lines.next();
    // Calls of several processes may overlap: `7 execve("/x" <unfinished ...>`, and later `7 <... execve resumed>) = 0`.
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    for line in lines {
        let Some((process, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(call) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(process, call);
            continue;
        }
        let resumed = call.strip_prefix("<... ").and_then(|it| it.split_once(" resumed>"));
        let whole = resumed.map(|(_, end)| format!("{}{end}", begun.remove(process).unwrap_or_default()));
        let line = whole.as_deref().unwrap_or(call);
        let Some((name, rest)) = line.split_once('(') else { continue };
        let is_read = [
            "open",
            "openat",
            "execve",
            "execveat",
            "stat",
            "lstat",
            "statx",
            "newfstatat",
            "access",
            "faccessat",
            "faccessat2",
            "readlink",
            "readlinkat",
        ];
        if !is_read.contains(&name) || line.contains("O_CREAT") {
            continue;
        }
        let Some(path) = rest.split('"').nth(1).filter(|path| path.starts_with('/')) else { continue };
        let Some((_, ended)) = line.rsplit_once(" = ") else { continue };
        let path = path.trim_end_matches('/').to_owned();
        if ended.starts_with("-1 ENOENT") || ended.starts_with("-1 ENOTDIR") {
            absent.insert(path);
        } else if !ended.starts_with('-') && !ended.starts_with('?') {
            if name.starts_with("open") {
                opened.insert(path.clone());
            }
            found.insert(path);
        }
    }
    [found, opened, absent]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_calls_is_read() {
        let log = "7 execve(\"/usr/bin/before\", [\"x\"], 0x1 /* 1 var */) = 0\n7 chroot(\"/tmp/root\") = 0\n\
                   7 execve(\"/usr/bin/x\", [\"x\"], 0x1 /* 1 var */) = 0\n\
                   8 openat(AT_FDCWD, \"/etc/a\", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)\n\
                   8 newfstatat(AT_FDCWD, \"/usr/share/b/\", {st_mode=S_IFDIR|0755, ...}, 0) = 0\n\
                   8 openat(AT_FDCWD, \"/tmp/new\", O_WRONLY|O_CREAT, 0666) = 3\n8 openat(3, \"c\", O_RDONLY) = 4\n\
                   9 execve(\"/usr/bin/git\", [\"git\"], 0x1 /* 1 var */ <unfinished ...>\n8 getpid() = 8\n\
                   9 <... execve resumed>) = 0\n";
        let [found, opened, absent] = calls(log);
        assert!(opened.is_empty(), "{opened:?}");
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["/usr/bin/git", "/usr/bin/x", "/usr/share/b"]);
        assert_eq!(absent.iter().map(String::as_str).collect::<Vec<_>>(), ["/etc/a"]);
    }

    #[test]
    fn a_file_that_is_taken_for_a_directory_is_of_no_use() {
        let temp = camino_tempfile::tempdir().unwrap();
        for file in ["arch", "data"] {
            fs::write(temp.path().join(file), "").unwrap();
        }
        let log = "7 chroot(\"/r\") = 0\n7 openat(AT_FDCWD, \"/arch/libx.so\", O_RDONLY) = -1 ENOTDIR (Not a directory)\n\
                   7 newfstatat(AT_FDCWD, \"/arch\", {st_mode=S_IFREG}, 0) = 0\n7 access(\"/data\", R_OK) = 0\n";
        let [found, opened, absent] = calls(log);
        let ended = Ended { status: None, said: String::new(), found, opened, absent };
        assert!(ended.got_nothing_of(temp.path(), "/arch") && !ended.got_nothing_of(temp.path(), "/data"));
    }

    #[test]
    fn noise_is_that_of_the_product() {
        let noise = Noise::read().unwrap();
        for (path, is) in [
            ("/proc/self/maps", true),
            ("/process", false),
            ("/usr/lib/python3/__pycache__/x.pyc", true),
            ("/etc/ld.so.cache", true),
            ("/usr/share/x", false),
        ] {
            assert_eq!(noise.holds(path), is, "{path}");
        }
    }

    #[test]
    fn the_bound_is_wilsons() {
        for (right, all, bound) in [(40, 40, 0.912), (190, 200, 0.910), (198, 200, 0.964)] {
            assert!((wilson(right, all) - bound).abs() < 0.002, "{right} of {all}: {}", wilson(right, all));
        }
    }
}
