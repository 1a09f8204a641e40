//! The loader's rules, one test a rule, with the rule and where it stands on top.
//!
//! Each test is a handful of files and what must come of them. Where the machine has the loader, and
//! the tests run as root, the same files are given to it as well, and must come to the same.

mod architectures;
mod broken;
mod corners;
mod dlopen;
mod filters;
mod glibc;
mod hardware;
mod hwcaps;
mod library_path;
mod musl;
mod real;
mod rules;
mod tree;
mod versions;
mod width;
