//! Packs a row's tools into a directory, by this program or one of the two others. Each gets only the names, and takes
//! the files from the same sysroot.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::aside;
use super::row::Row;
use crate::{differential, host};

/// A shell script as a careful person writes it. It runs in the sysroot, because `ldd` calls the loader there.
const LDD_SCRIPT: &str = include_str!("ldd.sh");

/// The suite of provisioned sysroots: the same as of the made ones.
const SUITE: &str = "debian:bookworm";

/// The PATH of a root login.
const PATH: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packer {
    Ours,
    /// Ours, from a sysroot that it makes of a distribution's packages for each row.
    Provisioned,
    /// Ours, without the rules that name tools.
    OursWithoutRules,
    Elfpak,
    LddScript,
}

impl Packer {
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Packer::Ours | Packer::Provisioned | Packer::OursWithoutRules)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Packer::Ours => "cargo rootfs",
            Packer::Provisioned => "cargo rootfs, provisioned",
            Packer::OursWithoutRules => "cargo rootfs, rules put aside",
            Packer::Elfpak => "elfpak",
            Packer::LddScript => "ldd script",
        }
    }

    /// Packs the tools of `row` from `sysroot` into the new directory `root`, and returns the messages.
    pub(super) fn pack(self, ours: &Utf8Path, row: &Row, sysroot: &Sysroot, root: &Utf8Path) -> Result<String> {
        let tools = row.tools.as_str();
        let argv: Vec<String> = match self {
            Packer::Ours | Packer::Provisioned | Packer::OursWithoutRules => {
                let from = if self == Packer::Provisioned { SUITE } else { sysroot.dir.as_str() };
                let fixed = ["rootfs", "--tools-only", "--with", tools, "--sysroot", from];
                let target = ["--target", sysroot.triple, "--dir", root.as_str()];
                let named = row.with_packages.join(",");
                let packages = ["--with-package", &named];
                let packages = if self != Packer::Provisioned || named.is_empty() { &[][..] } else { &packages };
                let layout = root.with_extension("layout");
                let image = ["--oci", layout.as_str(), "--compression", "none"];
                let image = if self == Packer::Ours { &image[..] } else { &[] };
                let template = aside::template();
                let template = ["--template", template.as_str()];
                let template = if self == Packer::OursWithoutRules { &template[..] } else { &[] };
                let words = fixed
                    .iter()
                    .chain(&target)
                    .chain(image)
                    .chain(packages)
                    .chain(template)
                    .map(|word| (*word).to_owned());
                [ours.to_string()].into_iter().chain(words).collect()
            }
            Packer::Elfpak => {
                // It takes executables from the host, not from its root: each is copied from the target of its links.
                let files = tools.split(',').map(|tool| copied(sysroot, tool, root)).collect::<Result<Vec<_>>>()?;
                let fixed = ["bundle", "--no-config", "--no-manifest", "--preset", "web", "--install-dir", "/usr/bin"];
                let from = ["--root", sysroot.dir.as_str(), "--output", root.as_str()];
                let elfpak = host::elfpak().into_string();
                let words = fixed.into_iter().chain(from).map(str::to_owned);
                [elfpak].into_iter().chain(words).chain(files.into_iter().map(Utf8PathBuf::into_string)).collect()
            }
            Packer::LddScript => {
                fs::create_dir_all(root.join("tmp"))?;
                let words = ["sh", "-c", LDD_SCRIPT, "ldd.sh", sysroot.dir.as_str(), root.as_str()];
                words.into_iter().chain(tools.split(',')).map(str::to_owned).collect()
            }
        };
        let packed = duct::cmd(&argv[0], &argv[1..]).env("CARGO_ROOTFS_CACHE", host::packages().as_str());
        let packed = packed.stdout_null().stderr_capture().unchecked().run();
        let packed = packed.with_context(|| format!("start {}", argv[0]))?;
        let said = String::from_utf8_lossy(&packed.stderr).into_owned();
        ensure!(packed.status.success(), "not packed: {}", said.trim());
        Ok(said)
    }
}

/// A directory with the tools.
#[derive(Clone, Debug)]
pub(super) struct Sysroot {
    pub(super) dir: Utf8PathBuf,
    pub(super) triple: &'static str,
}

/// A copy of the command `tool` under its own name, beside `root`.
fn copied(sysroot: &Sysroot, tool: &str, root: &Utf8Path) -> Result<Utf8PathBuf> {
    let paths = PATH.iter().map(|folder| Utf8Path::new("/").join(folder).join(tool));
    let is_there =
        |path: &Utf8PathBuf| sysroot.dir.join(path.as_str().trim_start_matches('/')).symlink_metadata().is_ok();
    let path = paths.into_iter().find(is_there).with_context(|| format!("no {tool} in {}", sysroot.dir))?;
    let real = differential::real(&sysroot.dir, path.as_str());
    let copies = root.with_extension("tools");
    fs::create_dir_all(&copies)?;
    let (from, to) =
        (sysroot.dir.join(real.trim_start_matches('/')), copies.join(Utf8Path::new(tool).file_name().unwrap_or(tool)));
    fs::copy(&from, &to)?;
    Ok(to)
}

/// The bytes of the files below `root`, each inode once.
pub(crate) fn size(root: &Utf8Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let (mut bytes, mut seen, mut left) = (0, BTreeSet::new(), vec![root.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in folder.read_dir_utf8().with_context(|| format!("read {folder}"))? {
            let entry = entry.with_context(|| format!("read {folder}"))?;
            let meta = entry.path().symlink_metadata().with_context(|| format!("look at {}", entry.path()))?;
            if meta.is_dir() {
                left.push(entry.path().to_owned());
            } else if meta.is_file() && seen.insert(meta.ino()) {
                bytes += meta.len();
            }
        }
    }
    Ok(bytes)
}
