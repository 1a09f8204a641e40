//! A release of this project: static archives, an image, checksums and notes, in `target/dist`.
//!
//! It builds and checks; publishing is the workflow's (`.github/workflows/release.yml`). With `--dry-run` a tag and a clean
//! checkout are not required.

use std::fs;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::host;
use crate::process::{Command, command};
use crate::stage;

/// The targets of archives, and for each one that stands in for it where musl's standard library is not installed.
const TARGETS: [(&str, &str); 2] = [
    ("x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu"),
    ("aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu"),
];

/// The tools of the image: those that sysroots of packages need.
const TOOLS: &str = "bash,apt-get,apt-cache,dpkg,dpkg-deb,tar";

/// A part of the release, and its name.
type Stage<'s> = (&'s str, Box<dyn Fn() -> Result<()> + 's>);

/// `cargo xtask release [--dry-run] [TARGET]`: for all targets, or the one whose triple contains `filter`.
pub(crate) fn run(filter: &str, is_dry: bool) -> Result<()> {
    let version = version()?;
    let dist = host::target_dir().join("dist");
    let _ = fs::remove_dir_all(&dist);
    fs::create_dir_all(&dist).with_context(|| format!("make {dist}"))?;
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
            let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            let notes =
                notes(&text, &version, is_dry).with_context(|| format!("CHANGELOG.md has no section of {version}"))?;
            fs::write(dist.join("NOTES.md"), notes).context("write NOTES.md")
        }),
    ));
    for (target, stand_in) in &chosen {
        let (version, dist) = (&version, &dist);
        stages.push((target, Box::new(move || archive(version, target, stand_in, dist))));
    }
    if filter.is_empty() {
        stages.push(("image", Box::new(|| image(&dist))));
    }
    stages.push(("checksums", Box::new(|| checksums(&dist))));
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

/// The checkout is what the tag of this version names, and nothing else.
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

/// The section of the changelog for `version`; a dry run takes the newest, whatever it is called.
fn notes(changelog: &str, version: &str, is_dry: bool) -> Option<String> {
    let mut sections = changelog.split("\n## ").skip(1);
    let section = sections.find(|section| is_dry || section.starts_with(&format!("[{version}]")))?;
    let (_, body) = section.split_once('\n')?;
    Some(format!("{}\n", body.trim()))
}

/// The seconds of the commit: the time of everything that is built.
fn epoch() -> Result<String> {
    Ok(git(&["log", "-1", "--format=%ct"]).run()?.line()?.to_owned())
}

/// A static program with its licences, the same bytes from the same commit.
fn archive(version: &str, target: &str, stand_in: &str, dist: &Utf8Path) -> Result<()> {
    let sysroot = command(["rustc", "--print", "sysroot"]).dir(host::repo()).run()?;
    let has_musl = Utf8Path::new(sysroot.line()?).join("lib/rustlib").join(target).exists();
    let built_for = if has_musl { target } else { stand_in };
    if !has_musl {
        println!("    {stand_in} stands in for {target}: its standard library is not installed");
    }
    let variable = built_for.to_uppercase().replace('-', "_");
    let remap = format!("-Ctarget-feature=+crt-static --remap-path-prefix={}=.", host::repo());
    let home = std::env::var("HOME").unwrap_or_default();
    let remap = format!("{remap} --remap-path-prefix={home}/.cargo=cargo");
    let mut build = command([host::cargo()]);
    build = build.args(["build", "--release", "--locked", "--package", "cargo-rootfs", "--target", built_for]);
    build = build.dir(host::repo()).env("CARGO_TARGET_DIR", host::target_dir().as_str());
    build = build.env(&format!("CARGO_TARGET_{variable}_RUSTFLAGS"), remap).env("SOURCE_DATE_EPOCH", epoch()?);
    if built_for.starts_with("aarch64") && cfg!(not(target_arch = "aarch64")) {
        build = build.env(&format!("CARGO_TARGET_{variable}_LINKER"), "aarch64-linux-gnu-gcc");
    }
    build.show()?;
    let program = host::target_dir().join(built_for).join("release/cargo-rootfs");
    let interpreter = command(["readelf", "--program-headers", program.as_str()]).run()?;
    ensure!(!interpreter.stdout.contains("INTERP"), "{program} is not static");

    let name = format!("cargo-rootfs-{version}-{target}");
    let work = tempfile::tempdir().context("make a temporary directory")?;
    let folder = Utf8PathBuf::from_path_buf(work.path().join(&name)).ok().context("a name that is not UTF-8")?;
    fs::create_dir(&folder).with_context(|| format!("make {folder}"))?;
    fs::copy(&program, folder.join("cargo-rootfs")).with_context(|| format!("copy {program}"))?;
    for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(host::repo().join(file), folder.join(file)).with_context(|| format!("copy {file}"))?;
    }
    let file = dist.join(format!("{name}.tar.gz"));
    let tar = "tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=\"@$1\" -cf - \"$2\" | gzip -9n > \"$3\"";
    let pack = command(["sh", "-ec", tar, "sh", &epoch()?, &name, file.as_str()]);
    pack.dir(folder.parent().context("a directory")?).run()?;

    // From the archive alone, as a user has it.
    let out = Utf8PathBuf::from_path_buf(work.path().join("installed")).ok().context("a name that is not UTF-8")?;
    fs::create_dir(&out).with_context(|| format!("make {out}"))?;
    command(["tar", "-xzf", file.as_str(), "-C", out.as_str()]).run()?;
    if built_for.starts_with(std::env::consts::ARCH) || crate::e2e::can_run_arm64().is_ok() {
        let said = command([out.join(&name).join("cargo-rootfs").as_str(), "--version"]).run()?;
        ensure!(said.line()? == format!("cargo-rootfs {version}"), "{}", said.report("another version"));
    }
    Ok(())
}

/// An image of cargo rootfs with the tools that it calls, by itself.
fn image(dist: &Utf8Path) -> Result<()> {
    let program = host::target_dir().join(TARGETS[0].0).join("release/cargo-rootfs");
    let program =
        if program.exists() { program } else { host::target_dir().join(TARGETS[0].1).join("release/cargo-rootfs") };
    let file = dist.join("cargo-rootfs.oci.tar");
    let pack =
        command([program.as_str(), "rootfs", "--binary", program.as_str(), "--with", TOOLS, "--template", "web"]);
    pack.args(["--oci-archive", file.as_str()]).env("SOURCE_DATE_EPOCH", epoch()?).run().map(drop)
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
