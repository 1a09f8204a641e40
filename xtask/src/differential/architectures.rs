//! Debian's packages of other architectures: every file in them resolves, in the directories that their loader has
//! built in. The packages are only extracted. If qemu-user is installed, their loader answers too; it executes none of
//! the files.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::answer::Answer;
use super::enter::{HOST, each_in_root, real};
use super::header::{self, Dynamic};
use super::machine;
use super::machine::{ask_us, percent};
use crate::host;
use crate::packed;
use crate::parallel::in_parallel;
use crate::process::command;
use crate::stage::{cannot, need};

/// One of Debian's architectures.
struct Architecture {
    /// Debian's name for it.
    name: &'static str,
    /// Rust's name for it.
    triple: &'static str,
    /// Suites with the architecture, the best first.
    suites: &'static [&'static str],
    triplet: &'static str,
    interpreter: &'static str,
    /// qemu's name for it.
    qemu: &'static str,
}

/// The mirrors do not serve loongarch64 yet. The ELF reader and the loader's directories are tested with files made for
/// it (`resolve/tests/architectures.rs`).
const ARCHITECTURES: [Architecture; 6] = [
    Architecture {
        name: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        suites: &["bookworm"],
        triplet: "aarch64-linux-gnu",
        interpreter: "/lib/ld-linux-aarch64.so.1",
        qemu: "aarch64",
    },
    Architecture {
        name: "i386",
        triple: "i686-unknown-linux-gnu",
        suites: &["bookworm"],
        triplet: "i386-linux-gnu",
        interpreter: "/lib/ld-linux.so.2",
        qemu: "i386",
    },
    Architecture {
        name: "armhf",
        triple: "armv7-unknown-linux-gnueabihf",
        suites: &["bookworm"],
        triplet: "arm-linux-gnueabihf",
        interpreter: "/lib/ld-linux-armhf.so.3",
        qemu: "arm",
    },
    Architecture {
        name: "ppc64el",
        triple: "powerpc64le-unknown-linux-gnu",
        suites: &["bookworm"],
        triplet: "powerpc64le-linux-gnu",
        interpreter: "/lib64/ld64.so.2",
        qemu: "ppc64le",
    },
    Architecture {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        suites: &["bookworm"],
        triplet: "s390x-linux-gnu",
        interpreter: "/lib/ld64.so.1",
        qemu: "s390x",
    },
    Architecture {
        name: "riscv64",
        triple: "riscv64gc-unknown-linux-gnu",
        suites: &["trixie", "sid"],
        triplet: "riscv64-linux-gnu",
        interpreter: "/lib/ld-linux-riscv64-lp64d.so.1",
        qemu: "riscv64",
    },
];

/// ldconfig of libc-bin makes the caches of the rules for arm64.
const PACKAGES: &str = "bash,coreutils,libc-bin,libstdc++6,openssl";

/// The number of files in one run of a loader.
const BATCH: usize = 50;

/// Compares the packages that the mirror serves.
pub(super) fn compare(ours: &Utf8Path) -> Result<()> {
    need("mmdebstrap")?;
    let mut served = 0;
    let mirror = mirror()?;
    // apt mostly waits, or one processor unpacks.
    let roots = in_parallel(&ARCHITECTURES, |architecture| Ok(architecture.root(mirror.as_deref())))?;
    for (architecture, root) in ARCHITECTURES.iter().zip(roots) {
        match root {
            Ok(root) => {
                served += 1;
                let root = packed::open(root)?;
                architecture.compare(ours, &root).with_context(|| architecture.name.to_owned())?;
            }
            // A mirror can be inconsistent for hours, which is no fault of ours.
            Err(error) => println!("  {}: SKIPPED, not served today: {error:#}", architecture.name),
        }
    }
    if served == 0 { cannot("no mirror serves any architecture") } else { Ok(()) }
}

/// The ldconfig(8) of arm64. It is static, so qemu needs no root for it.
pub(crate) fn ldconfig_arm64() -> Result<Utf8PathBuf> {
    need("mmdebstrap")?;
    let [arm64, ..] = &ARCHITECTURES;
    let root = match arm64.root(mirror()?.as_deref()) {
        Ok(root) => packed::open(root)?,
        Err(error) => return cannot(format!("no mirror serves arm64 today: {error:#}")),
    };
    let places = ["usr/sbin/ldconfig", "sbin/ldconfig"].map(|path| root.join(path));
    places.into_iter().find(|path| path.exists()).with_context(|| format!("no ldconfig in {root}"))
}

/// The mirror of this machine's packages without updates and fixes, which not every architecture has at all times.
/// `None` if apt has no such source; mmdebstrap then uses its own.
fn mirror() -> Result<Option<String>> {
    let sources = command(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]).run()?;
    let main = sources.stdout.lines().find(|site| !site.contains("security"));
    Ok(main.map(str::to_owned))
}

impl Architecture {
    /// The extracted packages, without the files that add directories for ldconfig(8).
    fn root(&self, mirror: Option<&str>) -> Result<Utf8PathBuf> {
        let dir = host::cache_dir().join("architectures");
        let root = dir.join(self.name);
        let made = dir.join(format!("{}.made-of", self.name));
        let recipe = format!("{} {PACKAGES}", self.suites.join(" "));
        if fs::read_to_string(&made).is_ok_and(|text| text == recipe) {
            return Ok(root);
        }
        fs::create_dir_all(&dir)?;
        let mut failures = Vec::new();
        for suite in self.suites {
            packed::remove(&root)?;
            let extract = command(["mmdebstrap", "--quiet", "--variant=extract"])
                .args([format!("--arch={}", self.name), format!("--include={PACKAGES}")])
                // Old packages are as good here as new ones, and a mirror's `sid` can be weeks behind.
                .args(["--aptopt=Acquire::Retries \"3\"", "--aptopt=Acquire::Check-Valid-Until \"false\""])
                .args([suite, root.as_str()])
                .args(mirror);
            match extract.finish()? {
                done if done.code == Some(0) => {
                    for name in ["etc/ld.so.conf", "etc/ld.so.cache"].map(|name| root.join(name)) {
                        if name.exists() {
                            fs::remove_file(&name)?;
                        }
                    }
                    for name in [".host", "proc", "lacking"].map(|name| root.join(name)) {
                        fs::create_dir_all(&name)?;
                    }
                    packed::pack(&root)?;
                    fs::write(&made, recipe)?;
                    return Ok(root);
                }
                done => {
                    let errors = done.stderr.lines().filter(|line| line.starts_with("E: "));
                    failures.push(format!("{suite}: {}", errors.collect::<Vec<_>>().join("; ")));
                }
            }
        }
        bail!("{}", failures.join("; "))
    }

    fn compare(&self, ours: &Utf8Path, root: &Utf8Path) -> Result<()> {
        let lacking = root.join("lacking");
        let files = header::walk(root.as_std_path(), &|folder| folder == lacking.as_std_path());
        let files = header::dynamic(&files)?;
        let bash = files.iter().find(|file| file.path.ends_with("bin/bash")).context("it has no bash")?;
        ensure!(bash.interpreter.as_deref() == Some(self.interpreter), "bash names {:?}", bash.interpreter);
        let files: Vec<&Dynamic> = files.iter().filter(|file| file.machine == bash.machine).collect();
        let inside = |file: &Dynamic| {
            let path = file.path.strip_prefix(root).with_context(|| format!("{} lies outside", file.path.display()))?;
            Ok(PathBuf::from("/").join(path))
        };
        let paths = files.iter().map(|file| inside(file)).collect::<Result<Vec<_>>>()?;
        let answers = ask_us(ours, &["--sysroot", root.as_str()], &paths)?;
        for (path, answer) in paths.iter().zip(&answers) {
            let is_whole = answer.missing.is_empty() && answer.refusal.is_none();
            ensure!(is_whole, "{}: {answer}", path.display());
        }
        let mapped: usize = answers.iter().map(|answer| answer.files.len()).sum();
        ensure!(mapped > files.len(), "{} files map no more than {mapped}", files.len());
        self.default_folders(ours, root)?;
        let asked: Vec<_> = paths.into_iter().zip(answers).collect();
        let judged = self.judge(root, &asked)?;
        println!("  {}: {} dynamic files, {mapped} mappings, nothing missing; {judged}", self.name, files.len());
        Ok(())
    }

    /// Checks that a missing library is searched for in the directories of Debian's loader, and in no others.
    fn default_folders(&self, ours: &Utf8Path, root: &Utf8Path) -> Result<()> {
        let (from, to) = (root.join("bin/bash"), root.join("lacking/bash"));
        let mut bytes = fs::read(&from)?;
        let name = b"libc.so.6\0";
        let at = bytes.windows(name.len()).position(|window| window == name).context("bash needs no libc")?;
        bytes[at..at + name.len()].copy_from_slice(b"libX.so.6\0");
        fs::write(&to, bytes)?;
        let never = root.join("lacking/never.tar");
        let pack = command([ours.as_str(), "rootfs", "--tools-only", "--with", "/lacking/bash"]).args([
            "--target",
            self.triple,
            "--sysroot",
            root.as_str(),
            "--tar",
            never.as_str(),
        ]);
        let told = pack.fail(&[1])?;
        let expected = format!("/lib/{0}, /usr/lib/{0}, /lib, /usr/lib", self.triplet);
        let is_told = told.stderr.lines().any(|line| line.trim_end().ends_with(&format!(" {expected}")));
        ensure!(is_told, "{}", told.report(&format!("expected to be told of {expected}")));
        Ok(())
    }

    /// Compares with the loader's own answers.
    fn judge(&self, root: &Utf8Path, asked: &[(PathBuf, Answer)]) -> Result<String> {
        let Some(qemu) = host::find(&format!("qemu-{}-static", self.qemu)).filter(|_| host::is_root()) else {
            return Ok("its loader is not asked: that wants qemu-user and root".to_owned());
        };
        let env = ["LD_TRACE_LOADED_OBJECTS=1".to_owned(), format!("{}={}", machine::BASELINE.0, machine::BASELINE.1)];
        let argv = [format!("{HOST}{qemu}"), self.interpreter.to_owned()];
        let batches: Vec<_> = asked.chunks(BATCH).collect();
        let printed = in_parallel(&batches, |batch| {
            let files: Vec<_> = batch.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect();
            each_in_root(root, &env, &argv, &files, Duration::from_secs(20))
        })?;
        let agreed = asked.iter().zip(printed.into_iter().flatten()).map(|((path, our), printed)| {
            let path = path.display();
            let mut their = Answer::of_loader(&printed, &|path| real(root, path));
            let mut our = our.clone();
            for answer in [&mut our, &mut their] {
                answer.files.insert(real(root, self.interpreter));
            }
            if !our.agrees(&their) {
                println!("  {path}\n    ours only:   {}\n    loader only: {}", our.beyond(&their), their.beyond(&our));
            }
            our.agrees(&their)
        });
        let right = agreed.filter(|agrees| *agrees).count();
        let told = format!("{right} of {} as its loader has them: {}", asked.len(), percent(right, asked.len()));
        ensure!(right == asked.len(), "{told}");
        Ok(told)
    }
}
