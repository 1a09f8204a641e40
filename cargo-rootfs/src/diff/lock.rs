//! `rootfs.lock` as a side of a comparison: the packages of each sysroot are one side.

use serde::Deserialize;

use super::side::{PackageSeen, Side};
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    sysroot: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    distribution: String,
    suite: String,
    architecture: String,
    #[serde(default)]
    package: Vec<Pinned>,
}

#[derive(Deserialize)]
struct Pinned {
    name: String,
    version: String,
}

/// True for the file name of a lock.
pub(crate) fn is_lock(name: &str) -> bool {
    name.ends_with(".lock")
}

/// The sysroots of a lock, each with `DISTRIBUTION:SUITE ARCHITECTURE` as its platform.
pub(crate) fn sides_of_lock(name: &str, text: &str) -> Result<Vec<Side>> {
    let written: Written = toml::from_str(text)
        .map_err(|error| Error::failed(format!("`{name}` is not a lock that this version reads")).with_source(error))?;
    let side = |section: Section| Side {
        name: name.to_owned(),
        platform: Some(format!("{}:{} {}", section.distribution, section.suite, section.architecture)),
        is_lock: true,
        packages: section
            .package
            .into_iter()
            .map(|it| (it.name, PackageSeen { version: it.version, size: 0 }))
            .collect(),
        ..Side::default()
    };
    Ok(written.sysroot.into_iter().map(side).collect())
}
