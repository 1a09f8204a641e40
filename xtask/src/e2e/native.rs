//! The host's own architecture, without an engine.

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::process::command;

/// The commands that bash runs in the root and on the host.
pub(super) const SCRIPT: &str =
    "echo $((6*7)) {a..c} ${BASH_VERSION}; printf '%s\\n' \"$(ls /usr/local/bin/hello)\"; exit 3";

/// `cargo rootfs --with bash,ls`: the default output, unpacked and run.
pub(super) fn chroot(lab: &Lab) -> Result<()> {
    let hello = lab.fixture("hello")?;
    let done = lab.rootfs(&hello, ["--with", "bash,ls"]).run()?;
    let tar = Utf8PathBuf::from(done.line()?);
    let expected = hello.join("target/rootfs/hello-x86_64-unknown-linux-gnu.tar");
    ensure!(tar == expected, "expected {expected} on stdout, got {tar}");
    done.says(&["Finished"])?;

    let entries = tarball::list(&tar)?;
    tarball::never_names(&entries, &hello)?;
    ensure!(tarball::at(&entries, "/usr/local/bin/hello")?.mode == "-rwxr-xr-x", "the binary's mode");
    ensure!(tarball::at(&entries, "/tmp")?.mode == "drwxrwxrwt", "the mode of /tmp");
    for entry in &entries {
        // The template gives the user nonroot a writable home.
        let owner = if entry.path == "/home/nonroot" { "65532/65532" } else { "0/0" };
        ensure!(entry.owner == owner && entry.mtime == "1970-01-01 00:00:00", "not {owner}'s, or not at 0: {entry:?}");
    }

    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    let on_host = command([hello.join("target/release/hello").as_str(), "a b", ""]).run()?;
    let in_root = root.run(&["/usr/local/bin/hello", "a b", ""])?;
    ensure!(in_root.stdout == on_host.stdout, "{}", in_root.report(&format!("the host said {}", on_host.stdout)));

    let in_root = root.command(&["bash", "-c", SCRIPT]).finish()?;
    let version = command(["bash", "-c", "echo 42 a b c ${BASH_VERSION}"]).run()?.stdout;
    let expected = format!("{version}/usr/local/bin/hello\n");
    ensure!(in_root.code == Some(3) && in_root.stdout == expected, "{}", in_root.report(&expected));
    let (on_host, in_root) = (command(["ls", "--version"]).run()?, root.run(&["/bin/ls", "--version"])?);
    ensure!(in_root.stdout == on_host.stdout, "{}", in_root.report("ls is another"));
    let in_root = root.run(&["hello", "run", "/usr/bin/ls", "-l", "/usr/local/bin"])?;
    ensure!(in_root.stdout.contains("1 root root"), "{}", in_root.report("ls -l finds no names for the owner"));
    // usrmerge: both names of a tool work.
    root.run(&["/bin/bash", "-c", "/usr/bin/bash -c true"])?;
    Ok(())
}

/// `--tar`, `--dir` and `--tar -` of one plan have the same contents; `--dir` replaces only a directory that it made.
pub(super) fn outputs(lab: &Lab) -> Result<()> {
    let hello = lab.fixture("hello")?;
    let (tar, dir) = (lab.path("out-{package}-{version}-{triple}-{arch}.tar"), lab.path("out"));
    let args = ["--with", "ls", "--tar", tar.as_str(), "--dir", dir.as_str()];
    let done = lab.rootfs(&hello, args).run()?;
    let tar = lab.path("out-hello-1.2.3-x86_64-unknown-linux-gnu-amd64.tar");
    let tar = if tar.exists() { tar } else { lab.path("out-hello-1.2.3-x86_64-unknown-linux-gnu-x86_64.tar") };
    ensure!(done.stdout == format!("{tar}\n{dir}\n"), "{}", done.report("expected both outputs' paths on stdout"));

    let piped = lab.rootfs(&hello, ["--with", "ls", "--tar", "-"]).run()?;
    let bytes = fs_err::read(&tar)?;
    ensure!(piped.bytes == bytes, "`--tar -` gave other bytes than `--tar {tar}`");

    let unpacked = tarball::unpack(lab, &tar, "unpacked")?;
    command(["diff", "-r", "--no-dereference", unpacked.as_str(), dir.as_str()]).run()?;
    Chroot::new(&dir)?.run(&["/usr/local/bin/hello"])?;

    // A second run replaces its own directory, and refuses another one.
    lab.rootfs(&hello, ["--dir", dir.as_str()]).run()?;
    ensure!(!dir.join("usr/bin/ls").exists(), "{dir} still holds what the earlier run put there");
    let strange = lab.file("strange/keep", "mine")?;
    lab.rootfs(&hello, ["--dir", lab.path("strange").as_str()]).fail(&[1])?;
    ensure!(strange.exists(), "{strange} was deleted");
    Ok(())
}

/// `--binary`, `--tools-only` and `tree` need no project.
pub(super) fn without_a_project(lab: &Lab) -> Result<()> {
    let program = lab.path("program");
    lab.cc("cc", "hello.c", &program, &[])?;
    let tar = lab.path("binary.tar");
    let away = lab.folder("away")?;
    lab.rootfs(&away, ["--binary", program.as_str(), "--tar", tar.as_str()]).run()?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "binary")?)?;
    let said = root.run(&["/usr/local/bin/program"])?;
    ensure!(said.line()? == "hello from C", "{}", said.report("the program says something else"));

    let tar = lab.path("tools.tar");
    lab.tools(["--with", "bash", "--with", "/usr/bin/env,ls", "--tar", tar.as_str()]).run()?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "tools")?)?;
    root.run(&["/usr/bin/env", "bash", "-c", "ls / && exit 0"])?;
    ensure!(!root.dir().join("usr/local/bin/hello").exists(), "tools only, and yet a program");
    lab.tools(["--with", "bash"]).fail(&[2])?.says(&["--tar"])?;

    let tree = lab.rootfs(&away, ["tree", "/usr/bin/bash", "/usr/bin/ls"]).run()?;
    ensure!(tree.stdout.contains("libc.so.6"), "{}", tree.report("no libc.so.6 in the tree"));
    let json = lab.rootfs(&away, ["tree", "--message-format", "json", "/usr/bin/ls"]).run()?;
    let closure: serde_json::Value = serde_json::from_str(json.line()?).context("tree's JSON")?;
    ensure!(closure["reason"] == "closure" && closure["file"] == "/usr/bin/ls", "{}", json.report("another object"));
    Ok(())
}

/// Each impossible request is an error with the right exit code, and nothing is written.
pub(super) fn bad_input(lab: &Lab) -> Result<()> {
    let away = lab.folder("away")?;
    let hello = lab.fixture("hello")?;
    let out = lab.path("out.tar");
    let tar = ["--tar", out.as_str()];
    let cases: &[(&[&str], &[i32], &[&str])] = &[
        (&["--with", "bsah"], &[1], &["bsah", "bash"]),
        (&["--with", "/nowhere/tool"], &[1], &["/nowhere/tool"]),
        (&["--with-lib", "libnowhere.so.9"], &[1], &["libnowhere.so.9"]),
        (&["--include", "Cargo.toml:/../../x"], &[1, 2], &[".."]),
        (&["--include", "nowhere:/x"], &[1], &["nowhere"]),
        (&["--include", "Cargo.toml:/x", "--include", "src/main.rs:/x"], &[1], &["/x"]),
        (&["--include", "/dev/null:/x"], &[1], &["/dev/null"]),
        (&["--include", "fifo:/x"], &[1], &["fifo"]),
        (&["--include", "with-fifo:/x"], &[1], &["inside"]),
        (&["--include", "loop-a:/x"], &[1], &["loop-a"]),
        (&["--binary", "loop-a"], &[1], &["loop-a"]),
        (&["--binary", "short"], &[1], &["short"]),
        (&["--binary", "Cargo.toml"], &[1], &["Cargo.toml"]),
        (&["--target", "x86_64-unknown-linux-gnu", "--target", "x86_64-unknown-linux-musl"], &[2], &["{arch}"]),
        (&["--template", "nowhere"], &[1, 2], &["nowhere"]),
        (&["--bin", "nowhere"], &[1, 2, 101], &["nowhere"]),
        (&["--no-such-flag"], &[2], &["--no-such-flag"]),
    ];
    command(["mkfifo", hello.join("fifo").as_str()]).run()?;
    command(["mkdir", "-p", hello.join("with-fifo").as_str()]).run()?;
    command(["mkfifo", hello.join("with-fifo/inside").as_str()]).run()?;
    command(["ln", "-s", "loop-b", hello.join("loop-a").as_str()]).run()?;
    command(["ln", "-s", "loop-a", hello.join("loop-b").as_str()]).run()?;
    command(["cp", "/usr/bin/ls", hello.join("short").as_str()]).run()?;
    command(["truncate", "--size=5000", hello.join("short").as_str()]).run()?;
    for (args, codes, words) in cases {
        lab.rootfs(&hello, args.iter().copied().chain(tar)).fail(codes)?.says(words)?;
        ensure!(!out.exists(), "{out} was written");
    }
    lab.rootfs(&away, tar).fail(&[2])?.says(&["Cargo.toml"])?;

    // cargo's own diagnostics and exit code pass through.
    lab.file("hello/src/main.rs", "fn main() { nonsense }\n")?;
    lab.rootfs(&hello, tar).fail(&[101])?.says(&["nonsense"])?;

    // The error for a missing library names the files that need it; an earlier output outlives the failure.
    lab.cc("cc", "deep.c", &lab.path("lib/libdeep.so"), &["-shared", "-fPIC", "-Wl,-soname,libdeep.so"])?;
    let (program, dir) = (lab.path("uses-deep"), format!("-L{}", lab.path("lib")));
    lab.cc("cc", "uses-deep.c", &program, &[&dir, "-ldeep"])?;
    lab.file("out.tar", "earlier")?;
    let missing = lab.rootfs(&away, ["--binary", program.as_str()].into_iter().chain(tar)).fail(&[1])?;
    missing.says(&["libdeep.so", "not found", "needed by"])?;
    ensure!(fs_err::read_to_string(&out).is_ok_and(|text| text == "earlier"), "the earlier {out} is gone");
    Ok(())
}
