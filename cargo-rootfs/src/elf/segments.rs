//! The PT_LOAD segments, and the bytes of the file that a process sees at an address: whole pages are mapped, a later
//! segment over an earlier one, and the part of a segment that exists only in memory is zero (`_dl_map_segments`,
//! elf/dl-map-segments.h; `map_library` of musl's ldso/dynlink.c; `elf_map` of Linux's fs/binfmt_elf.c).
//!
//! It reads nothing.

use goblin::elf::program_header::ProgramHeader;

use crate::target::Machine;

/// The smallest page of all machines here: a fault with this size is a fault with any size.
pub(super) const PAGE: u64 = 0x1000;

#[derive(Debug, Clone, Copy)]
struct Segment {
    vaddr: u64,
    offset: u64,
    filesz: u64,
    memsz: u64,
}

impl Segment {
    /// The start and the end of the pages with bytes of the file.
    fn pages(&self) -> (u64, u64) {
        (page(self.vaddr), page_up(self.vaddr.saturating_add(self.filesz)))
    }
}

/// The segments of a file, in their order.
#[derive(Debug, Default)]
pub(super) struct Segments(Vec<Segment>);

/// The memory that a process sees from an address on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// Offset and number of bytes of the file.
    File(u64, u64),
    Zeros,
}

impl Segments {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn push(&mut self, header: &ProgramHeader) {
        let ProgramHeader { p_vaddr: vaddr, p_offset: offset, p_filesz: filesz, p_memsz: memsz, .. } = *header;
        self.0.push(Segment { vaddr, offset, filesz, memsz });
    }

    /// The memory at `address`; `None` if nothing is mapped.
    pub(super) fn at(&self, address: u64) -> Option<Run> {
        self.0.iter().rev().find_map(|segment| {
            let (start, end) = segment.pages();
            let data_end = segment.vaddr.saturating_add(segment.filesz);
            let all_end = segment.vaddr.saturating_add(segment.memsz);
            if address < start || address >= end.max(page_up(all_end)) {
                return None;
            }
            // The rest of its last page is cleared if the segment is larger in memory.
            let file_end = if all_end > data_end { data_end } else { end };
            if address >= file_end {
                return Some(Run::Zeros);
            }
            let offset = page(segment.offset).checked_add(address - start)?;
            Some(Run::File(offset, file_end - address))
        })
    }

    /// The same, and the number of addresses with the same run: a later segment may overlap its end.
    pub(super) fn stretch(&self, address: u64) -> Option<(Run, u64)> {
        let run = self.at(address)?;
        let Run::File(_, length) = run else { return Some((run, 1)) };
        let later = self.0.iter().map(|segment| segment.pages().0).filter(|start| *start > address);
        let until = later.min().unwrap_or(u64::MAX);
        Some((run, length.min(until - address)))
    }

    /// The reason why glibc's loader does not map them (`_dl_map_object_from_fd`, elf/dl-load.c).
    pub(super) fn refusal(&self, machine: Machine) -> Option<&'static str> {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else {
            return Some("object file has no loadable segments");
        };
        // The offset need not be page-aligned, but must be congruent to the address.
        if self.0.iter().any(|segment| segment.vaddr.wrapping_sub(segment.offset) % PAGE != 0) {
            return Some("ELF load command address/offset not page-aligned");
        }
        // The loader assumes that they are sorted by address, and maps the whole range first.
        let length = last.vaddr.wrapping_add(last.memsz).wrapping_sub(page(first.vaddr));
        let room = if machine.is_64 { 1 << 47 } else { 1 << 32 };
        (length == 0 || length >= room).then_some("failed to map segment from shared object")
    }
}

fn page(address: u64) -> u64 {
    address & !(PAGE - 1)
}

fn page_up(address: u64) -> u64 {
    page(address.saturating_add(PAGE - 1))
}

#[cfg(test)]
mod tests {
    use super::{Run, Segment, Segments};
    use crate::target::Machine;

    fn of(segments: &[[u64; 4]]) -> Segments {
        Segments(
            segments.iter().map(|&[vaddr, offset, filesz, memsz]| Segment { vaddr, offset, filesz, memsz }).collect(),
        )
    }

    #[test]
    fn whole_pages_are_mapped() {
        let segments = of(&[[0x1_0100, 0x2100, 0x50, 0x50]]);
        assert_eq!(segments.at(0x1_0100), Some(Run::File(0x2100, 0xf00)));
        assert_eq!(segments.at(0x1_0000), Some(Run::File(0x2000, 0x1000)));
        assert_eq!(segments.at(0x1_0fff), Some(Run::File(0x2fff, 1)));
        assert_eq!((segments.at(0xffff), segments.at(0x1_1000)), (None, None));
    }

    #[test]
    fn what_is_in_memory_alone_is_zero() {
        let segments = of(&[[0x1000, 0, 0x10, 0x1800]]);
        assert_eq!(segments.at(0x100f), Some(Run::File(0xf, 1)));
        assert_eq!((segments.at(0x1010), segments.at(0x2fff)), (Some(Run::Zeros), Some(Run::Zeros)));
        assert_eq!(segments.at(0x3000), None);
    }

    #[test]
    fn a_later_segment_lies_over_an_earlier_one() {
        let segments = of(&[[0, 0, 0x1800, 0x1800], [0x1900, 0x5900, 0x10, 0x10]]);
        assert_eq!(segments.at(0xfff), Some(Run::File(0xfff, 0x1001)));
        assert_eq!(segments.at(0x1700), Some(Run::File(0x5700, 0x900)));
    }

    #[test]
    fn a_stretch_ends_where_another_segment_begins() {
        let segments = of(&[[0, 0, 0x1800, 0x1800], [0x1900, 0x5900, 0x10, 0x10]]);
        let (run, length) = segments.stretch(0x800).unwrap();
        assert_eq!((run, length), (Run::File(0x800, 0x1800), 0x800));
        for address in 0x800..0x800 + length {
            assert_eq!(segments.at(address), Some(Run::File(address, 0x2000 - address)));
        }
        assert_eq!(segments.stretch(0x1910), Some((Run::File(0x5910, 0x6f0), 0x6f0)));
        assert_eq!(segments.stretch(0x2000), None);
    }

    #[test]
    fn addresses_at_the_end_of_all_get_an_answer() {
        let segments = of(&[[u64::MAX - 5, u64::MAX, u64::MAX, u64::MAX]]);
        for address in [0, 1, u64::MAX - 6, u64::MAX - 5, u64::MAX] {
            let _ = (segments.at(address), segments.stretch(address));
        }
        assert!(segments.refusal(Machine::host()).is_some());
    }

    #[test]
    fn segments_that_are_not_mapped() {
        let refusal = |segments: &[[u64; 4]]| {
            of(segments).refusal(Machine { e_machine: 62, is_64: true, is_little_endian: true })
        };
        assert_eq!(refusal(&[[0x10, 0x1010, 1, 1]]), None);
        assert_eq!(refusal(&[]), Some("object file has no loadable segments"));
        assert_eq!(refusal(&[[0x10, 0x11, 1, 1]]), Some("ELF load command address/offset not page-aligned"));
        for segments in [&[[0, 0, 0, 0]][..], &[[0x5000, 0, 1, 1], [0, 0, 1, 1]], &[[0, 0, 1, 1 << 50]]] {
            assert_eq!(refusal(segments), Some("failed to map segment from shared object"));
        }
    }
}
