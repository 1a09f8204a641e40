//! What the image's loader needs to be told: libraries outside its default folders, to which no RPATH or
//! RUNPATH leads, are found by a cache (glibc) or by a list of folders (musl) that is generated.
//!
//! Whether it then finds them is for the proof.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Root;
use super::place::Layout;
use crate::elf::Bytes;
use crate::error::{Error, Result};
use crate::path::RootfsPath;
use crate::resolve::{Closure, FoundBy, Libc, Loader, cache};
use crate::rootfs::Origin;

const WHY: &str = "for libraries outside the loader's default folders";

/// A library that a loader found by searching, and will have to find again.
struct Searched<'a> {
    loader: &'a Arc<Loader>,
    needed: Bytes,
    path: &'a RootfsPath,
    realpath: &'a RootfsPath,
}

/// Generates the configuration, where any is needed.
pub(super) fn lay_out(layout: &mut Layout<'_>, roots: &[Root], closures: &[Closure]) -> Result<()> {
    let searched: Vec<_> = searched(roots, closures).collect();
    ld_so_cache(layout, &searched)?;
    musl_path_files(layout, closures, &searched)
}

fn searched<'a>(roots: &'a [Root], closures: &'a [Closure]) -> impl Iterator<Item = Searched<'a>> {
    let is_searched = |by: FoundBy| matches!(by, FoundBy::Cache | FoundBy::Conf | FoundBy::LibraryPath);
    let objects = closures.iter().filter_map(|closure| Some((closure, closure.loader.as_ref()?)));
    let objects = objects.flat_map(move |(closure, loader)| {
        closure.objects.iter().filter(move |object| is_searched(object.found_by)).map(move |object| Searched {
            loader,
            needed: object.needed.clone(),
            path: &object.path,
            realpath: &object.realpath,
        })
    });
    let opened = roots.iter().zip(closures).filter_map(move |(root, closure)| {
        let (_, loader) = root.opened.as_ref().filter(|(by, _)| is_searched(*by))?;
        let needed = Bytes::from(root.name.as_bytes());
        Some(Searched { loader, needed, path: &root.path, realpath: &closure.realpath })
    });
    objects.chain(opened)
}

/// One cache for all: it has only what nothing else leads to, so that every entry is needed.
fn ld_so_cache(layout: &mut Layout<'_>, searched: &[Searched<'_>]) -> Result<()> {
    let mut libraries: BTreeMap<Bytes, (&RootfsPath, &RootfsPath)> = BTreeMap::new();
    let mut machine = None;
    for library in searched.iter().filter(|library| library.loader.libc == Libc::Glibc) {
        let folder = library.path.parent().unwrap_or_else(RootfsPath::root);
        if library.loader.default_dirs.contains(&folder) {
            continue;
        }
        machine = Some(library.loader.machine);
        let known = libraries.entry(library.needed.clone()).or_insert((library.path, library.realpath));
        if known.1 != library.realpath {
            let name = String::from_utf8_lossy(&library.needed);
            return Err(Error::failed(format!("two libraries are called `{name}`"))
                .detail(format!("{} and {}", known.0, library.path))
                .help("the image's loader could not tell them apart; package the executables separately"));
        }
    }
    let Some(machine) = machine else { return Ok(()) };
    let entries: Vec<_> = libraries.into_iter().map(|(name, (path, _))| (name, path.clone())).collect();
    layout.generated(&RootfsPath::root().join(b"etc/ld.so.cache"), cache::write(machine, &entries), WHY)
}

/// `/etc/ld-musl-ARCH.path` takes the place of the built-in folders, so it names those too.
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
            layout.generated(&path, [lines.join(&b'\n'), b"\n".to_vec()].concat(), WHY)?;
        } else if layout.exists(&path) {
            // What the sysroot configures holds in the image too.
            layout.path(&path, &Origin::NeededBy(loader.path.clone()))?;
        }
    }
    Ok(())
}
