//! Gathers the bill of materials of a rootfs from its entries, the package database, the executables and cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use super::{Epoch, Rooted, languages};
use crate::elf;
use crate::error::{Result, Warning};
use crate::host_files;
use crate::layout::PackedPackage;
use crate::output::Draft;
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, Kind, OwningPackage};
use crate::sbom::{self, Bill, Crate, Distribution, Package};
use crate::threads::Pending;

/// The maximum size of a list of crates (cargo-auditable's own readers accept 8 MiB).
const LONGEST: u64 = 8 << 20;

/// Gathers the bill, without digests. `warn` receives what cannot be found out.
pub(super) fn gather(one: &mut Rooted, epoch: Epoch, warn: &mut dyn FnMut(Warning)) -> Result<Draft> {
    one.assembly.find_owners();
    let (packed, distribution) = one.assembly.packed_packages();
    let mut metadata = one.plan.facts.metadata.take().map(Pending::result).transpose()?;
    let plan = &one.plan;
    metadata.iter_mut().for_each(|metadata| sbom::retain_compiled(metadata, &plan.facts.compiled));
    let mut bill = Bill {
        name: plan.name.clone(),
        version: plan.facts.version.clone(),
        triple: plan.target.triple().to_owned(),
        licence: plan.facts.licence.clone(),
        authors: plan.facts.authors.clone(),
        created: epoch.seconds(),
        distribution: distribution.map(|(id, version, name)| Distribution { id, version, name }),
        packages: packed.iter().map(package).collect(),
        ..Bill::default()
    };
    let rootfs = &one.assembly.rootfs;
    let mut of_language: BTreeMap<RootfsPath, usize> = BTreeMap::new();
    for languages::Found { package, files } in languages::find(rootfs) {
        of_language.extend(files.into_iter().map(|file| (file, bill.packages.len())));
        bill.packages.push(package);
    }
    let (mut roots, mut is_new): (BTreeMap<RootfsPath, usize>, _) = (BTreeMap::new(), BTreeSet::new());
    for (path, entry) in rootfs.iter() {
        let Some(file) = program(entry) else { continue };
        let section = elf::section(&file, b".go.buildinfo", LONGEST);
        let modules = section.iter().flat_map(|section| sbom::of_go(section));
        bill.packages.extend(modules.filter(|it| is_new.insert((it.name.clone(), it.version.clone()))));
        let Some(mut crates) = left_in(&file) else { continue };
        if let Some(metadata) = metadata.as_ref().filter(|_| one.assembly.executables.contains(path)) {
            crates = sbom::retain_known(crates, metadata);
        }
        roots.extend(add(&mut bill.crates, crates).map(|root| (path.clone(), root)));
    }
    let unknown: Vec<_> =
        one.assembly.executables.iter().enumerate().filter(|(_, path)| !roots.contains_key(*path)).collect();
    for (index, path) in unknown {
        let metadata = metadata.as_ref().zip(plan.facts.roots.get(index));
        match metadata.and_then(|(metadata, root)| sbom::of_metadata(metadata, root)) {
            Some(crates) => roots.extend(add(&mut bill.crates, crates).map(|root| (path.clone(), root))),
            None => {
                let message = format!("the crates of `{path}` are not known: they are not in the bill of materials");
                warn(Warning::new(message).help("build it with cargo-auditable: cargo install cargo-auditable"));
            }
        }
    }
    if let Some(metadata) = &metadata {
        sbom::licences(&mut bill.crates, metadata);
    }
    let places: BTreeMap<*const OwningPackage, usize> =
        packed.iter().enumerate().map(|(index, it)| (Arc::as_ptr(&it.owner), index)).collect();
    let (mut bodies, mut origins) = (Vec::new(), Vec::new());
    for (path, entry) in rootfs.iter().filter(|(_, entry)| entry.is_file()) {
        let first = match &entry.kind {
            Kind::Hardlink(first) => rootfs.get(first).unwrap_or(entry),
            _ => entry,
        };
        let Kind::File(body) = &first.kind else { continue };
        bodies.push(body.clone());
        origins.push(entry.origins.clone());
        // A record describes its package and is not one of its files.
        let package = entry.package.as_ref().filter(|_| !is_ours(entry)).and_then(|it| places.get(&Arc::as_ptr(it)));
        bill.files.push(sbom::File {
            path: path.to_string(),
            package: package.or_else(|| of_language.get(path)).copied(),
            compiled_of: roots.get(path).copied(),
            ..sbom::File::default()
        });
    }
    let copyrights = packed.into_iter().map(|it| it.copyright.filter(|_| it.licences.is_empty())).collect();
    Ok(Draft::new(bill, bodies).with(origins, copyrights))
}

fn is_ours(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File(Body::Bytes(_)))
}

fn package(packed: &PackedPackage) -> Package {
    let PackedPackage { owner, format, source, licences, common, maintainer, homepage, depends, files, .. } = packed;
    Package {
        kind: format,
        name: owner.name.to_string(),
        version: owner.version.to_string(),
        architecture: owner.architecture.to_string(),
        source: source.clone(),
        licences: licences.clone(),
        texts: BTreeMap::new(),
        common: common.clone(),
        maintainer: maintainer.clone(),
        homepage: homepage.clone(),
        depends: depends.clone(),
        files: *files,
    }
}

/// The file of a program.
fn program(entry: &Entry) -> Option<File> {
    let Kind::File(Body::Host(host)) = &entry.kind else { return None };
    if entry.mode & 0o111 == 0 {
        return None;
    }
    host_files::open(&host.path).ok()
}

/// The crates that cargo-auditable embedded in a file.
fn left_in(file: &File) -> Option<Vec<Crate>> {
    let packed = elf::section(file, b".dep-v0", LONGEST)?;
    let mut json = Vec::new();
    flate2::read::ZlibDecoder::new(&packed[..]).take(LONGEST).read_to_end(&mut json).ok()?;
    sbom::of_binary(&json)
}

/// Adds the crates of one executable without duplicates; returns the index of the executable's own crate.
fn add(all: &mut Vec<Crate>, crates: Vec<Crate>) -> Option<usize> {
    let place = |all: &mut Vec<Crate>, one: &Crate| {
        let is_same =
            |known: &Crate| (&known.name, &known.version, &known.source) == (&one.name, &one.version, &one.source);
        all.iter().position(is_same).unwrap_or_else(|| {
            all.push(Crate { depends: Vec::new(), ..one.clone() });
            all.len() - 1
        })
    };
    let places: Vec<usize> = crates.iter().map(|one| place(all, one)).collect();
    for (one, at) in crates.iter().zip(&places) {
        all[*at].is_root |= one.is_root;
        let mut depends = std::mem::take(&mut all[*at].depends);
        depends.extend(one.depends.iter().map(|needed| places[*needed]));
        depends.sort_unstable();
        depends.dedup();
        all[*at].depends = depends;
    }
    crates.iter().position(|one| one.is_root).map(|root| places[root])
}
