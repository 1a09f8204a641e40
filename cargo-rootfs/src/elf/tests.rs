//! The reader on made files, on broken ones, and on real ones.

mod hostile;

use std::cell::Cell;

use goblin::elf::dynamic::{
    DT_NEEDED, DT_PLTREL, DT_REL, DT_RELA, DT_RELAENT, DT_RELENT, DT_SONAME, DT_STRSZ, DT_STRTAB, DT_VERDEF,
    DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM,
};

use hostile::answer_is_bounded;

use super::fixture::{BASE, Fixture, machine};
use super::*;

fn read(bytes: &[u8]) -> Result<Object, Malformed> {
    match Object::read(bytes) {
        Ok(object) => Ok(object),
        Err(ReadError::Malformed(malformed)) => Err(malformed),
        Err(ReadError::Io(error)) => panic!("{error}"),
    }
}

fn reason(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().reason
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Every architecture of target.rs, and a 32-bit big-endian one.
fn machines() -> Vec<Machine> {
    let names = ["x86_64", "aarch64", "i686", "armv7", "riscv64gc", "powerpc64le", "powerpc64", "s390x", "loongarch64"];
    let mips = Machine { e_machine: header::EM_MIPS, is_64: false, is_little_endian: false };
    names.iter().map(|name| machine(name)).chain([mips]).collect()
}

fn whole() -> Fixture {
    Fixture::program()
        .soname("libme.so.1")
        .needs("liba.so.1")
        .auxiliary("libaux.so")
        .filter("libfilter.so")
        .needs("libb.so.2")
        .rpath("/old")
        .runpath("$ORIGIN/../lib:/new")
        .flags_1(DF_1_NODEFLIB)
        .needs_versions("liba.so.1", &["A_1", "?A_2"])
        .needs_versions("libb.so.2", &["B_1"])
        .defines_versions(&["libme.so.1", "ME_1"])
}

#[test]
fn every_machine_is_read_alike() {
    for machine in machines() {
        let object = read(&whole().machine(machine).build()).unwrap();
        assert_eq!(object.machine, machine);
        assert_eq!(object.e_type, header::ET_DYN);
        assert_eq!(object.interpreter.as_ref().map(text), Some("/lib64/ld-linux-x86-64.so.2"));
        assert!(object.is_dynamic);
        assert_eq!(object.soname.as_ref().map(text), Some("libme.so.1"));
        let dependencies: Vec<_> = object.dependencies.iter().map(|it| (it.kind, text(&it.name))).collect();
        assert_eq!(
            dependencies,
            [
                (DependencyKind::Needed, "liba.so.1"),
                (DependencyKind::Auxiliary, "libaux.so"),
                (DependencyKind::Filter, "libfilter.so"),
                (DependencyKind::Needed, "libb.so.2"),
            ]
        );
        assert_eq!(object.rpath.as_ref().map(text), Some("/old"));
        assert_eq!(object.runpath.as_ref().map(text), Some("$ORIGIN/../lib:/new"));
        assert_eq!(object.flags_1, DF_1_NODEFLIB);
        let needs: Vec<_> = object
            .version_needs
            .iter()
            .flat_map(|need| need.versions.iter().map(|it| (text(&need.file), text(&it.name), it.is_weak)))
            .collect();
        assert_eq!(
            needs,
            [("liba.so.1", "A_1", false), ("liba.so.1", "A_2", true), ("libb.so.2", "B_1", false)],
            "{machine:?}"
        );
        let defined: Vec<_> =
            object.version_definitions.iter().map(|it| (text(&it.name), it.hash, it.revision)).collect();
        // `_dl_elf_hash` of the names, (System V gABI, chapter 5).
        assert_eq!(defined, [("libme.so.1", 0x0382_cf81, 1), ("ME_1", 0x0005_1b21, 1)]);
    }
}

#[test]
fn a_static_executable_has_no_interpreter_and_no_dynamic_section() {
    for machine in machines() {
        let file = Fixture::library().machine(machine).e_type(header::ET_EXEC).without_dynamic_section().build();
        let object = read(&file).unwrap();
        assert_eq!((object.interpreter, object.is_dynamic), (None, false));
        assert_eq!(object.e_type, header::ET_EXEC);
    }
}

/// A file of `objcopy --only-keep-debug` has a PT_DYNAMIC without bytes, which `_dl_map_object_from_fd` treats as no
/// dynamic section.
#[test]
fn a_detached_debug_file_has_no_dynamic_section() {
    let mut file = Fixture::library().soname("liba.so").needs("libb.so").build();
    // p_filesz of the second of its program headers, PT_DYNAMIC.
    file[64 + 56 + 32..64 + 56 + 40].fill(0);
    let object = read(&file).unwrap();
    assert!(!object.is_dynamic && object.dependencies.is_empty());
}

#[test]
fn this_test_reads_itself_as_readelf_does() {
    let path = std::env::current_exe().unwrap();
    let object = Object::read(&std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(object.machine, Machine::host());
    assert!(object.is_dynamic);
    let names: Vec<_> = object.dependencies.iter().map(|it| String::from_utf8_lossy(&it.name)).collect();
    assert!(names.iter().any(|name| name.starts_with("libc.")), "{names:?}");
    let libc = object.version_needs.iter().find(|need| need.file.starts_with(b"libc.so")).unwrap();
    assert!(libc.versions.iter().any(|version| version.name.starts_with(b"GLIBC_2")), "{libc:?}");
}

/// A note with the name GNU and the type 1: the system, 0 for Linux, and three numbers of the oldest kernel.
#[test]
fn the_abi_tag_says_which_kernel() {
    let kernel = |name: &str, system: u32, kind: u32| {
        let machine = machine(name);
        let order = |value: u32| if machine.is_little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
        let wide = |value: usize| {
            let [low, high] = [order(value as u32), [0; 4]];
            if machine.is_little_endian { [low, high].concat() } else { [high, low].concat() }
        };
        let words = |words: &[u32]| words.iter().flat_map(|word| order(*word)).collect::<Vec<u8>>();
        let note = [words(&[4, 16, kind]), b"GNU\0".to_vec(), words(&[system, 3, 10, 2])].concat();
        // An irrelevant note comes first.
        let note = [words(&[4, 4, 3]), b"GNU\0abcd".to_vec(), note].concat();
        let mut file = Fixture::program().machine(machine).tail(&note).build();
        // The first of its program headers, PT_PHDR, becomes PT_NOTE.
        let at = file.len() - note.len();
        file[64..68].copy_from_slice(&order(program_header::PT_NOTE));
        file[72..80].copy_from_slice(&wide(at));
        file[96..104].copy_from_slice(&wide(note.len()));
        file[112..120].copy_from_slice(&wide(4));
        read(&file).unwrap().kernel
    };
    for name in ["x86_64", "s390x"] {
        assert_eq!(kernel(name, 0, 1), Some((3, 10, 2)), "{name}");
        // GNU Hurd's, and the build ID.
        assert_eq!(kernel(name, 1, 1), None, "{name}");
        assert_eq!(kernel(name, 0, 3), None, "{name}");
    }
}

#[test]
fn what_is_not_elf_says_so() {
    for (bytes, expected) in [
        (&b""[..], "file too short"),
        (b"#!/bin/sh\n", "file too short"),
        (&[b'#'; 64], "invalid ELF header"),
        (&[0x7f, b'E', b'L', b'F', 9].repeat(20), "invalid ELF class"),
    ] {
        assert_eq!(reason(bytes), expected);
    }
}

/// The machine must be known even if the file is invalid: glibc's `open_verify` skips a file for another machine,
/// whatever its other faults.
#[test]
fn the_machine_is_known_of_files_that_cannot_be_read() {
    let file = whole().machine(machine("aarch64")).build();
    let mut phentsize = file.clone();
    phentsize[54] = 7;
    for bytes in [&phentsize[..], &file[..64], &file[..100]] {
        let head = read(bytes).unwrap_err().head.unwrap();
        assert_eq!(head.machine(), machine("aarch64"));
    }
}

/// A fault that only one loader refuses does not make a file unreadable: the kernel starts it.
#[test]
fn versions_of_the_header_are_noted_not_judged() {
    for (at, value) in [(header::EI_VERSION, 7), (header::EI_OSABI, 7), (9, 1), (20, 7)] {
        let mut file = whole().build();
        file[at] = value;
        assert_eq!(read(&file).unwrap().soname.as_ref().map(text), Some("libme.so.1"));
    }
}

/// A loader ignores DT_STRSZ; a string may begin at any mapped offset, and ends at a zero.
#[test]
fn strings_are_read_by_their_addresses() {
    // The search of symbol names does use the size.
    let object = |fixture: Fixture| Object { symbols: None, ..read(&fixture.build()).unwrap() };
    for size in [0, 1, u64::MAX] {
        assert_eq!(object(whole().patch(DT_STRSZ, size)), object(whole()), "{size}");
    }
    for tag in [DT_SONAME, DT_NEEDED] {
        for offset in [1 << 20, u64::from(u32::MAX), u64::MAX / 2] {
            let file = whole().patch(tag, offset).build();
            assert_eq!(reason(&file), "a string of the dynamic section is in no segment", "{tag} {offset:#x}");
        }
    }
    // The rest of the last page is zero.
    let mut open = Fixture::library().soname("x").build();
    open.truncate(open.len() - 1);
    assert_eq!(read(&open).unwrap().soname.as_ref().map(text), Some("x"));
    let mut open = Fixture::library().soname(&"x".repeat(5000)).build();
    open.truncate(0x1000);
    assert_eq!(reason(&open), "a string of the dynamic section does not end");
}

/// PT_DYNAMIC is found by its address; its offset and its size are ignored.
#[test]
fn the_dynamic_section_is_found_by_its_address_and_ends_at_its_end() {
    let file = whole().build();
    // The fourth program header; p_offset, then p_filesz and p_memsz.
    let at = 64 + 3 * 56;
    for (field, value) in [(8, 0x33_u64), (8, u64::MAX), (32, 16), (32, u64::MAX), (40, 0)] {
        let mut changed = file.clone();
        changed[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(read(&changed), read(&file), "{field} {value:#x}");
    }
    let mut nowhere = file.clone();
    nowhere[at + 16..at + 24].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(reason(&nowhere), "the dynamic section is in no segment");
}

/// `elf_get_dynamic_info` of elf/get-dynamic-info.h asserts the kind of the PLT's relocations and the sizes of entries.
/// i386 and ARM have relocations of both kinds.
#[test]
fn what_glibcs_loader_asserts_is_noted() {
    let of = |name, patches: &[(u64, u64)]| {
        let file = Fixture::library().machine(machine(name));
        let file = patches.iter().fold(file, |file, (tag, value)| file.patch(*tag, *value));
        read(&file.build()).unwrap().unmappable
    };
    let bad = Some("inconsistent dynamic section");
    for (patches, on_x86_64, on_i686) in [
        (&[][..], None, None),
        (&[(DT_PLTREL, DT_RELA)], None, None),
        (&[(DT_PLTREL, DT_REL)], bad, None),
        (&[(DT_PLTREL, 9)], bad, bad),
        (&[(DT_RELA, 0)], bad, bad),
        (&[(DT_RELAENT, 9)], None, None),
        (&[(DT_RELA, 0), (DT_RELAENT, 24)], None, bad),
        (&[(DT_RELA, 0), (DT_RELAENT, 12)], bad, None),
        (&[(DT_REL, 0)], None, bad),
        (&[(DT_REL, 0), (DT_RELENT, 8)], None, None),
        // DT_RELR and DT_RELRENT.
        (&[(36, 0)], bad, bad),
        (&[(36, 0), (37, 8)], None, bad),
    ] {
        assert_eq!((of("x86_64", patches), of("i686", patches)), (on_x86_64, on_i686), "{patches:?}");
    }
}

#[test]
fn a_string_table_that_is_nowhere_is_an_error() {
    for address in [0, 0x1234_5678_9abc, u64::MAX, u64::MAX - 4] {
        let file = whole().patch(DT_STRTAB, address).build();
        assert_eq!(reason(&file), "no string table for the dynamic section", "{address:#x}");
    }
}

#[test]
fn program_headers_of_a_wrong_size_or_past_the_end_are_an_error() {
    for machine in machines() {
        let file = whole().machine(machine).build();
        let phentsize = if machine.is_64 { 54 } else { 42 };
        for size in [0u16, 1, 31, 57, u16::MAX] {
            let mut changed = file.clone();
            let bytes = if machine.is_little_endian { size.to_le_bytes() } else { size.to_be_bytes() };
            changed[phentsize..phentsize + 2].copy_from_slice(&bytes);
            assert_eq!(reason(&changed), "ELF file's phentsize not the expected size");
        }
        let mut many = file.clone();
        many[phentsize + 2..phentsize + 4].copy_from_slice(&[0xff, 0xff]);
        assert!(answer_is_bounded(&many).is_err());
    }
}

/// The kernel takes the first PT_INTERP, which must have at most PATH_MAX bytes and end with a zero; a loader that maps
/// the file as a library ignores it (`load_elf_binary`, fs/binfmt_elf.c).
#[test]
fn an_interpreter_without_end_is_the_kernels_concern() {
    let unstartable = Some("the program interpreter's path does not end");
    let object = read(&Fixture::program().interpreter(&"i".repeat(5000)).build()).unwrap();
    assert_eq!((object.unstartable, object.interpreter), (unstartable, None));
    let longest = "i".repeat(4095);
    let object = read(&Fixture::program().interpreter(&longest).build()).unwrap();
    assert_eq!((object.unstartable, object.interpreter.as_ref().map(text)), (None, Some(&longest[..])));
    assert_eq!(read(&Fixture::program().interpreter("").build()).unwrap().unstartable, unstartable);
    // p_filesz of the third program header: one byte less excludes the zero.
    let mut short = Fixture::program().build();
    short[64 + 2 * 56 + 32] -= 1;
    assert_eq!(read(&short).unwrap().unstartable, unstartable);
}

/// UAPI.12: one note for each dependency, or one for all, of any length; each ends at its zero.
#[test]
fn dlopen_notes_are_read_whole() {
    let long = format!("[{{\"description\":\"{}\"}}]", "x".repeat(100_000));
    for machine in machines() {
        let file = whole().machine(machine).note("[1]").note("").note(&long).note("[234]").build();
        let notes: Vec<_> = read(&file).unwrap().dlopen_notes.iter().map(|note| note.to_vec()).collect();
        assert_eq!(notes, [b"[1]", &b""[..], long.as_bytes(), b"[234]"]);
    }
}

/// Notes are hints: no loader refuses a file because of them.
#[test]
fn notes_without_end_are_cut() {
    let text = "x".repeat(700_000);
    let object = read(&whole().note(&text).note(&text).note("[]").build()).unwrap();
    let lengths: Vec<_> = object.dlopen_notes.iter().map(|note| note.len()).collect();
    assert_eq!(lengths[0], text.len());
    assert!(lengths[1] < text.len() && lengths[2] == 0, "{lengths:?}");
}

#[test]
fn a_read_that_fails_is_an_error_of_its_own() {
    struct Failing;
    impl ReadAt for Failing {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    assert!(matches!(Object::read(&Failing), Err(ReadError::Io(_))));
}

/// Windows must return the same bytes for any order and length of the reads.
#[test]
fn short_reads_change_nothing() {
    struct Short<'a>(&'a [u8]);
    impl ReadAt for Short<'_> {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let length = buffer.len().min(7);
            ReadAt::read_at(self.0, &mut buffer[..length], offset)
        }
    }
    let file = whole().build();
    assert_eq!(Object::read(&Short(&file)).unwrap(), read(&file).unwrap());
}
