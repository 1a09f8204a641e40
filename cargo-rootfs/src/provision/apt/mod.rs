//! Runs apt with a separate state: finds packages, resolves their dependencies and fetches them.
//!
//! apt verifies every signature and digest. Nothing is installed: the system's apt and dpkg stay unchanged, no hook or
//! maintainer script runs, and root's rights are not needed.

mod answers;
mod configuration;
mod run;
mod said;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use answers::{resolved, with_candidate};
use configuration::{configuration, host_sources};
use run::{Growth, run};
use said::Said;

use super::cache::{Cache, hexadecimal, sha256_of};
use super::index::Index;
use super::lock::Package;
use super::repair::Recipe;
use super::request::{Network, Stop, pause};
use super::sources;
use super::suite::{self, Suite};
use super::want::{Owners, Want};
use crate::distro::OsRelease;
use crate::error::{Error, Result};
use crate::programs;
use crate::target::Machine;
use crate::wording::did_you_mean;

/// The program that reads apt's own files in any compression.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// An index of all files, by its name in this configuration. It is large, so it is fetched only on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Files of packages for one architecture.
    Architecture,
    /// Files of packages for all architectures: scripts, and three times as much documentation.
    All,
}

impl Contents {
    fn name(self) -> &'static str {
        match self {
            Self::Architecture => "Contents-deb",
            Self::All => "Contents-all",
        }
    }

    /// The configuration that makes apt fetch it, and a fallback for mirrors without it.
    fn enabled(self) -> Vec<String> {
        let fallback = (self == Self::Architecture).then_some(FALLBACK);
        let targets = std::iter::once(self.name()).chain(fallback);
        targets.map(|name| format!("-oAcquire::IndexTargets::deb::{name}::DefaultEnabled=true")).collect()
    }
}

/// Ubuntu's index of files: one for all components, with the packages for all architectures (apt-file(1)).
const FALLBACK: &str = "Contents-deb-legacy";

/// The maximum age of a current index.
const FRESH: Duration = Duration::from_secs(3600);

/// The file whose modification time says when the index of packages was fetched.
const UPDATED: &str = "updated";

/// The pauses before each attempt to update from a mirror that is itself in the middle of an update; their number is
/// the number of attempts.
const TRIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(6)];

/// The time limit for a mirror that sends no byte of any package; apt alone waits longer for each request.
const SILENCE: Duration = Duration::from_secs(120);

/// apt for one suite and one machine.
pub(super) struct Apt<'s> {
    suite: Suite,
    machine: Machine,
    folder: PathBuf,
    conf: PathBuf,
    stop: Stop<'s>,
}

/// The host's own suite.
pub(crate) fn host_suite() -> Option<Suite> {
    suite::of_os_release(&OsRelease::host())
}

/// The program without which apt cannot be used here; `None` if all are installed.
pub(crate) fn missing() -> Option<&'static str> {
    ["apt-get", "apt-cache", "dpkg-deb"].into_iter().find(|program| !is_program(program))
}

pub(super) fn is_program(name: &str) -> bool {
    programs::find(name.as_ref(), &programs::path()).is_some()
}

impl<'s> Apt<'s> {
    /// Makes its directory in `cache`. The caller must hold the lock of the suite.
    pub(super) fn open(cache: &Cache, suite: &Suite, machine: Machine, stop: Stop<'s>) -> Result<Self> {
        let architecture = super::cache::architecture(machine)?;
        if let Some(program) = missing() {
            return Err(Error::failed(format!("cannot make a sysroot of {suite}: there is no `{program}` here"))
                .help(format!("make a directory of its packages on a Debian or Ubuntu system, and pass --sysroot DIR ({architecture})")));
        }
        let (keyring, package) = suite.distribution.keyring();
        let installed = Path::new(keyring).is_file().then_some(keyring);
        let host = host_suite();
        let files = host_sources()?;
        let text = sources::sources(suite, machine, host.as_ref(), &files, installed);
        // Without a key apt cannot verify anything, and its own message does not name the missing package.
        if installed.is_none()
            && !text.contains("Signed-By:")
            && host.as_ref().is_none_or(|host| host.distribution != suite.distribution)
        {
            return Err(Error::failed(format!("no keys of {} to verify packages with", suite.distribution.id()))
                .detail(format!("`{keyring}` is not there"))
                .help(format!("apt-get install {package}")));
        }
        let digest = hexadecimal(&Sha256::digest(&text));
        let name = super::cache::name_of(suite, machine)?;
        let folder = cache.folder(&format!("apt/{name}/{}", &digest[..8]))?;
        for below in ["lists/partial", "archives/partial", "sources", "preferences"] {
            cache.folder(&format!("apt/{name}/{}/{below}", &digest[..8]))?;
        }
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| cache.unwritable(&path, error)).map(|()| path)
        };
        write("sources/rootfs.sources", &text)?;
        let conf = write("apt.conf", &configuration(&folder, architecture)?)?;
        Ok(Self { suite: suite.clone(), machine, folder, conf, stop })
    }

    fn architecture(&self) -> &'static str {
        self.machine.debian().unwrap_or_default()
    }

    /// The age of an index, if it exists; `mark` is the file that records its time.
    fn age(&self, mark: &str) -> Option<Duration> {
        let updated = fs::metadata(self.folder.join(mark)).ok()?.modified().ok()?;
        SystemTime::now().duration_since(updated).ok()
    }

    fn mark(&self, mark: &str) -> Result<()> {
        let mark = self.folder.join(mark);
        fs::write(&mark, "").map_err(|error| Error::io("write to the cache", mark, error))
    }

    fn command(&self, program: &str, words: impl IntoIterator<Item = String>) -> duct::Expression {
        let first = [OsString::from("-c"), self.conf.clone().into_os_string()];
        duct::cmd(program, first.into_iter().chain(words.into_iter().map(OsString::from)))
            .env("LC_ALL", "C")
            .stdin_null()
    }

    fn run(&self, program: &str, words: impl IntoIterator<Item = String>) -> Result<Output> {
        run(self.command(program, words), program, self.stop)
    }
}

impl Index for Apt<'_> {
    fn has_index(&self) -> bool {
        self.age(UPDATED).is_some()
    }

    fn is_fresh(&self) -> bool {
        self.age(UPDATED).is_some_and(|age| age < FRESH)
    }

    /// Retries an update that met the mirror in the middle of its own update.
    fn update(&self) -> Result<()> {
        let mut last = None;
        for time in TRIES {
            pause(time, self.stop)?;
            // Without this option, apt only warns about files that it could not fetch.
            let output =
                self.run("apt-get", ["-q", "-o", "APT::Update::Error-Mode=any", "update"].map(String::from))?;
            if output.status.success() {
                return self.mark(UPDATED);
            }
            let said = Said::of(&output);
            let again = said.is_halfway() || said.is_held();
            last = Some(said);
            if !again {
                break;
            }
            // The present index is damaged, or mixes two states of the mirror.
            self.forget();
        }
        let said = last.unwrap_or_default();
        let error = said.error(&format!("cannot fetch the index of {} for {}", self.suite, self.architecture()));
        let near = self.suite.near().filter(|_| error.help_line().is_none() && said.has_no_suite());
        Err(error.help_if(near.map(|near| did_you_mean(format_args!("--sysroot {near}")))))
    }

    fn forget(&self) {
        for name in ["lists", "pkgcache.bin", UPDATED, Contents::Architecture.name(), Contents::All.name()] {
            let _ = super::folder::remove(&self.folder.join(name));
        }
        let _ = fs::create_dir_all(self.folder.join("lists/partial"));
    }

    fn known(&self, names: &[String]) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let words = ["policy".to_owned(), "--".to_owned()].into_iter().chain(names.iter().cloned());
        let output = self.run("apt-cache", words)?;
        if !output.status.success() {
            return Err(Said::of(&output).error(&format!("cannot read the index of {}", self.suite)));
        }
        Ok(with_candidate(&String::from_utf8_lossy(&output.stdout)))
    }

    fn has_contents(&self, contents: Contents, network: Network) -> bool {
        self.age(contents.name()).is_some_and(|age| age < FRESH || network == Network::Unused)
    }

    fn update_contents(&self, contents: Contents) -> Result<()> {
        let words = ["-q", "-o", "APT::Update::Error-Mode=any", "update"].map(String::from);
        let output = self.run("apt-get", contents.enabled().into_iter().chain(words))?;
        match output.status.success() {
            true => self.mark(contents.name()),
            false => Err(Said::of(&output).error(&format!("cannot fetch the files' index of {}", self.suite))),
        }
    }

    fn owners(&self, contents: Contents, wants: &[&Want]) -> Result<Vec<Owners>> {
        let words = ["indextargets", "--format", "$(FILENAME)"].map(String::from).into_iter();
        let words = words.chain([format!("Identifier: {}", contents.name())]);
        let files = self.run("apt-get", contents.enabled().into_iter().chain(words))?;
        let recipe = Recipe::debian();
        let places: Vec<_> = wants.iter().map(|want| want.places(recipe)).collect();
        let mut owners = vec![Owners::default(); wants.len()];
        for file in String::from_utf8_lossy(&files.stdout).lines().filter(|file| Path::new(file).is_file()) {
            let reader = self.command(APT_HELPER, ["cat-file".to_owned(), file.to_owned()]).stderr_null().unchecked();
            let reader = reader.reader().map_err(|error| Error::io("run", APT_HELPER, error))?;
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            loop {
                (self.stop)()?;
                line.clear();
                match reader.read_until(b'\n', &mut line) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => return Err(Error::io("read", file, error)),
                }
                for (places, owners) in places.iter().zip(&mut owners) {
                    // Of a few hundred megabytes, hardly a line contains a searched name.
                    if places.may_be_in(&line) {
                        places.note(&String::from_utf8_lossy(&line), owners);
                    }
                }
            }
        }
        Ok(owners)
    }

    fn resolve(&self, specs: &[String]) -> Result<Vec<Package>> {
        // Only SHA256: the lock records this digest.
        let options = ["-qq", "--print-uris", "-o", "Acquire::ForceHash=SHA256", "install", "--"].map(String::from);
        let output = self.run("apt-get", options.into_iter().chain(specs.iter().cloned()))?;
        if !output.status.success() {
            let said = Said::of(&output);
            if let Some(name) = said.unknown() {
                return Err(Error::failed(format!("{} no longer has the package {name}", self.suite))
                    .detail("`rootfs.lock` asks for it")
                    .help("choose other packages for the same tools: cargo rootfs sysroot update"));
            }
            if let Some(gone) = said.gone() {
                return Err(Error::failed(format!("the mirror no longer has {} {}", gone.0, gone.1))
                    .detail("`rootfs.lock` asks for this version")
                    .help("take the newer ones: cargo rootfs sysroot update"));
            }
            return Err(said.error(&format!("cannot choose packages of {} for {}", self.suite, self.architecture())));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter(|line| line.starts_with('\'')).map(resolved).collect()
    }

    fn download(&self, packages: &[&Package], folder: &Path) -> Result<()> {
        let specs = || packages.iter().map(|package| package.spec());
        let words = ["-q", "-o", "Acquire::Retries=3", "download", "--"].map(String::from);
        let command = self.command("apt-get", words.into_iter().chain(specs())).dir(folder);
        let growth = Growth::of(folder, SILENCE);
        let stop = || (self.stop)().and_then(|()| growth.goes_on());
        let output = run(command, "apt-get", &stop)?;
        if output.status.success() {
            return Ok(());
        }
        let said = Said::of(&output);
        if let Some((name, version)) = said.gone() {
            return Err(Error::failed(format!("the mirror no longer has {name} {version}"))
                .detail("`rootfs.lock` asks for this version")
                .help("take the newer ones: cargo rootfs sysroot update"));
        }
        Err(said.error(&format!("cannot fetch packages of {} for {}", self.suite, self.architecture())))
    }
}

/// Moves the completely downloaded files of `packages` into the cache.
pub(super) fn keep_downloads(cache: &Cache, folder: &Path, packages: &[&Package]) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?.flatten() {
        let file = entry.path();
        let digest = sha256_of(&file).map_err(|error| Error::io("read", &file, error))?;
        if packages.iter().any(|package| package.sha256 == digest) {
            cache.keep_deb(&file, &digest)?;
        }
    }
    Ok(())
}
