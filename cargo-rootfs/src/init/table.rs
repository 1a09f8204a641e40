//! The table of `Cargo.toml`, with comments.

use super::facts::Facts;
use crate::wording::toml_string;

/// The number of tools that a comment names.
const NAMED: usize = 8;

/// The text of the table.
pub(super) fn text(facts: &Facts) -> String {
    let mut lines = vec![
        "# Written by `cargo rootfs init`. Every option of `cargo rootfs` is a key here: see".to_owned(),
        "# `cargo rootfs help configuration`, and `cargo rootfs why PATH` for the reason of any file.".to_owned(),
        facts.table_name().to_owned(),
    ];
    match facts.binaries.as_slice() {
        [_] => {}
        several => {
            lines.push(format!("# All binaries are packed: {}. Or choose:", several.join(", ")));
            lines.push(format!("# bin = [{}]", toml_string(&several[0])));
        }
    }
    let starts: Vec<_> = facts.starts.iter().take(NAMED).collect();
    if starts.is_empty() {
        lines.push("# Tools beside the program:".to_owned());
        lines.push("# with = [\"bash\", \"ls\"]".to_owned());
    } else {
        for (name, file) in &starts {
            lines.push(format!("# {file} seems to start {name}."));
        }
        let names: Vec<String> = starts.iter().map(|(name, _)| toml_string(name)).collect();
        lines.push(format!("# with = [{}]", names.join(", ")));
    }
    match &facts.tls {
        Some(name) => {
            lines.push(format!("# `base`, CA certificates and time zones: {name} is in Cargo.lock."));
            lines.push("template = \"web\"".to_owned());
        }
        None => {
            lines.push("# The skeleton: `base` unless set; `web` adds CA certificates and time zones.".to_owned());
            lines.push("# template = \"web\"".to_owned());
        }
    }
    if !facts.native.is_empty() {
        let names = facts.native.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        lines.push(format!("# Crates that may link native libraries, which are found and packed: {names}."));
    }
    lines.push("# Files of the project, SRC:DST:".to_owned());
    lines.push("# include = [\"assets:/srv/assets\"]".to_owned());
    lines.push("# The user of the image; the templates have `nonroot`, 65532:".to_owned());
    lines.push("# user = \"nonroot\"".to_owned());
    if let Some(target) = facts.targets.first() {
        lines.push("# For one target alone, in a table of its own:".to_owned());
        lines.push(format!("# [{}.target.{target}]", facts.table_name().trim_matches(['[', ']'])));
        lines.push("# sysroot = \"debian:bookworm\"".to_owned());
    }
    lines.join("\n") + "\n"
}
