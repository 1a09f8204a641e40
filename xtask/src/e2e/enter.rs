//! `cargo rootfs run` and `shell`, as root and as a user without rights: the command's surroundings are complete, and
//! no file or process stays behind.

use std::process::ExitStatus;

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use fs_err as fs;

use super::arm64;
use super::engine::{self, Image};
use super::lab::Lab;
use crate::host;
use crate::process::{Command, command, until};
use crate::stage::{cannot, need};

/// A user who enters a rootfs.
pub(super) struct Visitor {
    /// Words before a command that run it as this user.
    before: Vec<String>,
    home: Utf8PathBuf,
}

impl Visitor {
    /// The current user, and nobody(65534) if that is root.
    pub(super) fn all(lab: &Lab) -> Result<Vec<Visitor>> {
        let own = Visitor { before: Vec::new(), home: lab.folder("home")? };
        if !host::is_root() {
            return Ok(vec![own]);
        }
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
        let theirs = Visitor { before: nobody, home: lab.folder("nobody")? };
        command(["chown", "65534:65534", theirs.home.as_str()]).run()?;
        Ok(vec![own, theirs])
    }

    pub(super) fn command<I: IntoIterator<Item: Into<String>>>(&self, argv: I) -> Command {
        let argv = argv.into_iter().map(Into::into);
        let command = command(self.before.iter().cloned().chain(argv)).dir(&self.home);
        command.env("HOME", self.home.as_str()).env("XDG_CACHE_HOME", self.home.join("cache").as_str())
    }

    /// `cargo rootfs run -q --tools-only --with TOOLS ARGS`
    fn run(&self, lab: &Lab, args: &[&str]) -> Command {
        self.command([lab.path("bin/cargo-rootfs").as_str(), "rootfs", "run", "-q", "--tools-only", "--with", TOOLS])
            .args(args.iter().copied())
    }

    /// `sh -c SCRIPT` in it.
    fn script(&self, lab: &Lab, script: &str) -> Command {
        self.run(lab, &["--", "sh", "-c", script])
    }

    pub(super) fn left(&self) -> Result<Vec<String>> {
        let cache = self.home.join("cache/cargo-rootfs");
        let entries = cache.read_dir_utf8().into_iter().flatten();
        Ok(entries.map(|entry| Ok(entry?.file_name().to_owned())).collect::<std::io::Result<_>>()?)
    }
}

const TOOLS: &str = "sh,cat,ls,id,stat,wc,head,sleep,rm";

/// Prints the type of the file system of `/` as the last line.
const TYPE_OF_ROOT: &str = "while read -r from at type rest; do [ $at != / ] || echo $type; done < /proc/mounts";

/// The files that a command sees and leaves.
pub(super) fn inside(lab: &Lab) -> Result<()> {
    for visitor in Visitor::all(lab)? {
        let done = visitor.script(lab, "echo out; echo err >&2; cat; exit 7").stdin("in").finish()?;
        let heard = (done.code, done.stdout.as_str(), done.stderr.as_str());
        ensure!(heard == (Some(7), "out\nin", "err\n"), "{}", done.report("streams or exit status"));
        for (script, code) in [("kill -KILL $$", 137), ("kill -TERM $$", 143), ("exec nowhere", 127)] {
            visitor.script(lab, script).finish().and_then(|done| {
                ensure!(done.code == Some(code), "{}", done.report(&format!("expected {code}")));
                Ok(())
            })?;
        }
        let said = visitor.script(lab, "id -u; stat -c %u:%g:%a /usr/bin/ls; cat /proc/1/comm; echo $HOME").run()?;
        ensure!(said.stdout == "0\n0:0:755\nrootfs-init\n/root\n", "{}", said.report("who, whose and where"));
        let devices = "echo x > /dev/null; cat /dev/null; head -c 4 /dev/urandom | wc -c; head -c 3 /dev/zero | wc -c; \
                       ls /dev/pts /dev/shm; echo shared > /dev/shm/x; cat /dev/fd/0 < /dev/shm/x";
        let said = visitor.script(lab, devices).run()?;
        ensure!(said.stdout == "4\n3\n/dev/pts:\nptmx\n\n/dev/shm:\nshared\n", "{}", said.report("/dev"));

        let sys = "while read -r from at type options rest; do [ $at != /sys ] || echo $type ${options%%,*}; done < /proc/mounts; \
                   ls /sys/kernel > /dev/null && ! echo x > /sys/kernel/profiling";
        let said = visitor.script(lab, sys).run()?;
        ensure!(said.stdout == "sysfs ro\n", "{}", said.report("/sys"));

        // Written, removed and replaced files are so for one run only.
        let change = "echo x >> /etc/passwd && rm /usr/bin/ls && echo new > /usr/bin/stat && ! ls";
        let before = fs::read("/usr/bin/stat")?;
        visitor.script(lab, change).run()?;
        let unchanged =
            "ls /usr/bin/ls && stat / && while read -r line; do [ \"$line\" != x ] || exit 1; done < /etc/passwd";
        visitor.script(lab, unchanged).run()?;
        ensure!(fs::read("/usr/bin/stat").is_ok_and(|now| now == before), "/usr/bin/stat of the host has changed");
        ensure!(visitor.left()?.is_empty(), "it left {:?}", visitor.left()?);
    }
    Ok(())
}

/// Binds, for reading and for writing, and both networks.
pub(super) fn outside_world(lab: &Lab) -> Result<()> {
    for visitor in Visitor::all(lab)? {
        let data = visitor.home.join("data");
        visitor.command(["sh", "-c", "mkdir -p data && echo host > data/file"]).run()?;
        let read_only = format!("{data}:/bin/deep/data:ro");
        let one = format!("{data}/file:/etc/one");
        let script = format!(
            "cat /usr/bin/deep/data/file {data}/file /etc/one; echo inside > {data}/new; ! echo x > /bin/deep/data/x"
        );
        let binds = ["--bind", data.as_str(), "--bind", &read_only, "--bind", &one, "--", "sh", "-c", &script];
        let done = visitor.run(lab, &binds).run()?;
        ensure!(done.stdout == "host\nhost\nhost\n", "{}", done.report("the binds hold something else"));
        done.says(&["read-only"])?;
        let new = fs::read_to_string(data.join("new")).context("what was written through a bind")?;
        ensure!(new == "inside\n" && !data.join("x").exists(), "it wrote {new}, or what it may not");

        let interfaces = |args: &[&str]| {
            let done = visitor.run(lab, &[args, &["--", "cat", "/proc/net/dev"]].concat()).run()?;
            let lines = done.stdout.lines().filter_map(|line| line.split_once(':'));
            Ok::<_, anyhow::Error>(lines.map(|(name, _)| name.trim().to_owned()).collect::<Vec<_>>())
        };
        ensure!(interfaces(&["--network", "none"])? == ["lo"], "no network has more than lo");
        let host = fs::read_to_string("/proc/net/dev")?;
        let host: Vec<_> = host.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
        ensure!(interfaces(&[])? == host, "the host's network is another");
    }
    Ok(())
}

/// SIGTERM and SIGINT reach the command; after SIGKILL, and after its end, no process or file of it remains.
pub(super) fn signals(lab: &Lab) -> Result<()> {
    for (number, visitor) in Visitor::all(lab)?.iter().enumerate() {
        for (round, (signal, code)) in [("TERM", Some(143)), ("INT", Some(130)), ("KILL", None)].into_iter().enumerate()
        {
            // A duration that no other process sleeps, and that ends, so that a lost signal is a wrong status and not a
            // hang.
            let seconds = format!("300.713{number}{round}");
            let status = killed(&visitor.run(lab, &["--", "sleep", &seconds]), signal, &seconds)?;
            ensure!(status.code() == code, "after SIG{signal} it ended with {status}");
            ensure!(visitor.left()?.is_empty(), "after SIG{signal} it left {:?}", visitor.left()?);
        }
        visitor.script(lab, "sleep 300.7139 & exit 0").run()?;
        ensure!(!sleeps("300.7139")?, "what the command started in the background has outlived it");
    }
    Ok(())
}

/// Starts a command that becomes `sleep SECONDS`, then signals it, and checks that the sleep ends.
fn killed(command: &Command, signal: &str, seconds: &str) -> Result<ExitStatus> {
    let handle = command.start()?;
    let pid = handle.pids().first().copied().context("no process")?.to_string();
    until("it sleeps", || sleeps(seconds))?;
    crate::process::command(["kill", "-s", signal, &pid]).run()?;
    let status = handle.wait()?.status;
    until("it sleeps no more", || Ok(!sleeps(seconds)?))?;
    Ok(status)
}

/// Returns whether a process `sleep SECONDS` runs.
pub(super) fn sleeps(seconds: &str) -> Result<bool> {
    for entry in fs::read_dir("/proc")? {
        let words = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        if words == format!("sleep\0{seconds}\0").as_bytes() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A shell on a terminal: job control, Ctrl-C for its child and not for itself, a name for the terminal.
pub(super) fn terminal(lab: &Lab) -> Result<()> {
    need("script")?;
    for visitor in Visitor::all(lab)? {
        let binary = lab.path("bin/cargo-rootfs");
        let shell = format!("{binary} rootfs shell -q --tools-only --with bash,tty,sleep");
        // Text that is typed before the shell reads is kept, but Ctrl-C would be lost before its child sleeps.
        let typed = "(sleep 1; echo 'tty; echo flags $-'; echo 'sleep 1000.7139'; \
                     until grep -qszx '1000[.]7139' /proc/[0-9]*/cmdline || [ $((n += 1)) = 600 ]; do sleep 0.1; done; \
                     printf '\\003'; sleep 0.5; echo 'echo code $?'; echo 'exit 5') | script -qec \"$0\" /dev/null";
        let done = visitor.command(["sh", "-c", typed, &shell]).env("TERM", "dumb").finish()?;
        ensure!(done.code == Some(5), "{}", done.report("expected exit code 5"));
        for words in ["/dev/console", "code 130"] {
            ensure!(done.stdout.contains(words), "{}", done.report(&format!("expected `{words}`")));
        }
        let flags = done.stdout.lines().find_map(|line| line.strip_prefix("flags ")).unwrap_or_default();
        ensure!(flags.contains('m') && flags.contains('i'), "{}", done.report("no job control"));
    }
    Ok(())
}

/// Programs of another machine: by the host's registration, by one of its own, and an explained error without any.
pub(super) fn foreign(lab: &Lab) -> Result<()> {
    arm64::can_run()?;
    let target = arm64::target()?;
    for visitor in Visitor::all(lab)? {
        let words = ["rootfs", "run", "-q", "--tools-only", "--with", "bash,ls"].map(str::to_owned);
        let script = ["--", "bash", "-c", "echo $HOSTTYPE; ls -d /usr/bin/ls"].map(str::to_owned);
        let binary = lab.path("bin/cargo-rootfs").into_string();
        let run: Vec<String> = std::iter::once(binary).chain(words).chain(target.clone()).chain(script).collect();
        let done = visitor.command(run.clone()).run()?;
        ensure!(done.stdout == "aarch64\n/usr/bin/ls\n", "{}", done.report("by the host's registration"));

        // A user namespace with its own empty table (Linux 6.7).
        let alone = |script: &str| {
            let script = format!("mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 77; {script} exec \"$@\"");
            let words = ["unshare", "--map-root-user", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned);
            visitor.command(words.into_iter().chain(run.clone()))
        };
        let done = alone("").finish()?;
        if done.code == Some(77) {
            return cannot("the kernel has one table of binfmt_misc for everybody");
        }
        ensure!(done.stdout == "aarch64\n/usr/bin/ls\n", "{}", done.report("by a registration of its own"));
        let qemu = host::find("qemu-aarch64-static").context("no qemu-aarch64-static")?;
        alone(&format!("mount --bind /dev/null {qemu} &&")).fail(&[1])?.says(&["aarch64", "qemu-user-static"])?;
    }
    Ok(())
}

/// If user namespaces are forbidden the error names the setting; root's rights over mounts work without them.
pub(super) fn forbidden(lab: &Lab) -> Result<()> {
    for visitor in Visitor::all(lab)? {
        let without = |last: &[&str]| {
            let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
            let unshare = ["unshare", "--map-root-user", "sh", "-c", forbid, "sh"];
            let binary = lab.path("bin/cargo-rootfs");
            let run =
                [binary.as_str(), "rootfs", "run", "-q", "--tools-only", "--with", "sh", "--", "sh", "-c", "exit 3"];
            visitor.command([&unshare, last, &run].concat())
        };
        let done = without(&[]).finish()?;
        ensure!(done.code == Some(3), "{}", done.report("root needs no user namespace"));
        let no_rights = without(&["setpriv", "--bounding-set=-all", "--inh-caps=-all"]);
        no_rights.fail(&[1])?.says(&["user.max_user_namespaces is 0", "sudo sysctl user.max_user_namespaces="])?;
    }
    Ok(())
}

/// If files cannot be referred to, all are copied, into memory, or to a disk if memory is short.
pub(super) fn copies(lab: &Lab) -> Result<()> {
    let meminfo = lab.file("meminfo", "MemAvailable: 100 kB\n")?;
    // A directory with a mount below it cannot be a layer of an overlay.
    let apart = "for folder in /usr/bin /usr/lib/x86_64-linux-gnu; do \
                 file=$(find $folder -maxdepth 1 -type f | head -n 1); mount --bind $file $file || exit 9; done; ";
    let short = format!("{apart} mount --bind {meminfo} /proc/meminfo; ");
    let on_disk = command(["stat", "-f", "-c", "%T", lab.path("").as_str()]).run()?;
    for (number, visitor) in Visitor::all(lab)?.iter().enumerate() {
        let run = |before: &str, words: &[&str]| {
            let script = format!("{before} exec \"$@\"");
            let unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", &script, "sh"];
            let binary = lab.path("bin/cargo-rootfs");
            let run = [binary.as_str(), "rootfs", "run", "-q", "--tools-only", "--with", TOOLS];
            // Rules take files of other directories, which can be referred to.
            let bare = ["--runtime", "none", "--"];
            visitor.command([&unshare[..], &run, &bare, words].concat())
        };
        let type_of_root = |before: &str| {
            let done = run(before, &["sh", "-c", TYPE_OF_ROOT]).run()?;
            Ok::<_, anyhow::Error>(done.line()?.to_owned())
        };
        let referred = type_of_root("")?;
        ensure!(["overlay", "tmpfs"].contains(&referred.as_str()), "/ is {referred}");
        let copied = type_of_root(apart)?;
        ensure!(copied == "tmpfs", "/ is {copied}, though no file can be referred to");
        let on_disk = on_disk.line()?;
        if on_disk != "tmpfs" {
            let kept = type_of_root(&short)?;
            ensure!(kept != "tmpfs" && kept != "overlay", "/ is {kept}, though memory is short");
            // Only init is left to remove the directory.
            let seconds = format!("300.714{number}");
            killed(&run(&short, &["sleep", &seconds]), "KILL", &seconds)?;
            until("no folder is left", || Ok(visitor.left()?.is_empty()))?;
        }
        ensure!(visitor.left()?.is_empty(), "it left {:?}", visitor.left()?);
    }
    Ok(())
}

/// In a container without the rights for namespaces and mounts, root gets a chroot, and another user an explained
/// error.
pub(super) fn container(lab: &Lab) -> Result<()> {
    engine::ready("docker")?;
    let binary = lab.path("bin/cargo-rootfs");
    let import = ["--with", "sh,find", "--docker-import", "cargo-rootfs-e2e:enter"];
    let done = command([binary.as_str(), "rootfs", "--binary", binary.as_str()]).args(import).run()?;
    let image = Image::of("docker", &done)?;
    let run = ["run", "--tools-only", "--with", "sh", "--", "sh", "-c", "echo in; exit 6"];
    let done = image.run(&[], &run).finish()?;
    if done.stderr.contains("by chroot alone") {
        ensure!(done.code == Some(6) && done.stdout == "in\n", "{}", done.report("a chroot"));
        image.run(&["--user", "65534"], &run).fail(&[1])?.says(&["user namespaces", "seccomp"])?;
        let run = ["run", "--network", "none", "--tools-only", "--with", "sh"];
        image.run(&[], &run).fail(&[1])?.says(&["--network none", "seccomp"])?;
        return Ok(());
    }
    cannot("docker's containers may make namespaces here")
}
