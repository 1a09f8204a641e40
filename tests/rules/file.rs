//! The files of the rules: the keys of their tables, and their bytes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::forge::{Fixture, Machine};
use super::{Body, Text};

/// A file: by default an ELF library for the loader's machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    link: Option<String>,
    /// The path of the file to which it is a hard link.
    same_as: Option<String>,
    pub(super) text: Option<String>,
    directory: bool,
    socket: bool,
    fifo: bool,
    /// True if the file is unreadable.
    denied: bool,
    /// True if it is a copy of the loader's own file.
    loader: bool,
    /// True if it is removed, in `later`.
    gone: bool,

    /// True if it is a program, with an interpreter.
    program: bool,
    interpreter: Option<String>,
    /// The machine, if it is not the loader's.
    machine: Option<String>,
    pub(super) soname: Option<String>,
    needs: Vec<String>,
    rpath: Option<String>,
    runpath: Option<String>,
    auxiliary: Vec<String>,
    filter: Vec<String>,
    /// True if filters come before needed libraries; linkers write them after.
    filters_first: bool,
    /// DF_1_NODEFLIB, DF_1_NOOPEN, DF_1_PIE.
    flags: Vec<String>,
    without_dynamic_section: bool,
    /// Needed versions, by file; weak ones begin with `?`.
    needs_versions: BTreeMap<String, Vec<String>>,
    defines_versions: Vec<String>,
    /// dlopen notes: a priority and sonames, or JSON.
    notes: Vec<String>,
    /// Text at the end of the file, as constants are.
    tail: Option<String>,

    /// Values of fields of the ELF header (elf(5)), or bytes from there on.
    header: BTreeMap<String, Field>,
    /// Values of fields of program headers: `PT_LOAD.p_align`, `last PT_LOAD.p_memsz`.
    segments: BTreeMap<String, i64>,
    /// Types of program headers that become PT_NULL.
    without_segments: Vec<String>,
    /// Values of entries of the dynamic section.
    dynamic: BTreeMap<String, i64>,
    /// Tags of entries that are left out.
    without: Vec<String>,
    /// The remaining number of bytes of the file.
    cut: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Field {
    Number(i64),
    Bytes(Vec<u8>),
}

impl File {
    /// The same file as a program.
    pub(super) fn program(&self) -> Self {
        Self { program: true, ..self.clone() }
    }

    pub(super) fn body(&self, text: &Text<'_>) -> Result<Body, String> {
        Ok(match self {
            File { link: Some(target), .. } => Body::Link(text.of(target)),
            File { same_as: Some(path), .. } => Body::HardLink(text.of(path)),
            File { text: Some(bytes), .. } => Body::Bytes(text.of(bytes).into_bytes()),
            File { directory: true, .. } => Body::Directory,
            File { socket: true, .. } => Body::Socket,
            File { fifo: true, .. } => Body::Fifo,
            File { denied: true, .. } => Body::Denied,
            File { loader: true, .. } => Body::Loader,
            File { gone: true, .. } => Body::Gone,
            _ => Body::Bytes(self.elf(text)?),
        })
    }

    fn elf(&self, text: &Text<'_>) -> Result<Vec<u8>, String> {
        let name = self.machine.as_ref().map_or(text.loader.machine.to_owned(), |machine| text.of(machine));
        let machine = number(MACHINES, &name)?;
        let mut file = Fixture::library().machine(machine);
        if let Some(path) = &self.interpreter {
            file = file.interpreter(&text.of(path));
        } else if self.program {
            file = file.interpreter(text.loader.interpreter);
        }
        let filters = |file: Fixture| {
            let file = text.list(&self.auxiliary).iter().fold(file, |file, name| file.auxiliary(name));
            text.list(&self.filter).iter().fold(file, |file, name| file.filter(name))
        };
        if self.filters_first {
            file = filters(file);
        }
        file = text.list(&self.needs).iter().fold(file, |file, name| file.needs(name));
        if let Some(name) = &self.soname {
            file = file.soname(&text.of(name));
        }
        if let Some(path) = &self.rpath {
            file = file.rpath(&text.path(path));
        }
        if let Some(path) = &self.runpath {
            file = file.runpath(&text.path(path));
        }
        if !self.filters_first {
            file = filters(file);
        }
        if !self.flags.is_empty() {
            let bits = self.flags.iter().map(|flag| number(FLAGS_1, flag)).collect::<Result<Vec<_>, _>>()?;
            file = file.flags_1(bits.iter().fold(0, |all, bit| all | bit));
        }
        for (of, versions) in &self.needs_versions {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            file = file.needs_versions(&text.of(of), &versions);
        }
        let defined = text.list(&self.defines_versions);
        file = file.defines_versions(&defined.iter().map(String::as_str).collect::<Vec<_>>());
        for note in &self.notes {
            file = file.note(&dlopen_note(&text.of(note)));
        }
        if let Some(tail) = &self.tail {
            file = file.tail(text.of(tail).as_bytes());
        }
        for (tag, value) in &self.dynamic {
            file = file.patch(number(TAGS, tag)?, *value as u64);
        }
        for tag in &self.without {
            file = file.without(number(TAGS, tag)?);
        }
        if self.without_dynamic_section {
            file = file.without_dynamic_section();
        }
        if !self.segments.is_empty() {
            file = file.with_zeros();
        }
        let mut bytes = file.build();
        for (field, value) in &self.header {
            let (at, width) = number(HEADER, field)?;
            match value {
                Field::Number(value) => write(&mut bytes, at, &value.to_le_bytes()[..width])?,
                Field::Bytes(values) => write(&mut bytes, at, values)?,
            }
        }
        for (field, value) in &self.segments {
            let (kind, field) = field.rsplit_once('.').ok_or("no field of a segment")?;
            let (kind, is_last) = kind.strip_prefix("last ").map_or((kind, false), |kind| (kind, true));
            let of_kind = segments(&bytes, number(SEGMENTS, kind)?);
            let start = if is_last { of_kind.last() } else { of_kind.first() };
            write(&mut bytes, start.ok_or("no such segment")? + number(SEGMENT, field)?, &value.to_le_bytes())?;
        }
        for kind in &self.without_segments {
            for start in segments(&bytes, number(SEGMENTS, kind)?) {
                write(&mut bytes, start, &[0; 4])?;
            }
        }
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        Ok(bytes)
    }
}

/// The note text `required libb.so.2 libb.so` in the form of UAPI.12.
fn dlopen_note(text: &str) -> String {
    match text.split_once(' ') {
        Some((priority, names)) if !text.starts_with('[') => {
            let names: Vec<_> = names.split(' ').map(|name| format!("\"{name}\"")).collect();
            format!("[{{\"soname\":[{}],\"priority\":\"{priority}\"}}]", names.join(","))
        }
        _ => text.to_owned(),
    }
}

fn number<T: Copy>(table: &[(&str, T)], name: &str) -> Result<T, String> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number).ok_or_else(|| format!("`{name}` is not known"))
}

fn write(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), String> {
    bytes.get_mut(at..at + value.len()).ok_or("nothing to write over")?.copy_from_slice(value);
    Ok(())
}

/// The offsets of the program headers of a type in a 64-bit little-endian file.
fn segments(bytes: &[u8], kind: u32) -> Vec<usize> {
    let number =
        |at: usize, width: usize| bytes[at..at + width].iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte));
    let starts = (0..number(56, 2)).map(|index| number(32, 8) + index * 56);
    starts.filter(|start| number(*start, 4) == kind as usize).collect()
}

const fn machine(e_machine: u16, is_64: bool, is_little_endian: bool) -> Machine {
    Machine { e_machine, is_64, is_little_endian }
}

const MACHINES: &[(&str, Machine)] = &[
    ("x86_64", machine(62, true, true)),
    ("aarch64", machine(183, true, true)),
    ("i686", machine(3, false, true)),
    ("s390x", machine(22, true, false)),
];

const FLAGS_1: &[(&str, u64)] = &[("DF_1_NOOPEN", 0x40), ("DF_1_NODEFLIB", 0x800), ("DF_1_PIE", 0x0800_0000)];

const TAGS: &[(&str, u64)] = &[
    ("DT_STRTAB", 5),
    ("DT_RELA", 7),
    ("DT_STRSZ", 10),
    ("DT_PLTREL", 20),
    ("DT_RELRSZ", 35),
    ("DT_RELR", 36),
    ("DT_RELRENT", 37),
    ("of nobody", 0x6000_0124),
];

/// Offsets and widths in the header of a 64-bit file; those of a 32-bit one are the same up to `e_version`.
const HEADER: &[(&str, (usize, usize))] = &[
    ("EI_MAG0", (0, 1)),
    ("EI_CLASS", (4, 1)),
    ("EI_DATA", (5, 1)),
    ("EI_VERSION", (6, 1)),
    ("EI_OSABI", (7, 1)),
    ("EI_ABIVERSION", (8, 1)),
    ("EI_PAD", (9, 1)),
    ("e_type", (16, 2)),
    ("e_machine", (18, 2)),
    ("e_version", (20, 4)),
    ("e_entry", (24, 8)),
    ("e_phoff", (32, 8)),
    ("e_shoff", (40, 8)),
    ("e_phentsize", (54, 2)),
    ("e_phnum", (56, 2)),
];

const SEGMENTS: &[(&str, u32)] = &[("PT_LOAD", 1), ("PT_DYNAMIC", 2)];
const SEGMENT: &[(&str, usize)] =
    &[("p_offset", 8), ("p_vaddr", 16), ("p_filesz", 32), ("p_memsz", 40), ("p_align", 48)];
