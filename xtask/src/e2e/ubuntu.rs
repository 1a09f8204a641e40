//! Ubuntu's suites, from a mirror with Ubuntu's two archives: one for amd64, and one for all other architectures. The
//! packages are small ones of our own, and the machine appears as the system of the scenario.

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::arm64::{self, TRIPLE};
use super::chroot::Chroot;
use super::lab::Lab;
use super::mirror::{Dist, Mirror};
use super::tarball;
use crate::host;
use crate::process::{Command, Done, command};
use crate::stage::{cannot, need};

const NATIVE: &str = "x86_64-unknown-linux-gnu";

const ARCHIVE: &str = "archive.ubuntu.com/ubuntu";
const SECURITY: &str = "security.ubuntu.com/ubuntu";
const PORTS: &str = "ports.ubuntu.com/ubuntu-ports";

/// Packages of every sysroot, which are empty here.
const EMPTY: [&str; 19] = [
    "base-passwd",
    "bash",
    "bsdutils",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "libgcc-s1",
    "ncurses-base",
    "ncurses-bin",
    "perl-base",
    "sed",
    "tar",
    "util-linux",
];

/// A machine with packages.
#[derive(Clone, Copy)]
struct Machine {
    triple: &'static str,
    architecture: &'static str,
    archive: &'static str,
    multiarch: &'static str,
    compiler: &'static str,
    /// The loader's path in programs, and the target of that link.
    loader: [&'static str; 2],
}

const MACHINES: [Machine; 2] = [
    Machine {
        triple: NATIVE,
        architecture: "amd64",
        archive: ARCHIVE,
        multiarch: "x86_64-linux-gnu",
        compiler: "cc",
        loader: ["usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"],
    },
    Machine {
        triple: TRIPLE,
        architecture: "arm64",
        archive: PORTS,
        multiarch: "aarch64-linux-gnu",
        compiler: "aarch64-linux-gnu-gcc",
        loader: ["usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu/ld-linux-aarch64.so.1"],
    },
];

/// The system that the product runs on.
struct System<'s> {
    name: &'s str,
    os: &'s str,
    sources: &'s str,
    /// A directory that replaces the one with the distributions' keys.
    keyrings: &'s str,
}

const DEBIAN: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";
const UBUNTU: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n";

struct Try<'l> {
    lab: &'l Lab,
    mirror: Mirror,
}

/// Both archives, from a Debian system and from an Ubuntu one.
pub(super) fn archives(lab: &Lab) -> Result<()> {
    let it = Try::new(lab)?;
    let debian = System { name: "debian", os: DEBIAN, sources: "", keyrings: "with-keys" };
    for machine in MACHINES {
        it.packed(&machine, &debian).with_context(|| format!("for {}", machine.architecture))?;
    }
    it.refused(&debian)?;
    it.on_ubuntu()
}

impl<'l> Try<'l> {
    fn new(lab: &'l Lab) -> Result<Try<'l>> {
        need("apt-get")?;
        arm64::can_run()?;
        if !cfg!(target_arch = "x86_64") {
            return cannot("amd64 is taken for this machine's own architecture");
        }
        if !host::is_root() {
            return cannot("only root can put files in the place of the system's own");
        }
        let mirror = Mirror::empty(lab)?;
        let dist = |archive, suite, architecture| Dist {
            archive,
            suite,
            components: &["main", "universe"],
            architecture,
            has_contents: true,
        };
        for machine in &MACHINES {
            let Machine { archive, architecture, .. } = *machine;
            // All pockets of the public sources.
            let [noble, updates, security] =
                ["noble", "noble-updates", "noble-security"].map(|suite| dist(archive, suite, architecture));
            packages(lab, machine, &noble, &updates)?;
            [noble, updates, security].iter().try_for_each(|dist| mirror.publish(dist))?;
        }
        mirror.publish(&dist(SECURITY, "noble-security", "amd64"))?;
        // An older release, with the same packages here.
        let pools = lab.path("mirror").join(PORTS).join("pool");
        command(["cp", "-R", pools.join("noble").as_str(), pools.join("jammy").as_str()]).run()?;
        ["jammy", "jammy-updates", "jammy-security"]
            .iter()
            .try_for_each(|suite| mirror.publish(&dist(PORTS, suite, "arm64")))?;
        lab.folder("without-keys")?;
        let keys = lab.folder("with-keys")?;
        fs::copy(mirror.keyring(), keys.join("ubuntu-archive-keyring.gpg"))?;
        Ok(Try { lab, mirror })
    }

    /// Runs `command` as on that system.
    fn on(&self, system: &System<'_>, command: Command, cache: &str) -> Result<Command> {
        let Try { lab, mirror } = self;
        mirror.configure(lab, system.sources, &["archive.ubuntu.com", "security.ubuntu.com", "ports.ubuntu.com"])?;
        let os = lab.file("os-release", system.os)?;
        let keyrings = lab.path(system.keyrings);
        let binds =
            format!("mount --bind {keyrings} /usr/share/keyrings && mount --bind {os} /etc/os-release && exec \"$@\"");
        let command = command.by(["unshare", "--mount", "sh", "-c", &binds, "sh"]);
        Ok(command.env("APT_CONFIG", mirror.conf()).env("CARGO_ROOTFS_CACHE", lab.path(cache).as_str()))
    }

    fn tools(&self, machine: &Machine, system: &System<'_>, words: &[&str]) -> Result<Command> {
        let tools = self.lab.tools(["--target", machine.triple]).args(words.iter().copied());
        self.on(system, tools, &format!("cache-{}-{}", machine.architecture, system.name))
    }

    /// Fails unless all requests since the last call were to this archive; returns their paths in it.
    fn asked(&self, archive: &str, done: &Done) -> Result<Vec<String>> {
        let asked = self.mirror.asked();
        let of = |path: &String| path.strip_prefix(archive).map(|path| path.trim_start_matches('/').to_owned());
        let inside: Option<Vec<String>> = asked.iter().map(of).collect();
        inside.with_context(|| done.report(&format!("not all of {asked:#?} is of {archive}")))
    }

    /// Tools by their names, and by the index of all files, with a library whose package was renamed.
    fn packed(&self, machine: &Machine, system: &System<'_>) -> Result<()> {
        let Machine { archive, architecture, .. } = *machine;
        let tar = self.lab.path(&format!("{architecture}.tar"));
        let rootfs = |tools: &str, words: &[&str]| {
            let fixed = ["--sysroot", "ubuntu:noble", "--with", tools, "--tar", tar.as_str()];
            self.tools(machine, system, &[&fixed, words].concat())
        };
        self.mirror.asked();
        let named = rootfs("greet", &[])?.run()?;
        let asked = self.asked(archive, &named)?;
        let packages = |place| format!("dists/{place}/binary-{architecture}/Packages");
        let released = ["noble", "noble-updates", "noble-security"].map(|pocket| format!("dists/{pocket}/InRelease"));
        let indexes = ["noble/main", "noble/universe", "noble-updates/main"].map(packages);
        for index in indexes.iter().chain(&released) {
            ensure!(asked.contains(index), "{index} is not among {asked:#?}");
        }
        let unasked = asked.iter().find(|path| path.contains("Contents"));
        ensure!(unasked.is_none(), "{unasked:?} is large, and was not needed");
        ensure!(asked.iter().any(|path| path.ends_with("greet_2.deb")), "not the update's greet: {asked:#?}");

        // One tool is in universe, and one is a script of a package for all architectures.
        let found = rootfs("greet,uses-deep,say-deep", &[])?.run()?;
        found.says(&[&format!("files of ubuntu:noble for {architecture}")])?;
        let asked = self.asked(archive, &found)?;
        let contents = format!("dists/noble/Contents-{architecture}.gz");
        let count = asked.iter().filter(|path| **path == contents).count();
        ensure!(count == 1, "{contents} was asked for {count} times: {asked:#?}");
        let root = Chroot::new(tarball::unpack(self.lab, &tar, &format!("root-{architecture}"))?)?;
        for (tool, says) in [("greet", "hello from C"), ("uses-deep", "deep 7"), ("say-deep", "deep 7")] {
            let said = root.run(&[&format!("/usr/bin/{tool}")])?;
            ensure!(said.line()? == says, "{}", said.report("another program"));
        }

        let before = fs::read(&tar)?;
        let unknown = rootfs("no-such-tool", &[])?.fail(&[1])?;
        unknown.says(&["no-such-tool", "ubuntu:noble", architecture])?;
        rootfs("greet,uses-deep,say-deep", &["--offline"])?.run()?;
        ensure!(
            self.asked(archive, &unknown)?.iter().all(|path| !path.ends_with(".deb")),
            "packages are fetched again"
        );
        ensure!(fs::read(&tar)? == before, "it is another tar");
        Ok(())
    }

    /// Errors for missing and for too old packages.
    fn refused(&self, debian: &System<'_>) -> Result<()> {
        let arm64 = &MACHINES[1];
        let tar = self.lab.path("refused.tar");
        let words = |suite| ["--sysroot", suite, "--with", "greet", "--tar", tar.as_str()];
        let wrong = self.tools(arm64, debian, &words("ubuntu:nobel"))?.fail(&[1])?;
        wrong.says(&["ubuntu:nobel for arm64", "does not have this suite"])?;
        let no_keys = System { keyrings: "without-keys", ..*debian };
        let unverified = self.tools(arm64, &no_keys, &words("ubuntu:jammy"))?.fail(&[1])?;
        unverified.says(&["no keys of ubuntu", "apt-get install ubuntu-keyring"])?;

        let binary = self.lab.path("newer");
        super::provisioned::needs_newer(&self.lab.path("packages-arm64/greet/usr/bin/greet"), &binary, b"GLIBC_2.38")?;
        let rootfs = self.lab.path("bin/cargo-rootfs");
        let newer = command([rootfs.as_str(), "rootfs", "--target", TRIPLE, "--binary", binary.as_str()]);
        let newer = newer.args(["--sysroot", "ubuntu:jammy", "--tar", tar.as_str()]).dir(self.lab.path(""));
        let refused = self.on(debian, newer, "cache-arm64-debian")?.fail(&[1])?;
        refused.says(&["GLIBC_2.38", "linked for glibc 2.38 or newer", "--sysroot ubuntu:noble"])?;
        ensure!(!tar.exists(), "{}", refused.report("it was written"));
        Ok(())
    }

    /// On Ubuntu itself its sources and keys are used, and for another machine the other archive.
    fn on_ubuntu(&self) -> Result<()> {
        let key = self.mirror.keyring();
        let own = format!(
            "deb [arch=amd64 signed-by={key}] http://archive.ubuntu.com/ubuntu noble main universe\n\
             deb [arch=amd64 signed-by={key}] http://security.ubuntu.com/ubuntu noble-security main universe\n"
        );
        for machine in &MACHINES {
            let ubuntu = System { name: "ubuntu", os: UBUNTU, sources: &own, keyrings: "without-keys" };
            let tar = self.lab.path(&format!("own-{}.tar", machine.architecture));
            let words = ["--sysroot", "ubuntu:noble", "--with", "greet", "--tar", tar.as_str()];
            self.mirror.asked();
            let done = self.tools(machine, &ubuntu, &words)?.run()?;
            let asked = self.mirror.asked();
            let security = if machine.archive == ARCHIVE { SECURITY } else { PORTS };
            for index in [
                format!("{}/dists/noble/universe/binary-{}/Packages", machine.archive, machine.architecture),
                format!("{security}/dists/noble-security/InRelease"),
            ] {
                ensure!(asked.contains(&index), "{}", done.report(&format!("{index} is not among {asked:#?}")));
            }
            // Its sources have no updates.
            ensure!(asked.iter().any(|path| path.ends_with("greet_1.deb")), "not the suite's own greet: {asked:#?}");
        }
        Ok(())
    }
}

/// Makes the packages for one machine: those of noble, and an update of one.
fn packages(lab: &Lab, machine: &Machine, noble: &Dist, updates: &Dist) -> Result<()> {
    let Machine { architecture, multiarch, compiler, loader: [loader, behind], .. } = *machine;
    let work = lab.folder(&format!("packages-{architecture}"))?;
    let pool = |dist: &Dist, component: &str| lab.folder(&format!("mirror/{}", dist.pool(component)));
    let (main, universe) = (pool(noble, "main")?, pool(noble, "universe")?);
    let package = |name: &str, version: &str, architecture: &str, to: &Utf8Path| {
        let fields = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: nobody <nobody@example.org>\n\
             Description: of a test\n"
        );
        let folder = work.join(name);
        fs::create_dir_all(folder.join("DEBIAN"))?;
        fs::write(folder.join("DEBIAN/control"), fields)?;
        let deb = to.join(format!("{name}_{version}.deb"));
        let build = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", folder.as_str(), deb.as_str()];
        command(build).run().map(drop)
    };
    let folder = |path: &str| lab.folder(&format!("packages-{architecture}/{path}"));
    for name in EMPTY {
        package(name, "1", "all", &main)?;
    }
    let release = "NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n";
    fs::write(folder("base-files/usr/lib")?.join("os-release"), release)?;
    symlink("../usr/lib/os-release", &folder("base-files/etc")?.join("os-release"))?;
    package("base-files", "1", architecture, &main)?;

    let (system, libc) = (machine.system(), folder(&format!("libc6/usr/lib/{multiarch}"))?);
    for file in ["libc.so.6", behind.rsplit('/').next().unwrap_or_default()] {
        let from = system.join("lib").join(multiarch).join(file);
        fs::copy(&from, libc.join(file))?;
    }
    let loader = work.join("libc6").join(loader);
    fs::create_dir_all(loader.parent().context("no folder")?)?;
    symlink(behind, &loader)?;
    package("libc6", "1", architecture, &main)?;

    lab.cc(compiler, "hello.c", &folder("greet/usr/bin")?.join("greet"), &[])?;
    package("greet", "1", architecture, &main)?;
    package("greet", "2", architecture, &pool(updates, "main")?)?;
    let library = folder(&format!("libdeep1t64/usr/lib/{multiarch}"))?.join("libdeep.so.1");
    lab.cc(compiler, "deep.c", &library, &["-shared", "-fPIC", "-Wl,-soname,libdeep.so.1"])?;
    package("libdeep1t64", "1", architecture, &universe)?;
    lab.cc(compiler, "uses-deep.c", &folder("deep-tools/usr/bin")?.join("uses-deep"), &[library.as_str()])?;
    package("deep-tools", "1", architecture, &universe)?;
    let script = folder("deep-scripts/usr/bin")?.join("say-deep");
    fs::write(&script, "#!/usr/bin/uses-deep\n")?;
    command(["chmod", "755", script.as_str()]).run()?;
    package("deep-scripts", "1", "all", &universe)
}

impl Machine {
    /// A root with the machine's C library.
    fn system(&self) -> Utf8PathBuf {
        if self.triple == NATIVE { "/".into() } else { host::sysroot_arm64() }
    }
}

fn symlink(to: &str, at: &Utf8Path) -> Result<()> {
    std::os::unix::fs::symlink(to, at).with_context(|| format!("make the link {at}"))
}
