//! Configuration of the image's loader: a generated cache (glibc) or list of directories (musl) for libraries outside
//! its default directories to which no RPATH or RUNPATH leads.
//!
//! It does not check that the loader then finds them; the proof does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::place::{IfThere, Layout};
use super::root::{Opened, Root};
use super::variants::Variant;
use crate::elf::Bytes;
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::{Closure, FoundBy, Libc, Loaded, Loader, cache};
use crate::rootfs::{Body, Entry, Kind, Origin};

/// A library that a loader found by searching, and must find again.
struct Searched<'a> {
    loader: &'a Arc<Loader>,
    needed: Bytes,
    path: &'a RootfsPath,
    realpath: &'a RootfsPath,
    hwcaps: Option<&'a Bytes>,
    /// True if the loader's default directories do not lead to it, so that the loader needs configuration.
    is_far: bool,
}

/// Generates the configuration, if it is needed.
pub(super) fn lay_out(
    layout: &mut Layout<'_>,
    roots: &[Root],
    closures: &[Closure],
    variants: &[Variant],
) -> Result<()> {
    let mut searched: Vec<_> = closures.iter().flat_map(of_closure).collect();
    for (root, closure) in roots.iter().zip(closures) {
        searched.extend(of_library(&root.name, &root.path, root.opened.as_ref(), closure));
    }
    for variant in variants {
        searched.extend(of_closure(&variant.closure));
        let name = &roots[variant.root].name;
        searched.extend(of_library(name, &variant.path, variant.opened.as_ref(), &variant.closure));
    }
    // A user of ldconfig(8) expects a list of all libraries.
    let has_ldconfig = roots.iter().any(|root| root.path.file_name() == b"ldconfig");
    ld_so_cache(layout, &searched, if has_ldconfig && variants.is_empty() { closures } else { &[] })?;
    if has_ldconfig {
        ld_so_conf(layout, &searched)?;
    }
    musl_path_files(layout, closures, &searched)
}

fn is_searched(by: FoundBy) -> bool {
    matches!(by, FoundBy::Cache | FoundBy::Conf | FoundBy::LibraryPath)
}

fn of_closure(closure: &Closure) -> Vec<Searched<'_>> {
    let Some(loader) = &closure.loader else { return Vec::new() };
    let others = closure.other_names.iter().map(|other| &other.found);
    let objects = closure.objects.iter().chain(others).filter(|object| is_searched(object.found_by));
    let searched = objects.map(|object| Searched {
        loader,
        needed: object.needed.clone(),
        path: &object.path,
        realpath: &object.realpath,
        hwcaps: object.hwcaps.as_ref(),
        is_far: object.is_searched(loader),
    });
    searched.collect()
}

/// Finds the library of `--with-lib`.
fn of_library<'a>(
    name: &str,
    path: &'a RootfsPath,
    opened: Option<&'a Opened>,
    closure: &'a Closure,
) -> Option<Searched<'a>> {
    let Opened { by, hwcaps, loader } = opened.filter(|opened| is_searched(opened.by))?;
    let needed = Bytes::from(name.as_bytes());
    let object = Loaded {
        needed: needed.clone(),
        path: path.clone(),
        realpath: closure.realpath.clone(),
        file: closure.id,
        found_by: *by,
        hwcaps: hwcaps.clone(),
    };
    let is_far = object.is_searched(loader);
    Some(Searched { loader, needed, path, realpath: &closure.realpath, hwcaps: hwcaps.as_ref(), is_far })
}

/// Writes the directories of the cache for a later run of ldconfig(8).
fn ld_so_conf(layout: &mut Layout<'_>, searched: &[Searched<'_>]) -> Result<()> {
    let far = searched.iter().filter(|library| library.is_far && library.loader.libc == Libc::Glibc);
    let directories: BTreeSet<RootfsPath> = far.filter_map(|library| library.path.parent()).collect();
    if directories.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = directories.iter().map(RootfsPath::as_bytes).collect();
    let path = RootfsPath::root().join(b"etc/ld.so.conf.d/rootfs.conf");
    generate(layout, &path, [lines.join(&b'\n'), b"\n".to_vec()].concat())
}

/// Writes one cache for all loaders: only libraries to which nothing else leads, so that every entry is needed, and
/// also all libraries of the closures in `listed`.
fn ld_so_cache(layout: &mut Layout<'_>, searched: &[Searched<'_>], listed: &[Closure]) -> Result<()> {
    let all = || searched.iter().filter(|library| library.loader.libc == Libc::Glibc);
    // The rank of a variant, the best one first; a library for all hardware comes last.
    let rank = |library: &Searched<'_>| {
        let levels = &library.loader.levels;
        library.hwcaps.map_or(levels.len(), |name| levels.iter().position(|level| level == name).unwrap_or(0))
    };
    let mut worst: BTreeMap<&Bytes, usize> = BTreeMap::new();
    for library in all().filter(|library| library.is_far) {
        let known = worst.entry(&library.needed).or_default();
        *known = rank(library).max(*known);
    }
    let mut libraries: BTreeMap<(&Bytes, Option<&Bytes>), (&RootfsPath, &RootfsPath)> = BTreeMap::new();
    let mut machine = None;
    for library in all() {
        // The cache precedes the default directories: if it has a worse variant, it must have the better ones too.
        let is_hidden = worst.get(&library.needed).is_some_and(|worst| rank(library) < *worst);
        if !library.is_far && !is_hidden {
            continue;
        }
        machine = Some(library.loader.machine);
        let key = (&library.needed, library.hwcaps);
        let known = libraries.entry(key).or_insert((library.path, library.realpath));
        if known.1 != library.realpath {
            let name = String::from_utf8_lossy(&library.needed);
            return Err(Error::failed(format!("two libraries are called `{name}`"))
                .detail(format!("{} and {}", known.0, library.path))
                .help("the image's loader could not tell them apart; package the executables separately"));
        }
    }
    for closure in listed {
        let Some(loader) = closure.loader.as_ref().filter(|loader| loader.libc == Libc::Glibc) else { continue };
        let is_near = |object: &&Loaded| {
            let is_default = object.path.parent().is_some_and(|directory| loader.default_dirs.contains(&directory));
            is_default && object.hwcaps.is_none() && object.path.file_name() == &*object.needed
        };
        for object in closure.objects.iter().filter(is_near) {
            machine = Some(loader.machine);
            libraries.entry((&object.needed, None)).or_insert((&object.path, &object.realpath));
        }
    }
    let Some(machine) = machine else { return Ok(()) };
    let entries =
        libraries.into_iter().map(|((name, hwcaps), (path, _))| (name.clone(), hwcaps.cloned(), path.clone()));
    let cache = cache::write_with_hwcaps(machine, &entries.collect::<Vec<_>>());
    generate(layout, &RootfsPath::root().join(b"etc/ld.so.cache"), cache)
}

fn generate(layout: &mut Layout<'_>, path: &RootfsPath, bytes: Vec<u8>) -> Result<()> {
    let origin = Origin::Generated("for libraries outside the loader's default directories".to_owned());
    let entry = Entry::new(Kind::File(Body::Bytes(Arc::from(bytes))), 0o644, origin);
    layout.put(path, entry, IfThere::Fail)
}

/// Writes `/etc/ld-musl-ARCH.path`. The file replaces the built-in directories, so it lists those too.
fn musl_path_files(layout: &mut Layout<'_>, closures: &[Closure], searched: &[Searched<'_>]) -> Result<()> {
    let mut loaders: BTreeMap<RootfsPath, &Arc<Loader>> = BTreeMap::new();
    let of_closures = closures.iter().filter_map(|closure| closure.loader.as_ref());
    for loader in of_closures.chain(searched.iter().map(|library| library.loader)) {
        if let Some(path) = loader.musl_path_file().filter(|_| loader.libc == Libc::Musl) {
            loaders.entry(path).or_insert(loader);
        }
    }
    for (path, loader) in loaders {
        let mut folders = loader.default_dirs.clone();
        for library in searched.iter().filter(|library| library.loader.path == loader.path) {
            let folder = library.path.parent().unwrap_or_else(RootfsPath::root);
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        if folders != loader.default_dirs {
            let lines: Vec<_> = folders.iter().map(RootfsPath::as_bytes).collect();
            generate(layout, &path, [lines.join(&b'\n'), b"\n".to_vec()].concat())?;
        } else if layout.exists(&path) {
            // The sysroot's configuration applies in the image too.
            layout.copy(&path, &Origin::NeededBy(loader.path.clone()), IfThere::Fail)?;
        }
    }
    Ok(())
}
