//! Sysroots that nobody has made yet: a distribution's packages, fetched, verified and extracted for the user.
//!
//! A lock says of which packages; the cache keeps what was made. It runs nothing of what it extracts, changes nothing
//! of the system, and prints nothing: it tells of its [`Step`]s.

mod apt;
mod cache;
mod choose;
mod compose;
mod keystore;
mod lock;
mod mime;
mod repair;
mod sources;
mod suite;
mod unpack;
mod want;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

pub(crate) use cache::{Cache, Kept, Prune};
pub(crate) use choose::{Asked, Candidate, Place, candidates};
pub(crate) use lock::Lock;
pub(crate) use suite::Suite;
pub(crate) use want::Want;

use crate::error::{Error, Result};
use crate::target::Machine;
use apt::{Apt, Contents};
use lock::Section;
use want::Owners;

/// What is in every sysroot: the C library, what Rust's standard library links to, and what Debian and Ubuntu take to be
/// essential in all their suites. Other packages use that without depending on it
/// (<https://www.debian.org/doc/debian-policy/ch-binary.html#essential-packages>).
const BASE: [&str; 21] = [
    "base-files",
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
    "libc6",
    "libgcc-s1",
    "ncurses-base",
    "ncurses-bin",
    "perl-base",
    "sed",
    "tar",
    "util-linux",
];

/// The name of the lock, beside Cargo.lock.
const LOCK: &str = "rootfs.lock";

/// How long the answer to a request without a project is taken to be current.
const CURRENT: Duration = Duration::from_secs(24 * 3600);

/// How many files are told of that are named like a tool that is not there.
const LIKE: usize = 4;

/// A sysroot that is to be had.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) suite: Suite,
    pub(crate) machine: Machine,
    pub(crate) wants: BTreeSet<Want>,
    /// What would be of use, if any package has it.
    pub(crate) hopes: BTreeSet<Want>,
    pub(crate) pinned: Pinned,
    pub(crate) may: May,
    /// Whether nothing but `--sysroot auto`, or nothing, was asked for.
    pub(crate) is_auto: bool,
}

/// Where the versions are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// In `rootfs.lock` of this folder.
    Project(PathBuf),
    /// In the cache, for a day: there is no project.
    Nowhere,
}

/// What `--locked`, `--offline` and `--frozen` forbid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct May {
    pub(crate) change_lock: Lockfile,
    pub(crate) network: Network,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lockfile {
    #[default]
    Grows,
    /// `--locked`
    Stays,
    /// `sysroot update`: all versions are chosen anew.
    Renewed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Network {
    #[default]
    Used,
    /// `--offline`
    Unused,
}

/// What goes on.
#[derive(Debug)]
pub(crate) enum Step<'s> {
    /// Another process makes one of the same suite.
    Waiting,
    Updating(&'s Suite, &'static str),
    /// In the index of all files.
    Searching(&'s Suite, &'static str),
    /// So many packages.
    Downloading(usize),
    Extracting(usize, &'s Suite, &'static str),
    /// The lock was written.
    Locking(&'s Path),
}

/// Tells of steps.
pub(crate) trait Watch {
    fn step(&mut self, step: Step<'_>);
}

/// Fails where it was asked to stop.
pub(crate) type Stop<'s> = &'s dyn Fn() -> Result<()>;

/// How long is waited before it is asked again whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Waits, as long as nobody asks to stop.
fn pause(time: Duration, stop: Stop<'_>) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        stop()?;
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return Ok(()),
            left => std::thread::sleep(left.min(TICK)),
        }
    }
}

/// A sysroot that is there.
#[derive(Debug)]
pub(crate) struct Provided {
    pub(crate) kept: Kept,
    /// How many packages it is made of.
    pub(crate) packages: usize,
    /// What was asked for, so far.
    pub(crate) wants: BTreeSet<Want>,
}

impl Provided {
    fn new(kept: Kept, section: &Section) -> Self {
        Self { kept, packages: section.packages.len(), wants: section.wants.keys().cloned().collect() }
    }
}

/// Gives the sysroot, made now where it is not there.
pub(crate) fn provide(request: &Request, watch: &mut dyn Watch, stop: Stop<'_>) -> Result<Provided> {
    let provided = find_or_make(request, watch, stop);
    // Ctrl-C has ended dpkg-deb and tar as well, and is why they failed.
    if provided.is_err() {
        stop()?;
    }
    provided
}

fn find_or_make(request: &Request, watch: &mut dyn Watch, stop: Stop<'_>) -> Result<Provided> {
    let cache = Cache::locate()?;
    let pin = Pin::of(request, &cache)?;
    let known = pin.read(request)?;
    if let Some(section) = known.holding(request) {
        if let Some(kept) = cache.sysroot(&Cache::key(section, repair::RECIPE)) {
            return Ok(Provided::new(kept, section));
        }
    } else if request.may.change_lock == Lockfile::Stays {
        return Err(must_change(&pin.path, &known.section, request));
    }

    let mut work = Work { request, cache: &cache, apt: None, watch, stop };
    let _guard = cache.lock(&cache::name(&known.section), &mut || work.watch.step(Step::Waiting), stop)?;
    // Whoever had the lock may have done it all.
    let known = pin.read(request)?;
    let chosen = match known.holding(request) {
        Some(section) => section.clone(),
        None => work.choose(&known.section)?,
    };
    let kept = work.have(&chosen)?;
    let provided = Provided::new(kept, &chosen);
    if known.holding(request).is_none() {
        let is_news = chosen != known.section;
        pin.write(request, chosen, &cache)?;
        if is_news && matches!(request.pinned, Pinned::Project(_)) {
            work.watch.step(Step::Locking(&pin.path));
        }
    }
    Ok(provided)
}

/// The lock of a project, where there is one.
pub(crate) fn project_lock(pinned: &Pinned) -> Result<Lock> {
    match pinned {
        Pinned::Project(folder) => Lock::read(&folder.join(LOCK)),
        Pinned::Nowhere => Ok(Lock::default()),
    }
}

/// What must be there.
fn wants(request: &Request) -> BTreeSet<Want> {
    let base = BASE.iter().map(|name| Want::Package((*name).to_owned()));
    base.chain(request.wants.iter().cloned()).collect()
}

fn must_change(path: &Path, section: &Section, request: &Request) -> Error {
    let error = Error::failed(format!("`{}` would have to change, and --locked was given", path.display()));
    let (suite, arch) = (&section.suite, &section.architecture);
    let all: BTreeSet<Want> = wants(request).into_iter().chain(request.hopes.iter().cloned()).collect();
    let lacking = section.lacking(&all);
    let error = match lacking.is_empty() {
        true => error.detail(format!("it has {suite} for {arch}, and not yet for `--sysroot auto`")),
        false => error.detail(format!("for {suite} {arch} it does not have {}", listed(&lacking))),
    };
    error.help("run it once without --locked, and keep the lock in version control")
}

fn listed(wants: &[&Want]) -> String {
    wants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A lock on the disk.
struct Pin {
    path: PathBuf,
}

impl Pin {
    fn of(request: &Request, cache: &Cache) -> Result<Self> {
        let path = match &request.pinned {
            Pinned::Project(folder) => folder.join(LOCK),
            Pinned::Nowhere => {
                let mut sum = Sha256::new();
                sum.update(request.suite.to_string());
                sum.update(cache::architecture(request.machine)?);
                for want in &request.wants {
                    // What was found to be needed on the way is not what was asked for.
                    if !matches!(want, Want::Library(_)) {
                        sum.update(format!("{want}\n"));
                    }
                }
                let name = format!("{}.lock", &cache::hexadecimal(&sum.finalize())[..16]);
                cache.root().join("requests").join(name)
            }
        };
        Ok(Self { path })
    }

    fn read(&self, request: &Request) -> Result<Known> {
        let lock = match (Lock::read(&self.path), &request.pinned) {
            // Nobody is asked to mend what is in the cache.
            (Err(_), Pinned::Nowhere) => Lock::default(),
            (lock, _) => lock?,
        };
        let architecture = cache::architecture(request.machine)?;
        let section = lock.find(&request.suite, architecture).cloned();
        let section = section.unwrap_or_else(|| Section::new(request.suite.clone(), architecture));
        Ok(Known { section, is_current: self.is_current(request) })
    }

    /// A project's lock holds until it is renewed.
    fn is_current(&self, request: &Request) -> bool {
        if request.pinned != Pinned::Nowhere || request.may.network == Network::Unused {
            return true;
        }
        let modified = fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < CURRENT))
    }

    fn write(&self, request: &Request, section: Section, cache: &Cache) -> Result<()> {
        // Another suite's section may have come in between.
        let mut lock = match request.pinned {
            Pinned::Project(_) => Lock::read(&self.path)?,
            Pinned::Nowhere => Lock::default(),
        };
        lock.put(section);
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        if folder.starts_with(cache.root()) {
            cache.folder("requests")?;
        }
        let failed = |error| Error::io("write", &self.path, error);
        let mut file = tempfile::Builder::new()
            .prefix(".rootfs.lock.")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(failed)?;
        std::io::Write::write_all(&mut file, lock.text().as_bytes()).map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// What a lock had when it was read.
struct Known {
    section: Section,
    is_current: bool,
}

impl Known {
    /// The section, where it answers the request as it stands.
    fn holding(&self, request: &Request) -> Option<&Section> {
        let Self { section, is_current } = self;
        let holds = *is_current
            && request.may.change_lock != Lockfile::Renewed
            && (section.is_auto || !request.is_auto)
            && section.lacking(&wants(request)).is_empty()
            && section.lacking(&request.hopes).is_empty();
        holds.then_some(section)
    }
}

/// What one call may have to do, under the suite's lock.
struct Work<'w> {
    request: &'w Request,
    cache: &'w Cache,
    apt: Option<Apt<'w>>,
    watch: &'w mut dyn Watch,
    stop: Stop<'w>,
}

impl<'w> Work<'w> {
    /// A section that answers the request: what is pinned stays pinned.
    fn choose(&mut self, section: &Section) -> Result<Section> {
        let Request { suite, may, hopes, .. } = self.request;
        let renewed = may.change_lock == Lockfile::Renewed || self.request.pinned == Pinned::Nowhere;
        let wants = wants(self.request);
        let mut chosen = section.clone();
        chosen.is_auto |= self.request.is_auto;
        let is_new = |want: &Want| renewed || !section.wants.contains_key(want);
        let all = wants.iter().chain(section.wants.keys()).chain(hopes).filter(|it| is_new(it)).cloned();
        let is_hope = |want: &Want| want.is_recommended() || hopes.contains(want) && !section.wants.contains_key(want);
        let (hopes, wants): (BTreeSet<Want>, BTreeSet<Want>) = all.partition(is_hope);
        if wants.is_empty() && hopes.is_empty() && section.lacking(&self::wants(self.request)).is_empty() {
            return Ok(chosen);
        }
        self.index(Age::Fresh)?;
        self.find_packages(&mut chosen, &wants, &hopes)?;
        let specs = |chosen: &Section| -> Vec<String> {
            let asked = chosen.asked().into_iter().filter(|name| renewed || section.package(name).is_none());
            let pinned = section.packages.iter().filter(|_| !renewed).map(lock::Package::spec);
            asked.map(str::to_owned).chain(pinned).collect()
        };
        let resolved = match self.apt()?.resolve(&specs(&chosen)) {
            // What is only recommended may be in conflict with what is needed.
            Err(_) if hopes.iter().any(Want::is_recommended) => {
                let recommended = hopes.iter().filter(|hope| hope.is_recommended());
                chosen.wants.extend(recommended.map(|hope| (hope.clone(), String::new())));
                self.apt()?.resolve(&specs(&chosen))?
            }
            resolved => resolved?,
        };
        if resolved.is_empty() {
            return Err(Error::failed(format!("apt chooses no package of {suite}")));
        }
        chosen.packages = resolved;
        chosen.packages.sort();
        Ok(chosen)
    }

    /// Finds the package of each of `wants`; all that have none are told of at once. Of `hopes` that is no failure.
    fn find_packages(&mut self, section: &mut Section, wants: &BTreeSet<Want>, hopes: &BTreeSet<Want>) -> Result<()> {
        let machine = self.request.machine;
        let all: Vec<_> = wants.union(hopes).map(|want| (want, want.candidates(machine))).collect();
        let names: BTreeSet<&String> = all.iter().flat_map(|(_, candidates)| candidates).collect();
        let known = self.apt()?.known(&names.into_iter().cloned().collect::<Vec<_>>())?;
        let is_base = |name: &String| BASE.contains(&name.as_str());
        if known.is_empty() && all.iter().any(|(_, candidates)| candidates.iter().any(is_base)) {
            let (suite, arch) = (&section.suite, &section.architecture);
            return Err(Error::failed(format!("{suite} has no packages for {arch}"))
                .help("choose another suite, or pass a folder: --sysroot DIR"));
        }
        let is_known = |candidates: &[String]| candidates.iter().find(|name| known.contains(name)).cloned();
        let unknown: Vec<&Want> =
            all.iter().filter(|(_, candidates)| is_known(candidates).is_none()).map(|(want, _)| *want).collect();
        let owners = self.owners(&unknown)?;
        let mut errors = Vec::new();
        for (want, candidates) in &all {
            let owners = owners.get(want);
            let owner = || owners.and_then(|owners| owners.packages.first()).map(|(_, _, owner)| owner.clone());
            match is_known(candidates).or_else(owner) {
                Some(name) => {
                    section.wants.insert((*want).clone(), name);
                }
                None if want.is_recommended() => drop(section.wants.insert((*want).clone(), String::new())),
                None if wants.contains(want) => errors.push(self.unknown(want, candidates, owners)),
                None => {}
            }
        }
        Error::all(errors)
    }

    /// Who has those of `wants` that names and the host's packages did not tell, by the indexes of all files. They are
    /// large: the one of scripts is only asked for where the other did not tell.
    fn owners(&mut self, wants: &[&Want]) -> Result<BTreeMap<Want, Owners>> {
        let mut found: BTreeMap<Want, Owners> = BTreeMap::new();
        for contents in [Contents::Architecture, Contents::All] {
            let is_in = |want: &Want| match want {
                Want::Tool(_) => true,
                Want::Library(_) => contents == Contents::Architecture,
                Want::Package(_) | Want::Recommended(_) => false,
            };
            let is_found = |want: &Want| found.get(want).is_some_and(|owners| !owners.packages.is_empty());
            let left: Vec<&Want> = wants.iter().copied().filter(|want| is_in(want) && !is_found(want)).collect();
            if left.is_empty() {
                continue;
            }
            let network = self.request.may.network;
            if !self.apt()?.has_contents(contents, network) && network == Network::Used {
                let (suite, architecture) = (&self.request.suite, cache::architecture(self.request.machine)?);
                self.watch.step(Step::Searching(suite, if contents == Contents::All { "all" } else { architecture }));
                self.apt()?.update_contents(contents)?;
            }
            for (want, owners) in left.iter().zip(self.apt()?.owners(contents, &left)?) {
                let known = found.entry((*want).clone()).or_default();
                known.packages.extend(owners.packages);
                known.like.extend(owners.like);
            }
        }
        Ok(found)
    }

    fn unknown(&self, want: &Want, candidates: &[String], owners: Option<&Owners>) -> Error {
        let (suite, arch) = (&self.request.suite, self.request.machine.debian().unwrap_or_default());
        if let Want::Package(name) = want {
            return Error::failed(format!("{suite} has no package `{name}` for {arch}"));
        }
        let error = Error::failed(format!("no package of {suite} for {arch} is known to have {want}"));
        let names: Vec<_> = candidates.iter().map(|name| format!("`{name}`")).collect();
        let error = if names.is_empty() { error } else { error.detail(format!("there is no {}", names.join(", no "))) };
        let like = owners.into_iter().flat_map(|owners| &owners.like).take(LIKE);
        let error = like.fold(error, |error, (file, package)| error.detail(format!("`{package}` has `{file}`")));
        error.help("name the package that has it: --with-package NAME")
    }

    /// The sysroot of `section`.
    fn have(&mut self, section: &Section) -> Result<Kept> {
        let (cache, key) = (self.cache, Cache::key(section, repair::RECIPE));
        // Whoever had the lock may have made it.
        if let Some(kept) = cache.sysroot(&key) {
            return Ok(kept);
        }
        let architecture = cache::architecture(self.request.machine)?;
        let _all_stay = cache.keep_all_unpacked()?;
        let lacking = section.packages.iter();
        let lacking: Vec<_> = lacking.filter(|package| cache.unpacked(package, architecture).is_none()).collect();
        let debs = self.debs(&lacking)?;
        self.watch.step(Step::Extracting(section.packages.len(), &section.suite, architecture));
        unpack::unpack(cache, architecture, &debs, self.stop)?;
        let unpacked: Option<Vec<_>> =
            section.packages.iter().map(|package| cache.unpacked(package, architecture)).collect();
        let unpacked = unpacked.ok_or_else(|| {
            Error::failed(format!("`{}` changes while packages are put there", cache.root().display()))
                .help("name a folder that nothing else writes to: export CARGO_ROOTFS_CACHE=DIR")
        })?;
        let staging = cache.staging(&cache::name(section))?;
        let filled = compose::compose(cache, section, &unpacked, &staging.path().join("root"), self.stop);
        if let Err(error) = filled {
            // What packages' folders do not let their owner remove, at least by himself.
            let _ = cache::remove(staging.path());
            return Err(error);
        }
        cache.keep_sysroot(staging, &key, section)
    }

    /// The files of these packages, in their order.
    fn debs<'p>(&mut self, packages: &[&'p lock::Package]) -> Result<Vec<(&'p lock::Package, PathBuf)>> {
        let cache = self.cache;
        let lacking: Vec<_> = packages.iter().copied().filter(|package| cache.deb(package).is_none()).collect();
        if !lacking.is_empty() {
            if self.request.may.network == Network::Unused {
                return Err(self.offline(lacking.iter().map(|package| package.spec()).collect()));
            }
            (self.stop)()?;
            // apt fetches what its index has.
            self.index(Age::Any)?;
            self.watch.step(Step::Downloading(lacking.len()));
            if self.download(&lacking).is_err() {
                (self.stop)()?;
                // The index may be of yesterday, and the packages of today.
                self.apt = None;
                self.index(Age::Newest)?;
                self.download(&lacking)?;
            }
        }
        let mut debs = Vec::new();
        let mut others = Vec::new();
        for package in packages {
            match cache.deb(package) {
                Some(deb) => debs.push((*package, deb)),
                None => others.push(package.spec()),
            }
        }
        if others.is_empty() {
            return Ok(debs);
        }
        Err(Error::failed(format!("the mirror has other files than `{LOCK}` for {}", others.join(", ")))
            .detail("their digests differ")
            .help("take the mirror's: cargo rootfs sysroot update"))
    }

    fn download(&mut self, packages: &[&lock::Package]) -> Result<()> {
        let folder = self.cache.fetching(&cache::name_of(&self.request.suite, self.request.machine)?)?;
        self.apt()?.download(packages, folder.path())?;
        apt::keep_downloads(self.cache, folder.path())
    }

    fn apt(&mut self) -> Result<&Apt<'w>> {
        if self.apt.is_none() {
            self.apt = Some(Apt::open(self.cache, &self.request.suite, self.request.machine, self.stop)?);
        }
        Ok(self.apt.as_ref().expect("it was just put there"))
    }

    /// Has an index of this age at the most, where the network may be used.
    fn index(&mut self, age: Age) -> Result<()> {
        let Request { suite, machine, may, .. } = self.request;
        let architecture = cache::architecture(*machine)?;
        let apt = self.apt()?;
        let is_there = match age {
            Age::Any => apt.has_index(),
            Age::Fresh => apt.is_fresh() && may.change_lock != Lockfile::Renewed,
            Age::Newest => false,
        };
        match may.network {
            Network::Used if is_there => Ok(()),
            Network::Unused if apt.has_index() => Ok(()),
            Network::Unused => Err(self.offline(vec![format!("the index of {suite} for {architecture}")])),
            Network::Used => {
                self.watch.step(Step::Updating(suite, architecture));
                self.apt()?.update()
            }
        }
    }

    fn offline(&self, lacking: Vec<String>) -> Error {
        let Request { suite, machine, .. } = self.request;
        let arch = machine.debian().unwrap_or_default();
        let error = Error::failed(format!("cannot make a sysroot of {suite} for {arch} without the network"));
        let error = lacking.into_iter().fold(error, |error, one| error.detail(format!("lacking  {one}")));
        error.help("run it once without --offline")
    }
}

/// How old an index may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Any,
    Fresh,
    Newest,
}
