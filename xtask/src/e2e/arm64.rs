//! Another architecture: cross-built with Debian's compilers, packaged from a Debian sysroot, run through qemu-user.

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::chroot::Chroot;
use super::lab::Lab;
use super::tarball;
use crate::process::Command;
use crate::stage::{cannot, need};
use crate::{host, made, packed};

pub(crate) const TRIPLE: &str = "aarch64-unknown-linux-gnu";

/// The arguments of a cross build.
pub(super) fn target() -> Result<[String; 4]> {
    let sysroot = host::sysroot_arm64();
    if !sysroot.join("bin/bash").exists() {
        return cannot(format!("no {sysroot}: run `cargo xtask setup`"));
    }
    Ok(["--target".into(), TRIPLE.into(), "--sysroot".into(), sysroot.into_string()])
}

/// `command` with a compiler and a linker for the target.
pub(super) fn with_compilers(command: Command) -> Result<Command> {
    need("aarch64-linux-gnu-gcc")?;
    let rustc = made::debian_rustc()?;
    Ok(command
        .env("RUSTC", rustc.as_str())
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"))
}

/// Fails where the kernel cannot run the target's programs.
pub(crate) fn can_run() -> Result<()> {
    let registered = Utf8Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists();
    if registered || cfg!(target_arch = "aarch64") {
        return Ok(());
    }
    cannot("aarch64 programs do not run here: run `cargo xtask setup`")
}

/// A prebuilt program and tools, from the sysroot alone.
pub(super) fn without_rust(lab: &Lab) -> Result<()> {
    can_run()?;
    let program = lab.path("program");
    lab.cc("aarch64-linux-gnu-gcc", "hello.c", &program, &[])?;
    let tar = lab.path("out.tar");
    let words = ["--binary", program.as_str(), "--with", "bash,ls", "--tar", tar.as_str()];
    lab.rootfs(&lab.folder("away")?, words).args(target()?).run()?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    let said = root.run(&["/bin/bash", "-c", "program; echo $HOSTTYPE; ls /usr/local/bin"])?;
    ensure!(said.stdout == "hello from C\naarch64\nprogram\n", "{}", said.report("the program, bash and ls"));
    Ok(())
}

pub(super) fn chroot(lab: &Lab) -> Result<()> {
    can_run()?;
    let hello = lab.fixture("hello")?;
    let rootfs = lab.rootfs(&hello, target()?).args(["--with", "bash,ls"]);
    let done = with_compilers(rootfs)?.run()?;
    let tar = Utf8PathBuf::from(done.line()?);
    let expected = hello.join("target/rootfs/hello-aarch64-unknown-linux-gnu.tar");
    ensure!(tar == expected, "expected {expected} on stdout, got {tar}");

    let entries = tarball::list(&tar)?;
    tarball::never_names(&entries, &hello)?;
    tarball::never_names(&entries, &host::sysroot_arm64())?;
    tarball::at(&entries, "/lib/ld-linux-aarch64.so.1")
        .or_else(|_| tarball::at(&entries, "/usr/lib/ld-linux-aarch64.so.1"))?;
    let foreign = entries.iter().find(|entry| entry.path.contains("x86_64") || entry.path.contains("x86-64"));
    ensure!(foreign.is_none(), "an entry of the host's architecture: {foreign:?}");

    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    let said = root.run(&["/usr/local/bin/hello", "run", "/bin/bash", "-c", "echo $HOSTTYPE; ls /usr/local/bin"])?;
    let expected = "hello from aarch64\n";
    ensure!(said.stdout.starts_with(expected), "{}", said.report(expected));
    ensure!(said.stdout.ends_with("aarch64\nhello\n"), "{}", said.report("bash and ls"));
    Ok(())
}

/// One call of cargo builds for both machines. Each has a root of its own, with programs that run.
pub(super) fn beside_native(lab: &Lab) -> Result<()> {
    can_run()?;
    let hello = lab.fixture("hello")?;
    let native = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arm = format!("target.{TRIPLE}.sysroot = \"{}\"\n", host::sysroot_arm64());
    let manifest = std::fs::read_to_string(hello.join("Cargo.toml"))? + "\n[package.metadata.rootfs]\n" + &arm;
    lab.file("hello/Cargo.toml", &manifest)?;
    target()?;
    let args = ["--target", &native, "--target", TRIPLE, "--with", "bash", "--dir", "root-{arch}", "-v"];
    let done = with_compilers(lab.rootfs(&hello, args))?.run()?;
    ensure!(done.stdout == "root-amd64\nroot-arm64\n", "{}", done.report("the folders in the order of the targets"));
    ensure!(done.stderr.matches("Running `cargo build").count() == 1, "{}", done.report("one call of cargo"));
    for (arch, machine) in [("amd64", std::env::consts::ARCH), ("arm64", "aarch64")] {
        let root = Chroot::new(hello.join(format!("root-{arch}")))?;
        let said = root.run(&["/usr/local/bin/hello", "run", "/bin/bash", "-c", "echo $HOSTTYPE"])?;
        let (first, last) = (format!("hello from {machine}\n"), format!("\n{machine}\n"));
        let is_right = said.stdout.starts_with(&first) && said.stdout.ends_with(&last);
        ensure!(is_right, "{}", said.report(&first));
    }
    Ok(())
}

/// An installed cross linker without configuration is used for this build, and a status line names it.
pub(super) fn unconfigured_linker(lab: &Lab) -> Result<()> {
    can_run()?;
    need("aarch64-linux-gnu-gcc")?;
    let hello = lab.fixture("hello")?;
    let rootfs = lab.rootfs(&hello, target()?).args(["--dir", "root"]).env("RUSTC", made::debian_rustc()?.as_str());
    let done = rootfs.run()?;
    let note = format!("Using aarch64-linux-gnu-gcc to link for {TRIPLE}");
    ensure!(done.stderr.matches(&note).count() == 1, "{}", done.report(&note));
    let said = Chroot::new(hello.join("root"))?.run(&["/usr/local/bin/hello"])?;
    ensure!(said.stdout.starts_with("hello from aarch64\n"), "{}", said.report("hello from aarch64"));
    // A configured linker is used without a status line.
    let done = with_compilers(rootfs)?.run()?;
    ensure!(!done.stderr.contains("Using "), "{}", done.report("no note"));
    Ok(())
}

/// zig links for a glibc of 2012, without any cross compiler of the system.
pub(super) fn zigbuild(lab: &Lab) -> Result<()> {
    can_run()?;
    let bin = packed::open(host::zigbuild())?.join("bin");
    if !bin.join("cargo-zigbuild").exists() {
        return cannot(format!("no {bin}/cargo-zigbuild: run `cargo xtask setup --all`"));
    }
    let hello = lab.fixture("hello")?;
    let [_, triple, sysroot @ ..] = target()?;
    let build = ["--target", &format!("{triple}.2.17"), "--build-with", "zigbuild"].map(str::to_owned);
    let path = format!("{}:{bin}:{}", lab.path("bin"), std::env::var("PATH").unwrap_or_default());
    let run = |args: &[&str]| {
        let rootfs = lab.cargo(&hello, ["rootfs"]).args(args.iter().copied()).args(build.clone()).args(sysroot.clone());
        rootfs.env("PATH", path.clone()).env("RUSTC", made::debian_rustc()?.as_str()).run()
    };
    let done = run(&["--with", "bash", "--dir", "root-{triple}"])?;
    ensure!(done.line()? == format!("root-{triple}"), "{}", done.report("a name without the glibc"));
    let said = Chroot::new(hello.join(format!("root-{triple}")))?.run(&["/usr/local/bin/hello"])?;
    ensure!(said.stdout.starts_with("hello from aarch64\n"), "{}", said.report("hello from aarch64"));
    let tree = run(&["tree", "-q"])?;
    ensure!(tree.stdout.contains("runs on glibc >= 2.17 "), "{}", tree.report("linked for the glibc that was given"));
    Ok(())
}

/// Without a sysroot and a network the run exits with 1 and lists what is missing; with the host's sysroot the error
/// names both architectures.
pub(super) fn refused(lab: &Lab) -> Result<()> {
    let hello = lab.fixture("hello")?;
    let offline = ["--target", TRIPLE, "--with", "bash", "--offline"];
    let rootfs = with_compilers(lab.rootfs(&hello, offline))?.env("CARGO_ROOTFS_CACHE", lab.path("cache").as_str());
    rootfs.fail(&[1])?.says(&["sysroot", "index", "arm64", "--offline"])?;
    let rootfs = lab.rootfs(&hello, ["--target", TRIPLE, "--sysroot", "/", "--with", "bash"]);
    with_compilers(rootfs)?.fail(&[1])?.says(&["x86_64", "aarch64"])?;
    // If neither the target nor the linker is installed, the error has the commands that install them.
    let target = target()?;
    let rootfs = lab.rootfs(&hello, ["--target", "riscv64gc-unknown-linux-gnu", "--sysroot", &target[3]]);
    rootfs.fail(&[1])?.says(&["rustup target add riscv64gc-unknown-linux-gnu", "gcc-riscv64-linux-gnu"])?;
    let rootfs = with_compilers(lab.rootfs(&hello, target))?;
    let rootfs = rootfs.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-nowhere");
    let other = "export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc";
    rootfs.fail(&[1])?.says(&["aarch64-linux-gnu-nowhere", other])?;
    ensure!(!hello.join("target/rootfs").exists(), "a failed run wrote something");
    Ok(())
}
