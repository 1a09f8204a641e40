//! The loader rules' view of a sysroot: names, headers and bytes of files.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{End, Sysroot, ahead, disk};
use crate::elf::{Bytes, Carrier, ENDS, Object, PathText, Stripped};
use crate::path::RootfsPath;
use crate::resolve::{BadObject, FileId, Files, Find, More};

/// The maximum size of the names of a file's imports that are kept.
const LONGEST_IMPORTS: usize = 1 << 20;

impl Sysroot {
    /// The indices of the elements of `functions` that the file imports; empty for a file that is not ELF.
    pub fn imports_of(&mut self, file: FileId, functions: &[Box<[u8]>]) -> Vec<usize> {
        let Ok(object) = self.object(file) else { return Vec::new() };
        let all = self.files[file.0].imports.clone().unwrap_or_else(|| {
            let all = self.open_file(file).and_then(|handle| object.imports(&handle)).unwrap_or_default();
            // Each file is asked several times.
            self.files[file.0].imports = Some(all.clone()).filter(|all| all.size() <= LONGEST_IMPORTS);
            all
        });
        let imports = all.of(functions);
        if !imports.is_empty() || object.is_dynamic() {
            return imports;
        }
        let Ok(handle) = self.open_file(file) else { return imports };
        if object.is_static_glibc(&handle).unwrap_or(false) {
            // The author of a tool knows its needs; for the project's own stripped program, calls must be assumed.
            let is_own = matches!(self.files[file.0].place, super::Place::Outside(_));
            let stripped = if is_own { Stripped::Calls } else { Stripped::CallsNothing };
            return object.static_calls(&handle, functions, stripped).unwrap_or_default();
        }
        imports
    }

    /// Returns whether a file is a program with glibc linked statically.
    pub(crate) fn is_static_glibc(&mut self, file: FileId) -> bool {
        let Ok(object) = self.object(file) else { return false };
        self.open_file(file).and_then(|handle| object.is_static_glibc(&handle)).unwrap_or(false)
    }

    /// The texts among the file's constants that contain one of `words` as a whole word; empty for a file that is not
    /// ELF.
    pub(crate) fn constants_with(&mut self, file: FileId, words: &[&[u8]]) -> Vec<Bytes> {
        let Ok(object) = self.object(file) else { return Vec::new() };
        let texts = self.open_file(file).and_then(|handle| object.constants_with(&handle, words));
        texts.unwrap_or_default().into_iter().collect()
    }

    /// The texts among a file's constants that look like command lines; empty for a file that is not ELF.
    pub(crate) fn command_lines(&mut self, file: FileId) -> BTreeSet<Bytes> {
        let Ok(object) = self.object(file) else { return BTreeSet::new() };
        self.open_file(file).and_then(|handle| object.command_lines(&handle)).unwrap_or_default()
    }

    /// The constants of a file that are one of `words` and nothing else; empty for a file that is not ELF.
    pub(crate) fn whole_texts(&mut self, file: FileId, words: &FxHashSet<&[u8]>) -> BTreeSet<Bytes> {
        let Some(object) = self.object(file).ok().filter(|_| !words.is_empty()) else { return BTreeSet::new() };
        self.open_file(file).and_then(|handle| object.whole_texts(&handle, words)).unwrap_or_default()
    }

    /// The kind of an executable with an embedded program.
    pub(crate) fn carrier(&mut self, file: FileId) -> Option<Carrier> {
        let head = self.head(file, ENDS as u64);
        let from = self.files[file.0].stat.size.saturating_sub(ENDS as u64);
        Carrier::of(&head, &self.part(file, from, ENDS).unwrap_or_default())
    }

    /// The indices of the elements of `words` that are whole constants of a file; empty for a file that is not ELF.
    pub(crate) fn words_of(&mut self, file: FileId, words: &[Box<[u8]>]) -> Vec<usize> {
        let Ok(object) = self.object(file) else { return Vec::new() };
        let handle = self.open_file(file);
        handle.and_then(|handle| object.words_of(&handle, words)).unwrap_or_default()
    }

    /// The names of programs that Rust code in a file starts, as [`Object::started`] has them.
    pub(crate) fn started(&mut self, file: FileId) -> Option<BTreeSet<Bytes>> {
        let object = self.object(file).ok()?;
        self.open_file(file).and_then(|handle| object.started(&handle)).unwrap_or_default()
    }

    /// The absolute paths among the constants of a file; empty for a file that is not ELF.
    pub(crate) fn path_texts(&mut self, file: FileId) -> BTreeSet<PathText> {
        let Ok(object) = self.object(file) else { return BTreeSet::new() };
        let handle = self.open_file(file);
        let mut texts = handle.and_then(|handle| object.path_texts(&handle)).unwrap_or_default();
        // The constants include the loader's own search paths.
        let lists = [&object.rpath, &object.runpath].into_iter().flatten();
        let own: Vec<&[u8]> =
            lists.flat_map(|list| list.split(|byte| *byte == b':')).chain(object.interpreter.as_deref()).collect();
        texts.retain(|text| !own.contains(&&*text.bytes));
        texts
    }
}

impl Files for Sysroot {
    fn find(&mut self, path: &RootfsPath) -> Find {
        let (realpath, end) = self.follow(path, None);
        match end {
            End::File(file) => Find::File { realpath, file },
            End::Dir(_) => Find::Dir,
            End::Special(word) => Find::Special(word),
            End::Absent => Find::Absent,
            End::NotDir => Find::NotDir,
            End::Loop => Find::Loop,
            End::Failed(error) => Find::Failed(error.to_string()),
        }
    }

    fn object(&mut self, file: FileId) -> Result<Arc<Object>, BadObject> {
        let record = &mut self.files[file.0];
        if let Some(object) = &mut record.object {
            if let (Ok(object), true) = (&mut *object, std::mem::take(&mut record.is_shared)) {
                *object = Arc::new(Object::clone(object));
            }
            return object.clone();
        }
        let object = disk::object(self.open_file(file), &mut self.buffers);
        self.files[file.0].object = Some(object.clone());
        object
    }

    fn read(&mut self, file: FileId, limit: usize) -> io::Result<Vec<u8>> {
        let expected = usize::try_from(self.files[file.0].stat.size).unwrap_or(limit).min(limit);
        let mut bytes = Vec::with_capacity(expected + 1);
        self.open_file(file)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "file too long"));
        }
        Ok(bytes)
    }

    fn part(&mut self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let whole = usize::try_from(self.files[file.0].stat.size).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(length.min(whole));
        let mut handle = self.open_file(file)?;
        handle.seek(SeekFrom::Start(offset))?;
        handle.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_ahead(&mut self, paths: &[RootfsPath], more: &mut More<'_>) {
        ahead::read(self, paths, more);
    }

    fn names_to_open(&mut self, file: FileId) -> Option<Vec<Bytes>> {
        let object = self.object(file).ok()?;
        if !object.dlopen_notes.is_empty() || object.symbols.is_none() {
            return None;
        }
        let handle = self.open_file(file).ok()?;
        if !object.imports_dlopen(&handle).ok()? {
            return None;
        }
        Some(object.library_names(&handle).ok()?.into_iter().collect())
    }

    fn list(&mut self, folder: &RootfsPath) -> Vec<Box<[u8]>> {
        self.names(folder)
    }

    fn inode(&self, file: FileId) -> (u64, u64) {
        self.files[file.0].stat.inode
    }
}
