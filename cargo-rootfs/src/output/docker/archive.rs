//! The archive around one layer that `docker load` accepts (image-spec of Docker, version 1.2).
//!
//! It has the order of `docker save`: the layer, the image's configuration, `manifest.json`. The layer comes first,
//! because its digest is part of the configuration and is known only at its end.

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

/// The rest of the archive after a layer: an image without a name. `image` is its configuration.
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
