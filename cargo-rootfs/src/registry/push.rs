//! Pushes images: what the registry has is not sent, blobs before manifests, tags last.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use ureq::http::{Method, header};

use super::client::{Client, Manifest};
use super::reference::Reference;
use super::referrers::Artifact;
use super::transport::{Ask, Content, Settings, encoded};
use crate::error::{Error, Result};
use crate::image::manifest::Descriptor;

/// Blobs that are sent at once.
const AT_ONCE: usize = 4;

/// A blob that can be read as often as it must be sent.
pub(crate) trait Blob: Sync {
    /// `sha256:...`
    fn digest(&self) -> &str;
    /// In bytes.
    fn size(&self) -> u64;
    /// Opens it at its beginning.
    fn open(&self) -> Result<Box<dyn Read + '_>>;
    /// A repository of the same registry that is known to have it.
    fn source(&self) -> Option<&str> {
        None
    }
}

/// One platform's image: its manifest, and all blobs that the manifest names.
pub(crate) struct Image<'b> {
    pub(crate) manifest: Manifest,
    pub(crate) blobs: Vec<&'b dyn Blob>,
}

/// Images for one name.
pub(crate) struct Push<'b> {
    pub(crate) images: Vec<Image<'b>>,
    /// The index of several platforms; without one, the first image's manifest gets the tags.
    pub(crate) index: Option<Manifest>,
}

/// Work that was done and work that was found done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) blobs: usize,
    pub(crate) bytes: u64,
}

/// A push whose blobs and manifests are in the registry, and whose tags are not set yet.
pub(crate) struct Tagged<'i> {
    client: Client<'i>,
    top: Manifest,
    /// The bytes that were sent.
    pub(crate) sent: Sent,
}

/// The listener of an upload. It is called on the thread that uploads.
pub(crate) trait Upload {
    /// Blobs of so many bytes in all are to be sent.
    fn begins(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// So many bytes more of them were sent.
    fn sent(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

impl Upload for () {}

impl Push<'_> {
    /// Connects to the registry of `reference`, and sends all but the tags.
    pub(crate) fn upload<'i>(
        &self,
        reference: &Reference,
        settings: &Settings,
        listener: &mut dyn Upload,
        interrupted: &'i AtomicBool,
    ) -> Result<Tagged<'i>> {
        let client = Client::connect(reference, settings, interrupted)?;
        let sent = self.send(&client, listener)?;
        let first = self.images.first().map(|image| &image.manifest);
        let top = self.index.as_ref().or(first).ok_or_else(|| Error::failed("a push has no image"))?.clone();
        Ok(Tagged { client, top, sent })
    }

    /// Sends all but the tags: what the registry lacks of the blobs, and then the manifests.
    pub(crate) fn send(&self, client: &Client<'_>, listener: &mut dyn Upload) -> Result<Sent> {
        let mut lacking = Vec::new();
        for image in &self.images {
            if client.find(&image.manifest.digest())?.is_none() {
                lacking.push(image);
            }
        }
        let mut known = BTreeSet::new();
        let blobs = lacking.iter().flat_map(|image| image.blobs.iter().copied());
        let blobs: Vec<&dyn Blob> = blobs.filter(|blob| known.insert(blob.digest().to_owned())).collect();
        let is_missing = at_once(&blobs, &|blob, _| is_missing(client, blob), &mut ())?;
        let blobs: Vec<&dyn Blob> =
            blobs.into_iter().zip(is_missing).filter_map(|(blob, is_missing)| is_missing.then_some(blob)).collect();
        listener.begins(blobs.iter().map(|blob| blob.size()).sum());
        let were_sent = at_once(&blobs, &|blob, progress| transfer(client, blob, progress), listener)?;
        let sent = blobs.iter().zip(were_sent).filter_map(|(blob, was_sent)| was_sent.then_some(blob.size()));
        let sent = sent.fold(Sent::default(), |sum, size| Sent { blobs: sum.blobs + 1, bytes: sum.bytes + size });
        for image in lacking {
            let again = || image.blobs.iter().try_for_each(|blob| ensure(client, *blob));
            client.store(&image.manifest, &image.manifest.digest(), again)?;
        }
        if let Some(index) = &self.index {
            client.point(&index.digest(), index)?;
        }
        Ok(sent)
    }
}

impl Tagged<'_> {
    /// Pushes `artifact` as a description of `subject`, one of the manifests or the index of this push. It is to be
    /// called before [`tag`](Self::tag): who sees the tag then finds the description.
    #[allow(dead_code)]
    pub(crate) fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<String> {
        self.client.attach(subject, artifact)
    }

    /// Points `tag` to the image, and says its digest.
    pub(crate) fn tag(&self, tag: &str) -> Result<String> {
        self.client.point(tag, &self.top)?;
        Ok(self.top.digest())
    }
}

/// The work on one blob, which reports bytes as they are sent.
type Work<'w, T> = dyn Fn(&dyn Blob, &Sender<u64>) -> Result<T> + Sync + 'w;

/// Does `work` for each of `blobs`, a few at a time, and gives the results in their order. The first failure keeps further
/// ones from beginning. Bytes that work reports go to `listener`.
fn at_once<T: Send>(blobs: &[&dyn Blob], work: &Work<'_, T>, listener: &mut dyn Upload) -> Result<Vec<T>> {
    let (next, failed) = (&AtomicUsize::new(0), &AtomicBool::new(false));
    let (progress, reports) = channel();
    let worker = move |progress: Sender<u64>| -> Result<Vec<(usize, T)>> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match blobs.get(at).filter(|_| !failed.load(Ordering::Relaxed)) {
                None => return Ok(done),
                Some(blob) => {
                    let result = work(*blob, &progress).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                    done.push((at, result));
                }
            }
        }
    };
    let results: Vec<Result<Vec<(usize, T)>>> = std::thread::scope(|scope| {
        let start = |_| {
            let progress = progress.clone();
            scope.spawn(move || worker(progress))
        };
        let workers: Vec<_> = (0..blobs.len().min(AT_ONCE)).map(start).collect();
        // It ends when all workers have ended.
        drop(progress);
        reports.iter().for_each(|bytes| listener.sent(bytes));
        let panicked = |_| Err(Error::failed("a thread that sent a blob panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    let (mut done, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(some) => done.extend(some),
            Err(error) => errors.push(error),
        }
    }
    // Threads that failed in the same way say it once.
    errors.dedup_by_key(|error| error.to_string());
    Error::all(errors)?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Makes the registry have `blob`.
pub(super) fn ensure(client: &Client<'_>, blob: &dyn Blob) -> Result<()> {
    if is_missing(client, blob)? {
        transfer(client, blob, &channel().0)?;
    }
    Ok(())
}

/// True where the registry does not have `blob` in this repository.
fn is_missing(client: &Client<'_>, blob: &dyn Blob) -> Result<bool> {
    let transport = &client.transport;
    let url = transport.url(&format!("blobs/{}", blob.digest()));
    let answer = transport.send(&client.ask(Method::HEAD, url), None)?;
    match answer.status {
        200 => Ok(false),
        404 => Ok(true),
        _ => Err(transport.error("push", &answer.refused())),
    }
}

/// Mounts or sends `blob`; true where its bytes were sent.
fn transfer(client: &Client<'_>, blob: &dyn Blob, progress: &Sender<u64>) -> Result<bool> {
    let (transport, digest) = (&client.transport, blob.digest());
    // Bytes that are sent again are not counted again.
    let reported = &AtomicU64::new(0);
    let mut was_mounted = false;
    // A whole blob is an attempt: an upload that broke begins with a session of its own.
    let answer = transport.attempts(|| {
        let mount = blob.source().map(|from| format!("?mount={}&from={}", encoded(digest), encoded(from)));
        let scope =
            blob.source().map_or(client.scope.clone(), |from| format!("{} repository:{from}:pull", client.scope));
        let url = transport.url(&format!("blobs/uploads/{}", mount.unwrap_or_default()));
        let mut begun =
            transport.authorized(&Ask { scope: &scope, ..client.ask(Method::POST, url) }, || Content::Nothing)?;
        if blob.source().is_some() && (400..500).contains(&begun.status) && begun.status != 429 {
            // Whoever may not read the other repository sends the blob.
            let url = transport.url("blobs/uploads/");
            begun = transport.authorized(&client.ask(Method::POST, url), || Content::Nothing)?;
        }
        if begun.status == 201 {
            was_mounted = true;
            return Ok(begun);
        }
        if begun.status != 202 {
            return Ok(begun);
        }
        let Some(location) = begun.header(header::LOCATION) else {
            return Err(Error::failed(format!("{} gave no place to upload to", transport.reference.host)));
        };
        let location = transport.absolute(location);
        let join = if location.contains('?') { '&' } else { '?' };
        let headers = vec![(header::CONTENT_TYPE, "application/octet-stream".to_owned())];
        let ask = Ask { headers, ..client.ask(Method::PUT, format!("{location}{join}digest={}", encoded(digest))) };
        put(client, &ask, blob, &Report { progress, reported })
    })?;
    match answer.status {
        200..=299 => Ok(!was_mounted),
        _ => Err(transport.error("push", &answer.refused())),
    }
}

/// Sends the bytes of `blob` in one request. A token that expired meanwhile is renewed by the attempt that follows.
fn put(client: &Client<'_>, ask: &Ask<'_>, blob: &dyn Blob, report: &Report<'_>) -> Result<super::transport::Answer> {
    // Opened before anything is sent: a file that cannot be read is no fault of the registry's.
    drop(blob.open()?);
    client.transport.authorized(ask, || {
        let reader = Counted { reader: blob.open(), at: 0, report, client };
        Content::Stream(blob.size(), Box::new(reader))
    })
}

/// The way of a blob's progress to the listener.
struct Report<'c> {
    progress: &'c Sender<u64>,
    /// Bytes of the blob that were reported, by the attempt that came farthest.
    reported: &'c AtomicU64,
}

impl Report<'_> {
    fn reached(&self, at: u64) {
        let before = self.reported.fetch_max(at, Ordering::Relaxed);
        if at > before {
            // Nobody listens after a failure elsewhere.
            let _ = self.progress.send(at - before);
        }
    }
}

/// A reader that reports its bytes, and ends with an error where the run was interrupted.
struct Counted<'c, 'i> {
    reader: Result<Box<dyn Read + 'c>>,
    at: u64,
    report: &'c Report<'c>,
    client: &'c Client<'i>,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.client.transport.stop().map_err(io::Error::other)?;
        let reader = self.reader.as_mut().map_err(|error| io::Error::other(error.to_string()))?;
        let count = reader.read(buffer)?;
        self.at += count as u64;
        self.report.reached(self.at);
        Ok(count)
    }
}
