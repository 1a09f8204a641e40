//! The client against a registry in this process, which counts requests and fails as it is told to.

mod credentials;
pub(crate) mod fake;
mod pulled;
mod pushed;
mod referrers;
mod words;
