//! Pushes images: sends only what the registry lacks, blobs before manifests, tags last.

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

/// The number of parallel uploads.
const AT_ONCE: usize = 4;

/// A blob that can be read repeatedly.
pub(crate) trait Blob: Sync {
    /// The digest, as `sha256:...`.
    fn digest(&self) -> &str;
    /// The size in bytes.
    fn size(&self) -> u64;
    /// Opens it at its beginning.
    fn open(&self) -> Result<Box<dyn Read + '_>>;
    /// A repository of the same registry that has the blob.
    fn source(&self) -> Option<&str> {
        None
    }
}

/// One platform's image: its manifest, and all blobs to which it refers.
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

/// The number and the size of the sent blobs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) blobs: usize,
    pub(crate) bytes: u64,
}

/// A push with its blobs and manifests in the registry, before its tags are set.
pub(crate) struct Tagged<'i> {
    client: Client<'i>,
    top: Manifest,
    /// The sent blobs.
    pub(crate) sent: Sent,
}

/// The listener of an upload, called on the uploading thread.
pub(crate) trait Upload {
    /// Reports the total size of the blobs to be sent.
    fn begins(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Reports a number of further bytes that were sent.
    fn sent(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

impl Upload for () {}

impl Push<'_> {
    /// Connects to the registry of `reference`, and sends everything but the tags.
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

    /// Sends everything but the tags: the missing blobs, then the manifests.
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
    /// Pushes `artifact` as a description of `subject`, which is a manifest or the index of this push. Call it before
    /// [`tag`](Self::tag), so that the description exists when the tag appears.
    #[allow(dead_code)]
    pub(crate) fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<String> {
        self.client.attach(subject, artifact)
    }

    /// Points `tag` to the image, and returns its digest.
    pub(crate) fn tag(&self, tag: &str) -> Result<String> {
        self.client.point(tag, &self.top)?;
        Ok(self.top.digest())
    }
}

/// The work on one blob, which reports the sent bytes.
type Work<'w, T> = dyn Fn(&dyn Blob, &Sender<u64>) -> Result<T> + Sync + 'w;

/// Does `work` for each of `blobs`, a few in parallel, and returns the results in order. After the first failure no
/// further one starts. `listener` receives the reported bytes.
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
        // The loop ends when all workers have ended.
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
    // Several threads may have failed for the same reason.
    errors.dedup_by_key(|error| error.to_string());
    Error::all(errors)?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Sends `blob` unless the registry has it.
pub(super) fn ensure(client: &Client<'_>, blob: &dyn Blob) -> Result<()> {
    if is_missing(client, blob)? {
        transfer(client, blob, &channel().0)?;
    }
    Ok(())
}

/// True if this repository of the registry lacks `blob`.
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

/// Mounts or sends `blob`; returns true if its bytes were sent.
fn transfer(client: &Client<'_>, blob: &dyn Blob, progress: &Sender<u64>) -> Result<bool> {
    let (transport, digest) = (&client.transport, blob.digest());
    // Bytes that are sent again are not counted again.
    let reported = &AtomicU64::new(0);
    let mut was_mounted = false;
    // One attempt covers the whole blob: after a broken upload, a new session is needed.
    let answer = transport.attempts(|| {
        let mount = blob.source().map(|from| format!("?mount={}&from={}", encoded(digest), encoded(from)));
        let scope =
            blob.source().map_or(client.scope.clone(), |from| format!("{} repository:{from}:pull", client.scope));
        let url = transport.url(&format!("blobs/uploads/{}", mount.unwrap_or_default()));
        let mut begun =
            transport.authorized(&Ask { scope: &scope, ..client.ask(Method::POST, url) }, || Content::Nothing)?;
        if blob.source().is_some() && (400..500).contains(&begun.status) && begun.status != 429 {
            // Without the right to read the other repository, the blob is sent.
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

/// Sends the bytes of `blob` in one request. If the token expires meanwhile, the next attempt renews it.
fn put(client: &Client<'_>, ask: &Ask<'_>, blob: &dyn Blob, report: &Report<'_>) -> Result<super::transport::Answer> {
    // Opened first, so that an unreadable file is reported before anything is sent.
    drop(blob.open()?);
    client.transport.authorized(ask, || {
        let reader = Counted { reader: blob.open(), at: 0, report, client };
        Content::Stream(blob.size(), Box::new(reader))
    })
}

/// Reports a blob's progress to the listener.
struct Report<'c> {
    progress: &'c Sender<u64>,
    /// The number of reported bytes, by the attempt that sent most.
    reported: &'c AtomicU64,
}

impl Report<'_> {
    fn reached(&self, at: u64) {
        let before = self.reported.fetch_max(at, Ordering::Relaxed);
        if at > before {
            // After a failure in another thread, the receiver is gone.
            let _ = self.progress.send(at - before);
        }
    }
}

/// A reader that reports its bytes, and fails after an interruption.
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
