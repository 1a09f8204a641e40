//! The sink of images: the layers of one target, each in a file without a name, made in one pass for all outputs.
//!
//! Layers in the cache are not made if no output needs their bytes.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use super::Job;
use super::finished::{FinishedImage, FinishedLayer, LayerBytes};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::layers::Partition;
use crate::path::RootfsPath;
use crate::rootfs::{Entry, Rootfs};
use crate::write::compress::Compression;
use crate::write::layer::{Layer, LayerWriter};
use crate::write::layer_cache::{LayerCache, LayerKey};
use crate::write::{self, Observer, Sink, Staged, Written, spool};

/// The buffer size of a layer's file.
const BUFFER: usize = 64 << 10;

/// The layers of one image before they are made.
pub(super) struct LayerPlan<'j> {
    rootfs: &'j Rootfs,
    partition: Partition,
    compression: Compression,
    config: &'j ImageConfig,
    /// The cache, with the key of each layer.
    cached: Option<(&'j LayerCache, Vec<LayerKey>)>,
    /// Cached layers, which are not made.
    known: Vec<Option<Layer>>,
}

impl<'j> LayerPlan<'j> {
    /// Plans the layers of the image of `job`.
    pub(super) fn new(job: &'j Job<'j>, compression: Compression, cache: Option<&'j LayerCache>) -> Result<Self> {
        job.image.check()?;
        let partition = Partition::new(job.layered, job.rootfs, job.origins);
        let broken = |broken| Error::failed(format!("the layers are not the root filesystem: {broken}"));
        partition.check(job.rootfs).map_err(broken)?;
        let known = partition.comments().iter().map(|_| None).collect();
        let (rootfs, config) = (job.rootfs, &job.image);
        let mut plan = Self { rootfs, partition, compression, config, cached: None, known };
        plan.cached = cache.map(|cache| {
            let layers = 0..plan.partition.comments().len();
            let key = |layer| cache.key(plan.entries(move |at| at == layer), compression);
            (cache, layers.map(key).collect())
        });
        Ok(plan)
    }

    /// Leaves out layers that are in the cache.
    pub(super) fn look_up(&mut self) {
        if let Some((cache, keys)) = &self.cached {
            self.known = keys.iter().map(|key| cache.find(key)).collect();
        }
    }

    /// The part of the rootfs in layers that must be made.
    pub(super) fn to_be_made(&self) -> Rootfs {
        of(self.entries(|layer| self.known[layer].is_none()))
    }

    /// The entries of the layers for which `is_wanted` is true.
    fn entries(&self, is_wanted: impl Fn(usize) -> bool) -> impl Iterator<Item = (&'j RootfsPath, &'j Entry)> {
        self.rootfs.iter().filter(move |(path, _)| self.partition.of(path).any(&is_wanted))
    }

    /// Each layer's comment and entries, the lowest layer first.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&str, Rootfs)> {
        let comments = self.partition.comments().iter().enumerate();
        comments.map(|(layer, comment)| (comment.as_str(), of(self.entries(move |at| at == layer))))
    }

    /// The sink of the layers to be made, whose files are in the directory `near` until the outputs have them.
    /// `finished` receives the image.
    pub(super) fn sink(self, near: &Path, finished: &Finished) -> Result<Box<dyn Sink>> {
        let mut layers = Vec::new();
        for (layer, comment) in self.partition.comments().iter().cloned().enumerate() {
            let key = self.cached.as_ref().map(|(cache, keys)| ((*cache).clone(), keys[layer].clone()));
            layers.push(match (self.known[layer].clone(), key) {
                (Some(known), Some((cache, key))) => {
                    let rootfs = of(self.entries(|at| at == layer));
                    let (compression, near) = (self.compression, near.to_owned());
                    let digest = known.digest.clone();
                    let (made, making) = (OnceLock::new(), Mutex::new(()));
                    let unmade = Unmade { rootfs, compression, near, digest, cache, key, made, making };
                    Slot::Known(FinishedLayer::new(known, comment, LayerBytes::Unmade(Box::new(unmade))))
                }
                (_, key) => {
                    let file = BufWriter::with_capacity(BUFFER, spool::file(near)?);
                    let writer = LayerWriter::compressed(file, self.compression).map_err(failed)?;
                    Slot::Open(Box::new(writer), comment, key)
                }
            });
        }
        let (config, finished, began) = (self.config.clone(), Rc::clone(finished), SystemTime::now());
        Ok(Box::new(Layering { layers, partition: self.partition, current: 0, config, began, finished }))
    }
}

/// A rootfs of some entries.
fn of<'r>(entries: impl Iterator<Item = (&'r RootfsPath, &'r Entry)>) -> Rootfs {
    let mut rootfs = Rootfs::default();
    for (path, entry) in entries {
        rootfs.insert(path.clone(), entry.clone());
    }
    rootfs
}

/// An image whose layers are being written.
pub(super) struct Layering {
    layers: Vec<Slot>,
    partition: Partition,
    /// The layer of the current regular file.
    current: usize,
    config: ImageConfig,
    /// The time before the first file was read.
    began: SystemTime,
    finished: Finished,
}

/// The image, set when its sink finishes.
pub(super) type Finished = Rc<OnceCell<FinishedImage>>;

/// A layer of an unfinished image.
enum Slot {
    /// A layer that is being written, its comment, and its cache entry to record.
    Open(Box<LayerWriter<BufWriter<File>>>, String, Option<(LayerCache, LayerKey)>),
    Known(FinishedLayer),
}

#[cfg(test)]
impl Layering {
    /// The sink of the image of `job`; it makes all layers.
    pub(super) fn start(job: &Job<'_>, near: &Path, finished: &Finished) -> Result<Box<dyn Sink>> {
        LayerPlan::new(job, Compression::Gzip, None)?.sink(near, finished)
    }
}

fn failed(error: io::Error) -> Error {
    Error::failed("cannot write a layer").with_source(error)
}

impl Sink for Layering {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        for layer in self.partition.of(path) {
            if let Slot::Open(writer, ..) = &mut self.layers[layer] {
                writer.entry(path, entry).map_err(failed)?;
                self.current = layer;
            }
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.layers[self.current] {
            Slot::Open(writer, ..) => writer.data(bytes).map_err(failed),
            Slot::Known(_) => Ok(()),
        }
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { layers, config, began, finished, .. } = *self;
        let mut complete = Vec::new();
        for slot in layers {
            complete.push(match slot {
                Slot::Known(layer) => layer,
                Slot::Open(writer, comment, cached) => {
                    let (layer, file) = ended(*writer)?;
                    if let Some((cache, key)) = cached {
                        cache.record(&key, &layer, began);
                    }
                    FinishedLayer::new(layer, comment, LayerBytes::File(file))
                }
            });
        }
        let is_first = finished.set(FinishedImage::new(&config, complete)).is_ok();
        debug_assert!(is_first, "an image is finished once");
        Ok(Box::new(Nameless))
    }
}

fn ended(writer: LayerWriter<BufWriter<File>>) -> Result<(Layer, File)> {
    let (layer, file) = writer.finish().map_err(failed)?;
    Ok((layer, file.into_inner().map_err(|error| failed(error.into_error()))?))
}

/// Layers have no name of their own: outputs are made of them.
struct Nameless;

impl Staged for Nameless {
    fn commit(self: Box<Self>) -> Result<Written> {
        Err(Error::failed("layers have no name"))
    }
}

/// A cached layer. It is made only if an output needs its bytes.
#[derive(Debug)]
pub(super) struct Unmade {
    rootfs: Rootfs,
    compression: Compression,
    near: PathBuf,
    /// The digest in the cache.
    digest: String,
    cache: LayerCache,
    key: LayerKey,
    made: OnceLock<File>,
    making: Mutex<()>,
}

impl Unmade {
    /// The file with its bytes, made at the first call.
    ///
    /// # Errors
    ///
    /// A file has changed, or the cache has another digest, whose record is then removed.
    pub(super) fn file(&self) -> Result<&File> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = self.made.get() {
            return Ok(file);
        }
        let (layer, file) = self.make()?;
        if layer.digest != self.digest {
            self.cache.forget(&self.key);
            return Err(Error::failed("a layer has another digest than the cache of layers says")
                .detail(format!("{} and {}", layer.digest, self.digest))
                .help("run it again: the layer was removed from the cache"));
        }
        Ok(self.made.get_or_init(|| file))
    }

    fn make(&self) -> Result<(Layer, File)> {
        let file = BufWriter::with_capacity(BUFFER, spool::file(&self.near)?);
        let writer = LayerWriter::compressed(file, self.compression).map_err(failed)?;
        let made = Rc::new(OnceCell::new());
        let sink = Single { writer, made: Rc::clone(&made) };
        // The file has no name, so an interrupt leaves nothing behind.
        write::stage(&self.rootfs, vec![Box::new(sink)], &mut (), &AtomicBool::new(false))?;
        let made = Rc::into_inner(made).and_then(OnceCell::into_inner);
        made.ok_or_else(|| Error::failed("a layer was not finished"))
    }
}

/// The sink of one layer.
struct Single {
    writer: LayerWriter<BufWriter<File>>,
    made: Rc<OnceCell<(Layer, File)>>,
}

impl Sink for Single {
    fn entry(&mut self, path: &RootfsPath, entry: &Entry) -> Result<()> {
        self.writer.entry(path, entry).map_err(failed)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.data(bytes).map_err(failed)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        let Self { writer, made } = *self;
        let is_first = made.set(ended(writer)?).is_ok();
        debug_assert!(is_first, "a layer is finished once");
        Ok(Box::new(Nameless))
    }
}
