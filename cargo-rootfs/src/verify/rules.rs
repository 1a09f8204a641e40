//! Rules of single image loaders: an image that passes loads everywhere.

use super::Verified;
use crate::error::{Error, Warning};
use crate::inspect::{Coding, Inspected, Met, Oddity};
use crate::wording::and_others;

/// The maximum number of layers in Docker's classic store (layer/layer_store.go).
const MAX_LAYERS: usize = 125;

pub(super) fn check(image: &Inspected, platforms: usize, verified: &mut Verified) {
    if image.platform.is_some() {
        layers(image, verified);
        lambda(image, platforms, verified);
    }
    for ((layer, oddity), met) in &image.oddities {
        let place = if image.layers.is_empty() { String::new() } else { format!(" in layer {}", layer + 1) };
        let names = names(met);
        let Rule { weight, says } = rule(*oddity);
        match weight {
            Weight::Error => verified.errors.push(Error::failed(format!("{names}{place} {says}"))),
            Weight::Warning => verified.warnings.push(Warning::new(format!("{names}{place} {says}"))),
            // No strict loader reads a plain archive.
            Weight::Lambda if image.platform.is_some() => verified.lambda.push(format!("{names}{place} {says}")),
            Weight::Lambda => {}
        }
    }
}

fn layers(image: &Inspected, verified: &mut Verified) {
    let (count, config) = (image.layers.len(), &image.config);
    if count > MAX_LAYERS {
        verified.errors.push(Error::failed(format!("the image has {count} layers, and Docker takes {MAX_LAYERS}")));
    }
    let diff_ids = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    if diff_ids != count {
        verified.errors.push(Error::failed(format!("the image has {count} layers, and its configuration {diff_ids}")));
    }
    if let Some(history) = config["history"].as_array() {
        let described = history.iter().filter(|entry| entry["empty_layer"] != true).count();
        if described != count {
            let message = format!("the image has {count} layers, and its history describes {described}");
            verified.errors.push(Error::failed(message).detail("loaders that read the history refuse it"));
        }
    }
    for (at, layer) in image.layers.iter().enumerate() {
        let (media_type, is) = (&layer.media_type, layer.coding.as_str());
        let says = match media_type.rsplit(['+', '.']).next() {
            Some("gzip") => "gzip",
            Some("zstd") => "zstd",
            Some("tar") => "tar",
            _ => continue,
        };
        if says != is {
            let message = format!("layer {} is {is}, and {says} by its media type", at + 1);
            verified.errors.push(Error::failed(message));
        }
    }
}

/// AWS's documentation of images for functions, and its refusals in practice.
fn lambda(image: &Inspected, platforms: usize, verified: &mut Verified) {
    if platforms > 1 {
        verified.lambda.push(format!("it is an index of {platforms} platforms"));
    }
    if image.layers.iter().any(|layer| layer.coding != Coding::Gzip) {
        verified.lambda.push("not all of its layers are gzip".to_owned());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Error,
    Warning,
    Lambda,
}

struct Rule {
    weight: Weight,
    says: &'static str,
}

fn rule(oddity: Oddity) -> Rule {
    let (weight, says) = match oddity {
        Oddity::Absolute => (Weight::Error, "has an absolute name, which may be put outside of the root directory"),
        Oddity::LeadsUp => (Weight::Error, "leads out by `..`, and was passed over"),
        Oddity::LinkLeadsOut => (Weight::Error, "is a hard link to a file outside of the root directory"),
        Oddity::LinkToNothing => (Weight::Error, "is a hard link to a file that is not there"),
        Oddity::LinkAcrossLayers => (Weight::Error, "is a hard link to a file of another layer"),
        Oddity::ThroughLink => (Weight::Error, "is put through a symlink, where loaders disagree"),
        Oddity::NotInDirectory => (Weight::Error, "lies below a name that is no directory, and was passed over"),
        Oddity::Twice => (Weight::Error, "is there more than once"),
        Oddity::Special => (Weight::Warning, "is a device, FIFO or socket, which engines without root refuse"),
        Oddity::Mount => (Weight::Warning, "is of another file system, which was not read"),
        Oddity::LinkWithSize => (Weight::Lambda, "is a hard link with a size"),
        Oddity::ParentNotInLayer => (Weight::Lambda, "is in a directory that its layer does not hold"),
    };
    Rule { weight, says }
}

fn names(met: &Met) -> String {
    and_others(met.names.iter().map(|name| format!("`{name}`")), met.count - met.names.len())
}
