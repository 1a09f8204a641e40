//! An image layout as other readers see it: with sha256sum, gzip and tar, and no code of the product.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json::{Value, json};

use super::schemas::Documents;

/// A layout in a directory. All its digests and sizes have been verified.
pub(super) struct Layout {
    /// The digest that its name points to: of the manifest, or of the index.
    pub(super) digest: String,
    pub(super) images: Vec<ImageRead>,
    /// Documents whose manifests have an image as subject: media type and content.
    pub(super) referrers: Vec<(String, Vec<u8>)>,
}

/// One platform's image in a layout.
pub(super) struct ImageRead {
    pub(super) digest: String,
    /// The configuration's digest: the id in Docker's classic store and in podman.
    pub(super) id: String,
    pub(super) config: Value,
    pub(super) manifest: Value,
    /// The digest of each layer.
    pub(super) layers: Vec<String>,
}

impl Layout {
    /// Reads and checks the layout in `directory`; an unreferenced blob is an error.
    pub(super) fn read(directory: &Utf8Path) -> Result<Layout> {
        let mut reader = Reader { directory, seen: BTreeSet::new(), documents: Documents::default() };
        ["oci-layout", "index.json"].into_iter().for_each(|name| reader.documents.add(name, &directory.join(name)));
        let version = read_json(&directory.join("oci-layout"))?;
        ensure!(version["imageLayoutVersion"] == "1.0.0", "{version}");
        let index = read_json(&directory.join("index.json"))?;
        let [top] = &index["manifests"].as_array().context("manifests")?[..] else {
            bail!("not one descriptor: {index}")
        };
        ensure!(top.get("platform").is_none(), "a platform outside of an index: {top}");
        let (digest, document) = reader.document(top)?;
        let images = match document.get("manifests") {
            None => vec![reader.image(top)?],
            Some(manifests) => {
                let manifests = manifests.as_array().context("manifests")?;
                let images: Vec<ImageRead> = manifests.iter().map(|one| reader.image(one)).collect::<Result<_>>()?;
                for (described, image) in manifests.iter().zip(&images) {
                    let (platform, config) = (&described["platform"], &image.config);
                    let same = ["os", "architecture", "variant"].iter().all(|key| platform.get(key) == config.get(key));
                    ensure!(same, "{platform} is not the platform of {config}");
                }
                images
            }
        };
        let blobs = directory.join("blobs/sha256");
        let mut names = Vec::new();
        for blob in fs::read_dir(&blobs)? {
            names.push(format!("sha256:{}", blob?.file_name().to_string_lossy()));
        }
        let mut referrers = Vec::new();
        for name in &names {
            if !reader.seen.contains(name) {
                referrers.extend(reader.referrer(name, &images)?);
            }
        }
        for name in &names {
            ensure!(reader.seen.contains(name), "nothing refers to {name}");
        }
        reader.documents.check()?;
        Ok(Layout { digest, images, referrers })
    }
}

struct Reader<'l> {
    directory: &'l Utf8Path,
    seen: BTreeSet<String>,
    documents: Documents,
}

impl Reader<'_> {
    /// The file of a descriptor, after its digest and size are verified.
    fn blob(&mut self, descriptor: &Value) -> Result<(String, Utf8PathBuf)> {
        let digest = descriptor["digest"].as_str().with_context(|| format!("no digest in {descriptor}"))?;
        let file = self.directory.join("blobs").join(digest.replace(':', "/"));
        ensure!(summed(&duct::cmd!("sha256sum").stdin_path(&file).read()?) == digest, "{file} is not {digest}");
        let size = fs::metadata(&file)?.len();
        ensure!(descriptor["size"] == size, "{digest} has {size} bytes: {descriptor}");
        self.seen.insert(digest.to_owned());
        self.documents.add(descriptor["mediaType"].as_str().unwrap_or_default(), &file);
        Ok((digest.to_owned(), file))
    }

    fn document(&mut self, descriptor: &Value) -> Result<(String, Value)> {
        let (digest, file) = self.blob(descriptor)?;
        let document = read_json(&file)?;
        let own = document.get("mediaType");
        ensure!(own.is_none_or(|own| *own == descriptor["mediaType"]), "{document} is not of its descriptor's type");
        Ok((digest, document))
    }

    /// The document of the manifest `name`, if it is a manifest about one of `images`.
    fn referrer(&mut self, name: &str, images: &[ImageRead]) -> Result<Option<(String, Vec<u8>)>> {
        let file = self.directory.join("blobs").join(name.replace(':', "/"));
        let Ok(manifest) = read_json(&file) else { return Ok(None) };
        if !images.iter().any(|image| manifest["subject"]["digest"] == *image.digest) {
            return Ok(None);
        }
        let described = json!({"digest": name, "size": fs::metadata(&file)?.len(), "mediaType": manifest["mediaType"]});
        self.blob(&described)?;
        self.blob(&manifest["subject"])?;
        self.blob(&manifest["config"])?;
        let [layer] = &manifest["layers"].as_array().context("layers")?[..] else { bail!("one document: {manifest}") };
        ensure!(layer["mediaType"] == manifest["artifactType"], "{manifest}");
        let (_, content) = self.blob(layer)?;
        let kind = manifest["artifactType"].as_str().context("a type")?.to_owned();
        Ok(Some((kind, fs::read(&content)?)))
    }

    fn image(&mut self, descriptor: &Value) -> Result<ImageRead> {
        let (digest, manifest) = self.document(descriptor)?;
        let (id, config) = self.document(&manifest["config"])?;
        let diff_ids = config["rootfs"]["diff_ids"].as_array().context("diff_ids")?;
        let described = manifest["layers"].as_array().context("layers")?;
        let history = config["history"].as_array().context("history")?;
        ensure!(diff_ids.len() == described.len() && history.len() == described.len(), "one of each a layer: {config}");
        ensure!(history.iter().all(|entry| entry["comment"].is_string()), "{history:?}");
        let (mut layers, mut described_directories) = (Vec::new(), BTreeMap::new());
        let mut files = BTreeSet::new();
        for (layer, diff_id) in described.iter().zip(diff_ids) {
            let (digest, file) = self.blob(layer)?;
            let plain = match layer["mediaType"].as_str().unwrap_or_default() {
                "application/vnd.oci.image.layer.v1.tar" => duct::cmd!("cat", &file),
                "application/vnd.oci.image.layer.v1.tar+gzip" => duct::cmd!("gzip", "-dc", &file),
                "application/vnd.oci.image.layer.v1.tar+zstd" => duct::cmd!("zstd", "-dc", &file),
                other => bail!("a layer of type {other}"),
            };
            ensure!(*diff_id == *summed(&plain.pipe(duct::cmd!("sha256sum")).read()?), "{digest} is not {diff_id}");
            let listed = plain
                .pipe(duct::cmd!("tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=literal"))
                .read()?;
            strict(&listed, &mut described_directories, &mut files).with_context(|| format!("the layer {digest}"))?;
            layers.push(digest);
        }
        Ok(ImageRead { digest, id, config, manifest, layers })
    }
}

/// Checks a layer, as tar lists it, by the rules of AWS Lambda, the strictest reader: every directory above a file,
/// with the same description in all layers; each path once; hard links of size 0, to earlier files.
fn strict(listed: &str, directories: &mut BTreeMap<String, String>, files: &mut BTreeSet<String>) -> Result<()> {
    let (mut own_directories, mut own_files) = (BTreeSet::new(), BTreeSet::new());
    for line in listed.lines() {
        // MODE OWNER/GROUP SIZE DATE TIME NAME
        let mut rest = line;
        let mut fields = Vec::new();
        for _ in 0..5 {
            let (field, after) = rest.trim_start().split_once(' ').with_context(|| line.to_owned())?;
            fields.push(field);
            rest = after;
        }
        let kind = line.chars().next().unwrap_or_default();
        let end = match kind {
            'l' => " -> ",
            'h' => " link to ",
            _ => "\n",
        };
        let (name, target) = rest.split_once(end).unwrap_or((rest, ""));
        let path = name.trim_end_matches('/').trim_start_matches("./").to_owned();
        ensure!(fields[3] == "1970-01-01" && fields[4] == "00:00", "a time: {line}");
        ensure!(!path.split('/').any(|part| part.starts_with(".wh.") || part == ".."), "{line}");
        if let Some((above, _)) = path.rsplit_once('/') {
            ensure!(own_directories.contains(above), "no directory above {line}");
        }
        if kind == 'd' {
            ensure!(own_directories.insert(path.clone()), "twice: {line}");
            let described = directories.entry(path.clone()).or_insert_with(|| line.to_owned());
            ensure!(described == line, "{line} and {described}");
            ensure!(!files.contains(&path), "a directory that another layer has as a file: {line}");
            continue;
        }
        ensure!(files.insert(path.clone()) && !directories.contains_key(&path), "twice: {line}");
        ensure!(kind != 'h' || fields[2] == "0" && own_files.contains(target), "a hard link: {line}");
        own_files.insert(path);
    }
    Ok(())
}

fn summed(said: &str) -> String {
    format!("sha256:{}", said.split(' ').next().unwrap_or_default())
}

fn read_json(file: &Utf8Path) -> Result<Value> {
    let text = fs::read_to_string(file)?;
    serde_json::from_str(&text).with_context(|| format!("the JSON of {file}"))
}
