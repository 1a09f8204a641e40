//! `--oci-archive`: an image as one tar that docker, podman, skopeo and containerd load.
//!
//! It is an OCI image layout with an additional `manifest.json`, for readers that know only Docker's own archives.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use camino::{Utf8Path, Utf8PathBuf};

use super::finished::{FinishedImage, docker_manifest, layout};
use super::{Claim, ImagePlace, Intake, Kind, Settings, Step};
use crate::error::Result;
use crate::write::Staged;
use crate::write::blob_archive::{BlobArchive, stage_file};

pub(super) static OCI_ARCHIVE: Kind = Kind {
    flag: "oci-archive",
    value: "FILE",
    about: "Write an image as an archive that docker, podman, skopeo and containerd load (repeatable)",
    more: None,
    example: Some("FILE"),
    verb: "Packing",
    json: "oci-archive",
    is_image: true,
    step: Step::Files,
    is_path: |_| true,
    parse: |name, _: Settings<'_>| Ok(Box::new(Place(name.into()))),
};

#[derive(Debug)]
struct Place(Utf8PathBuf);

impl super::Place for Place {
    fn claim(&self) -> Claim {
        Claim::Path(self.0.clone())
    }

    fn intake(&self) -> Intake<'_> {
        Intake::Images(self)
    }
}

impl ImagePlace for Place {
    fn directory(&self) -> Option<&Path> {
        self.0.parent().map(Utf8Path::as_std_path)
    }

    fn stage<'a>(&self, images: &[Rc<FinishedImage>], _: &'a AtomicBool) -> Result<Box<dyn Staged + 'a>> {
        stage_file(&self.0, |out| write(images, out))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Writes the archive of `images` to `out`: their layout, and `manifest.json`.
pub(super) fn write(images: &[Rc<FinishedImage>], out: &mut dyn Write) -> io::Result<()> {
    let mut archive = BlobArchive::new(out);
    let classic = docker_manifest(images);
    layout(images, |name, size, content| archive.add(name, size, &mut content.reader()))?;
    archive.add("manifest.json", classic.len() as u64, &mut classic.as_bytes())?;
    archive.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Command;

    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};

    use super::super::layering::{Finished, Layering};
    use super::super::{Attachment, Job};
    use super::*;
    use crate::image::ImageConfig;
    use crate::layers::{Layered, Origins};
    use crate::target::Target;
    use crate::write::tests::*;

    fn origins() -> Origins<'static> {
        Origins { project: &[], sysroot: Path::new("/") }
    }

    /// Writes the image of `job` to `path`.
    fn archived(job: &Job<'_>, path: &Utf8Path) -> Result<()> {
        archived_with(job, path, &[])
    }

    /// The same, with documents about the image.
    fn archived_with(job: &Job<'_>, path: &Utf8Path, documents: &[Attachment]) -> Result<()> {
        let mut finished = Finished::default();
        let sink = Layering::start(job, Path::new("/tmp"), &finished)?;
        crate::write::stage(job.rootfs, vec![sink], &mut (), &AtomicBool::new(false))?;
        let mut image = Rc::get_mut(&mut finished).unwrap().take().unwrap();
        image.attachments = documents.to_vec();
        Place(path.to_owned()).stage(&[Rc::new(image)], &AtomicBool::new(false))?.commit()?;
        Ok(())
    }

    fn written(planned: &Planned, epoch: i64) -> Vec<(String, Vec<u8>)> {
        written_with(planned, epoch, &[])
    }

    fn written_with(planned: &Planned, epoch: i64, documents: &[Attachment]) -> Vec<(String, Vec<u8>)> {
        let (_folder, path) = temp();
        let target = Target::parse("aarch64-unknown-linux-gnu").unwrap();
        let mut image = ImageConfig::new(&target).unwrap();
        image.created = epoch;
        let job = Job {
            target: &target,
            rootfs: &planned.0,
            image,
            epoch,
            layered: Layered::Single,
            origins: origins(),
            outputs: &[],
        };
        archived_with(&job, &path.join("x.tar"), documents).unwrap();
        let mut archive = tar::Archive::new(std::fs::File::open(path.join("x.tar")).unwrap());
        let files = archive.entries().unwrap().map(Result::unwrap).filter(|file| !file.header().entry_type().is_dir());
        let files = files.map(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            (file.path().unwrap().display().to_string(), bytes)
        });
        files.collect()
    }

    fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Recomputes each digest and size from the archive, from the index down to the layer's bytes.
    #[test]
    fn everything_is_what_refers_to_it() {
        let planned = some_of_everything();
        let files = written(&planned, 1_700_000_000);
        let file = |name: &str| &files.iter().find(|(path, _)| path == name).unwrap().1;
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let bytes = file(&format!("blobs/{}", digest.replace(':', "/")));
            assert_eq!((sha256(bytes).as_str(), bytes.len() as u64), (digest, descriptor["size"].as_u64().unwrap()));
            bytes
        };
        assert_eq!(json(file("oci-layout")), serde_json::json!({"imageLayoutVersion": "1.0.0"}));
        let index = json(file("index.json"));
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(index["manifests"][0]["platform"], Value::Null, "of a manifest alone, its config says it");
        let manifest = json(blob(&index["manifests"][0]));
        let config = json(blob(&manifest["config"]));
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        let layer = blob(&manifest["layers"][0]);
        for (part, kind) in [
            (&index["manifests"][0], "manifest.v1+json"),
            (&manifest["config"], "config.v1+json"),
            (&manifest["layers"][0], "layer.v1.tar+gzip"),
        ] {
            assert_eq!(part["mediaType"], format!("application/vnd.oci.image.{kind}"));
        }
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&layer[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([sha256(&plain)]));
        assert!(plain == tar_bytes(&planned, 0), "no file of a layer has a time");
        assert_eq!((&config["created"], &config["architecture"]), (&"2023-11-14T22:13:20Z".into(), &"arm64".into()));
        assert_eq!(config["history"].as_array().unwrap().len(), 1, "one entry a layer");
        assert_eq!(config["history"][0]["comment"], "the root filesystem");

        let docker = &json(file("manifest.json"))[0];
        assert_eq!(json(file(docker["Config"].as_str().unwrap())), config);
        assert_eq!(file(docker["Layers"][0].as_str().unwrap()), layer);
        assert_eq!(files.len(), 6, "and nothing else is there");
    }

    #[test]
    fn documents_are_blobs_whose_manifest_names_the_image_and_the_index_stays() {
        let planned = some_of_everything();
        let about = |media_type, text: &str| Attachment { media_type, text: text.to_owned() };
        let documents = [about("application/spdx+json", "one"), about("application/vnd.cyclonedx+json", "two")];
        let (plain, files) = (written(&planned, 0), written_with(&planned, 0, &documents));
        assert!(plain.iter().all(|file| files.contains(file)), "everything else is as without");
        assert_eq!(files.len(), plain.len() + 2 * documents.len() + 1, "the empty configuration is there once");
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let file = |name: &str| &files.iter().find(|(path, _)| path == name).unwrap().1;
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let bytes = file(&format!("blobs/{}", digest.replace(':', "/")));
            assert_eq!((sha256(bytes).as_str(), bytes.len() as u64), (digest, descriptor["size"].as_u64().unwrap()));
            bytes
        };
        let top = &read(file("index.json"))["manifests"][0];
        let manifests: Vec<Value> = files.iter().map(|(_, bytes)| read(bytes)).collect();
        for Attachment { media_type, text } in &documents {
            let mut of_it = manifests.iter().filter(|manifest| manifest["artifactType"] == *media_type);
            let (manifest, None) = (of_it.next().unwrap(), of_it.next()) else { panic!("two of one document") };
            assert_eq!((&manifest["subject"], blob(&manifest["config"])), (top, &b"{}".to_vec()));
            assert_eq!(
                (&manifest["layers"][0]["mediaType"], blob(&manifest["layers"][0])),
                (&json!(media_type), &text.clone().into_bytes())
            );
        }
    }

    #[test]
    fn the_same_rootfs_gives_the_same_bytes_and_one_layer_in_every_release() {
        let planned = some_of_everything();
        let (one, again, later) = (written(&planned, 0), written(&planned, 0), written(&planned, 1_700_000_000));
        assert!(one == again);
        assert_eq!(one[0].0, later[0].0, "the layer");
        assert_ne!(one[1].0, later[1].0, "the configuration has the time");
    }

    #[test]
    fn what_a_layer_cannot_hold_is_refused() {
        let planned = Planned::new().file("/srv/.wh.config", 0o644, b"");
        let (_folder, path) = temp();
        let target = Target::host();
        let image = ImageConfig::new(&target).unwrap();
        let job = Job {
            target: &target,
            rootfs: &planned.0,
            image,
            epoch: 0,
            layered: Layered::Single,
            origins: origins(),
            outputs: &[],
        };
        let error = archived(&job, &path.join("x.tar")).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains(".wh.config"), "{error}");
        assert!(names_in(&path).is_empty());
        let plain = Planned::new();
        let job = Job { rootfs: &plain.0, ..job };
        assert!(archived(&job, "/dev/null".into()).is_err(), "it is not a regular file");
    }

    /// The engines report the id of the loaded image, which must be this one.
    #[test]
    fn engines_load_it() {
        let (_folder, path) = temp();
        // Unique bytes, so that no other test makes the same image.
        let planned = some_of_everything().file("/srv/id", 0o644, std::process::id().to_string().as_bytes());
        let target = Target::host();
        let image = ImageConfig::new(&target).unwrap();
        let job = Job {
            target: &target,
            rootfs: &planned.0,
            image,
            epoch: 0,
            layered: Layered::Single,
            origins: origins(),
            outputs: &[],
        };
        archived(&job, &path.join("x.tar")).unwrap();
        let listed = Command::new("tar").args(["-xOf", "x.tar", "manifest.json"]).current_dir(&path).output().unwrap();
        let manifest: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let id = manifest[0]["Config"].as_str().unwrap().replace("blobs/sha256/", "sha256:");
        for engine in ["docker", "podman"] {
            let asked = |arguments: &[&str]| Command::new(engine).args(arguments).current_dir(&path).output();
            if !asked(&["version"]).is_ok_and(|output| output.status.success()) {
                skip(&format!("{engine} does not run"));
                continue;
            }
            let loaded = asked(&["load", "--quiet", "--input", "x.tar"]).unwrap();
            assert!(String::from_utf8_lossy(&loaded.stdout).contains(&id), "{engine}: {loaded:?}");
            assert!(asked(&["image", "rm", &id]).unwrap().status.success(), "{engine}");
        }
    }
}
