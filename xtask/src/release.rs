//! A release of this project: static archives, images, bills of materials, checksums and notes, in `target/dist`.
//!
//! It builds and checks them, including an installation on a minimal Debian; the workflow publishes
//! (`.github/workflows/release.yml`). With `--dry-run` neither a tag nor a clean checkout is required.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::process::{Command, command};
use crate::stage;
use crate::{host, made};

/// The targets of archives, each with the target that replaces it where musl's standard library is not installed.
const TARGETS: [(&str, &str); 2] = [
    ("x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu"),
    ("aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu"),
];

/// The tools of the image: those that sysroots made of packages need.
const TOOLS: &str = "bash,apt-get,apt-cache,dpkg,dpkg-deb,tar";

/// A part of the release, and its name.
type Stage<'s> = (&'s str, Box<dyn Fn() -> Result<()> + 's>);

/// Runs `cargo xtask release [--dry-run] [TARGET]`: for all targets, or for the one whose triple contains `filter`.
pub(crate) fn run(filter: &str, is_dry: bool) -> Result<()> {
    let (version, epoch) = (version()?, epoch()?);
    let dist = host::target_dir().join("dist");
    let _ = fs::remove_dir_all(&dist);
    fs::create_dir_all(&dist)?;
    let chosen: Vec<_> = TARGETS.iter().filter(|(target, _)| target.contains(filter)).collect();
    ensure!(!chosen.is_empty(), "no target has `{filter}` in its name");
    let mut stages: Vec<Stage<'_>> = Vec::new();
    if !is_dry {
        stages.push(("the tag and the checkout", Box::new(|| tagged(&version))));
    }
    stages.push((
        "notes",
        Box::new(|| {
            let path = host::repo().join("CHANGELOG.md");
            let text = fs::read_to_string(&path)?;
            let notes =
                notes(&text, &version, is_dry).with_context(|| format!("CHANGELOG.md has no section of {version}"))?;
            fs::write(dist.join("NOTES.md"), notes).context("write NOTES.md")
        }),
    ));
    for (target, stand_in) in &chosen {
        let release = Release { version: &version, epoch: &epoch, dist: &dist };
        stages.push((target, Box::new(move || release.archive(target, stand_in))));
    }
    let release = Release { version: &version, epoch: &epoch, dist: &dist };
    if filter.is_empty() {
        for (target, stand_in) in TARGETS {
            stages.push(("image", Box::new(move || release.image(target, stand_in))));
        }
    }
    stages.push(("checksums", Box::new(|| checksums(&dist))));
    if filter.is_empty() {
        stages.push(("installation on a minimal Debian", Box::new(move || release.installation())));
    }
    stage::run("release", stages)?;
    for file in dist.read_dir_utf8()? {
        let file = file?;
        println!("{} {} bytes", file.path(), file.metadata()?.len());
    }
    Ok(())
}

/// The version of the workspace.
fn version() -> Result<String> {
    let pkgid = command([host::cargo()]).args(["pkgid", "--package", "cargo-rootfs"]).dir(host::repo()).run()?;
    Ok(pkgid.line()?.rsplit(['#', '@']).next().context("cargo pkgid has no version")?.to_owned())
}

fn git(words: &[&str]) -> Command {
    command(["git"]).args(words.iter().copied()).dir(host::repo())
}

/// Checks that the checkout is clean and has this version's tag.
fn tagged(version: &str) -> Result<()> {
    let changed = git(&["status", "--porcelain"]).run()?;
    ensure!(changed.stdout.is_empty(), "{}", changed.report("the checkout has changes that are not committed"));
    let tags = git(&["tag", "--points-at", "HEAD"]).run()?;
    ensure!(
        tags.stdout.lines().any(|tag| tag == format!("v{version}")),
        "{}",
        tags.report(&format!("no tag v{version}"))
    );
    Ok(())
}

/// The section of the changelog for `version`; in a dry run the newest section.
fn notes(changelog: &str, version: &str, is_dry: bool) -> Option<String> {
    let mut sections = changelog.split("\n## ").skip(1);
    let section = sections.find(|section| is_dry || section.starts_with(&format!("[{version}]")))?;
    let (_, body) = section.split_once('\n')?;
    Some(format!("{}\n", body.trim()))
}

/// The seconds of the commit, which is the time of all built files.
fn epoch() -> Result<String> {
    Ok(git(&["log", "-1", "--format=%ct"]).run()?.line()?.to_owned())
}

/// One release, and the seconds of its commit.
#[derive(Clone, Copy)]
struct Release<'r> {
    version: &'r str,
    epoch: &'r str,
    dist: &'r Utf8Path,
}

/// The target, or its replacement.
fn built_for<'t>(target: &'t str, stand_in: &'t str) -> Result<&'t str> {
    let has_musl = has_std(target)?;
    if !has_musl {
        println!("    {stand_in} stands in for {target}: its standard library is not installed");
    }
    Ok(if has_musl { target } else { stand_in })
}

/// Returns whether rustc has the standard library of `target`.
fn has_std(target: &str) -> Result<bool> {
    let sysroot = command(["rustc", "--print", "sysroot"]).dir(host::repo()).run()?;
    Ok(Utf8Path::new(sysroot.line()?).join("lib/rustlib").join(target).exists())
}

fn program(built_for: &str) -> Utf8PathBuf {
    host::target_dir().join(built_for).join("archive/cargo-rootfs")
}

impl Release<'_> {
    /// Makes a static program with its licences; the same commit gives the same bytes.
    fn archive(&self, target: &str, stand_in: &str) -> Result<()> {
        let built_for = built_for(target, stand_in)?;
        let variable = built_for.to_uppercase().replace('-', "_");
        let home = std::env::var("HOME").unwrap_or_default();
        let flags = "-Ctarget-feature=+crt-static";
        let flags = format!("{flags} --remap-path-prefix={}=. --remap-path-prefix={home}/.cargo=cargo", host::repo());
        let mut build = command([host::cargo()]);
        // With cargo-auditable the program lists its crates, for scanners and for the image's bill of materials.
        if host::has("cargo-auditable") {
            build = build.arg("auditable");
        } else {
            println!("    without cargo-auditable: the program does not name its crates");
        }
        build = build.args(["build", "--profile=archive", "--locked", "--package=cargo-rootfs", "--target", built_for]);
        build = build.dir(host::repo()).env("CARGO_TARGET_DIR", host::target_dir().as_str());
        build = build.env(&format!("CARGO_TARGET_{variable}_RUSTFLAGS"), flags).env("SOURCE_DATE_EPOCH", self.epoch);
        if built_for.starts_with("aarch64") && cfg!(not(target_arch = "aarch64")) {
            build = build.env(&format!("CARGO_TARGET_{variable}_LINKER"), "aarch64-linux-gnu-gcc");
            build = build.env(&format!("CC_{}", built_for.replace('-', "_")), "aarch64-linux-gnu-gcc");
        }
        if !has_std(built_for)? {
            build = build.env("RUSTC", made::debian_rustc()?.as_str());
        }
        build.show()?;
        let program = program(built_for);
        let interpreter = command(["readelf", "--program-headers", program.as_str()]).run()?;
        ensure!(!interpreter.stdout.contains("INTERP"), "{program} is not static");

        let name = format!("cargo-rootfs-{}-{target}", self.version);
        let work = camino_tempfile::tempdir()?;
        let work = work.path();
        let directory = work.join(&name);
        fs::create_dir(&directory)?;
        fs::copy(&program, directory.join("cargo-rootfs"))?;
        for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            fs::copy(host::repo().join(file), directory.join(file))?;
        }
        let file = self.dist.join(format!("{name}.tar.gz"));
        let tar = "tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=\"@$1\" -cf - \"$2\" | gzip -9n > \"$3\"";
        command(["sh", "-ec", tar, "sh", self.epoch, &name, file.as_str()]).dir(work).run()?;

        // From the archive alone, as for a user.
        let out = work.join("installed");
        fs::create_dir(&out)?;
        command(["tar", "-xzf", file.as_str(), "-C", out.as_str()]).run()?;
        if built_for.starts_with(std::env::consts::ARCH) || crate::e2e::can_run_arm64().is_ok() {
            let program = out.join(&name).join("cargo-rootfs");
            let said = command([program.as_str(), "--version"]).run()?;
            ensure!(said.line()? == format!("cargo-rootfs {}", self.version), "{}", said.report("another version"));
            let tar = out.join("ls.tar");
            // The tools are this machine's, even for a program that runs through qemu-user.
            let here = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
            let pack = command([program.as_str(), "rootfs", "--tools-only", "--with", "ls", "--target", &here]);
            pack.args(["--tar", tar.as_str()]).run()?;
        }
        Ok(())
    }

    /// Makes an image of cargo rootfs with the tools that it calls, by cargo rootfs itself, and its bill of materials.
    /// All files but the program are from Debian's packages, as in the workflow.
    fn image(&self, target: &str, stand_in: &str) -> Result<()> {
        let of = |target: &str, stand_in: &str| built_for(target, stand_in).map(program);
        let (packer, packed) = (of(TARGETS[0].0, TARGETS[0].1)?, of(target, stand_in)?);
        let pack = command([packer.as_str(), "rootfs", "--binary", packed.as_str(), "--target", stand_in]);
        let pack = pack.args(["--sysroot", "debian:bookworm", "--with", TOOLS, "--template", "web"]);
        let pack = pack.env("CARGO_ROOTFS_CACHE", host::packages().as_str()).env("SOURCE_DATE_EPOCH", self.epoch);
        let image = format!("cargo-rootfs-{}-{{arch}}.oci.tar", self.version);
        let bill = format!("spdx=cargo-rootfs-{}-{{arch}}.spdx.json", self.version);
        pack.args(["--oci-archive", &image, "--sbom", &bill]).dir(self.dist).run().map(drop)
    }

    /// Follows the README's installation on a minimal Debian with Rust, up to a packed project. The duration is
    /// printed.
    fn installation(&self) -> Result<()> {
        const ENTER: &str = r#"
            mount -t proc proc "$1/proc"
            mount --rbind /dev "$1/dev"
            mount --bind "$2" "$1/opt/rust"
            exec chroot "$1" /usr/bin/env -i HOME=/root PATH=/root/.cargo/bin:/opt/rust/bin:/usr/local/bin:/usr/bin:/usr/sbin sh -ec "$3""#;
        const INSTALL: &str = r#"
            cd /root
            mkdir -p ~/.cargo/bin
            sha256sum --check --ignore-missing --quiet SHA256SUMS
            tar -xzf cargo-rootfs-*-x86_64-unknown-linux-musl.tar.gz -C ~/.cargo/bin --strip-components 1 --wildcards '*/cargo-rootfs'
            cargo rootfs --version"#;
        const USE: &str = r#"
            cd /root && cargo init --quiet --vcs none app && cd app && cargo rootfs --with bash,ls --dir root
            chroot root app && chroot root ls /usr/local/bin"#;
        stage::need("mmdebstrap")?;
        if !host::is_root() {
            return stage::cannot("only root can make a Debian");
        }
        let work = camino_tempfile::tempdir()?;
        let root = work.path().join("debian");
        // rustc links through a C compiler, which rustup requires too.
        let make = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=gcc,libc6-dev", "bookworm", root.as_str()];
        command(make).run()?;
        let sysroot = command(["rustc", "--print", "sysroot"]).dir(host::repo()).run()?;
        let copy = "cp \"$1\"/*x86_64*.tar.gz \"$1/SHA256SUMS\" \"$2/root/\"; mkdir \"$2/opt/rust\"";
        command(["sh", "-ec", copy, "sh", self.dist.as_str(), root.as_str()]).run()?;
        let inside = |script: &str| {
            let enter = command(["unshare", "--mount", "--propagation", "private", "sh", "-euc", ENTER, "sh"]);
            enter.args([root.as_str(), sysroot.line()?, script]).run()
        };
        let started = Instant::now();
        let said = inside(INSTALL)?;
        println!("    installed in {:.1} s (the aim: 30 s)", started.elapsed().as_secs_f64());
        ensure!(said.line()? == format!("cargo-rootfs {}", self.version), "{}", said.report("another version"));
        let done = inside(USE)?;
        println!("    the first root: {:.1} s after the beginning", started.elapsed().as_secs_f64());
        ensure!(done.stdout == "root\nHello, world!\napp\n", "{}", done.report("the program and ls"));
        Ok(())
    }
}

fn checksums(dist: &Utf8Path) -> Result<()> {
    let sum = "LC_ALL=C; export LC_ALL; sha256sum -- *.tar* > SHA256SUMS";
    command(["sh", "-ec", sum]).dir(dist).run()?;
    command(["sha256sum", "--check", "SHA256SUMS"]).dir(dist).run().map(drop)
}

#[cfg(test)]
mod tests {
    use super::notes;

    #[test]
    fn notes_are_the_section_of_the_version() {
        let changelog = "# Changelog\n\n## [Unreleased]\n\n- a\n\n## [1.2.0] - 2026-01-01\n\n### Added\n\n- b\n\n## [1.1.0]\n\n- c\n";
        assert_eq!(notes(changelog, "1.2.0", false).as_deref(), Some("### Added\n\n- b\n"));
        assert_eq!(notes(changelog, "1.3.0", false), None);
        assert_eq!(notes(changelog, "1.3.0", true).as_deref(), Some("- a\n"));
    }
}
