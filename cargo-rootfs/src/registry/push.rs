//! Pushes images: what the registry has is not sent, blobs before manifests, tags last.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ureq::http::{Method, header};

use super::client::{Client, Manifest};
use super::reference::Reference;
use super::transport::{Ask, Content, Settings, encoded};
use crate::error::{Error, Result};

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
    /// What was sent.
    pub(crate) sent: Sent,
}

impl Push<'_> {
    /// Sends all but the tags. `progress` is given the bytes of blobs as they are sent.
    pub(crate) fn upload<'i>(
        &self,
        reference: &Reference,
        settings: &Settings,
        progress: &(dyn Fn(u64) + Sync),
        interrupted: &'i AtomicBool,
    ) -> Result<Tagged<'i>> {
        let client = Client::connect(reference, settings, interrupted)?;
        let mut lacking = Vec::new();
        for image in &self.images {
            if client.find(&image.manifest.digest())?.is_none() {
                lacking.push(image);
            }
        }
        let mut known = BTreeSet::new();
        let blobs = lacking.iter().flat_map(|image| image.blobs.iter().copied());
        let blobs: Vec<&dyn Blob> = blobs.filter(|blob| known.insert(blob.digest().to_owned())).collect();
        let sent = send_all(&client, &blobs, progress)?;
        for image in lacking {
            client.put(&image.manifest, &image.manifest.digest())?;
        }
        if let Some(index) = &self.index {
            if client.find(&index.digest())?.is_none() {
                client.put(index, &index.digest())?;
            }
        }
        let first = self.images.first().map(|image| &image.manifest);
        let top = self.index.as_ref().or(first).ok_or_else(|| Error::failed("a push has no image"))?.clone();
        Ok(Tagged { client, top, sent })
    }
}

impl Tagged<'_> {
    /// Points `tag` to the image, and says its digest.
    pub(crate) fn tag(&self, tag: &str) -> Result<String> {
        let digest = self.top.digest();
        if self.client.find(tag)?.as_ref() != Some(&digest) {
            self.client.put(&self.top, tag)?;
        }
        Ok(digest)
    }
}

/// Sends `blobs`, a few at a time. The first failure keeps further ones from beginning.
fn send_all(client: &Client<'_>, blobs: &[&dyn Blob], progress: &(dyn Fn(u64) + Sync)) -> Result<Sent> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || -> Result<Sent> {
        let mut sent = Sent::default();
        while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            let bytes = send(client, *blob, progress).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            if bytes {
                sent = Sent { blobs: sent.blobs + 1, bytes: sent.bytes + blob.size() };
            }
        }
        Ok(sent)
    };
    let results: Vec<Result<Sent>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..blobs.len().min(AT_ONCE)).map(|_| scope.spawn(worker)).collect();
        let panicked = |_| Err(Error::failed("a thread that sent a blob panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    let (mut total, mut errors) = (Sent::default(), Vec::new());
    for result in results {
        match result {
            Ok(sent) => total = Sent { blobs: total.blobs + sent.blobs, bytes: total.bytes + sent.bytes },
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors).map(|()| total)
}

/// Makes the registry have `blob`; whether its bytes were sent.
fn send(client: &Client<'_>, blob: &dyn Blob, progress: &(dyn Fn(u64) + Sync)) -> Result<bool> {
    let transport = &client.transport;
    let digest = blob.digest();
    let answer = transport.send(&client.ask(Method::HEAD, transport.url(&format!("blobs/{digest}"))), None)?;
    match answer.status {
        200 => return Ok(false),
        404 => {}
        _ => return Err(transport.error("push", &answer.refused())),
    }
    let mut was_mounted = false;
    // A whole blob is an attempt: an upload that broke begins with a session of its own.
    let answer = transport.attempts(|| {
        let mount = blob.source().map(|from| format!("?mount={}&from={}", encoded(digest), encoded(from)));
        let scope =
            blob.source().map_or(client.scope.clone(), |from| format!("{} repository:{from}:pull", client.scope));
        let url = transport.url(&format!("blobs/uploads/{}", mount.unwrap_or_default()));
        let begun =
            transport.authorized(&Ask { scope: &scope, ..client.ask(Method::POST, url) }, || Content::Nothing)?;
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
        put(client, &ask, blob, progress)
    })?;
    match answer.status {
        200..=299 => Ok(!was_mounted),
        _ => Err(transport.error("push", &answer.refused())),
    }
}

/// Sends the bytes of `blob` in one request. A token that expired meanwhile is renewed by the attempt that follows.
fn put(
    client: &Client<'_>,
    ask: &Ask<'_>,
    blob: &dyn Blob,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<super::transport::Answer> {
    // Opened before anything is sent: a file that cannot be read is no fault of the registry's.
    drop(blob.open()?);
    client.transport.authorized(ask, || {
        let reader = Counted { reader: blob.open(), progress, client };
        Content::Stream(blob.size(), Box::new(reader))
    })
}

/// A reader that tells of its bytes, and ends with an error where the run was interrupted.
struct Counted<'c, 'i> {
    reader: Result<Box<dyn Read + 'c>>,
    progress: &'c (dyn Fn(u64) + Sync),
    client: &'c Client<'i>,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.client.transport.stop().map_err(io::Error::other)?;
        let reader = self.reader.as_mut().map_err(|error| io::Error::other(error.to_string()))?;
        let count = reader.read(buffer)?;
        (self.progress)(count as u64);
        Ok(count)
    }
}
