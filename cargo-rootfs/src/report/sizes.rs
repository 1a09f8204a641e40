//! The cost of each request, the additions of rules, and the number of set-ID files, computed from the origins.
//!
//! Sizes are those of file contents in bytes; each inode is counted once.

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;

use crate::path::RootfsPath;
use crate::rootfs::{Origin, Rootfs};

/// The cost of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The request, such as `--with git` or `template base`.
    pub of: String,
    /// The bytes that only this request brings.
    pub alone: u64,
    /// All bytes that it brings.
    pub all: u64,
}

/// The costs of all requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Costs {
    /// The most expensive one first.
    pub each: Vec<Cost>,
    /// The bytes that several requests bring.
    pub shared: u64,
    /// The size of the rootfs.
    pub total: u64,
}

/// The graph of entries that bring others.
struct Graph {
    sizes: Vec<u64>,
    /// The entries that each entry brings, and whether by a need or by a rule.
    brings: Vec<Vec<(usize, Edge)>>,
    /// The entries that no other entry brings, by request.
    asked: BTreeMap<String, Vec<usize>>,
    names: Vec<RootfsPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Need,
    Rule,
}

impl Graph {
    fn new(rootfs: &Rootfs) -> Self {
        let names: Vec<RootfsPath> = rootfs.iter().map(|(path, _)| path.clone()).collect();
        let index: FxHashMap<&RootfsPath, usize> =
            names.iter().enumerate().map(|(index, path)| (path, index)).collect();
        let mut brings = vec![Vec::new(); names.len()];
        let mut asked: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (entry, (_, it)) in rootfs.iter().enumerate() {
            for origin in &it.origins {
                let (by, edge) = match origin {
                    Origin::Rule { because, .. } => (Some(because), Edge::Rule),
                    other => (other.brought_by(), Edge::Need),
                };
                match by.and_then(|by| index.get(by)) {
                    Some(by) => brings[*by].push((entry, edge)),
                    None => asked.entry(label(origin)).or_default().push(entry),
                }
            }
        }
        let sizes = rootfs.iter().map(|(_, entry)| entry.size()).collect();
        Self { sizes, brings, asked, names }
    }

    /// The given entries, and all entries that they bring.
    fn reach(&self, from: &[usize], follows: impl Fn(Edge) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.sizes.len()];
        let mut left = from.to_vec();
        while let Some(entry) = left.pop() {
            if !std::mem::replace(&mut reached[entry], true) {
                left.extend(self.brings[entry].iter().filter(|(_, edge)| follows(*edge)).map(|(to, _)| *to));
            }
        }
        reached
    }
}

/// The request of an origin, in words. The records of all packages are one request, and the licences too.
fn label(origin: &Origin) -> String {
    match origin {
        Origin::Record(_) | Origin::Distribution => "records of packages".to_owned(),
        Origin::Licence(_) => "licences of packages".to_owned(),
        other => other.to_string(),
    }
}

/// The size of licence files that have no other origin.
pub fn licences(rootfs: &Rootfs) -> u64 {
    let is_licence = |origin: &Origin| matches!(origin, Origin::Licence(_));
    rootfs.iter().filter(|(_, entry)| entry.origins.iter().all(is_licence)).map(|(_, entry)| entry.size()).sum()
}

/// Computes the cost of each request.
pub fn costs(rootfs: &Rootfs) -> Costs {
    let graph = Graph::new(rootfs);
    let reached: Vec<(&String, Vec<bool>)> =
        graph.asked.iter().map(|(of, from)| (of, graph.reach(from, |_| true))).collect();
    let mut askers = vec![0_usize; graph.sizes.len()];
    for (_, reached) in &reached {
        reached.iter().zip(&mut askers).for_each(|(reached, askers)| *askers += usize::from(*reached));
    }
    let sum = |wanted: &dyn Fn(usize) -> bool| -> u64 {
        graph.sizes.iter().enumerate().filter(|(entry, _)| wanted(*entry)).map(|(_, size)| size).sum()
    };
    let cost = |(of, reached): &(&String, Vec<bool>)| Cost {
        of: (*of).clone(),
        alone: sum(&|entry| reached[entry] && askers[entry] == 1),
        all: sum(&|entry| reached[entry]),
    };
    let mut each: Vec<Cost> = reached.iter().map(cost).collect();
    each.sort_by(|one, two| two.all.cmp(&one.all).then_with(|| one.of.cmp(&two.of)));
    Costs { each, shared: sum(&|entry| askers[entry] > 1), total: sum(&|_| true) }
}

/// The additions of rules to the bare closures, by the name of the file for which they fired; the largest first.
pub fn additions(rootfs: &Rootfs) -> Vec<(String, u64)> {
    let graph = Graph::new(rootfs);
    let from: Vec<usize> = graph.asked.values().flatten().copied().collect();
    let bare = graph.reach(&from, |edge| edge == Edge::Need);
    // The file for which a rule added each entry; the needs of an added entry have the same one.
    let mut caller: Vec<Option<usize>> = vec![None; graph.sizes.len()];
    let mut left: VecDeque<usize> = (0..graph.sizes.len()).filter(|entry| bare[*entry]).collect();
    while let Some(entry) = left.pop_front() {
        for (to, edge) in &graph.brings[entry] {
            if bare[*to] || caller[*to].is_some() {
                continue;
            }
            caller[*to] = if *edge == Edge::Rule { Some(entry) } else { caller[entry].or(Some(entry)) };
            left.push_back(*to);
        }
    }
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (caller, size) in caller.iter().zip(&graph.sizes) {
        if let Some(caller) = caller {
            let name = String::from_utf8_lossy(graph.names[*caller].file_name()).into_owned();
            *sums.entry(name).or_default() += size;
        }
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, size)| *size > 0).collect();
    sums.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
    sums
}

/// The number of set-ID files.
pub fn set_ids(rootfs: &Rootfs) -> usize {
    rootfs.iter().filter(|(_, entry)| entry.is_file() && entry.mode & 0o6000 != 0).count()
}

/// The size and the number of the files at `path` and below it.
pub fn sum(rootfs: &Rootfs, path: &RootfsPath) -> (u64, usize) {
    let itself = rootfs.get(path).map(|entry| (path, entry));
    let files = itself.into_iter().chain(rootfs.below(path)).filter(|(_, entry)| entry.is_file());
    files.fold((0, 0), |(size, count), (_, entry)| (size + entry.size(), count + 1))
}

/// Writes a readable table.
pub fn sizes(out: &mut Vec<u8>, costs: &Costs, size: impl Fn(u64) -> String) {
    let width = costs.each.iter().map(|cost| cost.of.chars().count()).max().unwrap_or(0).max("shared by several".len());
    let mut line = |of: &str, alone: &str, all: &str| {
        let pad = " ".repeat(width - of.chars().count());
        let text = format!("{of}{pad}  {alone:>12}  {all:>12}");
        out.extend_from_slice(text.trim_end().as_bytes());
        out.push(b'\n');
    };
    line("", "alone", "in all");
    for cost in &costs.each {
        line(&cost.of, &size(cost.alone), &size(cost.all));
    }
    line("shared by several", &size(costs.shared), "");
    line("total", "", &size(costs.total));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rootfs::{Body, Entry, Kind};

    fn path(text: &str) -> RootfsPath {
        RootfsPath::parse(text).unwrap()
    }

    fn rule(because: &str) -> Origin {
        Origin::Rule { name: "r".into(), why: "y".into(), because: path(because) }
    }

    /// Git and bash share libc; a rule brings helpers of git, one of which brings perl with its modules.
    fn rootfs() -> Rootfs {
        let mut rootfs = Rootfs::default();
        for (at, size, origins) in [
            ("/bin/git", 100, vec![Origin::Tool("git".to_owned())]),
            ("/bin/bash", 10, vec![Origin::Tool("bash".to_owned())]),
            ("/lib/libc", 1000, vec![Origin::NeededBy(path("/bin/git")), Origin::NeededBy(path("/bin/bash"))]),
            ("/core/http", 20, vec![rule("/bin/git")]),
            ("/lib/curl", 200, vec![Origin::NeededBy(path("/core/http"))]),
            ("/core/script", 3, vec![rule("/bin/git")]),
            ("/bin/perl", 300, vec![Origin::InterpreterOf(path("/core/script"))]),
            ("/perl/mod", 4000, vec![rule("/bin/perl")]),
            ("/etc/passwd", 5, vec![Origin::Template("base".to_owned())]),
        ] {
            let body = Body::Bytes(Arc::from(vec![0; size]));
            let mut entry = Entry::new(Kind::File(body), 0o644, origins[0].clone());
            entry.origins.extend(origins);
            rootfs.insert(path(at), entry);
        }
        rootfs
    }

    #[test]
    fn what_each_costs_alone_and_in_all() {
        let cost = |of: &str, alone, all| Cost { of: of.to_owned(), alone, all };
        let each = vec![cost("--with git", 4623, 5623), cost("--with bash", 10, 1010), cost("template base", 5, 5)];
        let costs = costs(&rootfs());
        assert_eq!(costs, Costs { each, shared: 1000, total: 5638 });
        let mut out = Vec::new();
        sizes(&mut out, &costs, |size| format!("{size} B"));
        let expected = "                          alone        in all
--with git               4623 B        5623 B
--with bash                10 B        1010 B
template base               5 B           5 B
shared by several        1000 B
total                                  5638 B
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_rules_add_by_who_called_for_it() {
        let named: Vec<_> = additions(&rootfs());
        assert_eq!(named, [("perl".to_owned(), 4000), ("git".to_owned(), 523)]);
    }

    #[test]
    fn files_with_more_rights_are_counted() {
        let mut rootfs = rootfs();
        assert_eq!(set_ids(&rootfs), 0);
        rootfs.get_mut(&path("/bin/git")).unwrap().mode = 0o4755;
        assert_eq!(set_ids(&rootfs), 1);
    }
}
