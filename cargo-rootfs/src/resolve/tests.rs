//! The loaders' rules, which are data (`tests/rules`), and what no table can say.

mod architectures;
mod closures;
mod growth;
mod rules;
mod tree;
mod versions;
