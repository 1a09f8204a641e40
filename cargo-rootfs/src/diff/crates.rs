//! Crates in ELF files, from the section `.dep-v0` of cargo-auditable: zlib-compressed JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde_json::Value;

use crate::elf::ReadAt;
use crate::inspect::{Content, Programs, View};

/// The limit of bytes for section headers, for their names, and for the list.
const MOST: u64 = 8 << 20;

/// Versions by name, over all ELF files; `None` if no file has a list. Build dependencies are left out.
pub(super) fn find(view: &View<'_>, programs: &Programs) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let contents = programs.objects.iter().filter_map(|file| view.of(*file));
    let lists: Vec<_> = contents.filter_map(listed).collect();
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in lists.iter().flatten().cloned() {
        crates.entry(name).or_default().insert(version);
    }
    (!lists.is_empty()).then_some(crates)
}

fn listed(content: &Content) -> Option<Vec<(String, String)>> {
    let (offset, size) = section(content, b".dep-v0")?;
    let packed = content.part(offset, usize::try_from(size.min(MOST)).ok()?).ok()?;
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(&packed[..]).take(MOST).read_to_end(&mut text).ok()?;
    let list: Value = serde_json::from_slice(&text).ok()?;
    let runs = list["packages"].as_array()?.iter().filter(|it| it["kind"] != "build");
    let field = |it: &Value, key: &str| {
        let text = it[key].as_str()?;
        (!text.contains(char::is_control) && text.len() <= 256).then(|| text.to_owned())
    };
    Some(runs.filter_map(|it| Some((field(it, "name")?, field(it, "version")?))).collect())
}

/// Offset and size of a section (elf(5)).
fn section(content: &Content, wanted: &[u8]) -> Option<(u64, u64)> {
    let file = content.open().ok()?;
    let mut head = [0; 64];
    file.read_at(&mut head, 0).ok()?;
    let (is_64, is_little) = (head[4] == 2, head[5] == 1);
    let number = |bytes: &[u8], at: usize, length: usize| -> Option<u64> {
        let bytes = bytes.get(at..at + length)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if is_little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    };
    let of_head = |at_64: usize, length_64: usize, at_32: usize, length_32: usize| {
        if is_64 { number(&head, at_64, length_64) } else { number(&head, at_32, length_32) }
    };
    let (start, entry) = (of_head(0x28, 8, 0x20, 4)?, of_head(0x3a, 2, 0x2e, 2)?);
    let (count, names) = (of_head(0x3c, 2, 0x30, 2)?, of_head(0x3e, 2, 0x32, 2)?);
    if start == 0 || entry < if is_64 { 64 } else { 40 } || names >= count || entry * count > MOST {
        return None;
    }
    let table = content.part(start, usize::try_from(entry * count).ok()?).ok()?;
    let header = |index: u64| {
        let at = usize::try_from(index * entry).ok()?;
        let place = if is_64 {
            (number(&table, at + 24, 8)?, number(&table, at + 32, 8)?)
        } else {
            (number(&table, at + 16, 4)?, number(&table, at + 20, 4)?)
        };
        Some((number(&table, at, 4)?, place))
    };
    let (offset, size) = header(names)?.1;
    let strings = content.part(offset, usize::try_from(size.min(MOST)).ok()?).ok()?;
    (0..count).filter_map(header).find_map(|(name, place)| {
        let text = strings.get(usize::try_from(name).ok()?..)?;
        (text.strip_prefix(wanted)?.first() == Some(&0)).then_some(place)
    })
}
