//! Hostile files: records without an end, lying headers, any bytes.

use super::*;

/// A fixture whose version section `tag` is made by `records` of its address in the file.
fn with_records(tag: u64, count_tag: u64, count: u64, records: &[u8]) -> Vec<u8> {
    let build = |at| Fixture::library().soname("libx.so").patch(tag, at).patch(count_tag, count).tail(records).build();
    let length = build(0).len();
    build(BASE + (length - records.len()) as u64)
}

fn verneed(aux: u32, next: u32) -> Vec<u8> {
    let mut bytes = vec![1, 0, 1, 0];
    for value in [1, aux, next] {
        bytes.extend_from_slice(&u32::to_le_bytes(value));
    }
    bytes
}

fn vernaux(next: u32) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for value in [1, next] {
        bytes.extend_from_slice(&u32::to_le_bytes(value));
    }
    bytes
}

/// A file that counts the bytes read of it.
struct Counted<'a> {
    bytes: &'a [u8],
    read: Cell<usize>,
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length = ReadAt::read_at(self.bytes, buffer, offset)?;
        self.read.set(self.read.get() + length);
        Ok(length)
    }
}

/// Checks that the file gets a result, and that the number of bytes read is limited by a few times its length.
pub(super) fn answer_is_bounded(bytes: &[u8]) -> Result<Object, ReadError> {
    let counted = Counted { bytes, read: Cell::new(0) };
    let answer = Object::read(&counted);
    assert!(counted.read.get() < 64 * bytes.len().max(MAX_PART), "{} bytes read", counted.read.get());
    answer
}

/// The chain follows `vn_next`, as `_dl_check_map_versions` (elf/dl-version.c) does, and ignores DT_VERNEEDNUM and
/// DT_VERDEFNUM.
#[test]
fn version_chains_are_followed_to_their_end_not_by_their_count() {
    for count in [0, 1, u64::MAX] {
        let file = whole().patch(DT_VERNEEDNUM, count).patch(DT_VERDEFNUM, count).build();
        let object = answer_is_bounded(&file).unwrap();
        assert_eq!(object.version_needs.len(), 2, "{count}");
        assert_eq!(object.version_definitions.len(), 2, "{count}");
    }
}

#[test]
fn version_chains_without_an_end_get_an_answer() {
    // Overlapping records, at a distance of one byte or of one record, up to the file's end.
    for stride in [1, 16] {
        let endless = [verneed(stride, stride), vernaux(stride).repeat(4000)].concat();
        assert!(answer_is_bounded(&with_records(DT_VERNEED, DT_VERNEEDNUM, u64::MAX, &endless)).is_err());
    }
    // One aux for all: as many records as fit, each of which leads through the same rest.
    let dense = verneed(16, 16).repeat(10_000);
    assert!(answer_is_bounded(&with_records(DT_VERNEED, DT_VERNEEDNUM, u64::MAX, &dense)).is_err());
    let definitions = [1u8, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0].repeat(4000);
    let _ = answer_is_bounded(&with_records(DT_VERDEF, DT_VERDEFNUM, u64::MAX, &definitions));
}

#[test]
fn version_records_past_the_end_are_an_error() {
    for (aux, next) in [(u32::MAX, 0), (16, u32::MAX)] {
        let records = [verneed(aux, next), vernaux(0)].concat();
        assert_eq!(
            reason(&with_records(DT_VERNEED, DT_VERNEEDNUM, 2, &records)),
            "version needs past the end of the file"
        );
    }
    for address in [0, u64::MAX, u64::MAX - 15] {
        assert!(read(&whole().patch(DT_VERNEED, address).build()).is_err(), "{address:#x}");
        assert!(read(&whole().patch(DT_VERDEF, address).build()).is_err(), "{address:#x}");
    }
}

#[test]
fn many_long_strings_have_a_limit() {
    // Each of 60 000 entries names the same string of 100 000 bytes.
    let mut file = Fixture::library().needs(&"x".repeat(100_000));
    for _ in 0..60_000 {
        file = file.needs("");
    }
    let bytes = file.patch(DT_NEEDED, 1).build();
    assert_eq!(
        match answer_is_bounded(&bytes).unwrap_err() {
            ReadError::Malformed(malformed) => malformed.reason,
            ReadError::Io(error) => error.to_string(),
        },
        "its strings are too long"
    );
    let mut endless = Fixture::library();
    for _ in 0..MAX_ENTRIES {
        endless = endless.needs("");
    }
    assert_eq!(reason(&endless.build()), "the dynamic section has no end");
}

/// All fields with offsets of `word` bytes, for both classes.
#[test]
fn headers_that_lie_get_an_answer() {
    for machine in machines() {
        let (fields, phdr_fields, phoff, phdr): (&[usize], &[usize], usize, usize) = if machine.is_64 {
            (&[24, 32, 40], &[8, 16, 32, 40], 64, 56)
        } else {
            (&[24, 28, 32], &[4, 8, 16, 20], 52, 32)
        };
        let file = whole().machine(machine).build();
        let width = if machine.is_64 { 8 } else { 4 };
        let mut places: Vec<usize> = fields.to_vec();
        for segment in 0..4 {
            places.extend(phdr_fields.iter().map(|field| phoff + segment * phdr + field));
        }
        for place in places {
            for value in [u64::MAX, u64::MAX - 1, u64::MAX / 2, 1 << 63, 1 << 31, file.len() as u64 - 1, 0, 1] {
                let mut changed = file.clone();
                let bytes = if machine.is_little_endian {
                    value.to_le_bytes()[..width].to_vec()
                } else {
                    value.to_be_bytes()[8 - width..].to_vec()
                };
                changed[place..place + width].copy_from_slice(&bytes);
                let _ = answer_is_bounded(&changed);
            }
        }
    }
}

/// Every prefix of a file gets a result, without a panic or unlimited reads.
#[test]
fn every_prefix_gets_an_answer() {
    for machine in machines() {
        let file = whole().machine(machine).build();
        for length in 0..file.len() {
            let _ = answer_is_bounded(&file[..length]);
        }
        assert!(read(&file).is_ok());
    }
}

/// Many single-byte changes of fixtures and of real files get a result, without a panic or long work.
#[test]
fn hostile_bytes_get_an_answer() {
    let mut files: Vec<Vec<u8>> = machines().into_iter().map(|machine| whole().machine(machine).build()).collect();
    for path in ["/bin/true", "/bin/bash", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"] {
        if let Ok(mut bytes) = std::fs::read(path) {
            bytes.truncate(40_000);
            files.push(bytes);
        }
    }
    assert!(files.len() > machines().len(), "no file of this machine was read");
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for file in &files {
        for length in (0..file.len()).step_by(997) {
            let _ = Object::read(&file[..length]);
        }
        let mut changed = file.clone();
        for _ in 0..4_000 {
            let places: Vec<usize> = (0..1 + random() % 4).map(|_| random() % file.len().min(2048)).collect();
            for &place in &places {
                changed[place] = random() as u8;
            }
            let _ = Object::read(&changed[..]);
            for &place in &places {
                changed[place] = file[place];
            }
        }
    }
}
