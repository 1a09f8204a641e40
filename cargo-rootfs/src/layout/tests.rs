//! Whole plans on small sysroots made of ELF fixtures.

mod disk;
mod evidence;
mod given;
mod golden;
mod included;
mod modules;
mod opened;
mod owners;
mod packaged;
mod planned;
mod prefixes;
mod project;
mod project_libraries;
mod proof;
mod reach;
#[cfg(feature = "cli")]
mod recommended;
mod records;
mod refused;
mod rules;
mod scripts;
mod secrets;
mod variants;
