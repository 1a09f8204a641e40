//! The archive that `docker load` takes, around one layer (image-spec of Docker, version 1.2).
//!
//! It is that of `docker save`: the layer, the image's configuration, `manifest.json`. The layer comes first, as its
//! digest stands in the configuration and is known only when it has gone by.

use serde_json::json;

use crate::write::encode;
use crate::write::layer::{MTIME, digest_of};

const LAYER: &str = "layer.tar";

/// The header of a layer of this length.
pub(super) fn head(length: u64) -> Vec<u8> {
    let mut header = Vec::new();
    encode::file_header(&mut header, LAYER, length, MTIME);
    header
}

/// The rest after a layer: an image without a name. `image` is its configuration.
pub(super) fn tail(image: &str) -> Vec<u8> {
    let config = format!("{}.json", &digest_of(image)["sha256:".len()..]);
    let manifest = json!([{ "Config": config, "Layers": [LAYER], "RepoTags": null }]).to_string();
    let mut blocks = Vec::new();
    for (name, text) in [(config.as_str(), image), ("manifest.json", &manifest)] {
        encode::file_header(&mut blocks, name, text.len() as u64, MTIME);
        blocks.extend_from_slice(text.as_bytes());
        blocks.resize(blocks.len().next_multiple_of(512), 0);
    }
    blocks.extend_from_slice(&encode::END);
    blocks
}
