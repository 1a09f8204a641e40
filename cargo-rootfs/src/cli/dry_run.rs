//! `--dry-run`: prints the plan of each target, and writes nothing.

use std::fmt::Write;

use serde_json::Value;

use super::terminal::{Terminal, bytes, line};
use crate::error::Result;
use crate::options::Format;

/// Prints `plans`, one for each target.
pub(super) fn print(plans: &[Value], terminal: &Terminal) -> Result<()> {
    for plan in plans {
        let text = match terminal.format() {
            Format::Json => line("rootfs-plan", plan),
            Format::Human => text(plan),
        };
        terminal.result(text.as_bytes())?;
    }
    Ok(())
}

/// A summary in lines of `NAME: VALUE`, an empty line, and a line for each entry in the style of ls(1).
fn text(plan: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let size = |value: &Value| bytes(value.as_u64().unwrap_or_default()).to_string();
    let each = |key: &str| plan[key].as_array().cloned().unwrap_or_default();
    let mut text = format!("target: {}\n", word(&plan["target"]));
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}: {value}");
    };
    for output in each("outputs") {
        field("output", &format!("{} {}", word(&output["kind"]), word(&output["name"])));
    }
    field("entries", &format!("{}, {}", plan["entries"], size(&plan["bytes"])));
    let layers = each("layers");
    for (at, layer) in layers.iter().enumerate() {
        let (comment, entries, size) = (word(&layer["comment"]), &layer["entries"], size(&layer["bytes"]));
        field(&format!("layer {} of {}", at + 1, layers.len()), &format!("{comment}, {entries} entries, {size}"));
    }
    for key in ["compression", "platform"] {
        if let Some(value) = plan[key].as_str() {
            field(key, value);
        }
    }
    for (key, value) in plan["config"].as_object().into_iter().flatten() {
        field(key, &word(value));
    }
    text.push('\n');
    for file in each("files") {
        let target = file["target"].as_str().map(|target| format!(" -> {target}")).unwrap_or_default();
        let (kind, mode, path, size) =
            (word(&file["type"]), word(&file["mode"]), word(&file["path"]), word(&file["size"]));
        let _ = writeln!(text, "{kind} {mode} {}:{} {size:>10} {path}{target}", file["uid"], file["gid"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_a_summary_and_a_listing() {
        let plan = json!({
            "target": "x86_64-unknown-linux-gnu", "entries": 2, "bytes": 2048,
            "outputs": [{ "kind": "push", "name": "ghcr.io/me/app:1" }],
            "layers": [{ "comment": "the C library", "entries": 1, "bytes": 1024 }],
            "compression": "gzip", "platform": "linux/amd64", "config": { "Entrypoint": ["/app"], "User": "1" },
            "files": [
                { "path": "/app", "type": "f", "mode": "0755", "uid": 0, "gid": 5, "size": 2048 },
                { "path": "/bin", "type": "l", "mode": "0777", "uid": 0, "gid": 0, "size": 0, "target": "usr/bin" },
            ],
        });
        assert_eq!(
            text(&plan),
            "target: x86_64-unknown-linux-gnu\noutput: push ghcr.io/me/app:1\nentries: 2, 2.00 KiB\n\
             layer 1 of 1: the C library, 1 entries, 1.00 KiB\ncompression: gzip\nplatform: linux/amd64\n\
             Entrypoint: [\"/app\"]\nUser: 1\n\nf 0755 0:5       2048 /app\nl 0777 0:0          0 /bin -> usr/bin\n"
        );
    }
}
