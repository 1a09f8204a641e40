//! Inputs with the most work for their length: many names, each searched in many places.
//!
//! Each is for one place where work could grow as a product. All are within the limits on the length of files.

use super::{INSIDE, answer, entry, inside};

#[test]
fn elf_files() {
    run(
        "elf_files",
        entry::elf,
        &[
            ("names-times-folders", names_times_folders()),
            ("versions-times-definitions", versions_times_definitions()),
            ("versions-times-names", versions_times_names()),
            ("note-segments", note_segments()),
        ],
    );
}

#[test]
fn ld_so_caches() {
    run(
        "ld_so_caches",
        entry::ld_so_cache,
        &[
            ("one-name", cache(20_000, b"libq.so.1")),
            ("long-names", cache(20_000, &[b'l'; 500_000])),
            ("long-numbers", cache(20_000, &[&b"libq.so."[..], &[b'9'; 500_000]].concat())),
        ],
    );
}

#[test]
fn ld_so_confs() {
    let folders: Vec<u8> = (0..120_000).flat_map(|n| format!("/{n:x}\n").into_bytes()).collect();
    run(
        "ld_so_confs",
        entry::ld_so_conf,
        &[
            ("folders", folders),
            ("includes", b"include ld.so.conf.d/*.conf\n".repeat(30_000)),
            ("includes-in-a-line", [b"include".to_vec(), b" /etc/ld.so.conf.d/*".repeat(40_000)].concat()),
            ("stars", [b"include /etc/ld.so.conf.d/".to_vec(), b"*a".repeat(400_000)].concat()),
            ("colons", b"/a:".repeat(300_000)),
        ],
    );
}

#[test]
fn ld_so_preloads() {
    run(
        "ld_so_preloads",
        entry::ld_so_preload,
        &[
            ("names", (0..12_000).flat_map(|n| format!("{n:x} ").into_bytes()).collect()),
            ("paths", b"/lib/liba.so:".repeat(5_000)),
        ],
    );
}

#[test]
fn notes() {
    let note = |text: &[u8]| {
        let words = [4, text.len() as u32, 0x407c_0c0a].map(u32::to_le_bytes).concat();
        [&words[..], b"FDO\0", text, &[0; 3][..text.len().next_multiple_of(4) - text.len()]].concat()
    };
    let notes = |notes: Vec<u8>| [vec![0], notes].concat();
    let sonames: Vec<String> = (0..50_000).map(|n| format!("\"{n:x}\"")).collect();
    run(
        "notes",
        entry::notes,
        &[
            ("empty", notes(note(b"").repeat(60_000))),
            ("deep", notes(note(&b"[{\"soname\":".repeat(60_000)))),
            (
                "entries",
                notes(note(format!("[{}{{\"soname\":[\"a\"]}}]", "{\"soname\":[\"a\"]},".repeat(30_000)).as_bytes())),
            ),
            ("sonames", notes(note(format!("[{{\"soname\":[{}]}}]", sonames.join(",")).as_bytes()))),
        ],
    );
}

fn run(test: &str, entry: fn(&[u8]), inputs: &[(&str, Vec<u8>)]) {
    if std::env::var_os(INSIDE).is_none() {
        return inside(&format!("large::{test}"));
    }
    for (name, input) in inputs {
        answer(entry, &format!("{test}-{name}"), input);
    }
}

/// A RUNPATH of 20,000 directories, and 50,000 names that share their bytes.
fn names_times_folders() -> Vec<u8> {
    let mut strings = vec![0];
    let runpath = strings.len();
    (0..20_000).for_each(|n| strings.extend(format!("/{n:x}:").bytes()));
    strings.push(0);
    let names = shared_names(&mut strings, 50_000);
    let entries: Vec<_> = [(DT_RUNPATH, runpath)].into_iter().chain(names.map(|name| (DT_NEEDED, name))).collect();
    program(&strings, &[], |_| entries.clone())
}

/// Equal numbers of needed and defined versions, all with one hash but different names.
fn versions_times_definitions() -> Vec<u8> {
    const COUNT: usize = 30_000;
    let mut strings = b"\0liba.so\0".to_vec();
    let needed: Vec<usize> = shared_names(&mut strings, COUNT).collect();
    let defined: Vec<usize> = shared_names(&mut strings, COUNT).collect();
    let mut verneed = [half(1), half(0), word(1), word(16), word(0)].concat();
    for (index, name) in needed.iter().enumerate() {
        let next = if index + 1 == COUNT { 0 } else { 16 };
        verneed.extend([word(7), half(0), half(2), word(*name), word(next)].concat());
    }
    let mut verdef = Vec::new();
    for (index, name) in defined.iter().enumerate() {
        let next = if index + 1 == COUNT { 0 } else { 28 };
        verdef
            .extend([half(1), half(0), half(2), half(1), word(7), word(20), word(next), word(*name), word(0)].concat());
    }
    program(&strings, &[&verneed, &verdef], |at| vec![(DT_NEEDED, 1), (DT_VERNEED, at[0]), (DT_VERDEF, at[1])])
}

/// Versions of libraries that nothing loads, and many names to compare.
fn versions_times_names() -> Vec<u8> {
    const COUNT: usize = 20_000;
    let mut strings = vec![0];
    let files: Vec<usize> = shared_names(&mut strings, COUNT).collect();
    let names: Vec<usize> = shared_names(&mut strings, COUNT).collect();
    let mut verneed = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let next = if index + 1 == COUNT { 0 } else { 32 };
        verneed.extend([half(1), half(1), word(*file), word(16), word(next)].concat());
        verneed.extend([word(7), half(0), half(2), word(*file), word(0)].concat());
    }
    program(&strings, &[&verneed], |at| {
        [(DT_VERNEED, at[0])].into_iter().chain(names.iter().map(|name| (DT_NEEDED, *name))).collect()
    })
}

/// A PT_NOTE in each possible program header, all of the same notes.
fn note_segments() -> Vec<u8> {
    const COUNT: usize = 65_535;
    let notes = [word(4), word(0), word(9), b"GNU\0".to_vec()].concat().repeat(250);
    let at = 64 + 56 * COUNT;
    let mut file = ehdr(COUNT);
    for _ in 0..COUNT {
        file.extend(phdr(4, at, notes.len()));
    }
    [file, notes].concat()
}

/// Entries in the new format that all have the same string as name and as path.
fn cache(count: usize, text: &[u8]) -> Vec<u8> {
    let mut file = b"glibc-ld.so.cache1.1".to_vec();
    file.extend([word(count), word(text.len() + 1), vec![2; 1], vec![0; 19]].concat());
    let at = file.len() + count * 24;
    file.extend([word(0x0303), word(at), word(at), vec![0; 12]].concat().repeat(count));
    file.extend_from_slice(text);
    file.push(0);
    file
}

/// Adds `count` different strings to the table, 44 of which are ends of one: they differ at the end only.
fn shared_names(strings: &mut Vec<u8>, count: usize) -> impl Iterator<Item = usize> + use<> {
    let first = strings.len();
    (0..count.div_ceil(44)).for_each(|n| strings.extend(format!("{}{:07x}\0", "a".repeat(43), first + n).bytes()));
    (0..count).map(move |n| first + n / 44 * 51 + n % 44)
}

const DT_NEEDED: usize = 1;
const DT_RUNPATH: usize = 29;
const DT_VERNEED: usize = 0x6fff_fffe;
const DT_VERDEF: usize = 0x6fff_fffc;

/// A program with these strings and sections, and dynamic entries made from the sections' offsets.
fn program(strings: &[u8], sections: &[&[u8]], entries: impl Fn(&[usize]) -> Vec<(usize, usize)>) -> Vec<u8> {
    let interpreter = b"/lib64/ld-linux-x86-64.so.2\0";
    let header = 64 + 56 * 3;
    let strings_at = header + interpreter.len();
    let mut end = strings_at + strings.len();
    let places: Vec<usize> = sections
        .iter()
        .map(|section| {
            let at = end.next_multiple_of(8);
            end = at + section.len();
            at
        })
        .collect();
    let dynamic_at = end.next_multiple_of(8);
    let fixed = [(5, strings_at), (10, strings.len())];
    let entries: Vec<_> = fixed.into_iter().chain(entries(&places)).chain([(0, 0)]).collect();
    let end = dynamic_at + entries.len() * 16;

    let mut file = ehdr(3);
    file.extend(
        [phdr(1, 0, end), phdr(3, header, interpreter.len()), phdr(2, dynamic_at, entries.len() * 16)].concat(),
    );
    file.extend_from_slice(interpreter);
    file.extend_from_slice(strings);
    for (at, section) in places.into_iter().zip(sections) {
        file.resize(at, 0);
        file.extend_from_slice(section);
    }
    file.resize(dynamic_at, 0);
    file.extend(entries.into_iter().flat_map(|(tag, value)| [long(tag), long(value)].concat()));
    file
}

/// An Elf64_Ehdr for x86_64, followed by this number of program headers (elf(5)).
fn ehdr(headers: usize) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([half(3), half(62), word(1), long(0), long(64), long(0), word(0)].concat());
    bytes.extend([half(64), half(56), half(headers), half(0), half(0), half(0)].concat());
    bytes
}

/// An Elf64_Phdr of a part that is mapped at its offset.
fn phdr(kind: usize, at: usize, size: usize) -> Vec<u8> {
    [word(kind), word(4), long(at), long(at), long(at), long(size), long(size), long(4)].concat()
}

fn half(value: usize) -> Vec<u8> {
    (value as u16).to_le_bytes().to_vec()
}

fn word(value: usize) -> Vec<u8> {
    (value as u32).to_le_bytes().to_vec()
}

fn long(value: usize) -> Vec<u8> {
    (value as u64).to_le_bytes().to_vec()
}
