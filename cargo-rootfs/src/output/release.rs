//! All outputs of a run: staged for all targets, then committed in one order.

use std::cell::OnceCell;
use std::fmt::Display;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::finished::FinishedImage;
use super::finished::index;
use super::layering::{Finished, LayerPlan};
use super::{Claim, ImagePlace, Intake, Kind, Output, Run};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::layers::{Layered, Origins};
use crate::rootfs::Rootfs;
use crate::target::Target;
use crate::write::{self, Observer, Sink, Staged};

/// The rootfs of one target, and its outputs.
pub(crate) struct Job<'a> {
    pub(crate) target: &'a Target,
    pub(crate) rootfs: &'a Rootfs,
    /// The configuration of its image.
    pub(crate) image: ImageConfig,
    pub(crate) layered: Layered,
    /// The directories of its source files.
    pub(crate) origins: Origins<'a>,
    /// The modification time of files outside of layers, in seconds since 1970.
    pub(crate) epoch: i64,
    pub(crate) outputs: &'a [Output],
}

/// The listener of a [`write()`].
pub(crate) trait Listener {
    /// An output starts: `Packing` and `target/rootfs/app.tar`.
    fn begins(&self, verb: &str, place: &dyn Display);

    /// An observer of the next `size` bytes. Dropping it ends the progress.
    fn progress(&self, size: u64) -> Box<dyn Observer + '_>;
}

/// An output with its final name.
#[derive(Debug)]
pub(crate) struct Written {
    kind: &'static Kind,
    triple: String,
    name: write::Written,
    /// The digest of an image's manifest or index: `sha256:...`
    digest: Option<String>,
}

impl Written {
    /// The line for standard output: a path, or the id of an image. `None` for an archive that was itself written
    /// there.
    pub(crate) fn line(&self) -> Option<String> {
        match &self.name {
            write::Written::Tar(path) | write::Written::Dir(path) => Some(path.to_string_lossy().into_owned()),
            write::Written::Image { id, .. } => Some(id.clone()),
            write::Written::Pushed { name, digest, .. } => Some(format!("{name}@{digest}")),
            // A run that prints an image's name prints nothing else.
            write::Written::Beside(_) | write::Written::Stdout => None,
        }
    }

    /// True if it was itself written to standard output.
    pub(crate) fn is_printed(&self) -> bool {
        self.name == write::Written::Stdout
    }

    /// The path of an archive or a directory.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.name {
            write::Written::Tar(path) | write::Written::Dir(path) => Some(path),
            _ => None,
        }
    }

    /// The digest of an image's manifest, or of the index of several platforms; `None` for images in engines without
    /// one.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The output as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        let mut json = json!({"kind": self.kind.json, "target": self.triple});
        if let Some(digest) = &self.digest {
            json["digest"] = digest.as_str().into();
        }
        match &self.name {
            write::Written::Tar(path) | write::Written::Dir(path) | write::Written::Beside(path) => {
                json["path"] = path.to_string_lossy().into()
            }
            write::Written::Image { id, name } => {
                json["id"] = id.as_str().into();
                json["name"] = name.as_str().into();
            }
            write::Written::Pushed { name, digest, sent } => {
                json["name"] = name.as_str().into();
                json["digest"] = digest.as_str().into();
                json["sent"] = (*sent).into();
            }
            write::Written::Stdout => return None,
        }
        Some(json)
    }

    /// The final name.
    fn name(&self) -> String {
        match &self.name {
            write::Written::Image { name, .. } | write::Written::Pushed { name, .. } => name.clone(),
            write::Written::Beside(path) => path.to_string_lossy().into_owned(),
            _ => self.line().unwrap_or_else(|| "standard output".to_owned()),
        }
    }
}

/// Writes every rootfs to each of its outputs, and returns these in their order. No output gets its name before all are
/// complete.
pub(crate) fn write(jobs: &[Job<'_>], run: &Run<'_>) -> Result<Vec<Written>> {
    let (listener, interrupted) = (run.listener, run.interrupted);
    // Ctrl-C also ends a running engine client.
    let or_interrupted = |error| if interrupted.load(Ordering::Relaxed) { Error::interrupted() } else { error };
    let mut complete = Vec::new();
    let mut shared: Vec<Shared<'_>> = Vec::new();
    let mut count = 0;
    for job in jobs {
        let (mut sinks, mut alone, mut takers): (Vec<Box<dyn Sink>>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        for output in job.outputs {
            listener.begins(output.kind.verb, &output.place);
            match output.place.intake() {
                Intake::Entries(place) => {
                    sinks.push(place.sink(job).map_err(or_interrupted)?);
                    alone.push((count, output.kind));
                }
                Intake::Images(place) => {
                    let claim = output.place.claim();
                    let known = shared.iter().position(|known| known.claim == claim);
                    takers.push(known.unwrap_or(shared.len()));
                    if known.is_none() {
                        let (triple, kind) = (job.target.triple(), output.kind);
                        shared.push(Shared { claim, place, kind, triple, at: count, images: Vec::new() });
                    }
                }
            }
            count += 1;
        }
        let mut finished = Finished::default();
        // The files of cached layers are not read if no output needs their bytes.
        let mut part = None;
        if !takers.is_empty() {
            let near = takers.iter().find_map(|taker| shared[*taker].place.directory());
            let near = near.map_or_else(std::env::temp_dir, Path::to_owned);
            let mut layers = LayerPlan::new(job, run.compression, run.cache.as_ref()).map_err(or_interrupted)?;
            let is_alone = !sinks.iter().any(|sink| sink.is_active());
            if is_alone && takers.iter().all(|taker| shared[*taker].place.may_lack_bytes()) {
                layers.look_up();
                part = Some(layers.to_be_made());
            }
            sinks.push(layers.sink(&near, &finished).map_err(or_interrupted)?);
        }
        let rootfs = part.as_ref().unwrap_or(job.rootfs);
        let mut observer = listener.progress(rootfs.size());
        let staged = write::stage(rootfs, sinks, &mut *observer, interrupted);
        drop(observer);
        // The image's own sink is the last one, and has no name.
        let alone = staged?.into_iter().zip(alone);
        let triple = job.target.triple();
        complete.extend(alone.map(|(staged, (at, kind))| Complete { staged, kind, triple, at, digest: None }));
        if let Some(mut image) = Rc::get_mut(&mut finished).and_then(OnceCell::take) {
            image.attachments = job.outputs.iter().filter_map(|output| output.place.attachment()).collect();
            let image = Rc::new(image);
            takers.iter().for_each(|taker| shared[*taker].images.push(Rc::clone(&image)));
        }
    }
    for Shared { place, kind, triple, at, images, .. } in shared {
        let staged = place.stage_in(&images, run).map_err(or_interrupted)?;
        let top = index(&images).map(|index| index.descriptor.digest);
        let digest = top.or_else(|| images.first().map(|image| image.manifest.descriptor.digest.clone()));
        complete.push(Complete { staged, kind, triple, at, digest });
    }
    commit(complete)
}

/// An output that takes the images of every target with its name.
struct Shared<'a> {
    claim: Claim,
    place: &'a dyn ImagePlace,
    kind: &'static Kind,
    /// The first of its targets.
    triple: &'a str,
    /// Its index among all outputs.
    at: usize,
    images: Vec<Rc<FinishedImage>>,
}

struct Complete<'a> {
    staged: Box<dyn Staged + 'a>,
    kind: &'static Kind,
    triple: &'a str,
    /// Its index among all outputs.
    at: usize,
    /// The digest of an image.
    digest: Option<String>,
}

/// Gives all outputs their names, step by step. After a failure, the error lists those that have their names.
fn commit(mut complete: Vec<Complete<'_>>) -> Result<Vec<Written>> {
    complete.sort_by_key(|one| (one.kind.step, one.at));
    let mut written: Vec<(usize, Written)> = Vec::new();
    let listed = |error: Error, written: &[(usize, Written)]| {
        let has_name = |error: Error, (_, one): &(usize, Written)| {
            error.detail(format!("`{}` was written before, and stays", one.name()))
        };
        written.iter().fold(error, has_name)
    };
    let mut complete = complete.into_iter().peekable();
    while let Some(step) = complete.peek().map(|next| next.kind.step) {
        let mut ready = Vec::new();
        while let Some(mut one) = complete.next_if(|next| next.kind.step == step) {
            one.staged.prepare().map_err(|error| listed(error, &written))?;
            ready.push(one);
        }
        for Complete { staged, kind, triple, at, digest } in ready {
            let name = staged.commit().map_err(|error| listed(error, &written))?;
            written.push((at, Written { kind, triple: triple.to_owned(), name, digest }));
        }
    }
    written.sort_by_key(|(at, _)| *at);
    Ok(written.into_iter().map(|(_, one)| one).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::output::{dir, docker, tar};

    /// Records its commit, and fails if the test requests it.
    struct Fake {
        name: &'static str,
        fails: bool,
        order: Rc<RefCell<Vec<&'static str>>>,
    }

    impl Staged for Fake {
        fn commit(self: Box<Self>) -> Result<write::Written> {
            self.order.borrow_mut().push(self.name);
            if self.fails {
                return Err(Error::failed("cannot tag"));
            }
            Ok(write::Written::Tar(self.name.into()))
        }
    }

    fn committed(failing: &str) -> (Result<Vec<Written>>, Vec<&'static str>) {
        let order = Rc::new(RefCell::new(Vec::new()));
        let complete = [
            ("image", "arm", &docker::IMPORT),
            ("a.tar", "arm", &tar::TAR),
            ("other", "intel", &docker::IMPORT),
            ("out", "intel", &dir::DIR),
        ];
        let complete = complete.into_iter().enumerate().map(|(at, (name, triple, kind))| Complete {
            staged: Box::new(Fake { name, fails: name == failing, order: Rc::clone(&order) }),
            kind,
            triple,
            at,
            digest: None,
        });
        let result = commit(complete.collect());
        (result, order.take())
    }

    #[test]
    fn files_get_their_names_before_engines_and_results_stay_in_order() {
        let (written, order) = committed("");
        assert_eq!(order, ["a.tar", "out", "image", "other"]);
        let lines: Vec<_> = written.unwrap().iter().filter_map(Written::line).collect();
        assert_eq!(lines, ["image", "a.tar", "other", "out"]);
    }

    #[test]
    fn a_failure_lists_what_has_its_name_already() {
        let (written, order) = committed("image");
        assert_eq!(order, ["a.tar", "out", "image"], "nothing is committed after it");
        let error = written.unwrap_err();
        assert_eq!(error.details(), ["`a.tar` was written before, and stays", "`out` was written before, and stays"]);
    }
}
