//! Crates of an executable: from the list that cargo-auditable embeds, else from cargo's metadata of the project.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A crate that is compiled into an executable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) source: CrateSource,
    /// The licence field of its Cargo.toml.
    pub(crate) licence: Option<String>,
    /// Its dependencies in the same list.
    pub(crate) depends: Vec<usize>,
    /// True if it is the package of the executable.
    pub(crate) is_root: bool,
}

/// The source of a crate.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CrateSource {
    #[default]
    CratesIo,
    /// A repository, in cargo's notation.
    Git(String),
    /// Another registry; empty if unknown.
    Registry(String),
    /// A directory.
    Local,
}

impl CrateSource {
    /// Parses the sources of cargo-auditable and of cargo's metadata.
    fn parse(text: Option<&str>) -> Self {
        const CRATES_IO: [&str; 3] =
            ["crates.io", "registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];
        match text {
            Some(text) if CRATES_IO.contains(&text) => Self::CratesIo,
            None | Some("local") => Self::Local,
            Some("registry") => Self::Registry(String::new()),
            Some("git") => Self::Git(String::new()),
            Some(text) if text.starts_with("git+") => Self::Git(text.to_owned()),
            Some(text) => {
                let url = text.trim_start_matches("registry+").trim_start_matches("sparse+");
                Self::Registry(url.to_owned())
            }
        }
    }
}

/// The crates in `.dep-v0`, without build dependencies
/// (<https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>); `None` if the document is invalid.
pub(crate) fn of_binary(json: &[u8]) -> Option<Vec<Crate>> {
    let document: Value = serde_json::from_slice(json).ok()?;
    let listed = document["packages"].as_array()?;
    let is_meant = |one: &Value| one["kind"].as_str().is_none_or(|kind| kind == "runtime");
    let mut places = vec![None; listed.len()];
    let meant: Vec<usize> = (0..listed.len()).filter(|at| is_meant(&listed[*at])).collect();
    meant.iter().enumerate().for_each(|(place, at)| places[*at] = Some(place));
    let one = |at: &usize| {
        let one = &listed[*at];
        let depends = one["dependencies"].as_array().into_iter().flatten();
        let depends = depends.filter_map(|it| *places.get(usize::try_from(it.as_u64()?).ok()?)?);
        Some(Crate {
            name: one["name"].as_str()?.to_owned(),
            version: one["version"].as_str()?.to_owned(),
            source: CrateSource::parse(one["source"].as_str()),
            licence: None,
            depends: depends.collect(),
            is_root: one["root"] == true,
        })
    };
    meant.iter().map(one).collect()
}

/// Leaves only compiled packages in `metadata`. Cargo resolves a workspace as a whole: features that another member
/// enables bring packages that the build of one member does not have.
pub(crate) fn retain_compiled(metadata: &mut Value, compiled: &BTreeSet<String>) {
    if let Some(packages) = metadata["packages"].as_array_mut() {
        packages.retain(|package| package["id"].as_str().is_some_and(|id| compiled.contains(id)));
    }
}

/// Leaves only the packages of `metadata` in the list of crates of an executable.
pub(crate) fn retain_known(crates: Vec<Crate>, metadata: &Value) -> Vec<Crate> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let known: BTreeSet<(&str, &str)> =
        packages.filter_map(|it| Some((it["name"].as_str()?, it["version"].as_str()?))).collect();
    let is_known = |one: &Crate| known.contains(&(&one.name, &one.version));
    let mut count = 0..;
    let places: Vec<Option<usize>> = crates.iter().map(|one| is_known(one).then(|| count.next()).flatten()).collect();
    let mut left: Vec<Crate> = crates.into_iter().filter(is_known).collect();
    for one in &mut left {
        one.depends = one.depends.iter().filter_map(|needed| places[*needed]).collect();
    }
    left
}

/// The crates that are compiled into the package `root`, from `cargo metadata`: without those of its build, its tests,
/// and macros, which are not in the executable.
pub(crate) fn of_metadata(metadata: &Value, root: &str) -> Option<Vec<Crate>> {
    let packages: BTreeMap<&str, &Value> =
        metadata["packages"].as_array()?.iter().filter_map(|it| Some((it["id"].as_str()?, it))).collect();
    let nodes: BTreeMap<&str, &Value> =
        metadata["resolve"]["nodes"].as_array()?.iter().filter_map(|it| Some((it["id"].as_str()?, it))).collect();
    let is_macro = |id: &str| {
        let targets = packages.get(id).and_then(|it| it["targets"].as_array());
        targets.into_iter().flatten().any(|target| target["kind"] == serde_json::json!(["proc-macro"]))
    };
    let needs = |id: &str| -> Vec<&str> {
        let all = nodes.get(id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
        let normal =
            all.filter(|it| it["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null()));
        let ids = normal.filter_map(|it| it["pkg"].as_str());
        ids.filter(|id| packages.contains_key(id) && !is_macro(id)).collect()
    };
    let mut ids = vec![*packages.keys().find(|id| **id == root)?];
    let mut next = 0;
    while let Some(&id) = ids.get(next) {
        next += 1;
        for needed in needs(id) {
            if !ids.contains(&needed) {
                ids.push(needed);
            }
        }
    }
    let one = |id: &&str| {
        let package = packages.get(id)?;
        Some(Crate {
            name: package["name"].as_str()?.to_owned(),
            version: package["version"].as_str()?.to_owned(),
            source: CrateSource::parse(package["source"].as_str()),
            licence: package["license"].as_str().map(str::to_owned),
            depends: needs(id).iter().filter_map(|id| ids.iter().position(|known| known == id)).collect(),
            is_root: *id == root,
        })
    };
    ids.iter().map(one).collect()
}

/// Adds the licences from `cargo metadata`.
pub(crate) fn licences(crates: &mut [Crate], metadata: &Value) {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let known =
        packages.filter_map(|it| Some(((it["name"].as_str()?, it["version"].as_str()?), it["license"].as_str()?)));
    let known: BTreeMap<(&str, &str), &str> = known.collect();
    for one in crates {
        let licence = known.get(&(one.name.as_str(), one.version.as_str()));
        one.licence = one.licence.take().or_else(|| licence.map(|it| (*it).to_owned()));
    }
}
