//! Joins images of several platforms under one name of a registry: makes an index of images in registries and layouts.
//!
//! The images keep their digests. Nothing is built here.

mod source;
mod update;

use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::image::manifest::INDEX;
pub(crate) use crate::registry::Upload;
use crate::registry::{Blob, Client, Image, Manifest, Push, Reference, Settings};
use source::{Found, Source, StoredBlob};

/// The treatment of platforms that the index already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Removed: the index has the platforms of the sources only.
    Replaced,
    /// Kept, except for the platforms of the sources.
    Kept,
}

/// A name for images, and the images.
#[derive(Debug)]
pub(crate) struct Order<'o> {
    /// The name, which ends in a tag.
    pub(crate) name: &'o str,
    /// Names in registries, and directories with OCI image layouts.
    pub(crate) sources: &'o [String],
    pub(crate) others: Others,
    /// Hosts of registries that may use plain http or an invalid certificate.
    pub(crate) insecure: &'o [String],
}

/// The index to which a tag points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    /// `sha256:...`
    pub(crate) digest: String,
    /// The platforms of the index, such as `linux/arm64`.
    pub(crate) platforms: Vec<String>,
    /// The size of the uploaded blobs, in bytes.
    pub(crate) sent: u64,
}

/// Joins images under a name. Documents about an image, such as its bill of materials, go with it. The tag is set last.
///
/// # Errors
///
/// A missing source, a source without a platform, two sources of one platform, a refusal of the registry.
pub(crate) fn join(order: &Order<'_>, listener: &mut dyn Upload, interrupted: &AtomicBool) -> Result<Joined> {
    let settings = Settings::from_environment(order.insecure.to_vec());
    let reference = Reference::parse(order.name)?;
    if reference.digest.is_some() {
        return Err(Error::usage(format!("`{}` has a digest, which cannot be chosen", order.name))
            .help("name a tag: HOST/REPOSITORY:TAG"));
    }
    let sources = order.sources.iter().map(|name| Source::open(name, &settings, interrupted));
    let sources = sources.collect::<Result<Vec<_>>>()?;
    let mut images: Vec<(&Source<'_>, Found)> = Vec::new();
    for source in &sources {
        images.extend(source.images()?.into_iter().map(|image| (source, image)));
    }
    check(&images)?;
    if order.others == Others::Kept {
        let unknown = images.iter().filter(|(_, image)| !update::knows(&image.entry));
        let refused = |(source, image): &(&Source<'_>, Found)| {
            let platform = platform_name(&image.entry);
            Error::failed(format!("`{}` is of {platform}, which `--update` does not look for", source.name))
        };
        Error::all(unknown.map(refused).collect())?;
    }

    let client = Client::connect(&reference, &settings, interrupted)?;
    let blobs: Vec<Vec<StoredBlob<'_>>> =
        images.iter().map(|(source, image)| source.blobs(&image.manifest, &reference)).collect::<Result<_>>()?;
    let pushed = images.iter().zip(&blobs).map(|((_, image), blobs)| Image {
        manifest: image.manifest.clone(),
        blobs: blobs.iter().map(|blob| blob as &dyn Blob).collect(),
    });
    let sent = Push { images: pushed.collect(), index: None }.send(&client, listener)?;
    for (source, image) in &images {
        for manifest in source.referrers(image, &reference)? {
            let blobs = source.blobs(&manifest, &reference)?;
            let blobs: Vec<&dyn Blob> = blobs.iter().map(|blob| blob as &dyn Blob).collect();
            client.refer(&image.manifest.digest(), &manifest, &blobs)?;
        }
    }
    let entries: Vec<Value> = images.iter().map(|(_, image)| image.entry.clone()).collect();
    let index = match order.others {
        Others::Replaced => {
            let index = index(&json!({}), &entries);
            client.point(&reference.tag, &index)?;
            index
        }
        Others::Kept => {
            for (_, image) in &images {
                client.point(&update::sibling(&reference.tag, &image.entry), &image.manifest)?;
            }
            update::settle(&client, &reference.tag)?
        }
    };
    let entries = source::entries(&index)?;
    let platforms = entries.iter().map(platform_name).collect();
    Ok(Joined { digest: index.digest(), platforms, sent: sent.bytes })
}

/// Fails if two images have the same platform.
fn check(images: &[(&Source<'_>, Found)]) -> Result<()> {
    let mut errors = Vec::new();
    for (at, (source, image)) in images.iter().enumerate() {
        let platform = platform_name(&image.entry);
        let known = images[..at].iter().find(|(_, known)| platform_name(&known.entry) == platform);
        if let Some((other, known)) = known.filter(|(_, known)| known.manifest != image.manifest) {
            errors.push(
                Error::usage(format!("`{}` and `{}` are both of {platform}", other.name, source.name)).detail(format!(
                    "{} and {}",
                    known.manifest.digest(),
                    image.manifest.digest()
                )),
            );
        }
    }
    Error::all(errors)
}

/// The index of `entries` without duplicates, with the annotations of `earlier`.
fn index(earlier: &Value, entries: &[Value]) -> Manifest {
    let mut unique: Vec<&Value> = Vec::new();
    entries.iter().for_each(|entry| {
        if !unique.contains(&entry) {
            unique.push(entry);
        }
    });
    let mut text = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": unique });
    if earlier["annotations"].is_object() {
        text["annotations"] = earlier["annotations"].clone();
    }
    Manifest { media_type: INDEX.to_owned(), bytes: text.to_string().into_bytes() }
}

/// The platform of an index entry, such as `linux/arm/v7`.
fn platform_name(entry: &Value) -> String {
    let (architecture, variant) = machine(entry);
    let parts = [entry["platform"]["os"].as_str().unwrap_or_default(), architecture, variant];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// The architecture of an index entry, and its variant. arm64 has one variant only, which some tools write and others
/// leave out.
fn machine(entry: &Value) -> (&str, &str) {
    let part = |key: &str| entry["platform"][key].as_str().unwrap_or_default();
    match (part("architecture"), part("variant")) {
        ("arm64", "v8") => ("arm64", ""),
        pair => pair,
    }
}

#[cfg(test)]
mod tests;
