//! `index --update`: adds platforms to the index of a tag while other runs add theirs.
//!
//! The distribution specification has no compare-and-swap, so each run first tags its platform separately, as
//! `TAG-<architecture>`. These sibling tags are the truth. A run ends when the index that it read contains all siblings
//! that it read afterwards. A run that overwrites another run's index also reads that run's sibling, and adds it again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::source::{described, entries, is_index};
use super::{index, machine, platform_name};
use crate::error::{Error, Result};
use crate::registry::{Client, Manifest};
use crate::target::Machine;

/// The maximum number of writes of the index, while other runs write it too.
const ATTEMPTS: u32 = 20;

/// The unit of the pauses before each retry: attempt n waits n times as long.
const PAUSE: Duration = Duration::from_millis(50);

/// The sibling tag for the platform of `entry`, such as `1.2-armv7`.
pub(super) fn sibling(tag: &str, entry: &Value) -> String {
    let (architecture, variant) = machine(entry);
    format!("{tag}-{architecture}{variant}")
}

/// The sibling tags of all platforms.
fn siblings(tag: &str) -> impl Iterator<Item = String> {
    let all = Machine::image_platforms();
    all.map(move |(architecture, variant)| format!("{tag}-{architecture}{}", variant.unwrap_or_default()))
}

/// True if every run looks for the platform of `entry`.
pub(super) fn knows(entry: &Value) -> bool {
    let name = sibling("", entry);
    entry["platform"]["os"] == "linux" && siblings("").any(|known| known == name)
}

/// Makes `tag` an index of its present platforms and of all siblings, until both agree. Returns the index.
pub(super) fn settle(client: &Client<'_>, tag: &str) -> Result<Manifest> {
    for attempt in 0..ATTEMPTS {
        // The index is read before the siblings: a sibling that is missing now was tagged later, and its run will read
        // both again.
        let current = client.fetch(tag)?;
        let known = current.as_ref().map_or(Ok(Vec::new()), |current| platforms(client, current, &[]))?;
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        all.extend(known.iter().map(|entry| (platform_name(entry), entry.clone())));
        for name in siblings(tag) {
            let Some(manifest) = client.fetch(&name)? else { continue };
            let found = platforms(client, &manifest, &known)?.into_iter().filter(|entry| sibling(tag, entry) == name);
            all.extend(found.map(|entry| (platform_name(&entry), entry)));
        }
        let earlier = current.as_ref().and_then(|current| serde_json::from_slice(&current.bytes).ok());
        let wanted = index(&earlier.unwrap_or_default(), &all.into_values().collect::<Vec<_>>());
        if current.is_some_and(|current| current.bytes == wanted.bytes) {
            return Ok(wanted);
        }
        client.pause(PAUSE * attempt)?;
        client.put(&wanted, tag)?;
    }
    Err(Error::failed(format!("the index of `{tag}` did not settle after {ATTEMPTS} attempts"))
        .help("run it again when fewer runs write it at the same time"))
}

/// The entries of an index that have a platform, or the entry of a single image. `known` entries save reading its
/// configuration.
fn platforms(client: &Client<'_>, manifest: &Manifest, known: &[Value]) -> Result<Vec<Value>> {
    if is_index(&manifest.media_type) {
        let runs = |entry: &Value| entry["platform"]["architecture"].as_str().is_some_and(|it| it != "unknown");
        return Ok(entries(manifest)?.into_iter().filter(runs).collect());
    }
    let digest = manifest.digest();
    let entry = match known.iter().find(|entry| entry["digest"] == digest.as_str()) {
        Some(entry) => Some(entry.clone()),
        None => described(manifest, |config| client.document(config))?,
    };
    Ok(entry.into_iter().collect())
}
