//! Client of the OCI distribution specification: finds credentials, asks for tokens, and sends and fetches blobs and
//! manifests.
//!
//! It knows digests and bytes, and nothing of what an image holds.

mod answer;
mod challenge;
mod client;
mod credentials;
mod pull;
mod push;
mod reference;
mod referrers;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

pub(crate) use client::{Client, Manifest};
pub(crate) use pull::Pull;
pub(crate) use push::{Blob, Image, Push, Tagged, Upload};
pub(crate) use reference::Reference;
pub(crate) use referrers::Artifact;
pub(crate) use transport::Settings;
