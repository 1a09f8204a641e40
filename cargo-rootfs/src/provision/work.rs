//! The work of one request under the suite's lock: choose packages, fetch them, unpack them, make the sysroot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::apt::{self, Contents};
use super::cache::{self, Cache, Kept};
use super::index::{Index, Open};
use super::lock::{self, Section};
use super::pin::LOCK;
use super::request::{Lockfile, Network, Pinned, Request, Step, Stop, Watch};
use super::want::{Owners, Want};
use super::{compose, repair, suite, unpack};
use crate::error::{Error, Result, Warning};
use crate::layout::tools;
use crate::path::RootfsPath;
use crate::sysroot::{End, Sysroot};
use crate::wording::and_more;

/// The number of files that an error names because their names resemble a missing tool.
const LIKE: usize = 4;

/// The number of packages that a message names besides the chosen one.
const OTHERS: usize = 4;

/// The work of one request, under the suite's lock.
pub(super) struct Work<'w, 'i> {
    request: &'w Request,
    cache: &'w Cache,
    open: Open<'w, 'i>,
    apt: Option<Box<dyn Index + 'i>>,
    /// The indexes of all files that could not be fetched: each is tried once.
    unreachable: Vec<Contents>,
    pub(super) watch: &'w mut dyn Watch,
    stop: Stop<'w>,
}

impl<'w, 'i> Work<'w, 'i> {
    pub(super) fn new(
        request: &'w Request,
        cache: &'w Cache,
        open: Open<'w, 'i>,
        watch: &'w mut dyn Watch,
        stop: Stop<'w>,
    ) -> Self {
        Self { request, cache, open, apt: None, unreachable: Vec::new(), watch, stop }
    }

    /// Returns a section that answers the request, and its sysroot. A tool's package is one that contains the file.
    pub(super) fn choose_and_have(&mut self, section: &Section) -> Result<(Section, Kept)> {
        let chosen = self.choose(section, &BTreeSet::new())?;
        let kept = self.have(&chosen)?;
        let refuted = refuted(&kept, &chosen)?;
        if refuted.is_empty() {
            return Ok((chosen, kept));
        }
        // A guess by name or table was wrong. The index of all files is exact, so one more round is enough.
        let chosen = self.choose(section, &refuted)?;
        let kept = self.have(&chosen)?;
        Ok((chosen, kept))
    }

    /// Chooses the packages of the request: pinned packages stay pinned, and `refuted` guesses are not repeated.
    fn choose(&mut self, section: &Section, refuted: &BTreeSet<Want>) -> Result<Section> {
        let Request { suite, may, hopes, .. } = self.request;
        let renewed = may.change_lock == Lockfile::Renewed || self.request.pinned == Pinned::Nowhere;
        let wants = self.request.all_wants();
        let mut chosen = section.clone();
        chosen.is_auto |= self.request.is_auto;
        let is_new = |want: &Want| renewed || !section.wants.contains_key(want) || refuted.contains(want);
        let all = wants.iter().chain(section.wants.keys()).chain(hopes).filter(|it| is_new(it)).cloned();
        let is_hope = |want: &Want| want.is_recommended() || hopes.contains(want) && !section.wants.contains_key(want);
        let (hopes, wants): (BTreeSet<Want>, BTreeSet<Want>) = all.partition(is_hope);
        if wants.is_empty() && hopes.is_empty() && section.lacking(&self.request.all_wants()).is_empty() {
            return Ok(chosen);
        }
        self.index(Age::Fresh)?;
        self.find_packages(&mut chosen, &wants, &hopes, refuted)?;
        let specs = |chosen: &Section| -> Vec<String> {
            let asked = chosen.asked().into_iter().filter(|name| renewed || section.package(name).is_none());
            let pinned = section.packages.iter().filter(|_| !renewed).map(lock::Package::spec);
            asked.map(str::to_owned).chain(pinned).collect()
        };
        let resolved = match self.apt()?.resolve(&specs(&chosen)) {
            // A recommended package may conflict with a required one.
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

    /// Finds the package of each of `wants`; one error lists all without a package. A missing one of `hopes` is no
    /// error.
    fn find_packages(
        &mut self,
        section: &mut Section,
        wants: &BTreeSet<Want>,
        hopes: &BTreeSet<Want>,
        refuted: &BTreeSet<Want>,
    ) -> Result<()> {
        let machine = self.request.machine;
        let all: Vec<_> = wants.union(hopes).map(|want| (want, want.candidates(machine))).collect();
        let names: BTreeSet<&String> = all.iter().flat_map(|(_, candidates)| candidates).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let known = match self.apt()?.known(&names) {
            // The index is damaged, so it is fetched again.
            Err(_) if self.request.may.network == Network::Used => {
                (self.stop)()?;
                self.apt()?.forget();
                self.index(Age::Newest)?;
                self.apt()?.known(&names)?
            }
            known => known?,
        };
        let base = suite::base();
        let is_base = |name: &String| base.contains(&name.as_str());
        if known.is_empty() && all.iter().any(|(_, candidates)| candidates.iter().any(is_base)) {
            let (suite, arch) = (&section.suite, &section.architecture);
            return Err(Error::failed(format!("{suite} has no packages for {arch}"))
                .help("choose another suite, or pass a directory: --sysroot DIR"));
        }
        let guess = |candidates: &[String]| candidates.iter().find(|name| known.contains(name)).cloned();
        let is_unknown = |want: &Want, candidates: &[String]| refuted.contains(want) || guess(candidates).is_none();
        let unknown: Vec<&Want> =
            all.iter().filter(|(want, candidates)| is_unknown(want, candidates)).map(|(want, _)| *want).collect();
        let owners = self.owners(&unknown)?;
        // A named or pinned package is preferred.
        let named = wants.iter().filter(|want| matches!(want, Want::Package(_))).map(|want| want.name().to_owned());
        let meant: BTreeSet<String> =
            named.chain(section.packages.iter().map(|package| package.name.clone())).collect();
        let mut errors = Vec::new();
        for (want, candidates) in &all {
            let owners = owners.get(want);
            let is_named_like = owners.is_some_and(|owners| !owners.like.is_empty());
            let found = match owners.and_then(|owners| self.owner(want, owners, &meant)) {
                Some(owner) => Some(owner),
                None if !refuted.contains(want) => match guess(candidates) {
                    Some(name) => Some(name),
                    None => self.host_owner(want)?,
                },
                // The layout reports a tool that is in no directory of PATH.
                None if !is_named_like => guess(candidates),
                None => None,
            };
            match found {
                Some(name) => {
                    section.wants.insert((*want).clone(), name);
                }
                None if want.is_recommended() => drop(section.wants.insert((*want).clone(), String::new())),
                None if wants.contains(want) => {
                    errors.push(self.unknown(want, candidates, owners, refuted.contains(want)));
                }
                None => {}
            }
        }
        Error::all(errors)
    }

    /// The package with the first available of `wants`, by the index of all files.
    pub(super) fn package_with(&mut self, wants: &[Want]) -> Result<Option<String>> {
        self.index(Age::Any)?;
        let owners = self.owners(&wants.iter().collect::<Vec<_>>())?;
        let found = wants.iter().find_map(|want| owners.get(want)?.packages.first());
        Ok(found.map(|owner| owner.package.clone()))
    }

    /// Chooses a package of `owners`: one of `meant`, else the best one, which a message reports.
    fn owner(&mut self, want: &Want, owners: &Owners, meant: &BTreeSet<String>) -> Option<String> {
        let best = owners.packages.first()?;
        if let Some(owner) = owners.packages.iter().find(|owner| meant.contains(&owner.package)) {
            return Some(owner.package.clone());
        }
        let others: Vec<&str> = owners.packages.iter().skip(1).map(|owner| owner.package.as_str()).collect();
        if let Some(other) = others.first() {
            let has = if others.len() == 1 { "has" } else { "have" };
            let list = and_more(others.iter(), OTHERS);
            let (name, want) = (&best.package, want.name());
            let line = format!("{name} for `{want}`, which {list} {has} too: choose by --with-package {other}");
            self.watch.step(Step::Chosen(&line));
        }
        Some(best.package.clone())
    }

    /// The host's package with a tool, if no index knows the tool and the suite has that package.
    fn host_owner(&mut self, want: &Want) -> Result<Option<String>> {
        let Some(name) = want.host_owner(self.request.machine) else { return Ok(None) };
        Ok(self.apt()?.known(&[name])?.pop())
    }

    /// The owners of those of `wants` that no name reveals, by the indexes of all files. They are large: the index of
    /// packages for all architectures is fetched only if the first one is not enough.
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
            let is_wanted = network == Network::Used && !self.unreachable.contains(&contents);
            if is_wanted && !self.apt()?.has_contents(contents, network) {
                let (suite, architecture) = (&self.request.suite, cache::architecture(self.request.machine)?);
                self.watch.step(Step::Searching(suite, if contents == Contents::All { "all" } else { architecture }));
                if let Err(error) = self.apt()?.update_contents(contents) {
                    (self.stop)()?;
                    self.unreachable.push(contents);
                    // The run continues without the index: guesses by name are checked by their files.
                    let details = error.details().iter().take(1).map(|line| format!("\n  {line}"));
                    let message = format!("{}{}", error.message(), details.collect::<String>());
                    let warning =
                        Warning::new(message).help("name the package of a tool that is not found: --with-package NAME");
                    self.watch.step(Step::Lacking(&warning));
                }
            }
            for (want, owners) in left.iter().zip(self.apt()?.owners(contents, &left)?) {
                let known = found.entry((*want).clone()).or_default();
                known.packages.extend(owners.packages);
                known.like.extend(owners.like);
            }
        }
        Ok(found)
    }

    fn unknown(&self, want: &Want, candidates: &[String], owners: Option<&Owners>, refuted: bool) -> Error {
        let (suite, arch) = (&self.request.suite, self.request.machine.debian().unwrap_or_default());
        if let Want::Package(name) = want {
            return Error::failed(format!("{suite} has no package `{name}` for {arch}"));
        }
        let error = Error::failed(format!("no package of {suite} for {arch} is known to have {want}"));
        let names: Vec<_> = candidates.iter().map(|name| format!("`{name}`")).collect();
        let error = match (names.is_empty(), refuted) {
            (true, _) => error,
            (false, true) => error.detail(format!("{} has no such file", names.join(" or "))),
            (false, false) => error.detail(format!("there is no {}", names.join(", no "))),
        };
        let like = || owners.into_iter().flat_map(|owners| &owners.like).take(LIKE);
        let error = like().fold(error, |error, (file, package)| error.detail(format!("`{package}` has `{file}`")));
        match like().next() {
            Some((file, _)) => error.help(format!("take it by its own name: --with {file}")),
            None => error.help("name the package that has it: --with-package NAME"),
        }
    }

    /// Returns the sysroot of `section`.
    pub(super) fn have(&mut self, section: &Section) -> Result<Kept> {
        let (cache, key) = (self.cache, Cache::key(section, &repair::key()));
        // The previous holder of the lock may have made it.
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
                .help("name a directory that nothing else writes to: export CARGO_ROOTFS_CACHE=DIR")
        })?;
        let staging = cache.staging(&cache::name(section))?;
        let filled = compose::compose(cache, section, &unpacked, &staging.path().join("root"), self.stop);
        if let Err(error) = filled {
            // A package may have directories that forbid their owner to remove files.
            let _ = super::folder::remove(staging.path());
            return Err(error);
        }
        cache.keep_sysroot(staging, &key, section)
    }

    /// The files of these packages, in the same order.
    fn debs<'p>(&mut self, packages: &[&'p lock::Package]) -> Result<Vec<(&'p lock::Package, PathBuf)>> {
        let cache = self.cache;
        let lacking: Vec<_> = packages.iter().copied().filter(|package| cache.deb(package).is_none()).collect();
        if !lacking.is_empty() {
            if self.request.may.network == Network::Unused {
                return Err(self.offline(lacking.iter().map(|package| package.spec()).collect()));
            }
            (self.stop)()?;
            // apt fetches only packages that its index has.
            self.index(Age::Any)?;
            self.watch.step(Step::Downloading(lacking.len()));
            if self.download(&lacking).is_err() {
                (self.stop)()?;
                // The mirror may have newer packages than the index.
                self.apt = None;
                self.index(Age::Newest)?;
                let left: Vec<_> = lacking.into_iter().filter(|package| cache.deb(package).is_none()).collect();
                self.download(&left)?;
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
        let downloaded = self.apt()?.download(packages, folder.path());
        apt::keep_downloads(self.cache, folder.path(), packages)?;
        downloaded
    }

    fn apt(&mut self) -> Result<&(dyn Index + 'i)> {
        if self.apt.is_none() {
            self.apt = Some((self.open)()?);
        }
        Ok(self.apt.as_deref().expect("it was just put there"))
    }

    /// Fetches the index if it is older than `age` and the network may be used.
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

/// The tools of a section that its sysroot lacks.
fn refuted(kept: &Kept, section: &Section) -> Result<BTreeSet<Want>> {
    let mut view = Sysroot::open(&kept.root)?;
    let mut lacks = |want: &&Want| {
        let Want::Tool(tool) = want else { return false };
        match RootfsPath::from_bytes(tool.as_bytes()) {
            Some(path) => !matches!(view.walk(&path).end, End::File(_)),
            None => tools::find(&mut view, tool).is_none(),
        }
    };
    Ok(section.wants.keys().filter(|want| lacks(want)).cloned().collect())
}

/// The maximum age of an index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Any,
    Fresh,
    Newest,
}
