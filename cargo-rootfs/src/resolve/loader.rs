//! One dynamic loader of the tree: its libc, its built-in directories and its configuration.

use std::sync::Arc;

use super::cache::{self, Cache};
use super::folders::{Folder, Folders, Kind, musl_elements};
use super::legacy::Legacy;
use super::tokens::Tokens;
use super::{FileId, Files, Find, Hwcaps, conf, hwcaps};
use crate::byte_search;
use crate::elf::{Bytes, Object};
use crate::path::RootfsPath;
use crate::target::Machine;

/// The C library to which a loader belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

/// A dynamic loader, with everything that is independent of the program (ld.so(8)).
#[derive(Debug, Clone)]
pub struct Loader {
    /// Its libc, by its file name.
    pub libc: Libc,
    /// The machine of the objects that it accepts.
    pub machine: Machine,
    /// Its path, as PT_INTERP has it.
    pub path: RootfsPath,
    /// The file to which this path leads, if any.
    pub file: Option<(RootfsPath, FileId)>,
    /// The loader's DT_SONAME, by which objects need it.
    pub(super) soname: Option<Bytes>,
    /// The directories that it searches last.
    pub default_dirs: Vec<RootfsPath>,
    /// The same as a list.
    pub(super) default_folders: Folders,
    /// The value of `$LIB`.
    pub(super) lib: Bytes,
    /// `/etc/ld.so.cache`, if the loader would accept it.
    pub(super) cache: Option<Arc<Cache>>,
    /// Directories of ld.so.conf, verbatim; empty if there is a cache.
    conf_dirs: Vec<RootfsPath>,
    /// The list that is searched in place of a cache.
    pub(super) conf_folders: Folders,
    /// The release of its libc; unknown for glibc before 2.33.
    release: Option<(u32, u32)>,
    /// The legacy directories for particular hardware that it searches.
    legacy: Option<Legacy>,
    /// The names in `/etc/ld.so.preload`.
    pub(super) preload: Vec<Bytes>,
    /// The glibc-hwcaps subdirectories that it supports, the best one first.
    pub levels: Vec<Bytes>,
    /// Those of them that it searches on the current hardware.
    pub active: Vec<Bytes>,
}

/// The maximum size of a loader that is searched for built-in directories; glibc's has 250 KiB, musl's 800.
const MAX_LOADER: usize = 16 << 20;

/// The maximum size of `/etc/ld.so.preload`.
const MAX_PRELOAD: usize = 1 << 16;

impl Loader {
    /// The values of tokens, except `$ORIGIN`, which differs for each object.
    pub(super) fn tokens(&self) -> Tokens<'_> {
        Tokens { origin: None, lib: &self.lib, platform: self.machine.elf_platform().as_bytes() }
    }

    /// A name with the values of its tokens, for a program in the directory `origin`; `None` if one is unknown.
    #[cfg(feature = "cli")]
    pub(crate) fn expand(&self, name: &[u8], origin: Option<&RootfsPath>) -> Option<Bytes> {
        super::tokens::expand(name, &Tokens { origin: origin.map(RootfsPath::as_bytes), ..self.tokens() })
    }

    /// The loader at `path` for objects of `machine`, started in the directory `current`.
    pub(super) fn new(files: &mut dyn Files, path: RootfsPath, machine: Machine, current: Option<&RootfsPath>) -> Self {
        let libc = if path.file_name().starts_with(b"ld-musl-") { Libc::Musl } else { Libc::Glibc };
        let file = match files.find(&path) {
            Find::File { realpath, file } => Some((realpath, file)),
            _ => None,
        };
        let object = file.as_ref().and_then(|(_, file)| files.object(*file).ok());
        let constants = |object: Arc<Object>| object.constants.unwrap_or((0, MAX_LOADER as u64));
        let (offset, length) = object.clone().map_or((0, 0), constants);
        let length = usize::try_from(length).unwrap_or(MAX_LOADER).min(MAX_LOADER);
        let image = file.as_ref().and_then(|(_, file)| files.part(*file, offset, length).ok()).unwrap_or_default();
        let soname = object.and_then(|object| object.soname.clone());
        let mut loader = Self {
            libc,
            machine,
            path,
            file,
            soname,
            default_dirs: Vec::new(),
            default_folders: Folders::from([]),
            lib: Bytes::from(&b"lib"[..]),
            cache: None,
            conf_dirs: Vec::new(),
            conf_folders: Folders::from([]),
            release: None,
            legacy: None,
            preload: Vec::new(),
            levels: Vec::new(),
            active: Vec::new(),
        };
        match libc {
            Libc::Glibc => loader.glibc(files, image),
            Libc::Musl => loader.musl(files, &image, current),
        }
        loader
    }

    fn glibc(&mut self, files: &mut dyn Files, image: Vec<u8>) {
        self.release = glibc_release(&image);
        self.legacy = (!self.is_since(2, 37)).then(|| Legacy::of(self.machine));
        self.default_dirs = glibc_folders(&image).unwrap_or_else(|| usual_folders(self.machine));
        self.levels = hwcaps::levels(&image, self.machine);
        // The cache reuses the memory of the loader's image.
        drop(image);
        if let Some(first) = self.default_dirs.first() {
            let text = first.relative();
            self.lib = Bytes::from(text.strip_prefix(b"usr/").unwrap_or(text));
        }
        match files.find(&RootfsPath::root().join(b"etc/ld.so.cache")) {
            Find::File { file, .. } => {
                let bytes = files.read(file, cache::MAX_LENGTH).ok();
                self.cache = bytes.and_then(|bytes| Cache::parse(bytes, self.machine)).map(Arc::new);
            }
            // An invalid cache is ignored, and nothing replaces it.
            Find::Absent => self.conf_dirs = conf::folders(files),
            _ => {}
        }
        if let Find::File { file, .. } = files.find(&RootfsPath::root().join(b"etc/ld.so.preload")) {
            self.preload = files.read(file, MAX_PRELOAD).map_or_else(|_| Vec::new(), |text| preloads(&text));
        }
    }

    /// The same loader on other hardware.
    pub(super) fn on(&self, files: &mut dyn Files, hwcaps: Hwcaps) -> Self {
        let mut loader = Self { active: hwcaps.of(&self.levels), ..self.clone() };
        if loader.libc == Libc::Glibc {
            loader.make_lists(files);
        }
        loader
    }

    /// Makes the lists. A cache of the directories of ld.so.conf would list the glibc-hwcaps subdirectories of all of
    /// them, and of the default ones, before the directories themselves.
    fn make_lists(&mut self, files: &mut dyn Files) {
        let folders = |paths: &[RootfsPath]| paths.iter().cloned().map(Folder::new).collect::<Vec<_>>();
        self.default_folders = self.list(files, folders(&self.default_dirs));
        let mut conf = Vec::new();
        if !self.conf_dirs.is_empty() {
            for level in &self.active {
                let folders = self.conf_dirs.iter().chain(&self.default_dirs);
                conf.extend(folders.filter_map(|folder| Folder::of_level(files, folder, level)));
            }
        }
        conf.extend(folders(&self.conf_dirs));
        self.conf_folders = conf.into();
    }

    /// Returns whether the loader is present and is the object with this needed name.
    pub(super) fn is_named(&self, name: &Bytes) -> bool {
        let is_named = match self.libc {
            Libc::Glibc => self.soname.as_ref() == Some(name),
            Libc::Musl => is_musl_itself(name),
        };
        self.file.is_some() && (is_named || **name == *self.path.as_bytes())
    }

    /// Returns whether musl's loader takes a file for a libc, and so for itself: it looks for two symbols that every
    /// libc defines (`load_library`, ldso/dynlink.c). Here, a library without needs that has both names among its
    /// strings is a libc.
    pub(super) fn takes_for_itself(&self, files: &mut dyn Files, file: FileId, object: &Object) -> bool {
        let Some((_, own)) = self.file else { return false };
        if file == own || object.soname.as_ref().is_some_and(|soname| soname.starts_with(b"libc.")) {
            return true;
        }
        let names = [&b"\0__libc_start_main\0"[..], b"\0stdin\0"];
        object.dependencies.is_empty()
            && files
                .read(file, MAX_LOADER)
                .is_ok_and(|bytes| names.iter().all(|name| memchr::memmem::find(&bytes, name).is_some()))
    }

    /// Returns whether it is the loader of Debian or a derivative: their patch gives `$LIB` a value of two components,
    /// the multiarch directory (local-ld-multiarch.diff).
    pub(super) fn is_debians(&self) -> bool {
        self.lib.contains(&b'/')
    }

    /// The first path that it would try for a name without slashes, from its built-in and configured directories.
    pub(super) fn first_guess(&self, name: &[u8]) -> Option<RootfsPath> {
        let cached = self.cached(name, &[]).map(|(path, _)| path);
        let mut folders = self.conf_folders.iter().chain(self.default_folders.iter());
        cached.or_else(|| Some(folders.find(|folder| folder.kind != Kind::Hardware)?.path.join(name)))
    }

    /// The file that ld.so.cache has for a name, with its glibc-hwcaps subdirectory, which is one of `active` or none.
    pub(super) fn cached(&self, name: &[u8], active: &[Bytes]) -> Option<(RootfsPath, Option<Bytes>)> {
        let accepts = |hwcap| self.legacy.as_ref().map_or(hwcap == 0, |legacy| legacy.accepts(hwcap));
        self.cache.as_ref()?.lookup_on(name, self.machine, active, accepts)
    }

    /// Returns whether it belongs to this release of glibc or to a later one.
    pub(crate) fn is_since(&self, major: u32, minor: u32) -> bool {
        self.release.is_some_and(|release| release >= (major, minor))
    }

    /// The list of these directories, each after its subdirectories for particular hardware.
    pub(super) fn list(&self, files: &mut dyn Files, folders: Vec<Folder>) -> Folders {
        if self.legacy.is_none() && self.active.is_empty() {
            return folders.into();
        }
        let mut list = Vec::with_capacity(folders.len());
        for folder in folders {
            list.extend(self.active.iter().filter_map(|level| Folder::of_level(files, &folder.path, level)));
            let legacy = self.legacy.iter().flat_map(|legacy| legacy.below(files, &folder.path));
            list.extend(legacy.map(|path| Folder { kind: Kind::Hardware, ..Folder::new(path) }));
            list.push(folder);
        }
        list.into()
    }

    /// Reads `/etc/ld-musl-ARCH.path` beside the loader's prefix, else the built-in directories (ldso/dynlink.c). An
    /// unreadable file results in no directories.
    fn musl(&mut self, files: &mut dyn Files, image: &[u8], current: Option<&RootfsPath>) {
        let built_in = || musl_folders(image).unwrap_or_else(|| b"/lib:/usr/local/lib:/usr/lib".to_vec());
        let text = match self.musl_path_file().map(|path| files.find(&path)) {
            None | Some(Find::Absent) => built_in(),
            Some(Find::File { file, .. }) => files.read(file, 1 << 20).unwrap_or_default(),
            Some(_) => Vec::new(),
        };
        // The text ends at its first zero.
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        self.default_folders = musl_elements(text, current).into();
        self.default_dirs = self.default_folders.iter().map(|folder| folder.path.clone()).collect();
    }

    /// The file with the directories of musl's loader: `<prefix>/etc/ld-musl-ARCH.path`; the prefix is the part before
    /// the loader's own directory.
    pub fn musl_path_file(&self) -> Option<RootfsPath> {
        let name = self.path.file_name().strip_prefix(b"ld-musl-")?;
        let arch = name.split(|byte| *byte == b'.').next()?;
        let prefix = self.path.parent()?.parent().unwrap_or_else(RootfsPath::root);
        Some(prefix.join(b"etc").join(&[b"ld-musl-", arch, b".path"].concat()))
    }

    /// The loader for objects of this machine that name none.
    pub(super) fn usual_path(object: &Object) -> RootfsPath {
        let is_musl = object
            .dependencies
            .iter()
            .any(|needed| &*needed.name == b"libc.so" || needed.name.starts_with(b"libc.musl-"));
        let [glibc, musl] = Self::usual_paths(object.machine);
        if is_musl { musl } else { glibc }
    }

    /// The usual paths of this machine's loaders, glibc's and musl's.
    pub fn usual_paths(machine: Machine) -> [RootfsPath; 2] {
        machine.interpreters().map(|text| RootfsPath::root().join(text.as_bytes()))
    }
}

/// Returns whether musl provides this library itself, such as `libc.so` (`load_library`, ldso/dynlink.c).
fn is_musl_itself(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"lib") else { return false };
    [&b"c."[..], b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."].iter().any(|own| rest.starts_with(own))
}

/// Debian's and Fedora's directories together, for a tree without its loader: nothing runs there, but other missing
/// files can still be found.
fn usual_folders(machine: Machine) -> Vec<RootfsPath> {
    let triplet = machine.multiarch();
    let multiarch = [format!("lib/{triplet}"), format!("usr/lib/{triplet}")];
    let wide = machine.is_64.then_some(["lib64", "usr/lib64"]).into_iter().flatten();
    multiarch
        .iter()
        .map(String::as_str)
        .chain(wide)
        .chain(["lib", "usr/lib"])
        .map(|text| RootfsPath::root().join(text.as_bytes()))
        .collect()
}

/// The names in the text of `/etc/ld.so.preload`: separated by blanks and colons, up to a `#` on each line (`dl_main`,
/// elf/rtld.c).
fn preloads(text: &[u8]) -> Vec<Bytes> {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b'#').next());
    let names = lines.flat_map(|line| line.split(|byte| matches!(byte, b' ' | b'\t' | b':')));
    names.filter(|name| !name.is_empty()).map(Bytes::from).collect()
}

/// The release of glibc's loader, from the text that `ld.so --version` prints since 2.33 (elf/dl-usage.c).
pub(super) fn glibc_release(image: &[u8]) -> Option<(u32, u32)> {
    const BEFORE: &[u8] = b" release version ";
    let at = byte_search::places(image, BEFORE, b'v').next()? + BEFORE.len();
    let text = image[at..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').take(16);
    let text: String = text.map(|byte| char::from(*byte)).collect();
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// `system_dirs` of glibc's elf/dl-load.c: consecutive strings that begin and end with a slash. The longest such run in
/// the loader is taken.
fn glibc_folders(image: &[u8]) -> Option<Vec<RootfsPath>> {
    let mut best: Vec<std::ops::Range<usize>> = Vec::new();
    let mut run: Vec<std::ops::Range<usize>> = Vec::new();
    // Few strings end with a slash, so the search starts at their ends.
    for end in byte_search::places(image, b"/\0", b'/').map(|slash| slash + 1) {
        let range = byte_search::begin(image, end)..end;
        let string = &image[range.clone()];
        let is_folder = string.len() > 1 && string[0] == b'/';
        if !is_folder || !string.iter().all(u8::is_ascii_graphic) || !contains(string, b"lib") {
            continue;
        }
        if run.last().is_some_and(|last| last.end + 1 != range.start) {
            run.clear();
        }
        run.push(range);
        if run.len() > best.len() {
            best.clone_from(&run);
        }
    }
    let folders: Vec<_> = best.into_iter().filter_map(|range| RootfsPath::from_bytes(&image[range])).collect();
    (!folders.is_empty()).then_some(folders)
}

/// `sys_path` of musl's ldso/dynlink.c: a string of absolute directories, separated by colons.
fn musl_folders(image: &[u8]) -> Option<Vec<u8>> {
    image
        .split(|byte| *byte == 0)
        .find(|text| {
            text.contains(&b':')
                && text.iter().all(u8::is_ascii_graphic)
                && text.split(|byte| *byte == b':').all(|part| part.first() == Some(&b'/') && contains(part, b"lib"))
        })
        .map(<[u8]>::to_vec)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A loader, shared by all executables that name it.
pub(super) type Shared = Arc<Loader>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preloads_stand_between_blanks_and_colons() {
        let names = |text: &[u8]| {
            preloads(text).iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            names(b"/a/liba.so\tlibb.so:libc.so # libd.so\n# all\n libe.so"),
            ["/a/liba.so", "libb.so", "libc.so", "libe.so"]
        );
    }

    #[test]
    fn the_release_is_read_from_the_loader() {
        let debians = b"x\0ld.so (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\nCopyright";
        assert_eq!(glibc_release(debians), Some((2, 36)));
        assert_eq!(glibc_release(b"ld.so (GNU libc) development release version 2.42.9000.\n"), Some((2, 42)));
        assert_eq!(glibc_release(b"Usage: ld.so [OPTION]... EXECUTABLE-FILE"), None);
        assert_eq!(glibc_release(b" release version 99999999999999.1"), None);
    }

    #[test]
    fn built_in_folders_are_read_from_the_loader() {
        let folders = |image: &[u8]| {
            glibc_folders(image).map(|found| found.iter().map(RootfsPath::to_string).collect::<Vec<_>>())
        };
        let debian = b"\0/etc/ld.so.cache\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0x\0";
        assert_eq!(
            folders(debian).unwrap(),
            ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]
        );
        assert_eq!(folders(b"\0\0/lib64/\0/usr/lib64/\0").unwrap(), ["/lib64", "/usr/lib64"]);
        assert_eq!(folders(b"nothing"), None);
        assert_eq!(musl_folders(b"x\0/lib:/usr/local/lib:/usr/lib\0").unwrap(), b"/lib:/usr/local/lib:/usr/lib");
    }
}
