//! Sysroots made of packages: from the distribution's mirrors, and from one of our own that breaks and loses packages.

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::arm64::{self, TRIPLE};
use super::chroot::Chroot;
use super::engine::{Image, ready};
use super::lab::Lab;
use super::mirror::{Fault, Mirror};
use super::tarball;
use crate::host;
use crate::process::{Command, Done, command};
use crate::stage::{cannot, need};

pub(super) fn can_provision() -> Result<()> {
    let os = fs::read_to_string("/etc/os-release")?;
    match os.lines().any(|line| line == "ID=debian") {
        true => need("apt-get"),
        false => cannot("its sources of Debian are only read on Debian"),
    }
}

/// The README's command, on a machine with a cross compiler and apt.
pub(super) fn as_typed(lab: &Lab) -> Result<()> {
    can_provision()?;
    arm64::can_run()?;
    let hello = lab.fixture("hello")?;
    let cache = host::packages();
    // Only packages of an earlier run are kept.
    for made in ["sysroots", "unpacked"] {
        let _ = fs::remove_dir_all(cache.join(made));
    }
    let rootfs = |words: &[&str]| -> Result<Command> {
        let words = ["--target", TRIPLE, "--with", "bash,ls"].iter().chain(words).copied();
        let rootfs = arm64::with_compilers(lab.rootfs(&hello, words))?;
        Ok(rootfs.env("CARGO_ROOTFS_CACHE", cache.as_str()))
    };
    let first = rootfs(&[])?.run()?;
    first.says(&["using debian:", "extracting", "locking", "no bash, ls"])?;
    let tar = Utf8PathBuf::from(first.line()?);
    let entries = tarball::list(&tar)?;
    tarball::never_names(&entries, &cache)?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    let said = root.run(&["/usr/local/bin/hello", "run", "/bin/bash", "-c", "echo $HOSTTYPE; ls /usr/local/bin"])?;
    ensure!(said.stdout.starts_with("hello from aarch64\n"), "{}", said.report("the program"));
    ensure!(said.stdout.ends_with("aarch64\nhello\n"), "{}", said.report("bash and ls"));

    let lock = fs::read_to_string(hello.join("rootfs.lock"))?;
    ensure!(lock.contains("name = \"coreutils\"") && lock.contains("\"ls\" = \"coreutils\""), "{lock}");
    let second = rootfs(&["--locked", "--offline"])?.run()?;
    let quiet = !["Updating", "Downloading", "Extracting", "Locking"].iter().any(|word| second.stderr.contains(word));
    ensure!(quiet, "{}", second.report("it does something again"));
    rootfs(&["--locked", "--with", "gzip"])?.fail(&[1])?.says(&["rootfs.lock", "--locked", "tool `gzip`"])?;

    ready("docker")?;
    let image = Image::of("docker", &rootfs(&["--docker-import", "cargo-rootfs-e2e:as-typed"])?.run()?)?;
    let said = image.run(&["--platform", "linux/arm64"], &["run", "/bin/bash", "-c", "ls /usr/local/bin"]).run()?;
    ensure!(said.stdout.contains("aarch64") && said.stdout.ends_with("hello\n"), "{}", said.report("in docker"));
    Ok(())
}

/// A native image of another release than this machine's.
pub(super) fn native(lab: &Lab) -> Result<()> {
    can_provision()?;
    let tar = lab.path("out.tar");
    let words = ["--sysroot", "debian:trixie", "--with", "bash,ls,awk,cat", "--template", "web", "--tar", tar.as_str()];
    lab.tools(words).env("CARGO_ROOTFS_CACHE", host::packages().as_str()).run()?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    let said = root.run(&["/bin/bash", "-c", "awk 'BEGIN { print 6 * 7 }'; cat /etc/os-release; ls /etc/ssl/certs"])?;
    ensure!(said.stdout.starts_with("42\n") && said.stdout.contains("trixie"), "{}", said.report("not trixie's"));
    ensure!(said.stdout.ends_with("ca-certificates.crt\n"), "{}", said.report("no certificates"));
    Ok(())
}

/// Tools whose packages can be found neither by name nor in this machine's databases: a script in a package for all
/// architectures, and a link of an alternative, which no package has.
pub(super) fn by_index(lab: &Lab) -> Result<()> {
    can_provision()?;
    let tar = lab.path("out.tar");
    let cache = lab.path("files-cache");
    let rootfs = |tools: &str, words: &[&str]| {
        let all = ["--sysroot", "debian:bookworm", "--with", tools, "--tar", tar.as_str()];
        lab.tools(all).args(words.iter().copied()).env("CARGO_ROOTFS_CACHE", cache.as_str())
    };
    rootfs("chkstow,ctags", &[]).run()?.says(&["files of debian:bookworm for all"])?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    let said = root.run(&["/usr/bin/ctags", "--version"])?;
    ensure!(said.stdout.starts_with("Universal Ctags"), "{}", said.report("not ctags"));
    let said = root.run(&["/usr/bin/chkstow", "--target", "/usr/bin", "--list"])?;
    // It looks up the targets of links, which are packages in this case.
    ensure!(said.stdout == "dash\n", "{}", said.report("it did not look at the link sh"));

    let before = fs::read(&tar)?;
    // The indexes are cached, so a tool that none of them has is reported without the network too.
    let refused = rootfs("no-such-tool,chkstow", &["--offline"]).fail(&[1])?;
    refused.says(&["no-such-tool", "--with-package"])?;
    ensure!(fs::read(&tar)? == before, "the earlier tar was touched");
    Ok(())
}

/// A library is linked by its bare name, in a second run as in the first. The packages of the build stay out of the
/// rootfs, and the error of a build without it names the package.
pub(super) fn linking(lab: &Lab) -> Result<()> {
    can_provision()?;
    arm64::can_run()?;
    lab.file("links/Cargo.toml", "[package]\nname = \"links\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")?;
    let main = "#[link(name = \"magic\")]\nunsafe extern \"C\" { fn magic_version() -> i32; }\n\
                fn main() { println!(\"{}\", unsafe { magic_version() } > 500); }\n";
    lab.file("links/src/main.rs", main)?;
    let (project, dir) = (lab.path("links"), lab.path("root"));
    let rootfs = |words: &[&str]| -> Result<Command> {
        let fixed = ["--target", TRIPLE, "--sysroot", "debian:bookworm", "--dir", dir.as_str()];
        let rootfs = arm64::with_compilers(lab.rootfs(&project, fixed.iter().chain(words).copied()))?;
        Ok(rootfs.env("CARGO_ROOTFS_CACHE", host::packages().as_str()))
    };
    rootfs(&[])?.fail(&[101])?.says(&["--build-package libmagic-dev"])?;
    for _ in 0..2 {
        rootfs(&["--build-package", "libmagic-dev"])?.run()?;
    }
    let said = Chroot::new(&dir)?.run(&["/usr/local/bin/links"])?;
    ensure!(said.stdout == "true\n", "{}", said.report("it does not run"));
    ensure!(!dir.join("usr/include").exists(), "headers are in the rootfs");
    Ok(())
}

/// Packages that rules recommend and nothing depends on: they are added, or the lock records that the suite has none.
pub(super) fn recommended(lab: &Lab) -> Result<()> {
    can_provision()?;
    arm64::can_run()?;
    let hello = lab.fixture("hello")?;
    let manifest = hello.join("Cargo.toml");
    let own = "\n[[package.metadata.rootfs.rule]]\nname = \"own\"\nwhy = \"a test\"\nwhen = [\"/usr/bin/curl\"]\n\
               packages = [\"no-such-package\", \"tzdata\"]\ntake = [\"/usr/share/zoneinfo/Asia/Tokyo\"]\n";
    let text = fs::read_to_string(&manifest)?;
    fs::write(&manifest, text + own)?;
    let rootfs = |words: &[&str]| -> Result<Command> {
        let fixed = ["--target", TRIPLE, "--sysroot", "debian:bookworm", "--with", "curl"];
        let words = fixed.iter().chain(words).copied();
        let rootfs = arm64::with_compilers(lab.rootfs(&hello, words))?;
        Ok(rootfs.env("CARGO_ROOTFS_CACHE", host::packages().as_str()))
    };
    let tar = Utf8PathBuf::from(rootfs(&[])?.run()?.line()?);
    let before = fs::read(&tar)?;
    let root = Chroot::new(tarball::unpack(lab, &tar, "root")?)?;
    let said = root.run(&["/usr/bin/curl", "-sS", "file:///etc/ssl/certs/ca-certificates.crt"])?;
    ensure!(said.stdout.matches("BEGIN CERTIFICATE").count() > 50, "{}", said.report("no authorities"));
    ensure!(root.dir().join("usr/share/zoneinfo/Asia/Tokyo").exists(), "the own rule's package is not there");

    let lock = hello.join("rootfs.lock");
    let text = fs::read_to_string(&lock)?;
    let known = "\"ca-certificates\" = \"ca-certificates\"\n";
    ensure!(text.contains(known) && text.contains("\"no-such-package\" = \"\"\n"), "{text}");
    let second = rootfs(&["--locked", "--offline"])?.run()?;
    let quiet = !["Updating", "Downloading", "Extracting", "Locking"].iter().any(|word| second.stderr.contains(word));
    ensure!(quiet, "{}", second.report("it does something again"));
    ensure!(fs::read(&tar)? == before, "the same lock gave other bytes");
    fs::write(&lock, text.replace(known, ""))?;
    rootfs(&["--locked"])?.fail(&[1])?.says(&["rootfs.lock", "--locked", "package `ca-certificates`"])?;
    rootfs(&["--locked", "--runtime", "none"])?.run().map(drop)
}

/// A project with a mirror, a cache and a lock, to try their faults.
pub(super) struct Try<'l> {
    pub(super) lab: &'l Lab,
    pub(super) mirror: Mirror,
    pub(super) project: Utf8PathBuf,
}

impl<'l> Try<'l> {
    pub(super) fn new(lab: &'l Lab) -> Result<Try<'l>> {
        can_provision()?;
        // The real packages come from the distribution once, and then from our own mirror.
        let cache = host::packages();
        let project = lab.fixture("hello")?;
        let words = ["sysroot", "path", "--target", TRIPLE, "--sysroot", "debian:bookworm", "--with", "bash,ls,gzip"];
        lab.rootfs(&project, words).env("CARGO_ROOTFS_CACHE", cache.as_str()).run()?;
        let lock = project.join("rootfs.lock");
        let text = fs::read_to_string(&lock)?;
        fs::remove_file(&lock)?;
        let digests = text.lines().filter_map(|line| line.strip_prefix("sha256 = \"")?.strip_suffix('"'));
        let debs: Vec<_> = digests.map(|digest| cache.join(format!("debs/{digest}.deb"))).collect();
        ensure!(debs.len() > 10, "only {} packages", debs.len());
        let mirror = Mirror::new(lab, &debs)?;
        Ok(Try { lab, mirror, project })
    }

    /// `sysroot path` in the project, which builds nothing.
    pub(super) fn path(&self, cache: &str, words: &[&str]) -> Command {
        let words =
            ["sysroot", "path", "--target", TRIPLE, "--sysroot", "debian:bookworm"].iter().chain(words).copied();
        self.with(self.lab.rootfs(&self.project, words), cache)
    }

    pub(super) fn with(&self, command: Command, cache: &str) -> Command {
        command.env("APT_CONFIG", self.mirror.conf()).env("CARGO_ROOTFS_CACHE", self.lab.path(cache).as_str())
    }

    pub(super) fn made(&self, cache: &str) -> Vec<String> {
        let entries = self.lab.path(cache).join("sysroots").read_dir_utf8().into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_owned()).collect()
    }
}

/// All names, types, modes and bytes in a directory, as text.
fn everything(folder: &str) -> Result<String> {
    let listing = "find . -printf '%p %y %m %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum";
    Ok(command(["sh", "-c", listing]).dir(folder).env("LC_ALL", "C").run()?.stdout)
}

/// The same lock gives the same bytes. It is kept until an update; packages that the mirror has lost are reported.
pub(super) fn locked(lab: &Lab) -> Result<()> {
    let it = Try::new(lab)?;
    let lock = it.project.join("rootfs.lock");
    let read = || fs::read_to_string(&lock);

    it.path("one", &["--with", "bash", "--offline"]).fail(&[1])?.says(&["without the network", "lacking", "index"])?;
    it.path("one", &["--with", "bash", "--locked"]).fail(&[1])?.says(&["rootfs.lock", "--locked"])?;
    ensure!(!lock.exists(), "a failed run wrote the lock");
    let first = it.path("one", &["--with", "bash,ls"]).run()?;
    let (text, bytes) = (read()?, everything(first.line()?)?);

    let second = it.path("two", &["--with", "bash,ls", "--locked"]).run()?;
    ensure!(everything(second.line()?)? == bytes, "the same lock gave other bytes");
    let name = |done: &Done| done.line().map(|line| line.replace(lab.path("").as_str(), ""));
    ensure!(name(&first)?.replace("one/", "") == name(&second)?.replace("two/", ""), "the keys differ");
    ensure!(read()? == text, "--locked changed the lock");

    // An additional tool is added; the others stay unchanged.
    it.path("two", &["--with", "gzip"]).run()?;
    let grown = read()?;
    ensure!(grown.contains("\"gzip\" = \"gzip\""), "{grown}");
    let bash =
        |text: &str| text.split("[[sysroot.package]]").find(|it| it.contains("name = \"bash\"\n")).map(str::to_owned);
    ensure!(bash(&grown) == bash(&text), "bash is another one");
    it.path("two", &["--with", "bash", "--offline", "--locked"]).run()?;

    it.mirror.renew(lab, "base-passwd")?;
    it.path("two", &["--with", "bash", "--locked"]).run()?;
    it.path("three", &["--with", "bash"]).fail(&[1])?.says(&["no longer has", "base-passwd", "sysroot update"])?;
    let update = it.with(lab.rootfs(&it.project, ["sysroot", "update"]), "two").run()?;
    update.says(&["changed base-passwd", "+newer"])?;
    ensure!(read()? != grown && read()?.contains("+newer"), "the lock was not renewed");
    it.path("three", &["--with", "bash", "--locked"]).run()?;

    // Both sides of a merge conflict.
    let section = text.find("[[sysroot]]").map(|at| &text[at..]).context("no section")?;
    fs::write(&lock, format!("{text}\n{section}"))?;
    it.path("two", &["--with", "bash"]).fail(&[1])?.says(&["rootfs.lock", "debian:bookworm for arm64 twice"])
}

/// A mirror with wrong contents, a broken connection, or an update in progress.
pub(super) fn bad_mirror(lab: &Lab) -> Result<()> {
    let it = Try::new(lab)?;
    it.mirror.set(Fault::Unsigned);
    it.path("cache", &["--with", "bash"]).fail(&[1])?.says(&["signature", "not signed"])?;
    it.mirror.set(Fault::OtherIndex(u32::MAX));
    it.path("cache", &["--with", "bash"]).fail(&[1])?.says(&["middle of an update", "try again"])?;
    it.mirror.set(Fault::HalfOfPackages);
    it.path("cache", &["--with", "bash"]).fail(&[1])?.says(&["cannot fetch packages"])?;
    ensure!(it.made("cache").is_empty(), "it left {:?}", it.made("cache"));
    ensure!(!it.project.join("rootfs.lock").exists(), "a failed run wrote the lock");
    // At a second request it has the right index.
    it.mirror.set(Fault::OtherIndex(1));
    it.path("another", &["--with", "bash"]).run()?;
    it.mirror.set(Fault::None);
    it.path("cache", &["--with", "bash"]).run()?;
    it.path("cache", &["--with", "bash,no-such-tool"]).fail(&[1])?.says(&["no-such-tool", "bookworm", "arm64"])?;
    let suite = ["sysroot", "path", "--target", TRIPLE, "--sysroot", "debian:trixie"];
    it.with(lab.rootfs(&it.project, suite), "cache").fail(&[1])?.says(&["does not have this suite", "trixie"])?;
    // Libraries of another machine are missing.
    let suite = ["sysroot", "path", "--target", "s390x-unknown-linux-gnu", "--sysroot", "debian:bookworm"];
    it.with(lab.rootfs(&it.project, suite), "cache").fail(&[1])?.says(&["no packages for s390x"])
}

/// Makes a program that needs another version instead of glibc 2.34.
pub(super) fn needs_newer(program: &Utf8Path, to: &Utf8Path, version: &[u8; 10]) -> Result<()> {
    let mut bytes = fs::read(program)?;
    let old = b"GLIBC_2.34";
    let places: Vec<usize> = (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    ensure!(!places.is_empty(), "{program} needs nothing of glibc 2.34");
    places.iter().for_each(|at| bytes[*at..at + old.len()].copy_from_slice(version));
    Ok(fs::write(to, bytes)?)
}

/// A cache that is damaged, full, read-only, or used by two runs.
pub(super) fn bad_cache(lab: &Lab) -> Result<()> {
    let it = Try::new(lab)?;
    let made = it.path("cache", &["--with", "bash"]).run()?;
    let root = Utf8PathBuf::from(made.line()?);
    let before = everything(root.as_str())?;
    fs::remove_file(root.join("usr/bin/bash")).context("damage it")?;
    let again = it.path("cache", &["--with", "bash"]).run()?;
    again.says(&["extracting"])?;
    ensure!(again.line()? == root && everything(root.as_str())? == before, "it was not made again");
    for deb in lab.path("cache/debs").read_dir_utf8()? {
        fs::write(deb?.path(), "damaged").context("damage a package")?;
    }
    // A file of the sysroot is a hard link to the unpacked package's.
    fs::write(root.join("usr/bin/bash"), "damaged").context("damage it")?;
    let again = it.path("cache", &["--with", "bash"]).run()?;
    again.says(&["downloading 1 package", "extracting"])?;
    ensure!(everything(root.as_str())? == before, "it was not made again");
    fs::remove_dir_all(lab.path("cache/unpacked"))?;
    fs::remove_file(root.join("bin")).context("damage it")?;
    it.path("cache", &["--with", "bash"]).run()?.says(&["downloading", "extracting"])?;
    ensure!(everything(root.as_str())? == before, "it was not made again");

    // Two runs need the same sysroot: one makes it, and both use it.
    let both = [it.path("both", &["--with", "bash"]).start()?, it.path("both", &["--with", "bash"]).start()?];
    for handle in both {
        let output = handle.wait()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "it ended with {}, and said: {said}", output.status);
    }
    ensure!(it.made("both").len() == 1, "it left {:?}", it.made("both"));
    // Two runs need different tools: the lock has both, in either order.
    let both = [it.path("both", &["--with", "grep"]).start()?, it.path("both", &["--with", "sed"]).start()?];
    for handle in both {
        let output = handle.wait()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "it ended with {}, and said: {said}", output.status);
    }
    let lock = fs::read_to_string(it.project.join("rootfs.lock"))?;
    ensure!(["bash", "grep", "sed"].iter().all(|tool| lock.contains(&format!("\"{tool}\" = "))), "{lock}");

    // The binary is linked for a newer libc than the suite's.
    let binary = lab.path("newer");
    needs_newer(&root.join("usr/bin/bash"), &binary, b"GLIBC_2.41")?;
    let words = ["--target", TRIPLE, "--sysroot", "debian:bookworm", "--binary", binary.as_str(), "--tar", "x.tar"];
    let binary = lab.path("bin/cargo-rootfs");
    let newer = command([binary.as_str(), "rootfs"]).args(words).dir(lab.path(""));
    it.with(newer, "cache").fail(&[1])?.says(&["GLIBC_2.41", "--sysroot debian:trixie"])?;

    let sysroot = |words: &[&str]| it.with(lab.rootfs(&it.project, ["sysroot"].iter().chain(words).copied()), "cache");
    let listed = sysroot(&["list"]).run()?;
    ensure!(listed.stdout.contains("debian:bookworm\tarm64"), "{}", listed.report("no bookworm"));
    sysroot(&["prune"]).run()?;
    it.path("cache", &["--with", "bash", "--offline"]).run()?;
    sysroot(&["prune", "--all"]).run()?;
    ensure!(
        it.made("cache").is_empty() && sysroot(&["list"]).run()?.stdout.is_empty(),
        "it left {:?}",
        it.made("cache")
    );

    if !host::is_root() {
        return cannot("only root can mount a small file system, and be somebody else");
    }
    let disk = lab.folder("disk")?;
    command(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk.as_str()]).run()?;
    let full = it.path("disk", &["--with", "bash"]).fail(&[1]).and_then(|done| done.says(&["disk is full"]));
    let left = it.made("disk");
    command(["umount", disk.as_str()]).run()?;
    full?;
    ensure!(left.is_empty(), "it left {left:?}");

    // Another user, with a cache of his own, and with one that he may only read.
    let nobody = |cache: &str, words: &[&str]| {
        let command = command(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        let binary = lab.path("bin/cargo-rootfs");
        let command = command.args([binary.as_str(), "rootfs", "--tools-only", "--target", TRIPLE]);
        it.with(command.args(["--sysroot", "debian:bookworm"]).args(words.iter().copied()), cache)
            .dir(lab.path("theirs"))
    };
    for folder in ["theirs", "theirs/cache"] {
        let folder = lab.folder(folder)?;
        command(["chown", "65534:65534", folder.as_str()]).run()?;
    }
    nobody("theirs/cache", &["--with", "bash,ls", "--tar", "a.tar"]).run()?;
    let root = Chroot::new(tarball::unpack(lab, &lab.path("theirs/a.tar"), "unpacked")?)?;
    if arm64::can_run().is_ok() {
        let said = root.run(&["/bin/bash", "-c", "ls /bin/ls; echo $HOSTTYPE"])?;
        ensure!(said.stdout == "/bin/ls\naarch64\n", "{}", said.report("bash and ls"));
    }
    command(["chown", "-R", "0:0", lab.path("theirs/cache").as_str()]).run()?;
    command(["chmod", "-R", "go+rX", lab.path("theirs/cache").as_str()]).run()?;
    nobody("theirs/cache", &["--with", "bash,ls", "--tar", "b.tar"]).run()?;
    command(["cmp", lab.path("theirs/a.tar").as_str(), lab.path("theirs/b.tar").as_str()]).run()?;
    let lacks = nobody("theirs/cache", &["--with", "gzip", "--tar", "c.tar"]);
    lacks.fail(&[1])?.says(&["cannot write to the cache", "CARGO_ROOTFS_CACHE"])
}
