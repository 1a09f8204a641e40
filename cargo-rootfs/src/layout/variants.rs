//! `--hwcaps all`: the objects that the same programs map on better hardware, if a library has variants in glibc-hwcaps
//! subdirectories.
//!
//! The baseline is always packed. Variants are packed all or not at all, so that no hardware finds only some of them.

use super::closures::needs;
use super::place::{IfThere, Layout};
use super::root::{Opened, Root};
use super::seeds::Resolvers;
use crate::error::Result;
use crate::path::RootfsPath;
use crate::proof::{Claim, Start};
use crate::resolve::{Closure, Hwcaps};
use crate::rootfs::Origin;
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// The choice of packed variants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Variants {
    /// None of them.
    #[default]
    None,
    /// All of them.
    All,
}

impl Variants {
    /// The value of the command line option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
        }
    }

    /// Parses the word of the option.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::None, Self::All].into_iter().find(|variants| variants.as_str() == word)
    }
}

/// A root on other hardware than the baseline.
pub(super) struct Variant {
    pub(super) root: usize,
    pub(super) hwcaps: Hwcaps,
    pub(super) path: RootfsPath,
    pub(super) opened: Option<Opened>,
    pub(super) closure: Closure,
}

/// The roots on all hardware for which their loaders have subdirectories; empty if the results do not differ.
pub(super) fn find(
    view: &mut Sysroot,
    resolvers: &mut Resolvers,
    roots: &[Root],
    closures: &[Closure],
    machine: Machine,
) -> Vec<Variant> {
    let mut variants = Vec::new();
    let mut differs = false;
    for (root, (asked, baseline)) in roots.iter().zip(closures).enumerate() {
        let resolver = if asked.is_project { &mut resolvers.project } else { &mut resolvers.tools };
        let loader = asked.opened.as_ref().map(|opened| &opened.loader).or(baseline.loader.as_ref());
        let levels = loader.map_or(0, |loader| loader.levels.len());
        for hwcaps in Hwcaps::sets(levels) {
            let (mut path, mut opened) = (asked.path.clone(), None);
            if let Start::Library(name, loader) = &asked.start {
                resolver.set_hwcaps(hwcaps);
                let loader = resolver.loader_at(view, loader, machine);
                let found = loader.and_then(|loader| Some((resolver.library(view, &loader, name).ok()?, loader)));
                resolver.set_hwcaps(Hwcaps::BASELINE);
                let Some((found, loader)) = found else { continue };
                path = found.path;
                opened = Some(Opened { by: found.found_by, hwcaps: found.hwcaps, loader });
            }
            let Ok(closure) = resolver.closure_on(view, hwcaps, &path) else { continue };
            differs |= path != asked.path || !closure.maps_as(baseline);
            variants.push(Variant { root, hwcaps, path, opened, closure });
        }
    }
    if differs { variants } else { Vec::new() }
}

/// Lays out the additions of the variants, and returns the claims for the proof.
pub(super) fn lay_out(
    layout: &mut Layout<'_>,
    roots: &[Root],
    variants: &[Variant],
    machine: Machine,
) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for variant in variants {
        let (root, closure) = (&roots[variant.root], &variant.closure);
        layout.copy(&variant.path, &root.origin, IfThere::Fail)?;
        needs(layout, closure, |by, object| match &object.hwcaps {
            Some(hwcaps) => Origin::NeededOn { by, hwcaps: String::from_utf8_lossy(hwcaps).into() },
            None => Origin::NeededBy(by),
        })?;
        let names = vec![variant.path.clone()];
        let mut claim = Claim::new(closure, root.start.clone(), names, machine, layout.view);
        claim.hwcaps = variant.hwcaps;
        claims.push(claim);
    }
    Ok(claims)
}
