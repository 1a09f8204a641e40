//! The engine sink: a rootfs as an image of Docker or Podman, streamed into its client.
//!
//! It gets its name at the very end, so an earlier image of that name stays until then. What the
//! image says of itself is `image`'s matter.
//!
//! There are two ways in. `docker import` takes the layer as it is, but gives the image the architecture of the
//! engine: Docker 20.10 does so even where `--platform` asks for another. `docker load` takes a whole image, whose
//! configuration says everything, at the price of a digest over the layer and of a second copy in
//! the engine's own temporary folder. So the layer is imported where the architecture is the
//! engine's and the configuration can be said in `--change` instructions; all else is loaded. Podman
//! copies its input to a file in either case: there, images are always loaded.

mod archive;
mod changes;
mod engine;
mod name;

pub use engine::Engine;
pub use name::ImageName;

use std::fs::File;
use std::io;

use super::{Observer, Sink, Staged, Written, pages};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};
use archive::{Layer, digest_of};
use engine::Running;

/// How an image gets into an engine.
enum Way {
    Import(Vec<String>),
    Load,
}

/// An image that is being written.
struct Image {
    // The pipe is closed after the engine is stopped: it must not take a part for the whole.
    running: Running,
    layer: Layer,
    engine: Engine,
    way: Way,
    name: ImageName,
    config: ImageConfig,
}

/// The image of `rootfs` that `engine` will have under `name`.
///
/// # Errors
///
/// `engine` is not installed, or does not answer; `config` says what no image can have.
pub fn import(engine: Engine, name: &ImageName, config: &ImageConfig, rootfs: &Rootfs) -> Result<Box<dyn Sink>> {
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
    let (running, pipe) = engine.feed(arguments)?;
    let layer = match way {
        Way::Import(_) => Layer::bare(pipe),
        Way::Load => Layer::in_archive(pipe, rootfs).map_err(|error| running.broken(error))?,
    };
    Ok(Image { running, layer, engine, way, name: name.clone(), config: config.clone() })
}

/// Asks Docker for its architecture: the server's, for it may be another machine.
fn choose(engine: Engine, config: &ImageConfig) -> Result<Way> {
    if engine == Engine::Podman {
        return Ok(Way::Load);
    }
    // It is asked in any case: an engine that does not run is better known before the layer is made.
    let own = engine.ask(&["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"])?;
    let is_own = own == format!("linux/{}", config.architecture);
    Ok(changes::changes(config).filter(|_| is_own).map_or(Way::Load, Way::Import))
}

impl Sink for Image {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.layer.entry(path, entry).map_err(|error| self.running.broken(error))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.layer.data(bytes).map_err(|error| self.running.broken(error))
    }

    fn backlog(&self) -> Option<u64> {
        self.layer.takes_files().then_some(pages::PIPE as u64)
    }

    fn take(&mut self, file: &File, limit: u64) -> Result<u64> {
        self.layer.take(file, limit).map_err(|error| self.running.broken(error))
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        Ok(Box::new(self.complete()?))
    }
}

impl Image {
    fn complete(self) -> Result<Untagged> {
        let Self { running, layer, engine, way, name, config } = self;
        let broken = |error: io::Error| running.broken(error);
        let written = layer.finish().map_err(broken)?;
        let is_new = match way {
            Way::Import(_) => {
                drop(written);
                true
            }
            Way::Load => {
                let image = written.image(&config);
                // The same rootfs makes the same image, which may be there from an earlier run.
                let is_new = inspect(engine, &digest_of(&image), "{{.Id}}").is_err();
                written.end_archive(&image).map_err(broken)?;
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

fn inspect(engine: Engine, id: &str, format: &str) -> Result<String> {
    engine.ask(&["image", "inspect", "--format", format, id])
}

/// The image's id in what `import` and `load` say: `sha256:` and 64 digits.
fn id_in(said: &str) -> Option<String> {
    let is_id = |word: &&str| {
        word.strip_prefix("sha256:")
            .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    said.split_whitespace().rev().find(is_id).map(str::to_owned)
}

/// An image without the name that it is to have. Dropping it removes it, where it was not there before.
struct Untagged {
    engine: Engine,
    id: String,
    name: ImageName,
    is_new: bool,
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
mod tests;
