//! The client against a registry in this process, which counts requests and fails as it is told to.

mod credentials;
mod fake;
mod pushed;
mod words;
