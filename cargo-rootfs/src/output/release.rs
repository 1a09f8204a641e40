//! Everything that a run writes: staged for all targets, then committed in one order.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Kind, Output, Step};
use crate::error::{Error, Result};
use crate::image::ImageConfig;
use crate::rootfs::Rootfs;
use crate::target::Target;
use crate::write::{self, Observer, Staged};

/// The rootfs of one target, and where it goes.
pub(crate) struct Job<'a> {
    pub(crate) target: &'a Target,
    pub(crate) rootfs: &'a Rootfs,
    /// How it runs as an image.
    pub(crate) image: ImageConfig,
    /// The modification time of files outside of layers, in seconds since 1970.
    pub(crate) epoch: i64,
    pub(crate) outputs: &'a [Output],
}

/// The listener of a [`write()`].
pub(crate) trait Listener {
    /// An output begins: `Packing` and `target/rootfs/app.tar`.
    fn begins(&self, verb: &str, place: &dyn Display);

    /// An observer of the next `size` bytes. It ends when it is dropped.
    fn progress(&self, size: u64) -> Box<dyn Observer + '_>;
}

/// An output that has its name.
#[derive(Debug)]
pub(crate) struct Written {
    kind: &'static Kind,
    triple: String,
    name: write::Written,
}

impl Written {
    /// The line of standard output: a path, or the id of an image. None of an archive that went there itself.
    pub(crate) fn line(&self) -> Option<String> {
        match &self.name {
            write::Written::Tar(path) | write::Written::Dir(path) => Some(path.to_string_lossy().into_owned()),
            write::Written::Image { id, .. } => Some(id.clone()),
            write::Written::Pushed { name, digest, .. } => Some(format!("{name}@{digest}")),
            write::Written::Stdout => None,
        }
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        let mut json = json!({"kind": self.kind.json, "target": self.triple});
        match &self.name {
            write::Written::Tar(path) | write::Written::Dir(path) => json["path"] = path.to_string_lossy().into(),
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

    /// The name that it was given.
    fn name(&self) -> String {
        match &self.name {
            write::Written::Image { name, .. } | write::Written::Pushed { name, .. } => name.clone(),
            _ => self.line().unwrap_or_else(|| "standard output".to_owned()),
        }
    }
}

/// Writes every rootfs to each of its outputs, and returns these in their order. None has its name before all of them
/// are complete.
pub(crate) fn write(jobs: &[Job<'_>], listener: &dyn Listener, interrupted: &AtomicBool) -> Result<Vec<Written>> {
    // Ctrl-C ends an engine that is asked, too.
    let or_interrupted = |error| if interrupted.load(Ordering::Relaxed) { Error::interrupted() } else { error };
    let mut complete = Vec::new();
    // Outputs that hold several targets: the first of each name takes what is for the others.
    let mut shared: Vec<(&Output, &str)> = Vec::new();
    for job in jobs {
        let mut sinks = Vec::new();
        for output in job.outputs {
            listener.begins(output.kind.verb, &output.place);
            let claim = output.place.claim();
            let known = shared.iter().find(|(known, _)| known.kind.holds_several && known.place.claim() == claim);
            let place = known.map_or(&output.place, |(known, _)| &known.place);
            sinks.push(place.sink(job).map_err(or_interrupted)?);
            if output.kind.holds_several && known.is_none() {
                shared.push((output, job.target.triple()));
            }
        }
        let mut observer = listener.progress(job.rootfs.size());
        let staged = write::stage(job.rootfs, sinks, &mut *observer, interrupted);
        drop(observer);
        let kinds = job.outputs.iter().map(|output| output.kind);
        let alone = staged?.into_iter().zip(kinds).filter(|(_, kind)| !kind.holds_several);
        complete.extend(alone.map(|(staged, kind)| Complete { staged, kind, triple: job.target.triple() }));
    }
    let gathered = shared.into_iter().filter_map(|(output, triple)| {
        Some(Complete { staged: output.place.gathered(interrupted)?, kind: output.kind, triple })
    });
    complete.extend(gathered);
    commit(complete)
}

struct Complete<'a> {
    staged: Box<dyn Staged + 'a>,
    kind: &'static Kind,
    triple: &'a str,
}

/// Gives all of them their names, step by step. Where one fails, the error lists those that have theirs.
fn commit(complete: Vec<Complete<'_>>) -> Result<Vec<Written>> {
    let mut ordered: Vec<(Step, usize, Complete<'_>)> =
        complete.into_iter().enumerate().map(|(at, one)| (one.kind.step, at, one)).collect();
    ordered.sort_by_key(|(step, at, _)| (*step, *at));
    let mut written: Vec<(usize, Written)> = Vec::new();
    for (_, at, Complete { staged, kind, triple }) in ordered {
        match staged.commit() {
            Ok(name) => written.push((at, Written { kind, triple: triple.to_owned(), name })),
            Err(error) => {
                let has_name = |error: Error, (_, one): &(usize, Written)| {
                    error.detail(format!("`{}` was written before, and stays", one.name()))
                };
                return Err(written.iter().fold(error, has_name));
            }
        }
    }
    written.sort_by_key(|(at, _)| *at);
    Ok(written.into_iter().map(|(_, one)| one).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::output::{dir, docker, tar};

    /// Says when it was committed, and fails where it is to.
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
        let complete = complete.map(|(name, triple, kind)| Complete {
            staged: Box::new(Fake { name, fails: name == failing, order: Rc::clone(&order) }),
            kind,
            triple,
        });
        let result = commit(complete.into());
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
