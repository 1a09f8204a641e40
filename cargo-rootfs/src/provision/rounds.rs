//! Rounds of provisioning: adds packages to a sysroot, or tries the next candidate, until no shortage is left.
//!
//! # Termination
//! Each round shrinks one of two finite sets, and the first one never grows:
//! 1. the remaining candidates: a directory with a shortage is replaced by the next candidate, and is not tried again;
//! 2. the packages of the suite that the sysroot does not have: requests to a suite only grow, chosen packages stay
//!    chosen, and a round that results in the same directory is the last.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::cache::Kept;
use super::choose::{Candidate, Place};
use super::repair::Recipe;
use super::request::{May, Pinned, Request, Step, Watch};
use super::suite::Suite;
use super::want::Want;
use super::{Provided, Stop, owner, provide};
use crate::error::{Error, Result};
use crate::rootfs::KnownFiles;
use crate::shortage::Shortage;
use crate::target::Target;

/// Provides sysroots made of packages, and receives the steps.
pub(crate) trait Packages: Watch {
    /// The sysroot that answers the request.
    fn provide(&mut self, request: &Request) -> Result<Provided>;

    /// The package of the request's suite that has the first available of `wants`.
    fn owner(&mut self, request: &Request, wants: &[Want]) -> Result<Option<String>>;
}

/// The packages of distributions.
pub(crate) struct Distributions<'d> {
    pub(crate) watch: &'d mut dyn Watch,
    pub(crate) stop: Stop<'d>,
}

impl Watch for Distributions<'_> {
    fn step(&mut self, step: Step<'_>) {
        self.watch.step(step);
    }
}

impl Packages for Distributions<'_> {
    fn provide(&mut self, request: &Request) -> Result<Provided> {
        provide(request, self.watch, self.stop)
    }

    fn owner(&mut self, request: &Request, wants: &[Want]) -> Result<Option<String>> {
        owner(request, wants, self.watch, self.stop)
    }
}

/// The sysroot of one rootfs, over all rounds.
pub(crate) struct Rounds {
    target: Target,
    /// Requests to a suite that must succeed; `hopes` may fail.
    wants: BTreeSet<Want>,
    hopes: BTreeSet<Want>,
    pinned: Pinned,
    may: May,
    is_auto: bool,
    candidates: std::vec::IntoIter<Candidate>,
    /// Reasons against earlier candidates, for the message that names the chosen one.
    passed_over: Vec<String>,
    current: Current,
    /// The warnings that have been reported.
    warned: BTreeSet<String>,
}

/// The current candidate.
#[derive(Default)]
struct Current {
    directory: Utf8PathBuf,
    suite: Option<Suite>,
    /// The requests that its packages answer.
    wants: BTreeSet<Want>,
    /// Held to protect the sysroot from pruning.
    kept: Option<Kept>,
}

/// The state before the first round.
pub(crate) struct Start {
    pub(crate) target: Target,
    pub(crate) wants: BTreeSet<Want>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) passed_over: Vec<String>,
    pub(crate) pinned: Pinned,
    pub(crate) may: May,
    /// True if the user named no sysroot.
    pub(crate) is_auto: bool,
}

impl Rounds {
    /// Takes the first candidate.
    pub(crate) fn start(start: Start, packages: &mut dyn Packages) -> Result<Self> {
        let Start { target, wants, candidates, passed_over, pinned, may, is_auto } = start;
        let (hopes, current, warned) = Default::default();
        let candidates = candidates.into_iter();
        let mut rounds = Self { target, wants, hopes, pinned, may, is_auto, candidates, passed_over, current, warned };
        rounds.next(packages)?;
        Ok(rounds)
    }

    /// Adds the known digests of the files with these inodes.
    pub(crate) fn find_known_files(&self, inodes: &BTreeSet<(u64, u64)>, known: &mut KnownFiles) {
        self.current.kept.iter().for_each(|kept| kept.find_known_files(inodes, known));
    }

    /// The directory in use.
    pub(crate) fn directory(&self) -> &Utf8Path {
        &self.current.directory
    }

    /// True if no round can follow.
    pub(crate) fn is_last(&self) -> bool {
        self.current.suite.is_none() && self.candidates.len() == 0
    }

    /// Remedies shortages: replaces a directory by the next candidate, or adds packages of a suite. Returns whether the
    /// directory has changed.
    pub(crate) fn supply(&mut self, short: &BTreeSet<Shortage>, packages: &mut dyn Packages) -> Result<bool> {
        if self.current.suite.is_some() {
            return self.hope(short.iter().filter_map(want), packages);
        }
        if self.is_last() {
            return Ok(false);
        }
        let lacking: Vec<_> = short.iter().map(name).collect();
        self.passed_over.push(format!("{} has no {}", self.current.directory, lacking.join(", ")));
        self.next(packages)?;
        Ok(true)
    }

    /// Adds packages of a suite with the `wishes`, if it has them. Returns whether the directory has changed.
    pub(crate) fn grant(&mut self, wishes: &BTreeSet<Shortage>, packages: &mut dyn Packages) -> Result<bool> {
        self.hope(wishes.iter().filter_map(want), packages)
    }

    /// Adds packages of a suite that rules recommend. Returns whether the directory has changed.
    pub(crate) fn recommend(&mut self, names: &BTreeSet<String>, packages: &mut dyn Packages) -> Result<bool> {
        let wants = names.iter().cloned().map(Want::Recommended);
        let news: Vec<Want> = wants.filter(|want| !self.current.wants.contains(want)).collect();
        self.hope(news.into_iter(), packages)
    }

    /// Adds optional requests to the suite in use. Returns whether the directory has changed.
    fn hope(&mut self, hopes: impl Iterator<Item = Want>, packages: &mut dyn Packages) -> Result<bool> {
        let Some(suite) = self.current.suite.clone() else { return Ok(false) };
        let known = self.hopes.len();
        self.hopes.extend(hopes);
        if self.hopes.len() == known {
            return Ok(false);
        }
        let (more, _) = self.provide(&suite, packages)?;
        let before = std::mem::replace(&mut self.current, more);
        Ok(self.current.directory != before.directory)
    }

    /// Takes the next candidate.
    fn next(&mut self, packages: &mut dyn Packages) -> Result<()> {
        let Some(Candidate { place, why }) = self.candidates.next() else {
            return Err(Error::failed(format!("no sysroot for {}", self.target.triple())));
        };
        let mut because: Vec<String> = Vec::new();
        because.extend((!why.is_empty()).then_some(why));
        let what = match place {
            Place::Folder(directory) => {
                self.current = Current { directory, ..Current::default() };
                self.current.directory.to_string()
            }
            Place::Suite(suite) => {
                let (current, count) = self.provide(&suite, packages)?;
                self.current = current;
                because.extend(self.passed_over.iter().cloned());
                format!("{suite} for {} ({count} packages)", self.target.machine().debian().unwrap_or_default())
            }
        };
        if self.is_auto {
            let because = if because.is_empty() { String::new() } else { format!(": {}", because.join("; ")) };
            packages.step(Step::Using(&format!("{what}{because}")));
        }
        Ok(())
    }

    /// The target of the sysroot.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The package of the suite in use that has the first available of `wants`. `None` if a directory is in use;
    /// `Some(None)` if no package has it, or no index is available.
    pub(crate) fn package_with(&self, wants: &[Want], packages: &mut dyn Packages) -> Option<Option<String>> {
        let request = self.request(self.current.suite.as_ref()?);
        Some(packages.owner(&request, wants).ok().flatten())
    }

    fn request(&self, suite: &Suite) -> Request {
        Request {
            suite: suite.clone(),
            machine: self.target.machine(),
            wants: self.wants.clone(),
            hopes: self.hopes.clone(),
            pinned: self.pinned.clone(),
            may: self.may,
            is_auto: self.is_auto,
        }
    }

    /// The suite's sysroot for all present requests, and the number of its packages.
    fn provide(&mut self, suite: &Suite, packages: &mut dyn Packages) -> Result<(Current, usize)> {
        let Provided { kept, packages: count, wants } = packages.provide(&self.request(suite))?;
        for warning in Recipe::debian().lacks(&kept.root) {
            if self.warned.insert(warning.message.clone()) {
                packages.step(Step::Lacking(&warning));
            }
        }
        let directory = Utf8PathBuf::try_from(kept.root.clone())
            .map_err(|error| Error::failed("the cache directory's path is not UTF-8").with_source(error))?;
        Ok((Current { directory, suite: Some(suite.clone()), wants, kept: Some(kept) }, count))
    }
}

/// The request to a suite that may remedy a shortage.
fn want(shortage: &Shortage) -> Option<Want> {
    match shortage {
        Shortage::Tool(name) => Some(Want::Tool(name.clone())),
        // The shortage names an interpreter by its path.
        Shortage::Library(name) => Some(Want::Library(name.rsplit('/').next().unwrap_or(name).to_owned())),
        Shortage::Package(name) => Some(Want::Package(name.clone())),
        Shortage::Versions => None,
    }
}

fn name(shortage: &Shortage) -> &str {
    match shortage {
        Shortage::Tool(name) | Shortage::Library(name) | Shortage::Package(name) => name,
        Shortage::Versions => "new enough libraries",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A suite in memory. Each package has the name of the thing it contains, and may have one dependency.
    #[derive(Default)]
    struct Fake {
        /// Packages, each with its dependency.
        packages: Vec<(&'static str, &'static str)>,
        /// The requests of each round.
        asked: Vec<Vec<String>>,
        steps: Vec<String>,
    }

    impl Watch for Fake {
        fn step(&mut self, step: Step<'_>) {
            if let Step::Using(what) = step {
                self.steps.push(what.to_owned());
            }
        }
    }

    impl Packages for Fake {
        fn provide(&mut self, request: &Request) -> Result<Provided> {
            let all: BTreeSet<Want> = request.wants.union(&request.hopes).cloned().collect();
            self.asked.push(all.iter().map(|want| want.name().to_owned()).collect());
            let has = |want: &&Want| self.packages.iter().any(|(name, _)| *name == want.name());
            if let Some(unknown) = request.wants.iter().find(|want| !has(want)) {
                return Err(Error::failed(format!("no package has {unknown}")));
            }
            let mut chosen: BTreeSet<&str> = all.iter().filter(has).map(Want::name).collect();
            loop {
                let more = self.packages.iter().filter(|(name, needs)| chosen.contains(name) && !needs.is_empty());
                let more: Vec<&str> = more.map(|(_, needs)| *needs).filter(|it| !chosen.contains(it)).collect();
                if more.is_empty() {
                    break;
                }
                chosen.extend(more);
            }
            // As in the cache: one directory for one set of packages.
            let root = format!("/cache/{}", chosen.iter().copied().collect::<Vec<_>>().join("+"));
            Ok(Provided { kept: Kept::fake(root.into()), packages: chosen.len(), wants: all })
        }

        fn owner(&mut self, _: &Request, wants: &[Want]) -> Result<Option<String>> {
            let has = |want: &&Want| self.packages.iter().any(|(name, _)| *name == want.name());
            Ok(wants.iter().find(has).map(|want| format!("the package of {want}")))
        }
    }

    fn start(places: &[&str], tools: &[&str], fake: &mut Fake) -> Result<Rounds> {
        let place = |place: &&str| match place.starts_with('/') {
            true => Place::Folder((*place).into()),
            false => Place::Suite(Suite::parse(place).unwrap()),
        };
        let candidates = places.iter().map(|it| Candidate { place: place(it), why: String::new() }).collect();
        let start = Start {
            target: Target::parse("aarch64-unknown-linux-gnu").unwrap(),
            wants: tools.iter().map(|tool| Want::Tool((*tool).to_owned())).collect(),
            candidates,
            passed_over: Vec::new(),
            pinned: Pinned::Nowhere,
            may: May::default(),
            is_auto: true,
        };
        Rounds::start(start, fake)
    }

    fn libraries(names: &[&str]) -> BTreeSet<Shortage> {
        names.iter().map(|name| Shortage::Library((*name).to_owned())).collect()
    }

    const SUITE: &str = "debian:bookworm";

    #[test]
    fn a_suite_grows_until_nothing_is_short() {
        let mut fake =
            Fake { packages: vec![("app", ""), ("liba.so.1", "libb.so.1"), ("libb.so.1", "")], ..Fake::default() };
        let mut rounds = start(&[SUITE], &["app"], &mut fake).unwrap();
        assert_eq!(rounds.directory(), "/cache/app");
        // The shortage names the interpreter by its path.
        assert!(rounds.supply(&libraries(&["/lib/liba.so.1"]), &mut fake).unwrap());
        assert_eq!(rounds.directory(), "/cache/app+liba.so.1+libb.so.1");
        assert!(!rounds.is_last(), "packages can be added to a suite");
        assert_eq!(fake.asked, [vec!["app"], vec!["app", "liba.so.1"]]);
    }

    #[test]
    fn a_round_that_changes_nothing_is_the_last() {
        let mut fake = Fake { packages: vec![("app", "libb.so.1"), ("libb.so.1", "")], ..Fake::default() };
        let mut rounds = start(&[SUITE], &["app"], &mut fake).unwrap();
        // No package has the first; the second is in a package that is already installed.
        for short in ["libno.so.1", "libb.so.1"] {
            assert!(!rounds.supply(&libraries(&[short]), &mut fake).unwrap(), "{short}");
        }
        assert_eq!(fake.asked.len(), 3);
        // The same shortage causes no further request.
        assert!(!rounds.supply(&libraries(&["libno.so.1"]), &mut fake).unwrap());
        assert!(!rounds.supply(&BTreeSet::from([Shortage::Versions]), &mut fake).unwrap());
        assert_eq!(fake.asked.len(), 3);
    }

    /// The rounds end when all packages are added, even if a shortage remains.
    #[test]
    fn rounds_are_no_more_than_packages() {
        const NAMES: [&str; 6] = ["app", "lib1", "lib2", "lib3", "lib4", "lib5"];
        let mut fake = Fake { packages: NAMES.iter().map(|name| (*name, "")).collect(), ..Fake::default() };
        let mut rounds = start(&[SUITE], &["app"], &mut fake).unwrap();
        let mut count = 0;
        while rounds.supply(&libraries(&[&format!("lib{}", count + 1)]), &mut fake).unwrap() {
            count += 1;
        }
        assert_eq!(count, NAMES.len() - 1);
    }

    #[test]
    fn a_directory_gives_way_to_the_next_candidate() {
        let mut fake = Fake { packages: vec![("app", "")], ..Fake::default() };
        let mut rounds = start(&["/one", "/two", SUITE], &["app"], &mut fake).unwrap();
        assert!(rounds.supply(&libraries(&["liba.so.1", "libb.so.1"]), &mut fake).unwrap());
        assert_eq!((rounds.directory().as_str(), rounds.is_last()), ("/two", false));
        assert!(rounds.supply(&BTreeSet::from([Shortage::Versions]), &mut fake).unwrap());
        assert_eq!(rounds.directory(), "/cache/app");
        assert_eq!(
            fake.steps,
            [
                "/one",
                "/two",
                "debian:bookworm for arm64 (1 packages): /one has no liba.so.1, libb.so.1; /two has no new enough libraries"
            ]
        );
    }

    #[test]
    fn a_suite_tells_what_a_build_lacks_and_a_directory_does_not() {
        let mut fake = Fake { packages: vec![("app", ""), ("libz.a", "")], ..Fake::default() };
        let wants = ["libz.so", "libz.a"].map(|name| Want::Library(name.to_owned()));
        let rounds = start(&[SUITE], &["app"], &mut fake).unwrap();
        let told = rounds.package_with(&wants, &mut fake);
        assert_eq!(told, Some(Some("the package of library `libz.a`".to_owned())));
        assert_eq!(rounds.package_with(&wants[..1], &mut fake), Some(None));
        let rounds = start(&["/one"], &["app"], &mut fake).unwrap();
        assert_eq!(rounds.package_with(&wants, &mut fake), None);
    }

    #[test]
    fn the_last_directory_stays() {
        let mut fake = Fake::default();
        let mut rounds = start(&["/one"], &["app"], &mut fake).unwrap();
        assert!(rounds.is_last());
        assert!(!rounds.supply(&libraries(&["liba.so.1"]), &mut fake).unwrap());
        assert!(!rounds.recommend(&BTreeSet::from(["data".to_owned()]), &mut fake).unwrap());
        assert_eq!((rounds.directory().as_str(), fake.asked.len()), ("/one", 0));
        assert!(start(&[], &["app"], &mut fake).is_err());
    }

    #[test]
    fn recommended_packages_are_added_once() {
        let mut fake = Fake { packages: vec![("app", ""), ("data", "")], ..Fake::default() };
        let mut rounds = start(&[SUITE], &["app"], &mut fake).unwrap();
        let names = BTreeSet::from(["data".to_owned(), "unknown".to_owned()]);
        assert!(rounds.recommend(&names, &mut fake).unwrap());
        assert_eq!(rounds.directory(), "/cache/app+data");
        assert!(!rounds.recommend(&names, &mut fake).unwrap());
        assert_eq!(fake.asked.len(), 2);
    }

    #[test]
    fn a_tool_that_no_package_has_ends_them() {
        let mut fake = Fake::default();
        assert_eq!(start(&[SUITE], &["app"], &mut fake).err().unwrap().message(), "no package has tool `app`");
    }
}
