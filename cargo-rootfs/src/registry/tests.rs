//! The client against a registry in the test process, which counts requests and fails on demand.

mod credentials;
pub(crate) mod fake;
mod pulled;
mod pushed;
mod referrers;
mod words;
