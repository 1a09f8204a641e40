//! The loaders' rules, which are data (`tests/rules`), and cases that no table can express.

mod architectures;
mod closures;
mod growth;
mod rules;
mod tree;
mod versions;
