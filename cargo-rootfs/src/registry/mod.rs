//! Client of the OCI distribution specification: finds credentials, asks for tokens, and sends and fetches blobs and
//! manifests.
//!
//! It knows digests and bytes, and nothing of what an image holds.

mod answer;
mod challenge;
mod client;
mod credentials;
mod push;
mod reference;
#[cfg(test)]
mod tests;
mod transport;

pub(crate) use client::Manifest;
pub(crate) use push::{Blob, Image, Push, Tagged};
pub(crate) use reference::Reference;
pub(crate) use transport::Settings;
