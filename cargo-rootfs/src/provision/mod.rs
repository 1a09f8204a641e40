//! Builds sysroots from a distribution's packages: fetches, verifies and extracts them.
//!
//! A lock names the packages, and the cache keeps the sysroots. It runs no extracted program, changes nothing of the
//! system, and prints nothing: it reports its [`Step`]s.

mod apt;
mod cache;
mod choose;
mod compose;
mod folder;
mod index;
mod keystore;
mod lock;
mod pin;
mod prune;
mod repair;
mod request;
mod rounds;
mod sources;
mod suite;
mod sums;
#[cfg(test)]
mod tests;
mod unpack;
mod update;
mod want;
mod work;

use std::collections::BTreeSet;
use std::path::Path;

pub(crate) use cache::{Cache, Kept};
pub(crate) use choose::{Asked, Candidate, Place, candidates};
pub(crate) use lock::Lock;
pub(crate) use prune::Prune;
pub(crate) use request::{Lockfile, May, Network, Pinned, Request, Step, Stop, Watch};
pub(crate) use rounds::{Distributions, Rounds, Start};
pub(crate) use suite::Suite;
pub(crate) use update::update;
pub(crate) use want::Want;

use crate::error::{Error, Result};
use crate::target::Machine;
use apt::Apt;
use index::{Index, Open};
use lock::Section;
use pin::{LOCK, Pin};
use work::Work;

/// A provisioned sysroot.
#[derive(Debug)]
pub(crate) struct Provided {
    pub(crate) kept: Kept,
    /// The number of its packages.
    pub(crate) packages: usize,
    /// All requests that it answers.
    pub(crate) wants: BTreeSet<Want>,
}

impl Provided {
    fn new(kept: Kept, section: &Section) -> Self {
        Self { kept, packages: section.packages.len(), wants: section.wants.keys().cloned().collect() }
    }
}

/// Returns the sysroot of a request, and makes it if the cache lacks it.
pub(crate) fn provide(request: &Request, watch: &mut dyn Watch, stop: Stop<'_>) -> Result<Provided> {
    let cache = Cache::locate()?;
    let open =
        || -> Result<Box<dyn Index + '_>> { Ok(Box::new(Apt::open(&cache, &request.suite, request.machine, stop)?)) };
    provide_from(&open, &cache, request, watch, stop)
}

/// The package of the request's suite that has the first available of `wants`, by the index of all files.
pub(crate) fn owner(
    request: &Request,
    wants: &[Want],
    watch: &mut dyn Watch,
    stop: Stop<'_>,
) -> Result<Option<String>> {
    let cache = Cache::locate()?;
    let _guard = cache.lock(&cache::name_of(&request.suite, request.machine)?, &mut || {}, stop)?;
    let open =
        || -> Result<Box<dyn Index + '_>> { Ok(Box::new(Apt::open(&cache, &request.suite, request.machine, stop)?)) };
    Work::new(request, &cache, &open, watch, stop).package_with(wants)
}

/// The packages of the host's own release with these tools, as far as a present index knows. Nothing is fetched for a
/// message.
pub(crate) fn packages_of_tools(tools: &[String], stop: Stop<'_>) -> Vec<(String, String)> {
    let Some(suite) = apt::host_suite().filter(|_| apt::missing().is_none()) else { return Vec::new() };
    let of = |tool: &String| {
        let request = Request {
            suite: suite.clone(),
            machine: Machine::host(),
            wants: BTreeSet::new(),
            hopes: BTreeSet::new(),
            pinned: Pinned::Nowhere,
            may: May { change_lock: Lockfile::Stays, network: Network::Unused },
            is_auto: false,
        };
        let package = owner(&request, &[Want::Tool(tool.clone())], &mut Silent, stop).ok().flatten()?;
        Some((tool.clone(), package))
    };
    tools.iter().filter_map(of).collect()
}

/// Reports no steps.
struct Silent;

impl Watch for Silent {
    fn step(&mut self, _: Step<'_>) {}
}

/// The same for any index and cache.
fn provide_from(
    open: Open<'_, '_>,
    cache: &Cache,
    request: &Request,
    watch: &mut dyn Watch,
    stop: Stop<'_>,
) -> Result<Provided> {
    let provided = find_or_make(open, cache, request, watch, stop);
    // Ctrl-C also ends dpkg-deb and tar, so it is the cause of their failure.
    if provided.is_err() {
        stop()?;
    }
    provided
}

fn find_or_make(
    open: Open<'_, '_>,
    cache: &Cache,
    request: &Request,
    watch: &mut dyn Watch,
    stop: Stop<'_>,
) -> Result<Provided> {
    let pin = Pin::of(request, cache)?;
    let known = pin.read(request)?;
    if let Some(section) = known.holding(request) {
        if let Some(kept) = cache.sysroot(&Cache::key(section, &repair::key())) {
            return Ok(Provided::new(kept, section));
        }
    } else if request.may.change_lock == Lockfile::Stays {
        return Err(must_change(&pin.path, &known.section, request));
    }

    let mut work = Work::new(request, cache, open, watch, stop);
    let _guard = cache.lock(&cache::name(&known.section), &mut || work.watch.step(Step::Waiting), stop)?;
    // The previous holder of the lock may have made this sysroot.
    let known = pin.read(request)?;
    let (chosen, kept) = match known.holding(request) {
        Some(section) => (section.clone(), work.have(section)?),
        None => work.choose_and_have(&known.section)?,
    };
    let provided = Provided::new(kept, &chosen);
    if known.holding(request).is_none() {
        let is_news = chosen != known.section;
        pin.write(request, chosen, cache)?;
        if is_news && matches!(request.pinned, Pinned::Project(_)) {
            work.watch.step(Step::Locking(&pin.path));
        }
    }
    Ok(provided)
}

/// The lock of a project; empty without one.
pub(crate) fn project_lock(pinned: &Pinned) -> Result<Lock> {
    match pinned {
        Pinned::Project(folder) => Lock::read(&folder.join(LOCK)),
        Pinned::Nowhere => Ok(Lock::default()),
    }
}

fn must_change(path: &Path, section: &Section, request: &Request) -> Error {
    let error = Error::failed(format!("`{}` would have to change, and --locked was given", path.display()));
    let (suite, arch) = (&section.suite, &section.architecture);
    let all: BTreeSet<Want> = request.all_wants().into_iter().chain(request.hopes.iter().cloned()).collect();
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
