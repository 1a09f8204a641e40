//! A loader's verdict on a file that it found: accept it, skip it, or fail.
//!
//! Search paths are not known here.

use std::sync::Arc;

use goblin::elf::header::{
    EI_ABIVERSION, EI_CLASS, EI_DATA, EI_OSABI, EI_VERSION, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, EM_ARM,
    ET_DYN, ET_EXEC, EV_CURRENT,
};

use super::BadObject;
use super::loader::{Libc, Loader};
use crate::elf::{DF_1_PIE, Head, Object};
use crate::target::Machine;

/// The verdict on a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    /// Skipped, because it is for another machine.
    Foreign(Machine),
    /// Skipped, because it is not readable.
    Unreadable(String),
    /// The loader fails, with this reason.
    Bad(String),
}

/// Judges a regular file.
pub(super) fn judge(object: &Result<Arc<Object>, BadObject>, loader: &Loader) -> Verdict {
    let bad = |reason: &str| Verdict::Bad(reason.to_owned());
    if let Err(BadObject::Unreadable(why)) = object {
        return Verdict::Unreadable(why.clone());
    }
    let head = match object {
        Ok(object) => Some(&object.head),
        Err(BadObject::Malformed(malformed)) => malformed.head.as_ref(),
        Err(BadObject::Unreadable(_)) => None,
    };
    // musl maps the first file that it finds, so it skips none.
    if let (Libc::Glibc, Some(head)) = (loader.libc, head) {
        match header(head, loader.machine, loader.is_debians()) {
            Verdict::Take => {}
            other => return other,
        }
    }
    let object = match object {
        Ok(object) => object,
        Err(why) => return Verdict::Bad(why.to_string()),
    };
    if object.machine != loader.machine {
        // It would be mapped, and the program would not run: musl does not check the machine (`map_library`,
        // ldso/dynlink.c).
        return Verdict::Bad(format!("it is for {:?}", object.machine));
    }
    if let (Libc::Glibc, Some(reason)) = (loader.libc, object.unmappable) {
        return bad(reason);
    }
    match object.e_type {
        ET_DYN if !object.is_dynamic => bad("object file has no dynamic section"),
        ET_DYN if loader.libc == Libc::Glibc && object.flags_1 & DF_1_PIE != 0 => {
            bad("cannot dynamically load position-independent executable")
        }
        ET_DYN => Verdict::Take,
        ET_EXEC => bad("cannot dynamically load executable"),
        _ => bad("only ET_DYN and ET_EXEC can be loaded"),
    }
}

/// The verdict on the ELF header (`open_verify`, elf/dl-load.c), in the order of the loader's checks.
///
/// Loaders of Debian and its derivatives check the machine first if anything in `e_ident` is wrong (its patches
/// unsubmitted-ldso-machine-mismatch.diff and arm/unsubmitted-ldso-multilib.diff).
fn header(head: &Head, wanted: Machine, is_debians: bool) -> Verdict {
    let bad = |reason: &str| Verdict::Bad(reason.to_owned());
    let ident = head.ident();
    if !head.is_whole(wanted.is_64) {
        return bad("file too short");
    }
    if ident[EI_CLASS] != if wanted.is_64 { ELFCLASS64 } else { ELFCLASS32 } {
        return Verdict::Foreign(head.machine());
    }
    let is_float_right = has_right_float_abi(head, wanted);
    let is_machine_right = is_for(head, wanted);
    let encoding = if wanted.is_little_endian { ELFDATA2LSB } else { ELFDATA2MSB };
    let fault = if ident[EI_DATA] != encoding {
        Some("ELF file data encoding not that of the machine")
    } else if ident[EI_VERSION] != EV_CURRENT {
        Some("ELF file version ident does not match current one")
    } else if !is_abi_known(ident[EI_OSABI], wanted) {
        Some("ELF file OS ABI invalid")
    } else if ident[EI_ABIVERSION] != 0 && (ident[EI_OSABI] != OSABI_GNU || ident[EI_ABIVERSION] > wanted.newest_abi())
    {
        Some("ELF file ABI version invalid")
    } else if ident[EI_PAD..].iter().any(|byte| *byte != 0) {
        Some("nonzero padding in e_ident")
    } else {
        (!is_float_right).then_some("internal error")
    };
    match fault {
        Some(_) if is_debians && !(is_float_right && is_machine_right) => return Verdict::Foreign(head.machine()),
        Some(reason) => return bad(reason),
        None => {}
    }
    if head.e_version(wanted.is_little_endian) != u32::from(EV_CURRENT) {
        return bad("ELF file version does not match current one");
    }
    if !is_machine_right {
        return Verdict::Foreign(head.machine());
    }
    Verdict::Take
}

/// `elf_machine_matches_host` of each machine's dl-machine.h, for a header read in the loader's byte order.
fn is_for(head: &Head, wanted: Machine) -> bool {
    wanted.takes_flags(head.e_flags(wanted)) && head.e_machine(wanted.is_little_endian) == wanted.e_machine
}

/// `VALID_FLOAT_ABI` of the hard-float ABI of ARM (sysdeps/unix/sysv/linux/arm/ldsodefs.h): rejects EABI version 5 with
/// the soft-float flag.
fn has_right_float_abi(head: &Head, wanted: Machine) -> bool {
    let flags = head.e_flags(wanted);
    wanted.e_machine != EM_ARM || flags >> 24 != 5 || flags & 0x200 == 0
}

/// `VALID_ELF_OSABI`: none, GNU, and on ARM its embedded ABI.
fn is_abi_known(os_abi: u8, wanted: Machine) -> bool {
    matches!(os_abi, 0 | OSABI_GNU) || wanted.os_abi() == Some(os_abi)
}

/// The offset in `e_ident` from which bytes have no meaning (elf.h).
const EI_PAD: usize = 9;
const OSABI_GNU: u8 = 3;

#[cfg(test)]
mod tests {
    use goblin::elf::header::{EI_ABIVERSION, EI_CLASS, EI_DATA, EI_OSABI, EI_VERSION};

    use super::{EI_PAD, Verdict, header};
    use crate::elf::fixture::{Fixture, machine};
    use crate::elf::{Head, Object, ReadError};

    fn head(bytes: &[u8]) -> Head {
        match Object::read(bytes) {
            Ok(object) => object.head,
            Err(ReadError::Malformed(malformed)) => malformed.head.unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// The verdicts of two loaders for `wanted`, Debian's and another, on a library for `of` with these bytes
    /// overwritten.
    fn come_of(of: &str, wanted: &str, changes: &[(usize, &[u8])]) -> [String; 2] {
        let mut bytes = Fixture::library().machine(machine(of)).build();
        for (at, value) in changes {
            bytes[*at..at + value.len()].copy_from_slice(value);
        }
        [true, false].map(|is_debians| match header(&head(&bytes), machine(wanted), is_debians) {
            Verdict::Take => "taken".to_owned(),
            Verdict::Foreign(_) => "passed over".to_owned(),
            Verdict::Bad(reason) => reason,
            Verdict::Unreadable(why) => panic!("{why}"),
        })
    }

    #[test]
    fn the_machines_own_files_are_taken() {
        let names = "x86_64 aarch64 i686 armv7 riscv64gc powerpc64le powerpc64 s390x loongarch64";
        for name in names.split(' ') {
            assert_eq!(come_of(name, name, &[]), ["taken", "taken"], "{name}");
        }
    }

    /// Class, then all of `e_ident`, then the version, then the machine; Debian's loader checks the machine in between.
    #[test]
    fn the_order_of_the_checks() {
        let foreign = "passed over";
        assert_eq!(come_of("i686", "x86_64", &[(EI_DATA, &[9]), (20, &[9])]), [foreign, foreign]);
        assert_eq!(come_of("x86_64", "x86_64", &[(EI_CLASS, &[9])]), [foreign, foreign]);
        assert_eq!(come_of("aarch64", "x86_64", &[]), [foreign, foreign]);
        let of_data = "ELF file data encoding not that of the machine";
        assert_eq!(come_of("s390x", "x86_64", &[]), [foreign, of_data]);
        assert_eq!(come_of("powerpc64", "powerpc64le", &[]), [foreign, of_data]);
        let of_version = "ELF file version does not match current one";
        assert_eq!(come_of("aarch64", "x86_64", &[(20, &[9])]), [of_version; 2]);
        for (changes, reason) in [
            ((EI_DATA, 9), of_data),
            ((EI_VERSION, 9), "ELF file version ident does not match current one"),
            ((EI_OSABI, 9), "ELF file OS ABI invalid"),
            ((EI_ABIVERSION, 1), "ELF file ABI version invalid"),
            ((EI_PAD, 1), "nonzero padding in e_ident"),
            ((15, 1), "nonzero padding in e_ident"),
        ] {
            let changes = [(changes.0, &[changes.1][..])];
            assert_eq!(come_of("x86_64", "x86_64", &changes), [reason; 2]);
            assert_eq!(come_of("aarch64", "x86_64", &changes), [foreign, reason]);
        }
    }

    #[test]
    fn abi_and_its_version() {
        let with = |of, abi, version| come_of(of, of, &[(EI_OSABI, &[abi, version])])[0].clone();
        for (name, newest) in [("x86_64", 3), ("riscv64gc", 3), ("powerpc64", 3), ("powerpc64le", 2), ("aarch64", 2)] {
            assert_eq!(with(name, 3, newest), "taken", "{name}");
            assert_eq!(with(name, 3, newest + 1), "ELF file ABI version invalid", "{name}");
        }
        assert_eq!(with("x86_64", 64, 0), "ELF file OS ABI invalid");
        assert_eq!(with("armv7", 64, 0), "taken");
        assert_eq!(with("armv7", 64, 1), "ELF file ABI version invalid");
    }

    /// Another ABI of the same machine counts as another machine.
    #[test]
    fn flags_tell_abis_apart() {
        let foreign = "passed over";
        let soft = [(36, &[0, 2, 0, 5][..])];
        assert_eq!(come_of("armv7", "armv7", &soft), [foreign, "internal error"]);
        assert_eq!(come_of("armv7", "armv7", &[(36, &[0, 4, 0, 5])]), ["taken", "taken"]);
        for flags in [0, 1, 3, 8] {
            assert_eq!(come_of("riscv64gc", "riscv64gc", &[(48, &[flags])]), [foreign, foreign], "{flags}");
        }
        assert_eq!(come_of("powerpc64le", "powerpc64le", &[(48, &[1])]), [foreign, foreign]);
        assert_eq!(come_of("powerpc64le", "powerpc64le", &[(48, &[2])]), ["taken", "taken"]);
        assert_eq!(come_of("powerpc64", "powerpc64", &[(51, &[2])]), [foreign, foreign]);
    }

    /// The header must have the length for the loader's class, independent of the file's class.
    #[test]
    fn a_header_of_the_other_class_may_be_too_short() {
        let bytes = Fixture::library().machine(machine("i686")).build();
        let bad = Verdict::Bad("file too short".to_owned());
        assert_eq!(header(&head(&bytes[..52]), machine("x86_64"), true), bad);
        assert_eq!(header(&head(&bytes[..64]), machine("x86_64"), true), Verdict::Foreign(machine("i686")));
    }
}
