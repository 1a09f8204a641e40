//! The engine sink: a rootfs as an image of Docker or Podman, streamed into the client.
//!
//! The image gets its name at the very end, so an earlier image keeps the name until then. [`crate::image`] defines the
//! configuration.
//!
//! There are two ways. `docker import` takes the bare layer, but gives the image the engine's architecture: Docker
//! 20.10 does so even with another `--platform`. `docker load` takes a whole image with its configuration, but needs a
//! digest of the layer and a second copy in the engine's temporary directory. So the layer is imported if the
//! architecture is the engine's and `--change` instructions express the configuration; otherwise the image is loaded.
//! Podman copies its input to a file in both cases, so images are always loaded there.

use std::fs::File;
use std::io::{self, Write};

use super::engine::Running;
use super::{Engine, archive, changes};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::image::name::ImageName;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};
use crate::write::layer::{self, LayerWriter, digest_of};
use crate::write::splice::PlainTar;
use crate::write::{Observer, Sink, Splice, Staged, Written, encode};

/// The way of transferring an image to an engine.
enum Way {
    Import(Vec<String>),
    Load,
}

/// The layer during its transfer: bare for `import`, inside an archive for `load`.
enum Layer {
    Bare(PlainTar),
    Archived(LayerWriter<File>),
}

/// An image during its transfer.
struct Image {
    // Dropped before the pipe: the engine must not take a truncated layer for a complete one.
    running: Running,
    layer: Layer,
    engine: Engine,
    name: ImageName,
    config: ImageConfig,
}

/// The image of `rootfs` that `engine` gets under `name`.
///
/// # Errors
///
/// `engine` is not installed or does not answer; `config` has values that no image can have.
pub(super) fn import(engine: Engine, name: &ImageName, config: &ImageConfig, rootfs: &Rootfs) -> Result<Box<dyn Sink>> {
    Ok(Box::new(start(engine, name, config, rootfs)?))
}

fn start(engine: Engine, name: &ImageName, config: &ImageConfig, rootfs: &Rootfs) -> Result<Image> {
    config.check()?;
    let way = choose(engine, config)?;
    let arguments = match &way {
        Way::Load => vec!["load".to_owned(), "--quiet".to_owned()],
        Way::Import(changes) => {
            let mut arguments = vec!["import".to_owned(), "--platform".to_owned(), config.platform()];
            for change in changes {
                arguments.extend(["--change".to_owned(), change.clone()]);
            }
            arguments.push("-".to_owned());
            arguments
        }
    };
    let (running, mut pipe) = engine.feed(arguments)?;
    let layer = match way {
        Way::Import(_) => Layer::Bare(PlainTar::to_pipe(pipe, layer::MTIME)),
        Way::Load => {
            let head = archive::head(LayerWriter::<File>::length(rootfs));
            pipe.write_all(&head).map_err(|error| running.broken(error))?;
            Layer::Archived(LayerWriter::new(pipe))
        }
    };
    Ok(Image { running, layer, engine, name: name.clone(), config: config.clone() })
}

/// Asks Docker for the server's architecture: the server may be another machine.
fn choose(engine: Engine, config: &ImageConfig) -> Result<Way> {
    if engine == Engine::Podman {
        return Ok(Way::Load);
    }
    // Asked in any case: a stopped engine is reported before the layer is made.
    let own = engine.ask(&["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"])?;
    let is_own = own == format!("linux/{}", config.architecture);
    Ok(changes::changes(config).filter(|_| is_own).map_or(Way::Load, Way::Import))
}

impl Sink for Image {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        match &mut self.layer {
            Layer::Bare(tar) => tar.entry(path, entry),
            Layer::Archived(layer) => layer.entry(path, entry),
        }
        .map_err(|error| self.failed(error))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.layer {
            Layer::Bare(tar) => tar.data(bytes),
            Layer::Archived(layer) => layer.data(bytes),
        }
        .map_err(|error| self.failed(error))
    }

    fn splice(&mut self) -> Option<&mut dyn Splice> {
        match &mut self.layer {
            Layer::Bare(tar) => Some(tar),
            Layer::Archived(_) => None,
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        self.running.broken(error)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        Ok(Box::new(self.complete()?))
    }
}

impl Image {
    fn complete(self) -> Result<Untagged> {
        let Self { running, layer, engine, name, config } = self;
        let broken = |error: io::Error| running.broken(error);
        let is_new = match layer {
            // The pipe closes at the end of this block, which ends the archive.
            Layer::Bare(tar) => {
                tar.into_inner().and_then(|mut pipe| pipe.write_all(&encode::END)).map_err(broken)?;
                true
            }
            Layer::Archived(layer) => {
                let (layer, mut pipe) = layer.finish().map_err(broken)?;
                let image = config.to_json(&[layer.diff_id]);
                // The same rootfs gives the same image, which may exist from an earlier run.
                let is_new = inspect(engine, &digest_of(&image), "{{.Id}}").is_err();
                pipe.write_all(&archive::tail(&image)).map_err(broken)?;
                is_new
            }
        };
        let said = running.finish()?;
        let id = id_in(&said)
            .ok_or_else(|| Error::failed(format!("`{engine}` did not say which image it made")).detail(said.clone()))?;
        let mut image = Untagged { engine, id, name, is_new };
        let inspected = inspect(engine, &image.id, "{{.Id}} {{.Architecture}}")?;
        let (id, architecture) = inspected.split_once(' ').unwrap_or((&inspected, "an unknown architecture"));
        id.clone_into(&mut image.id);
        if architecture != config.architecture {
            return Err(Error::failed(format!(
                "`{engine}` made an image for {architecture} of a root filesystem for {}",
                config.architecture
            )));
        }
        Ok(image)
    }
}

pub(super) fn inspect(engine: Engine, id: &str, format: &str) -> Result<String> {
    engine.ask(&["image", "inspect", "--format", format, id])
}

/// The image's id in the output of `import` and `load`: `sha256:` and 64 digits.
pub(super) fn id_in(said: &str) -> Option<String> {
    let is_id = |word: &&str| {
        word.strip_prefix("sha256:")
            .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    said.split_whitespace().rev().find(is_id).map(str::to_owned)
}

/// An image without its name. Dropping it removes the image, unless it existed before.
pub(super) struct Untagged {
    pub(super) engine: Engine,
    pub(super) id: String,
    pub(super) name: ImageName,
    pub(super) is_new: bool,
}

impl Staged for Untagged {
    fn commit(mut self: Box<Self>) -> Result<Written> {
        self.engine.ask(&["tag", &self.id, &self.name.to_string()])?;
        self.is_new = false;
        Ok(Written::Image { id: self.id.clone(), name: self.name.to_string() })
    }
}

impl Drop for Untagged {
    fn drop(&mut self) {
        if self.is_new {
            let _ = self.engine.ask(&["image", "rm", &self.id]);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
