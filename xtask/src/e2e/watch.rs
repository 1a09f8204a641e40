//! `cargo rootfs check` and `trace`, as root and as a user without rights. `check` names missing files with the option
//! that adds them, which then works; `trace` prints metadata whose rootfs runs the command.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use fs_err as fs;

use super::arm64;
use super::chroot::Chroot;
use super::enter::Visitor;
use super::lab::Lab;
use crate::process::{Command, Done};

/// `cargo rootfs COMMAND --tools-only ARGS`
fn ask(visitor: &Visitor, lab: &Lab, command: &str, args: &[&str]) -> Command {
    let binary = lab.path("bin/cargo-rootfs");
    visitor.command([&[binary.as_str(), "rootfs", command, "--tools-only"], args].concat())
}

/// The options that a help line offers.
fn offered(done: &Done, before: &str) -> Result<Vec<String>> {
    let line = done.stderr.lines().find_map(|line| line.trim_start().strip_prefix("help: ")?.strip_prefix(before));
    let line = line.with_context(|| done.report(&format!("no help line begins with `{before}`")))?;
    Ok(line.split(' ').map(str::to_owned).collect())
}

/// `check` names the missing files of a command, which works with the suggested options; other files are not named.
pub(super) fn check(lab: &Lab) -> Result<()> {
    let iconv = ["--runtime", "none", "--with", "iconv"];
    for visitor in Visitor::all(lab)? {
        // A tool that a shell calls; data and modules that a library opens from a missing directory.
        let calls = ["--with", "sh", "--", "sh", "-c", "cat /etc/hosts"];
        let reads = [&iconv[..], &["--", "iconv", "-f", "UTF-8", "-t", "UTF-16", "/dev/null"]].concat();
        for (args, options) in [(&calls[..], "--with cat"), (&reads, "--include /usr/lib/")] {
            let done = ask(&visitor, lab, "check", args).fail(&[1])?;
            let offered = offered(&done, "add the missing files: ")?;
            ensure!(offered.join(" ").starts_with(options), "{}", done.report(&format!("expected {options}")));
            let (content, command) = args.split_at(args.iter().position(|word| *word == "--").unwrap_or_default());
            let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
            let done = ask(&visitor, lab, "check", &[content, &offered, command].concat()).run()?;
            ensure!(!done.stderr.contains("missing at run time"), "{}", done.report("something is still missing"));
            ensure!(done.stdout.lines().all(|line| line.starts_with("ok ")), "{}", done.report("not ok"));
        }

        // A command that succeeds gets warnings only for files that matter.
        let read = ["--with", "sh,cat", "--", "sh", "-c", "cat /usr/share/common-licenses/Artistic; true"];
        ask(&visitor, lab, "check", &read)
            .run()?
            .says(&["warning: ", "missing at run time: /usr/share/common-licenses/Artistic (by /usr/bin/cat)"])?;
        let many = "bash,sh,ls,cat,cp,sort,grep,sed,find,tar,gzip,awk,id,env,date,head,ps";
        let done = ask(&visitor, lab, "check", &["--with", many]).run()?;
        ensure!(!done.stderr.contains("missing at run time"), "{}", done.report("nothing is missing that they need"));

        // A slow command is killed with all its children, and a command without a message is reported as such.
        let slow = ["--timeout", "1", "--with", "sh,sleep", "--", "sh", "-c", "sleep 300.7150 & sleep 300.7151"];
        ask(&visitor, lab, "check", &slow).fail(&[1])?.says(&["did not end in 1 seconds", "--timeout SECONDS"])?;
        ensure!(!super::enter::sleeps("300.7150")?, "what a slow command started is still there");
        let json = ["--message-format", "json", "--with", "sh", "--", "sh", "-c", "kill -SEGV $$"];
        let done = ask(&visitor, lab, "check", &json).fail(&[1])?;
        let message = done.stdout.lines().next().unwrap_or_default();
        for part in ["\"reason\":\"rootfs-check\"", "\"status\":\"failed\"", "\"signal\":11", "\"missing\":[]"] {
            ensure!(message.contains(part), "{}", done.report(&format!("expected {part}")));
        }
        ensure!(visitor.left()?.is_empty(), "it left {:?}", visitor.left()?);
    }
    library(lab)
}

/// A library that is opened by a computed name.
fn library(lab: &Lab) -> Result<()> {
    let sysroot = lab.path("sysroot");
    lab.tools(["--with", "sh,ls", "--dir", sysroot.as_str()]).run()?;
    let flags = ["-shared", "-fPIC", "-Wl,-soname,libextra.so.1"];
    lab.cc("cc", "deep.c", &sysroot.join("usr/lib/libextra.so.1"), &flags)?;
    lab.cc("cc", "opens.c", &sysroot.join("usr/bin/opens"), &[])?;
    let content = ["--sysroot", sysroot.as_str(), "--with", "opens,sh"];
    for visitor in Visitor::all(lab)? {
        // The program prints the missing library, and succeeds.
        let script = "[ \"$(opens libextra.so.1)\" = 'libextra.so.1 7' ]";
        let command = ["--", "sh", "-c", script];
        let done = ask(&visitor, lab, "check", &[&content[..], &command].concat()).fail(&[1])?;
        ensure!(
            offered(&done, "add the missing files: ")? == ["--with-lib", "libextra.so.1"],
            "{}",
            done.report("library")
        );
        ask(&visitor, lab, "check", &[&content[..], &["--with-lib", "libextra.so.1"], &command].concat()).run()?;

        // By `trace` too, in a tree that is not the host's and does not change.
        let before = tree(&sysroot)?;
        let inside =
            ["--sysroot", sysroot.as_str(), "--", "sh", "-c", "opens libextra.so.1; echo x > /usr/bin/new; exit 4"];
        let done = ask(&visitor, lab, "trace", &inside).finish()?;
        ensure!(done.code == Some(4), "{}", done.report("the command's exit code"));
        let expected = "[package.metadata.rootfs]\nwith = [\"sh\", \"opens\"]\nwith-lib = [\"libextra.so.1\"]\n";
        ensure!(done.stdout == expected, "{}", done.report(expected));
        ensure!(tree(&sysroot)? == before, "the sysroot has changed");
    }
    Ok(())
}

/// The names in a directory.
fn tree(folder: &Utf8Path) -> Result<String> {
    Ok(crate::process::command(["find", folder.as_str()]).run()?.stdout)
}

/// The file that the command reads: a file of a package that every Debian has.
const LICENCE: &str = "/usr/share/common-licenses/Artistic";

/// A project's program calls tools, which read data and load modules. Traced, pasted and built, it does so in a chroot.
pub(super) fn trace(lab: &Lab) -> Result<()> {
    for runtime in ["none", "rules"] {
        let name = format!("hello-{runtime}");
        let hello = lab.fixture("hello")?;
        let project = lab.path(&name);
        fs::rename(&hello, &project)?;
        let script = format!("cat {LICENCE} | iconv -f UTF-8 -t UTF-16 | wc -c");
        let args = ["hello", "run", "sh", "-c", &script];
        let traced = lab.rootfs(&project, [&["trace", "--runtime", runtime, "--"][..], &args].concat()).run()?;
        ensure!(traced.stderr.contains("hello from"), "{}", traced.report("the command's output is on stderr"));
        ensure!(!traced.stdout.contains(lab.path("").as_str()), "{}", traced.report("a path of the project"));
        for tool in ["sh", "cat", "iconv", "wc"] {
            ensure!(traced.stdout.contains(&format!("\"{tool}\"")), "{}", traced.report(&format!("no {tool}")));
        }
        let manifest = project.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        lab.file(&format!("{name}/Cargo.toml"), &format!("{text}\n{}", traced.stdout))?;

        let root = lab.path(&format!("root-{runtime}"));
        lab.rootfs(&project, ["--runtime", runtime, "--dir", root.as_str()]).run()?;
        let said = Chroot::new(root)?.run(&args)?;
        let count = said.stdout.lines().last().unwrap_or_default();
        let expected = crate::process::command(["sh", "-c", &script]).run()?;
        ensure!(count == expected.line()?.trim(), "{}", said.report(&format!("expected {}", expected.stdout)));
        // A second trace finds nothing.
        let again = lab.rootfs(&project, [&["trace", "--runtime", runtime, "--"][..], &args].concat()).run()?;
        ensure!(again.stdout.is_empty(), "{}", again.report("all of it is packed"));
    }
    Ok(())
}

/// All kinds of processes are followed, none waits for ever, and tracing changes none.
pub(super) fn processes(lab: &Lab) -> Result<()> {
    for visitor in Visitor::all(lab)? {
        let trace = |script: &str| ask(&visitor, lab, "trace", &["-q", "--runtime", "none", "--", "sh", "-c", script]);
        let takes = |script: &str, part: &str| {
            let done = trace(script).run()?;
            ensure!(done.stdout.contains(part), "{}", done.report(&format!("expected {part}")));
            Ok(())
        };
        // In the background, in a subshell that outlives its parent, by a relative path, and by a program that PATH
        // finds.
        takes(&format!("(sleep 0.2; cat {LICENCE} > /dev/null) & exit 0"), LICENCE)?;
        takes("cd /usr/share; cat common-licenses/../common-licenses/Artistic > /dev/null", LICENCE)?;
        takes("env cat /dev/null", "\"env\", \"cat\"")?;
        // The tracer stops for a moment at a real-time signal, and then sees all later calls.
        takes(
            &format!(
                "trap 'sleep 1; cat {LICENCE} > /dev/null; exit 0' 40; (sleep 0.3; kill -40 $$) & wait; wait; sleep 0.2"
            ),
            "cat",
        )?;
        for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("exec /none", 127)] {
            let done = trace(script).finish()?;
            ensure!(done.code == Some(code), "{}", done.report(&format!("expected {code}")));
        }
        let done = ask(&visitor, lab, "trace", &["-q", "--", "/none/such"]).fail(&[127])?;
        done.says(&["cannot run `/none/such`"])?;
        let done = ask(&visitor, lab, "trace", &["-q", "--", "cat"]).stdin("typed").run()?;
        ensure!(done.stderr.contains("typed"), "{}", done.report("standard input is the command's"));
    }
    Ok(())
}

/// Programs of another machine, through qemu-user: their files, not the emulator's.
pub(super) fn foreign(lab: &Lab) -> Result<()> {
    arm64::can_run()?;
    let target = arm64::target()?;
    let target: Vec<&str> = target.iter().map(String::as_str).collect();
    for visitor in Visitor::all(lab)? {
        let zone = "/usr/share/zoneinfo/Europe/Berlin";
        let script = format!("wc -c {zone}");
        let command = ["--", "bash", "-c", &script];
        let traced = ask(&visitor, lab, "trace", &[&target[..], &["--runtime", "none"], &command].concat()).run()?;
        let include = format!("usr/share/zoneinfo/Europe/Berlin:{zone}");
        for part in ["with = [\"bash\", \"wc\"]", &include] {
            ensure!(traced.stdout.contains(part), "{}", traced.report(&format!("expected {part}")));
        }
        ensure!(!traced.stdout.contains("qemu"), "{}", traced.report("the emulator is no part of it"));

        let with = ["--runtime", "none", "--with", "bash"];
        let done = ask(&visitor, lab, "check", &[&target[..], &with, &command].concat()).fail(&[1])?;
        // With all suggestions at once the command works.
        let offered = offered(&done, "add the missing files: ")?;
        ensure!(offered[..2] == ["--with", "wc"], "{}", done.report("the tool"));
        ensure!(offered[2..].iter().any(|part| part.ends_with(&include)), "{}", done.report("the file"));
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        ask(&visitor, lab, "check", &[&target[..], &with, &offered, &command].concat()).run()?;
    }
    Ok(())
}
