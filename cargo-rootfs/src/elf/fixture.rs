//! ELF files for tests, made by the forge that loader rules and `cargo xtask differential` share.

// Each user needs only a part of it.
#[allow(dead_code)]
#[path = "../../../tests/rules/forge.rs"]
pub(crate) mod forge;

pub(crate) use forge::{BASE, Fixture, elf_hash};

use crate::target::{Machine, Target};

/// The machine of this name in a triple: `aarch64`.
pub(crate) fn machine(name: &str) -> Machine {
    Target::parse(&format!("{name}-unknown-linux-gnu")).unwrap().machine()
}

impl From<Machine> for forge::Machine {
    fn from(machine: Machine) -> Self {
        Self { e_machine: machine.e_machine, is_64: machine.is_64, is_little_endian: machine.is_little_endian }
    }
}
