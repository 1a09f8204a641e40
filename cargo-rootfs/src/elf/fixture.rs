//! ELF files for tests, by the forge that the loader rules share with `cargo xtask differential`.

// Each of its users needs a part of it.
#[allow(dead_code)]
#[path = "../../../tests/rules/forge.rs"]
pub(crate) mod forge;

pub(crate) use forge::{BASE, Fixture, elf_hash};

use crate::target::{Machine, Target};

/// The machine of this name as in a triple: `aarch64`.
pub(crate) fn machine(name: &str) -> Machine {
    Target::parse(&format!("{name}-unknown-linux-gnu")).unwrap().machine()
}

impl From<Machine> for forge::Machine {
    fn from(machine: Machine) -> Self {
        Self { e_machine: machine.e_machine, is_64: machine.is_64, is_little_endian: machine.is_little_endian }
    }
}
