//! The version sections, found through DT_VERNEED and DT_VERDEF: chains of records, followed in the way of the loader.
//!
//! It does not check that any file defines a needed version.

use super::dynamic_section::Strtab;
use super::{MAX_ENTRIES, Parse, ReadAt, ReadError, offset_by};

pub(super) const VER_FLG_WEAK: u16 = 2;

impl<F: ReadAt + ?Sized> Parse<'_, F> {
    /// Reads the chain of `Elf64_Verneed` (the same for both classes; LSB core specification, 10.7.2). The loader
    /// follows it to its end and ignores DT_VERNEEDNUM (`_dl_check_map_versions`).
    pub(super) fn version_needs(&mut self, strtab: &Strtab, address: u64) -> Result<(), ReadError> {
        let mut budget = MAX_ENTRIES;
        let mut at = self.file_offset(address);
        loop {
            let (revision, aux, next, file) = match self.record(at, 16)? {
                Some(record) => (record.u16(0), record.u32(8), record.u32(12), record.u32(4)),
                None => return Err(self.malformed("version needs past the end of the file")),
            };
            let before = self.raw.versions.len();
            let mut aux_at = offset_by(at, aux);
            loop {
                budget = budget.saturating_sub(1);
                if budget == 0 {
                    return Err(self.malformed("the version needs have no end"));
                }
                let Some(record) = self.record(aux_at, 16)? else {
                    return Err(self.malformed("version needs past the end of the file"));
                };
                let (hash, flags, name, next) = (record.u32(0), record.u16(4), record.u32(8), record.u32(12));
                let name = self.string(strtab, u64::from(name))?;
                self.raw.versions.push((name, hash, flags & VER_FLG_WEAK != 0));
                if next == 0 {
                    break;
                }
                aux_at = offset_by(aux_at, next);
            }
            let file = self.string(strtab, u64::from(file))?;
            self.raw.needs.push((file, revision, self.raw.versions.len() - before));
            if next == 0 {
                break;
            }
            at = offset_by(at, next);
        }
        Ok(())
    }

    /// Reads the chain of `Elf64_Verdef`: of each record the first name, which is the version's own.
    pub(super) fn version_definitions(&mut self, strtab: &Strtab, address: u64) -> Result<(), ReadError> {
        let mut at = self.file_offset(address);
        loop {
            if self.raw.definitions.len() >= MAX_ENTRIES {
                return Err(self.malformed("the version definitions have no end"));
            }
            let Some(record) = self.record(at, 20)? else {
                return Err(self.malformed("version definitions past the end of the file"));
            };
            let (revision, hash, aux, next) = (record.u16(0), record.u32(8), record.u32(12), record.u32(16));
            let Some(record) = self.record(offset_by(at, aux), 8)? else {
                return Err(self.malformed("version definitions past the end of the file"));
            };
            let name = record.u32(0);
            let name = self.string(strtab, u64::from(name))?;
            self.raw.definitions.push((name, hash, revision));
            if next == 0 {
                break;
            }
            at = offset_by(at, next);
        }
        Ok(())
    }
}
