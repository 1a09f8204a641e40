//! apt, with a state of its own: it knows which packages there are, what they need, and fetches them.
//!
//! It verifies every signature and digest. Nothing is installed: the system's own apt and dpkg are not touched,
//! no hook and no maintainer script runs, and no right of root is needed.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal};
use sha2::{Digest, Sha256};

use super::cache::{Cache, hexadecimal, sha256_of};
use super::index::Index;
use super::lock::Package;
use super::repair::Recipe;
use super::request::{Network, Stop, TICK, pause};
use super::sources;
use super::suite::{self, Suite};
use super::want::{Owners, Want};
use crate::distro::OsRelease;
use crate::error::{Error, Result};
use crate::target::Machine;

/// The paths of the host's sources (sources.list(5)).
const SOURCES: (&str, &str) = ("/etc/apt/sources.list", "/etc/apt/sources.list.d");

/// The program that reads apt's own files, however they are compressed.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// An index of all files, as apt's configuration names it here. It is large, and so not always asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Of packages for the architecture.
    Architecture,
    /// Of those for all of them: scripts, and three times as much documentation.
    All,
}

impl Contents {
    fn name(self) -> &'static str {
        match self {
            Self::Architecture => "Contents-deb",
            Self::All => "Contents-all",
        }
    }

    /// The configuration that makes apt fetch it, and the substitute for a mirror that has none.
    fn enabled(self) -> Vec<String> {
        let fallback = (self == Self::Architecture).then_some(FALLBACK);
        let targets = std::iter::once(self.name()).chain(fallback);
        targets.map(|name| format!("-oAcquire::IndexTargets::deb::{name}::DefaultEnabled=true")).collect()
    }
}

/// Ubuntu's index of files, one for all components; packages for all architectures are in it (apt-file(1)).
const FALLBACK: &str = "Contents-deb-legacy";

/// The age up to which an index is current, if nothing else is configured.
const FRESH: Duration = Duration::from_secs(3600);

/// The file that says when the index of packages was fetched.
const UPDATED: &str = "updated";

/// The pauses before each attempt at a mirror that answers with halves of an update; their number is the number of
/// attempts.
const TRIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(6)];

/// The time that a mirror may send nothing of any package; apt itself waits longer than that for each.
const SILENCE: Duration = Duration::from_secs(120);

/// One suite for one machine.
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

/// The reason for which apt cannot be used here; `None` if it can.
pub(crate) fn missing() -> Option<&'static str> {
    ["apt-get", "apt-cache", "dpkg-deb"].into_iter().find(|program| !is_program(program))
}

pub(super) fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

impl<'s> Apt<'s> {
    /// Its directory is made in `cache`; the lock of the suite must be held.
    pub(super) fn open(cache: &Cache, suite: &Suite, machine: Machine, stop: Stop<'s>) -> Result<Self> {
        let architecture = super::cache::architecture(machine)?;
        if let Some(program) = missing() {
            return Err(Error::failed(format!("cannot make a sysroot of {suite}: there is no `{program}` here"))
                .help(format!("make a folder of its packages on a Debian or Ubuntu system, and pass --sysroot DIR ({architecture})")));
        }
        let (keyring, package) = suite.distribution.keyring();
        let installed = Path::new(keyring).is_file().then_some(keyring);
        let host = host_suite();
        let files = host_sources()?;
        let text = sources::sources(suite, machine, host.as_ref(), &files, installed);
        // Without a key there is nothing to verify with, and apt would say so in worse words.
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

    /// The age of an index, if it exists; `mark` is the file that records it.
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

    /// Retries an index that was caught in the middle of a mirror's own update.
    fn update(&self) -> Result<()> {
        let mut last = None;
        for time in TRIES {
            pause(time, self.stop)?;
            // By itself it takes what it could not fetch for a warning.
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
            // What it has of the index belongs to two states of the mirror, or is damaged.
            self.forget();
        }
        let said = last.unwrap_or_default();
        let error = said.error(&format!("cannot fetch the index of {} for {}", self.suite, self.architecture()));
        Err(match self.suite.near().filter(|_| error.help_line().is_none() && said.has_no_suite()) {
            Some(near) => error.help(format!("did you mean --sysroot {near}?")),
            None => error,
        })
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
                    // Of a few hundred megabytes hardly a line has a name that is looked for.
                    if places.may_be_in(&line) {
                        places.note(&String::from_utf8_lossy(&line), owners);
                    }
                }
            }
        }
        Ok(owners)
    }

    fn resolve(&self, specs: &[String]) -> Result<Vec<Package>> {
        // The digest that a lock has, and no other.
        let options = ["-qq", "--print-uris", "-o", "Acquire::ForceHash=SHA256", "install", "--"].map(String::from);
        let output = self.run("apt-get", options.into_iter().chain(specs.iter().cloned()))?;
        if !output.status.success() {
            let said = Said::of(&output);
            if let Some(name) = said.unknown() {
                return Err(Error::failed(format!("{} no longer has the package {name}", self.suite))
                    .detail("`rootfs.lock` asks for it")
                    .help("choose anew what has the same tools: cargo rootfs sysroot update"));
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

/// A directory that is filled from a mirror. apt gives up on each request after a while, and then makes the next: with
/// many packages, and a mirror that takes requests and does not answer, that would be hours.
struct Growth<'f> {
    folder: &'f Path,
    limit: Duration,
    /// The number of bytes so far, and the time of the last change.
    last: Cell<(u64, Instant)>,
}

impl<'f> Growth<'f> {
    fn of(folder: &'f Path, limit: Duration) -> Self {
        Self { folder, limit, last: Cell::new((0, Instant::now())) }
    }

    /// Fails where nothing has come for too long.
    fn goes_on(&self) -> Result<()> {
        let files = fs::read_dir(self.folder).into_iter().flatten().flatten();
        let bytes = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
        let (before, since) = self.last.get();
        if bytes != before {
            self.last.set((bytes, Instant::now()));
        } else if since.elapsed() > self.limit {
            let seconds = self.limit.as_secs();
            return Err(Error::failed(format!("the mirror has sent nothing for {seconds} seconds"))
                .help("run it again: what has come whole is kept"));
        }
        Ok(())
    }
}

/// Runs it to its end, or until it was asked to stop.
fn run(command: duct::Expression, program: &str, stop: Stop<'_>) -> Result<Output> {
    let failed = |error| Error::io("run", program, error);
    // A group of its own: apt's methods, which wait for a mirror, do not end with apt.
    let command = command.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    });
    let running = command.stdout_capture().stderr_capture().unchecked().start().map_err(failed)?;
    loop {
        if let Some(output) = running.wait_timeout(TICK).map_err(failed)? {
            return Ok(output.clone());
        }
        if let Err(stopped) = stop() {
            let leaders = running.pids().into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            for leader in leaders {
                let _ = rustix::process::kill_process_group(leader, Signal::TERM);
            }
            running.wait().map_err(failed)?;
            return Err(stopped);
        }
    }
}

/// The texts of the host's sources.list(5) files, by name. Where they are, its apt is configured to say.
fn host_sources() -> Result<Vec<(String, String)>> {
    let words = ["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"];
    let said = duct::cmd("apt-config", words).stdin_null().stderr_null().unchecked().read().unwrap_or_default();
    let place = |name: &str, usual: &str| {
        let value = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''));
        PathBuf::from(value.unwrap_or(usual))
    };
    let mut files = vec![place("LIST", SOURCES.0)];
    let parts = fs::read_dir(place("PARTS", SOURCES.1)).into_iter().flatten().flatten().map(|entry| entry.path());
    // As apt reads them: by name, and only those that end so.
    let ends = |path: &PathBuf| path.extension().is_some_and(|end| end == "list" || end == "sources");
    let mut parts: Vec<_> = parts.filter(ends).collect();
    parts.sort();
    files.extend(parts);
    let mut texts = Vec::new();
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", file, error)),
        }
    }
    Ok(texts)
}

/// The host's proxies and certificates stay; its hooks, pins and further indexes do not (apt.conf(5)).
fn configuration(folder: &Path, architecture: &str) -> Result<String> {
    let folder = folder.to_str().filter(|text| !text.contains(['"', '\n', ';']));
    let folder = folder.ok_or_else(|| {
        Error::failed("the cache folder's path cannot be written in apt's configuration")
            .help("name another folder: export CARGO_ROOTFS_CACHE=DIR")
    })?;
    // Without root there is nobody to change to; with it, `_apt` may not enter root's cache directory.
    Ok(format!(
        "Dir::State \"{folder}\";\nDir::State::lists \"{folder}/lists\";\nDir::State::status \"/dev/null\";\n\
         Dir::State::extended_states \"{folder}/extended_states\";\n\
         Dir::Cache \"{folder}\";\nDir::Cache::archives \"{folder}/archives\";\n\
         Dir::Cache::pkgcache \"{folder}/pkgcache.bin\";\nDir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts \"{folder}/sources\";\n\
         Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"{folder}/preferences\";\n\
         Dir::Log \"{folder}\";\n\
         APT::Architecture \"{architecture}\";\n#clear APT::Architectures;\nAPT::Architectures {{ \"{architecture}\"; }};\n\
         APT::Default-Release \"\";\nAPT::Install-Recommends \"false\";\nAPT::Install-Suggests \"false\";\n\
         APT::Get::Assume-Yes \"true\";\nAPT::Get::AllowUnauthenticated \"false\";\nAPT::Get::Simulate \"false\";\n\
         APT::Get::List-Cleanup \"false\";\nAPT::Sandbox::User \"root\";\n#clear APT::Update;\n#clear APT::NeverAutoRemove;\n#clear DPkg;\n#clear AptCli;\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"3\";\nAcquire::AllowInsecureRepositories \"false\";\n\
         Acquire::AllowWeakRepositories \"false\";\nAcquire::AllowDowngradeToInsecureRepositories \"false\";\n\
         Acquire::http::Timeout \"20\";\nAcquire::https::Timeout \"20\";\n\
         #clear Acquire::IndexTargets::deb;\nAcquire::IndexTargets::deb::Packages {{\n\
         MetaKey \"$(COMPONENT)/binary-$(ARCHITECTURE)/Packages\";\nflatMetaKey \"Packages\";\n\
         ShortDescription \"Packages\";\nDescription \"$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages\";\n\
         flatDescription \"$(RELEASE) Packages\";\nOptional \"false\";\n}};\n\
         {}{}{}",
        index_of_files("Contents-deb", &format!("$(COMPONENT)/Contents-{architecture}"), ""),
        index_of_files(FALLBACK, &format!("Contents-{architecture}"), "Contents-deb"),
        index_of_files("Contents-all", "$(COMPONENT)/Contents-all", ""),
    ))
}

/// One kind of index, as apt.conf(5) has it: of nothing but what `fallback_of` names where a mirror has none of that.
fn index_of_files(name: &str, key: &str, fallback_of: &str) -> String {
    let fallback = if fallback_of.is_empty() { String::new() } else { format!("Fallback-Of \"{fallback_of}\";\n") };
    let identifier = if fallback_of.is_empty() { name } else { fallback_of };
    format!(
        "Acquire::IndexTargets::deb::{name} {{\nMetaKey \"{key}\";\nflatMetaKey \"{identifier}\";\n\
         ShortDescription \"Contents\";\nDescription \"$(RELEASE) {key}\";\nflatDescription \"$(RELEASE) Contents\";\n\
         Identifier \"{identifier}\";\nOptional \"true\";\nKeepCompressed \"true\";\nDefaultEnabled \"false\";\n{fallback}}};\n"
    )
}

/// The names in the output of `apt-cache policy` that have a version to take.
fn with_candidate(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = None;
    for line in text.lines() {
        match line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            Some(head) => name = Some(head.split(':').next().unwrap_or(head).to_owned()),
            None if line.trim_start().starts_with("Candidate:") && !line.ends_with("(none)") => {
                names.extend(name.take())
            }
            None => {}
        }
    }
    names
}

/// `'http://...' name_version_arch.deb 1234 SHA256:abc`, as `--print-uris` has it.
fn resolved(line: &str) -> Result<Package> {
    let not_understood = || Error::failed("cannot understand what apt prints").detail(line.to_owned());
    let rest = line.strip_prefix('\'').and_then(|rest| rest.split_once("' ")).ok_or_else(not_understood)?.1;
    let mut words = rest.split(' ');
    let (file, _size, digest) = (words.next(), words.next(), words.next());
    let mut parts = file.unwrap_or_default().splitn(3, '_');
    let (Some(name), Some(version), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(not_understood());
    };
    let sha256 = digest.and_then(|digest| digest.strip_prefix("SHA256:")).filter(|digest| digest.len() == 64);
    let sha256 = sha256.ok_or_else(not_understood)?;
    // Of a file's name, an epoch's colon is the one character that is not as it is (apt's `QuoteString`).
    let version = version.replace("%3a", ":").replace("%3A", ":");
    Ok(Package { name: name.to_owned(), version, sha256: sha256.to_owned() })
}

/// The messages of a failed apt.
#[derive(Debug, Default)]
struct Said {
    /// Its errors and warnings, as they are, without a mark.
    lines: Vec<String>,
    /// The reasons for failed fetches, which for a release are not in an error's text.
    reasons: Vec<String>,
}

impl Said {
    fn of(output: &Output) -> Self {
        Self::of_texts(&String::from_utf8_lossy(&output.stdout), &String::from_utf8_lossy(&output.stderr))
    }

    fn of_texts(progress: &str, text: &str) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            let marked = ["E: ", "W: "].iter().find_map(|mark| line.strip_prefix(mark));
            match marked.map(str::trim) {
                Some(line) if lines.iter().any(|known| known == line) => {}
                Some(line) => lines.push(line.to_owned()),
                // What goes on with the line before it.
                None => lines.last_mut().filter(|_| line.starts_with(' ')).into_iter().for_each(|last| {
                    last.push(' ');
                    last.push_str(line.trim());
                }),
            }
        }
        // What it did with all of it is no news.
        lines.retain(|line| {
            !line.starts_with("Some index files failed") && !line.starts_with("Unable to fetch some archives")
        });
        // `Err:2 http://m bookworm Release`, and below it why.
        let pairs = progress.lines().zip(progress.lines().skip(1));
        let reasons = pairs.filter(|(line, why)| line.starts_with("Err:") && why.starts_with(' '));
        Self { lines, reasons: reasons.map(|(_, why)| why.trim().to_owned()).collect() }
    }

    /// The reason for which the mirror cannot be reached, if that is the failure.
    fn unreachable(&self) -> Option<&str> {
        let words = [
            "Temporary failure resolving",
            "Could not resolve",
            "Could not connect",
            "Cannot initiate the connection",
            "Network is unreachable",
            "connection timed out",
            // Of one that takes a request, and then says nothing until apt has asked often enough.
            "Connection failed",
            "Connection timed out",
            "Unable to connect",
        ];
        let said = self.lines.iter().chain(&self.reasons);
        said.map(String::as_str).find(|line| words.iter().any(|word| line.contains(word)))
    }

    fn says(&self, words: &[&str]) -> bool {
        self.lines.iter().any(|line| words.iter().any(|word| line.contains(word)))
    }

    /// Returns whether the mirror was caught between two states.
    fn is_halfway(&self) -> bool {
        self.says(&[
            "Hash Sum mismatch",
            "Mirror sync in progress",
            "File has unexpected size",
            "Unexpected end of",
            "Error reading from server",
            "Remote end closed",
            "Undetermined Error",
        ])
    }

    /// Returns whether the apt of a killed run is still running: among all runs this one has the suite's lock.
    fn is_held(&self) -> bool {
        self.says(&["Could not get lock"])
    }

    /// A package's name and the version of it that is not there.
    fn gone(&self) -> Option<(&str, &str)> {
        self.lines.iter().find_map(|line| {
            // Version '1.0' for 'bash' was not found
            let mut words = line.strip_prefix("Version '")?.split('\'');
            let (version, _, name) = (words.next()?, words.next()?, words.next()?);
            line.ends_with("was not found").then_some((name, version))
        })
    }

    /// The name of a package that there is not.
    fn unknown(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix("Unable to locate package "))
    }

    fn has_no_suite(&self) -> bool {
        self.says(&["does not have a Release file", "no longer has a Release file"])
    }

    /// In words of ours where the reason is known, with apt's own below.
    fn error(&self, what: &str) -> Error {
        let (why, help) = if self.says(&["No space left on device", "enough free space"]) {
            ("the disk is full", Some("make room: cargo rootfs sysroot prune --all"))
        } else if self.unreachable().is_some() {
            // A release that could not be fetched is to apt one that is not there.
            ("the mirror cannot be reached", Some("use only what is there: --offline"))
        } else if self.says(&[
            "NO_PUBKEY",
            "BADSIG",
            "EXPKEYSIG",
            "EXPSIG",
            "REVKEYSIG",
            "not signed",
            "invalid signature",
            "couldn't be verified",
        ]) {
            ("its signature is not valid, or is of a key that is not known here", None)
        } else if self.has_no_suite() {
            ("the mirror does not have this suite", None)
        } else if self.says(&["is not valid yet", "is expired"]) {
            ("its signature is of another time: is the clock right?", None)
        } else if self.is_held() {
            ("the apt of a run that was killed has not ended", Some("try again when it has"))
        } else if self.is_halfway() {
            ("the mirror is in the middle of an update, or broke off", Some("try again in a few minutes"))
        } else {
            ("", None)
        };
        let message = if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") };
        let reason = self.unreachable().filter(|reason| !self.lines.iter().any(|line| line == reason));
        let lines = reason.into_iter().chain(self.lines.iter().map(String::as_str));
        let error = lines.take(6).fold(Error::failed(message), |error, line| error.detail(line));
        match help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

/// Keeps those of `packages` that have come whole.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_packages() {
        let hash = "b".repeat(64);
        let line = format!(
            "'http://m/pool/main/a/attr/libattr1_2.5.1-4_arm64.deb' libattr1_1%3a2.5.1-4_arm64.deb 21888 SHA256:{hash}"
        );
        let one = resolved(&line).unwrap();
        assert_eq!(one.spec(), "libattr1=1:2.5.1-4");
        assert_eq!(one.sha256, hash);
        for line in ["'http://m/x.deb' x_1_arm64.deb 3 MD5Sum:abc", "'http://m/x.deb' x.deb 3 SHA256:abc", "x", "'x"] {
            assert!(resolved(line).is_err(), "{line}");
        }
    }

    #[test]
    fn packages_without_a_version_are_not_known() {
        let text = "bash:\n  Installed: (none)\n  Candidate: 5.2.15-2+b13\n  Version table:\n     5.2.15-2+b13 500\n\
                    awk:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\nzlib1g:arm64:\n  Candidate: 1:1.2\n";
        assert_eq!(with_candidate(text), ["bash", "zlib1g"]);
    }

    #[test]
    fn why_apt_failed() {
        let error = |text: &str| Said::of_texts("", text).error("cannot fetch").message().to_owned();
        for (text, why) in [
            ("E: Failed to fetch http://m/x  Hash Sum mismatch\n   Hashes of expected file:\n", "middle of an update"),
            ("E: The repository 'http://m nope Release' does not have a Release file.\n", "does not have this suite"),
            (
                "W: GPG error: http://m bookworm InRelease: The following signatures couldn't be verified because the \
              public key is not available: NO_PUBKEY 0E98\nE: The repository 'http://m' is not signed.\n",
                "signature",
            ),
            ("E: Failed to fetch http://m/  Temporary failure resolving 'm'\n", "cannot be reached"),
            (
                "E: Failed to fetch http://m/dists/x/InRelease  Connection failed [IP: 127.0.0.1 80]\n",
                "cannot be reached",
            ),
            (
                "E: Could not get lock /c/lists/lock. It is held by process 7 (apt-get)\nE: Unable to lock directory /c\n",
                "a run that was killed",
            ),
            ("E: Write error - write (28: No space left on device)\n", "disk is full"),
        ] {
            assert!(error(text).contains(why), "{text}");
        }
        assert_eq!(error("E: Unable to locate package x\n"), "cannot fetch");
        let missing = "E: The repository 'http://m nope Release' does not have a Release file.\n";
        let told = |why: &str| {
            let progress = format!("Ign:1 http://m nope InRelease\nErr:2 http://m nope Release\n  {why}\nReading\n");
            Said::of_texts(&progress, missing).error("cannot fetch").to_string()
        };
        assert!(
            told("404  Not Found [IP: 127.0.0.1 80]")
                .starts_with("cannot fetch: the mirror does not have this suite\n")
        );
        let why = "Cannot initiate the connection to m:80 (127.0.0.1). - connect (101: Network is unreachable)";
        assert!(
            told(why).starts_with(&format!("cannot fetch: the mirror cannot be reached\n  {why}\n")),
            "{}",
            told(why)
        );
        let unknown = Said::of_texts("", "Reading\nE: Unable to locate package gone-sed\n");
        assert_eq!(unknown.unknown(), Some("gone-sed"));
        let gone = Said::of_texts("", "E: Version '1:2~x' for 'bash' was not found\n");
        assert_eq!(gone.gone(), Some(("bash", "1:2~x")));
    }

    #[test]
    fn a_mirror_that_sends_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let growth = Growth::of(folder.path(), Duration::ZERO);
        for text in ["a", "ab", "abc"] {
            fs::write(folder.path().join("x.deb"), text).unwrap();
            growth.goes_on().unwrap();
        }
        assert!(growth.goes_on().unwrap_err().message().contains("has sent nothing"));
    }

    #[test]
    fn what_is_stopped_ends_with_all_that_it_started() {
        let asked = std::cell::Cell::new(0);
        let stop = || match asked.replace(asked.get() + 1) {
            0 => Ok(()),
            _ => Err(Error::interrupted()),
        };
        // It would not return before the last of those that write to its outputs.
        let folder = tempfile::tempdir().unwrap();
        let script = duct::cmd("sh", ["-c", "(sleep 60; echo >ended) & wait"]).dir(folder.path());
        let stopped = run(script, "sh", &stop).unwrap_err();
        assert_eq!(stopped.exit_code(), crate::error::exit_code::INTERRUPTED);
        assert!(!folder.path().join("ended").exists());
        let output = run(duct::cmd("sh", ["-c", "echo said; exit 3"]), "sh", &|| Ok(())).unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b"said\n"[..]));
    }

    #[test]
    fn indexes_of_files_are_fetched_when_they_are_asked_for() {
        let text = configuration(Path::new("/c"), "arm64").unwrap();
        let mut targets = text.split("Acquire::IndexTargets::deb::").filter(|target| target.starts_with("Contents-"));
        assert!(targets.all(|target| target.contains("\nDefaultEnabled \"false\";\n")), "{text}");
        let all: Vec<_> = [Contents::Architecture, Contents::All].into_iter().flat_map(Contents::enabled).collect();
        let known = text.matches("Acquire::IndexTargets::deb::Contents-").count();
        assert_eq!(all.len(), known, "{all:?}");
    }

    #[test]
    fn hooks_of_the_host_do_not_run() {
        let text = configuration(Path::new("/c"), "arm64").unwrap();
        for line in ["#clear APT::Update;", "#clear DPkg;", "#clear AptCli;", "Dir::State::status \"/dev/null\";"] {
            assert!(text.lines().any(|known| known == line), "{text}");
        }
        assert!(configuration(Path::new("/c\"; x"), "arm64").is_err());
    }
}
