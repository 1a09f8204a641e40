//! The size report as one HTML page: data computed here, and a script that draws it.
//!
//! The page loads no other resource, and the same rootfs gives the same bytes.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::{Cost, costs};
use crate::path::RootfsPath;
use crate::resolve::Closure;
use crate::rootfs::{Entry, Kind, Origin, Rootfs};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The maximum number of listed reasons of one entry: a loader has one for every executable.
const REASONS: usize = 40;

/// One root filesystem of a report.
#[derive(Debug)]
pub struct Pictured<'r> {
    /// The package and its version, such as `app 1.0.0`.
    pub name: String,
    /// The target triple.
    pub target: &'r str,
    /// The files, with their owners.
    pub rootfs: &'r Rootfs,
    /// The layers in order, each with its description and paths; every entry with bytes is in one of them.
    pub layers: Vec<(String, BTreeSet<RootfsPath>)>,
    /// The closure of each executable, for the oldest releases on which it runs.
    pub closures: &'r [(String, Closure)],
}

/// The page.
pub fn page(images: &[Pictured<'_>]) -> String {
    let generator = concat!("cargo-rootfs ", env!("CARGO_PKG_VERSION"));
    let images: Vec<Value> = images.iter().map(image).collect();
    // In a script element, only its end tag is markup; the escaped character begins it.
    let data = json!({ "generator": generator, "images": images }).to_string().replace('<', "\\u003c");
    let (head, rest) = PAGE.split_once("/*CSS*/").unwrap_or((PAGE, ""));
    let (body, rest) = rest.split_once("/*DATA*/").unwrap_or((rest, ""));
    let (between, end) = rest.split_once("/*JS*/").unwrap_or((rest, ""));
    [head, STYLE, body, &data, between, SCRIPT, end].concat()
}

fn image(pictured: &Pictured<'_>) -> Value {
    let rootfs = pictured.rootfs;
    let index: FxHashMap<&RootfsPath, usize> = rootfs.iter().enumerate().map(|(at, (path, _))| (path, at)).collect();
    let layer_of: FxHashMap<&RootfsPath, usize> = pictured
        .layers
        .iter()
        .enumerate()
        .flat_map(|(at, (_, paths))| paths.iter().map(move |path| (path, at)))
        .collect();
    let costs = costs(rootfs);
    let asked: Vec<&String> = costs.each.iter().map(|cost| &cost.of).collect();
    let asked_index: FxHashMap<&str, usize> = asked.iter().enumerate().map(|(at, of)| (of.as_str(), at)).collect();
    let needs = Needs::new(rootfs, &index, &asked_index);
    let mut packages = Packages::default();
    let file = |(at, (path, entry)): (usize, (&RootfsPath, &Entry))| {
        let reason = |origin: &Origin| {
            let by = origin.brought_by().and_then(|by| index.get(by)).map_or(-1, |by| *by as i64);
            json!([label(origin), by])
        };
        let kind = match &entry.kind {
            Kind::Dir => "d",
            Kind::File(_) => "f",
            Kind::Symlink(_) => "l",
            Kind::Hardlink(_) => "h",
        };
        let reasons: Vec<Value> = entry.origins.iter().take(REASONS).map(reason).collect();
        let (layer, package) = (layer_of.get(path).copied().unwrap_or(0), packages.of(entry));
        json!([path.to_string(), kind, entry.size(), layer, package, needs.askers[at], reasons])
    };
    let files: Vec<Value> = rootfs.iter().enumerate().map(file).collect();
    let cost = |cost: &Cost| json!({ "of": cost.of, "alone": cost.alone, "all": cost.all });
    json!({
        "name": pictured.name,
        "target": pictured.target,
        "size": rootfs.size(),
        "layers": pictured.layers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "packages": packages.list,
        "asked": asked,
        "costs": costs.each.iter().filter(|it| it.all > 0).map(cost).collect::<Vec<_>>(),
        "facts": facts(pictured),
        "files": files,
        "brings": needs.brings,
        "from": needs.from,
    })
}

/// The entries that bring others, and the requests that bring them.
struct Needs {
    /// The entries that each entry brings.
    brings: Vec<Vec<usize>>,
    /// The entries that each request brings directly.
    from: Vec<Vec<usize>>,
    /// The requests that bring each entry, directly or not.
    askers: Vec<BTreeSet<usize>>,
}

impl Needs {
    fn new(rootfs: &Rootfs, index: &FxHashMap<&RootfsPath, usize>, asked: &FxHashMap<&str, usize>) -> Self {
        let mut needs = Self {
            brings: vec![Vec::new(); rootfs.len()],
            from: vec![Vec::new(); asked.len()],
            askers: vec![BTreeSet::new(); rootfs.len()],
        };
        for (at, (_, entry)) in rootfs.iter().enumerate() {
            for origin in &entry.origins {
                match origin.brought_by().and_then(|by| index.get(by)) {
                    Some(by) if !needs.brings[*by].contains(&at) => needs.brings[*by].push(at),
                    Some(_) => {}
                    None => {
                        if let Some(asker) = asked.get(origin.to_string().as_str()) {
                            needs.from[*asker].push(at);
                        }
                    }
                }
            }
        }
        for asker in 0..needs.from.len() {
            let (mut seen, mut left) = (vec![false; rootfs.len()], needs.from[asker].clone());
            while let Some(at) = left.pop() {
                if !std::mem::replace(&mut seen[at], true) {
                    needs.askers[at].insert(asker);
                    left.extend(&needs.brings[at]);
                }
            }
        }
        needs
    }
}

/// An origin without the path after it.
fn label(origin: &Origin) -> String {
    match origin {
        Origin::NeededBy(_) => "needed by".to_owned(),
        Origin::NeededOn { hwcaps, .. } => format!("needed on {hwcaps} by"),
        Origin::OpenedBy { priority, .. } => format!("dlopen note ({priority}) of"),
        Origin::Rule { name, why, .. } => format!("rule {name}: {why}, because of"),
        Origin::InterpreterOf(_) => "interpreter of".to_owned(),
        Origin::Leads(_) => "leads to".to_owned(),
        other => other.to_string(),
    }
}

/// Packages, and names for entries without a package.
#[derive(Default)]
struct Packages {
    list: Vec<Value>,
    known: FxHashMap<String, usize>,
}

impl Packages {
    fn of(&mut self, entry: &Entry) -> usize {
        let (name, version) = match &entry.package {
            Some(package) => (package.name.to_string(), Some(package.version.to_string())),
            None => (unowned(entry).to_owned(), None),
        };
        let Self { list, known } = self;
        *known.entry(format!("{name} {}", version.as_deref().unwrap_or_default())).or_insert_with(|| {
            list.push(json!({ "name": name, "version": version }));
            list.len() - 1
        })
    }
}

/// The group of an entry without a package, by its origin.
fn unowned(entry: &Entry) -> &'static str {
    let has = |is: fn(&Origin) -> bool| entry.origins.iter().any(is);
    if has(|origin| matches!(origin, Origin::Binary(_))) {
        "the project"
    } else if has(|origin| matches!(origin, Origin::Include(_))) {
        "included files"
    } else if has(|origin| matches!(origin, Origin::Template(_))) {
        "template"
    } else if has(|origin| matches!(origin, Origin::Generated(_))) {
        "generated files"
    } else {
        "no package"
    }
}

/// Facts about the whole rootfs, in words.
fn facts(pictured: &Pictured<'_>) -> Vec<(&'static str, String)> {
    let (entries, programs) = (pictured.rootfs.len().to_string(), pictured.closures.len().to_string());
    let mut facts = vec![("Entries", entries), ("Closures", programs)];
    let floors = || pictured.closures.iter().map(|(_, closure)| &closure.runs_on);
    if let Some((release, _)) = floors().filter_map(|floor| floor.glibc).max_by_key(|(release, _)| *release) {
        facts.push(("glibc", format!("{release} or later")));
    }
    if let Some(((major, minor, patch), _)) =
        floors().filter_map(|floor| floor.kernel).max_by_key(|(kernel, _)| *kernel)
    {
        facts.push(("Linux", format!("{major}.{minor}.{patch} or later")));
    }
    match super::set_ids(pictured.rootfs) {
        0 => {}
        count => facts.push(("Set-ID files", count.to_string())),
    }
    facts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rootfs::{Body, OwningPackage};

    fn path(text: &str) -> RootfsPath {
        RootfsPath::parse(text).unwrap()
    }

    /// Two tools that share a library of a package, and a name that would end the script.
    fn rootfs() -> Rootfs {
        let mut rootfs = Rootfs::default();
        let by = |text: &str| Origin::NeededBy(path(text));
        let libz = Arc::new(OwningPackage {
            name: "zlib1g".into(),
            version: "1.2".into(),
            architecture: "amd64".into(),
            source: None,
        });
        for (at, size, origins, package) in [
            ("/bin/a", 100, vec![Origin::Tool("a".to_owned())], None),
            ("/bin/b", 10, vec![Origin::Tool("b".to_owned())], None),
            ("/lib/libz", 1000, vec![by("/bin/a"), by("/bin/b")], Some(&libz)),
            ("/srv/</script><script>alert(1)", 5, vec![Origin::Include("x".to_owned())], None),
        ] {
            let mut entry = Entry::new(Kind::File(Body::Bytes(Arc::from(vec![0; size]))), 0o644, origins[0].clone());
            entry.origins.extend(origins);
            entry.package = package.cloned();
            rootfs.insert(path(at), entry);
        }
        rootfs
    }

    fn pictured(rootfs: &Rootfs) -> Pictured<'_> {
        let paths: Vec<RootfsPath> = rootfs.iter().map(|(path, _)| path.clone()).collect();
        let layers = vec![
            ("one".to_owned(), paths[..2].iter().cloned().collect()),
            ("two".to_owned(), paths[2..].iter().cloned().collect()),
        ];
        Pictured { name: "app".to_owned(), target: "x86_64-unknown-linux-gnu", rootfs, layers, closures: &[] }
    }

    fn data(page: &str) -> Value {
        let start = page.find("id=\"data\">").unwrap() + 10;
        let end = start + page[start..].find("</script>").unwrap();
        serde_json::from_str(&page[start..end]).unwrap()
    }

    #[test]
    fn each_file_is_in_one_layer_and_its_bytes_are_the_image_s() {
        let rootfs = rootfs();
        let image = &data(&page(&[pictured(&rootfs)]))["images"][0];
        let files = image["files"].as_array().unwrap();
        let sum: u64 = files.iter().map(|file| file[2].as_u64().unwrap()).sum();
        assert_eq!((sum, image["size"].as_u64()), (rootfs.size(), Some(rootfs.size())));
        let layers: Vec<u64> = files.iter().map(|file| file[3].as_u64().unwrap()).collect();
        assert_eq!(layers, [0, 0, 1, 1]);
        let packages: Vec<&Value> =
            files.iter().map(|file| &image["packages"][file[4].as_u64().unwrap() as usize]["name"]).collect();
        assert_eq!(packages, ["no package", "no package", "zlib1g", "included files"]);
    }

    #[test]
    fn shared_files_have_all_that_bring_them() {
        let image = &data(&page(&[pictured(&rootfs())]))["images"][0];
        let asked = image["asked"].as_array().unwrap();
        assert_eq!(asked, &["--with a", "--with b", "--include x"]);
        assert_eq!(image["files"][2][5], json!([0, 1]));
        assert_eq!(image["files"][2][6], json!([["needed by", 0], ["needed by", 1]]));
        assert_eq!((&image["brings"], &image["from"]), (&json!([[2], [2], [], []]), &json!([[0], [1], [3]])));
    }

    #[test]
    fn names_are_no_markup_and_nothing_is_loaded() {
        let page = page(&[pictured(&rootfs())]);
        assert_eq!(page.matches("</script>").count(), 2, "the data's end, and the script's");
        assert!(page.contains("default-src 'none'") && !page.contains("http:") && !page.contains("https:"));
        assert!(!page.contains("/*CSS*/") && !page.contains("/*DATA*/") && !page.contains("/*JS*/"));
    }

    #[test]
    fn several_targets_are_one_page() {
        let rootfs = rootfs();
        let both = page(&[pictured(&rootfs), Pictured { target: "aarch64-unknown-linux-gnu", ..pictured(&rootfs) }]);
        assert_eq!(data(&both)["images"][1]["target"], "aarch64-unknown-linux-gnu");
    }
}
