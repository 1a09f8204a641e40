//! The plan of one target's outputs, for `--dry-run`; nothing is written.

use serde_json::{Value, json};

use super::layering::LayerPlan;
use super::{Job, Output};
use crate::error::Result;
use crate::rootfs::{Kind, Rootfs};
use crate::write::compress::Compression;
use crate::write::layer::LayerWriter;

/// The plan of `job`, as JSON: `target`, `entries`, `bytes`, `outputs` (each with `kind` and `name`) and `files`. If an
/// output is an image, also `platform`, `config` (of the image specification), `compression` and `layers` (each with
/// `comment`, `entries`, and the uncompressed `bytes` of its archive).
pub(crate) fn preview(job: &Job<'_>, compression: Compression) -> Result<Value> {
    let outputs =
        job.outputs.iter().map(|output| json!({ "kind": output.kind.json, "name": output.place.to_string() }));
    let mut plan = json!({
        "target": job.target.triple(),
        "entries": job.rootfs.len(),
        "bytes": job.rootfs.size(),
        "outputs": outputs.collect::<Vec<_>>(),
    });
    if job.outputs.iter().any(|output| output.kind.is_image) {
        let image: Value = serde_json::from_str(&job.image.to_json(&[])).unwrap_or_default();
        plan["platform"] = job.image.platform().into();
        plan["config"] = image["config"].clone();
    }
    if job.outputs.iter().any(Output::has_layers) {
        let layers = LayerPlan::new(job, compression, None)?;
        let layer = |(comment, rootfs): (&str, Rootfs)| json!({ "comment": comment, "entries": rootfs.len(), "bytes": LayerWriter::<Vec<u8>>::length(&rootfs) });
        plan["layers"] = layers.layers().map(layer).collect();
        plan["compression"] = compression.as_str().into();
    }
    plan["files"] = files(job.rootfs);
    Ok(plan)
}

/// Each entry: `path`, `type` (`d`, `f`, `l` or `h`, as in a listing), `mode` in octal digits, `uid`, `gid`, `size`,
/// and the `target` of a link.
fn files(rootfs: &Rootfs) -> Value {
    let file = |(path, entry): (&crate::path::RootfsPath, &crate::rootfs::Entry)| {
        let (kind, target) = match &entry.kind {
            Kind::Dir => ("d", None),
            Kind::File(_) => ("f", None),
            Kind::Symlink(target) => ("l", Some(String::from_utf8_lossy(target).into_owned())),
            Kind::Hardlink(target) => ("h", Some(target.to_string())),
        };
        let mode = format!("{:04o}", entry.mode & 0o7777);
        let mut file = json!({
            "path": path.to_string(), "type": kind, "mode": mode, "uid": entry.uid, "gid": entry.gid, "size": entry.size(),
        });
        if let Some(target) = target {
            file["target"] = target.into();
        }
        file
    };
    rootfs.iter().map(file).collect()
}
