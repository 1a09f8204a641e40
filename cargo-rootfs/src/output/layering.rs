//! The sink of images: the layers of one target, each in a file without a name, made in one pass for all outputs.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::rc::Rc;

use super::Job;
use super::finished::{FinishedImage, FinishedLayer};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::layers::Partition;
use crate::path::RootfsPath;
use crate::rootfs::Entry;
use crate::write::compress::Compression;
use crate::write::layer::LayerWriter;
use crate::write::{Observer, Sink, Staged, Written, spool};

/// Bytes of a layer that are written at once.
const BUFFER: usize = 64 << 10;

/// An image whose layers are being written.
pub(super) struct Layering {
    layers: Vec<Open>,
    partition: Partition,
    /// The layer of the regular file that is being written.
    current: usize,
    config: ImageConfig,
    finished: Finished,
}

/// An image, once its sink has finished.
pub(super) type Finished = Rc<OnceCell<FinishedImage>>;

/// A layer that is being written.
struct Open {
    writer: LayerWriter<BufWriter<File>>,
    comment: String,
}

impl Layering {
    /// The sink of the image of `job`, whose layers are kept in the directory `near` until their outputs have them.
    /// `finished` gets the image.
    pub(super) fn start(job: &Job<'_>, near: &Path, finished: &Finished) -> Result<Box<dyn Sink>> {
        job.image.check()?;
        let partition = Partition::new(job.layered, job.rootfs, job.origins);
        let broken = |broken| Error::failed(format!("the layers are not the root filesystem: {broken}"));
        partition.check(job.rootfs).map_err(broken)?;
        let mut layers = Vec::new();
        for comment in partition.comments().iter().cloned() {
            let file = BufWriter::with_capacity(BUFFER, spool::file(near)?);
            layers.push(Open { writer: LayerWriter::compressed(file, Compression::Gzip).map_err(failed)?, comment });
        }
        let (config, finished) = (job.image.clone(), Rc::clone(finished));
        Ok(Box::new(Self { layers, partition, current: 0, config, finished }))
    }
}

fn failed(error: io::Error) -> Error {
    Error::failed("cannot write a layer").with_source(error)
}

impl Sink for Layering {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        for layer in self.partition.of(path) {
            self.layers[layer].writer.entry(path, entry).map_err(failed)?;
            self.current = layer;
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.layers[self.current].writer.data(bytes).map_err(failed)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { layers, config, finished, .. } = *self;
        let mut complete = Vec::new();
        for Open { writer, comment } in layers {
            let (layer, file) = writer.finish().map_err(failed)?;
            let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
            complete.push(FinishedLayer::new(layer, comment, file));
        }
        let is_first = finished.set(FinishedImage::new(&config, complete)).is_ok();
        debug_assert!(is_first, "an image is finished once");
        Ok(Box::new(Nameless))
    }
}

/// Layers have no name of their own: outputs are made of them.
struct Nameless;

impl Staged for Nameless {
    fn commit(self: Box<Self>) -> Result<Written> {
        Err(Error::failed("layers have no name"))
    }
}
