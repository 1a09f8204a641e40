//! Client of the OCI distribution specification: finds credentials, gets tokens, and sends and fetches blobs and
//! manifests.
//!
//! It handles digests and bytes, and does not interpret images.

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
