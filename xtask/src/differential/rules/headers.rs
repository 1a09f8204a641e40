//! Which candidates the loader passes over, which it takes in spite of what is wrong with them, and which make it give
//! up: `open_verify`, `_dl_map_object_from_fd` and `_dl_map_segments` of elf/dl-load.c, and `elf_get_dynamic_info`.

use super::Rule;
use super::forge::{Flavor, Object, Tree};

const TAKES: &[&str] = &["/r/x/liba.so"];
const PASSES_OVER: &[&str] = &["/r/y/liba.so"];
const GIVES_UP: &[&str] = &["gives up"];

/// A rule of a library that is found first, written over in some way; another one comes after it.
fn rule(says: &'static str, change: impl Fn(&mut Object), then: &[&str]) -> Rule {
    let files = |t: &mut Tree| {
        t.app().needs("liba.so").runpath("/r/x:/r/y");
        t.library("/r/y/liba.so");
        change(t.library("/r/x/liba.so"));
    };
    Rule::new(says, files, then)
}

/// All of them.
pub(super) fn rules(flavor: &Flavor) -> Vec<Rule> {
    let mut rules = header(flavor);
    rules.extend(other_machine(flavor));
    rules.extend(segments());
    rules.extend(dynamic_section());
    rules
}

// Where fields stand in the header of a 64-bit file (elf(5)).
const EI_DATA: usize = 5;
const EI_VERSION: usize = 6;
const EI_OSABI: usize = 7;
const EI_ABIVERSION: usize = 8;
const EI_PAD: usize = 9;
const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
const E_VERSION: usize = 20;
const E_ENTRY: usize = 24;
const E_PHOFF: usize = 32;
const E_SHOFF: usize = 40;
const E_PHENTSIZE: usize = 54;
const E_PHNUM: usize = 56;

// And in a program header.
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const P_OFFSET: usize = 8;
const P_VADDR: usize = 16;
const P_FILESZ: usize = 32;
const P_MEMSZ: usize = 40;
const P_ALIGN: usize = 48;

const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SYMENT: u64 = 11;
/// What no loader looks at and every linker writes, and what is put in its place.
const SPARE: u64 = DT_SYMENT;

fn header(flavor: &Flavor) -> Vec<Rule> {
    // LIBC_ABI_MAX: x86-64 counts indirect functions among the features of the ABI (libc-abis).
    let newest = if flavor.platform == "x86_64" { 3 } else { 2 };
    vec![
        rule("a library of the GNU OS ABI is taken", |o| o.write(EI_OSABI, &[3]), TAKES),
        rule("one of its newest version too", |o| o.write(EI_OSABI, &[3, newest]), TAKES),
        rule("one of a later version makes the loader give up", |o| o.write(EI_OSABI, &[3, newest + 1]), GIVES_UP),
        rule("one of FreeBSD's OS ABI makes the loader give up", |o| o.write(EI_OSABI, &[9]), GIVES_UP),
        rule("so does a version of no OS ABI", |o| o.write(EI_ABIVERSION, &[1]), GIVES_UP),
        rule("so does anything in the padding of e_ident", |o| o.write(EI_PAD, &[1]), GIVES_UP),
        rule("so does another version of ELF in e_ident", |o| o.write(EI_VERSION, &[2]), GIVES_UP),
        rule("so does another version of ELF", |o| o.write(E_VERSION, &[2]), GIVES_UP),
        rule("so does the other byte order", |o| o.write(EI_DATA, &[2]), GIVES_UP),
        rule("so does no byte order", |o| o.write(EI_DATA, &[0]), GIVES_UP),
        rule("so does a relocatable object", |o| o.write(E_TYPE, &[1]), GIVES_UP),
        rule("so does a core dump", |o| o.write(E_TYPE, &[4]), GIVES_UP),
        rule("so does a type that there is not", |o| o.write(E_TYPE, &[0, 0xfe]), GIVES_UP),
        rule("so do program headers of another size", |o| o.write(E_PHENTSIZE, &[57]), GIVES_UP),
        rule("so do none at all", |o| o.write(E_PHNUM, &[0]), GIVES_UP),
        rule("so do more than the file holds", |o| o.write(E_PHNUM, &[0xff, 0xff]), GIVES_UP),
        rule("so do program headers behind the file's end", |o| o.write(E_PHOFF, &[0, 0, 0, 1]), GIVES_UP),
        rule("so does a magic number that is not ELF's", |o| o.write(0, &[0x7e]), GIVES_UP),
        rule(
            "where the sections and the entry point are is nothing to the loader",
            |o| {
                o.write(E_SHOFF, &[0xff; 8]);
                o.write(E_ENTRY, &[0xff; 8]);
            },
            TAKES,
        ),
        rule(
            "a file that ends after its ELF header makes the loader give up",
            |o| {
                o.cut_to(64);
            },
            GIVES_UP,
        ),
        rule(
            "a position-independent executable as a candidate makes the loader give up",
            |o| o.made_independent_executable(),
            GIVES_UP,
        ),
    ]
}

/// The machine counts before what is wrong in `e_ident`, with Debian's patch, and after the version of ELF.
fn other_machine(flavor: &Flavor) -> Vec<Rule> {
    // EM_S390 in either byte order is no machine that a judge here runs on.
    const OTHER: &[u8] = &[0, 22];
    let with = |says, change: fn(&mut Object), then| {
        let both = move |o: &mut Object| {
            o.write(E_MACHINE, OTHER);
            change(o);
        };
        rule(says, both, then)
    };
    let by_patch = if flavor.is_debians { PASSES_OVER } else { GIVES_UP };
    vec![
        with("a library for another machine is passed over, its type unseen", |o| o.write(E_TYPE, &[1]), PASSES_OVER),
        with("its program headers unseen", |o| o.write(E_PHENTSIZE, &[57]), PASSES_OVER),
        with("one of the other byte order is passed over by Debian's loader", |o| o.write(EI_DATA, &[2]), by_patch),
        with("its OS ABI and padding unseen", |o| o.write(EI_OSABI, &[9, 9, 9]), by_patch),
        with("but not its version of ELF", |o| o.write(E_VERSION, &[2]), GIVES_UP),
        rule(
            "a library of another class is passed over, whatever else is wrong with it",
            |o| {
                o.of_another_class();
                o.write(EI_DATA, &[9, 9, 9, 9, 9]);
                o.write(E_VERSION, &[9]);
            },
            PASSES_OVER,
        ),
        rule(
            "but not one that is too short for the loader's own class",
            |o| {
                o.of_another_class();
                o.cut_to(63);
            },
            GIVES_UP,
        ),
        rule(
            "one that is no longer than that is passed over",
            |o| {
                o.of_another_class();
                o.cut_to(64);
            },
            PASSES_OVER,
        ),
    ]
}

fn segments() -> Vec<Rule> {
    vec![
        rule(
            "a segment whose offset is not as far from a page as its address makes the loader give up",
            |o| o.segment(PT_LOAD, P_OFFSET, 1),
            GIVES_UP,
        ),
        rule(
            "an alignment that is no power of two is nothing to the loader",
            |o| o.segment(PT_LOAD, P_ALIGN, 0x1001),
            TAKES,
        ),
        rule("a segment that is longer in the file than in memory is taken", |o| o.segment(PT_LOAD, P_MEMSZ, 0), TAKES),
        rule(
            "a segment that is longer than all memory makes the loader give up",
            |o| o.last_segment(PT_LOAD, P_MEMSZ, 1 << 62),
            GIVES_UP,
        ),
        rule("segments that go down make the loader give up", |o| o.segment(PT_LOAD, P_VADDR, 1 << 40), GIVES_UP),
        rule("a library without segments makes the loader give up", |o| o.without_segments(PT_LOAD), GIVES_UP),
        rule(
            "a library without a dynamic section makes the loader give up",
            |o| o.without_segments(PT_DYNAMIC),
            GIVES_UP,
        ),
        rule(
            "so does one whose dynamic section is empty, as in a file of debug information",
            |o| o.segment(PT_DYNAMIC, P_FILESZ, 0),
            GIVES_UP,
        ),
        rule(
            "so does one whose dynamic section is in no segment",
            |o| o.segment(PT_DYNAMIC, P_VADDR, 1 << 40),
            GIVES_UP,
        ),
    ]
}

fn dynamic_section() -> Vec<Rule> {
    /// A library that needs another one, written over in some way.
    fn needing(says: &'static str, change: impl Fn(&mut Object), then: &[&str]) -> Rule {
        let files = |t: &mut Tree| {
            t.app().needs("liba.so").runpath("/r/x");
            change(t.library("/r/x/liba.so").needs("libb.so").runpath("/r/x"));
            t.library("/r/x/libb.so");
        };
        Rule::new(says, files, then)
    }
    const BOTH: &[&str] = &["/r/x/liba.so", "/r/x/libb.so"];
    vec![
        needing(
            "the dynamic section is found by its address, not its offset",
            |o| {
                o.segment(PT_DYNAMIC, P_OFFSET, 0);
            },
            BOTH,
        ),
        needing(
            "it ends at its end, not after its size",
            |o| {
                o.segment(PT_DYNAMIC, P_FILESZ, 16);
            },
            BOTH,
        ),
        needing("a string may lie outside DT_STRSZ", |o| o.entry(DT_STRSZ, DT_STRSZ, 1), BOTH),
        needing("DT_STRSZ may be missing", |o| o.entry(DT_STRSZ, SPARE, 0), BOTH),
        needing("DT_STRTAB may not be missing", |o| o.entry(DT_STRTAB, SPARE, 0), GIVES_UP),
        needing(
            "a string table that is in no segment makes the loader give up",
            |o| {
                o.entry(DT_STRTAB, DT_STRTAB, 1 << 40);
            },
            GIVES_UP,
        ),
        needing(
            "relocations of the other kind for the PLT make the loader give up",
            |o| {
                // DT_PLTREL, and DT_REL as its value.
                o.entry(SPARE, 20, 17);
            },
            GIVES_UP,
        ),
        needing("those of the right kind do not", |o| o.entry(SPARE, 20, 7), BOTH),
        needing("relocations without a size make the loader give up", |o| o.entry(SPARE, 7, 0), GIVES_UP),
        needing(
            "what has a tag that nobody knows is nothing to the loader",
            |o| {
                o.entry(SPARE, 0x6000_0123, u64::MAX);
            },
            BOTH,
        ),
    ]
}
