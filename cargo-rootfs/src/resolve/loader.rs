//! One dynamic loader of the tree: which libc's it is, and what it has built in or configured.

use std::sync::Arc;

use goblin::elf::header::{EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};

use super::cache::{self, Cache};
use super::{FileId, Files, Find, Hwcaps, conf, hwcaps};
use crate::elf::{Bytes, Object};
use crate::path::RootfsPath;
use crate::target::Machine;

/// The C library that a loader belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

/// A dynamic loader: what ld.so(8) knows before it sees a program.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Its libc, told by its name.
    pub libc: Libc,
    /// The machine of the objects that it takes.
    pub machine: Machine,
    /// Its path, as PT_INTERP has it.
    pub path: RootfsPath,
    /// Where that leads, where it leads to a file.
    pub file: Option<(RootfsPath, FileId)>,
    /// DT_SONAME of the loader, by which others need it.
    pub(super) soname: Option<Bytes>,
    /// The folders that it searches last.
    pub default_dirs: Vec<RootfsPath>,
    /// What `$LIB` stands for.
    pub(super) lib: Bytes,
    /// `/etc/ld.so.cache`, where the loader would take it.
    pub(super) cache: Option<Arc<Cache>>,
    /// Folders of ld.so.conf; empty where there is a cache.
    pub(super) conf_dirs: Vec<RootfsPath>,
    /// The names in `/etc/ld.so.preload`.
    pub(super) preload: Vec<Bytes>,
    /// The glibc-hwcaps subdirectories that it knows, the best one first.
    pub levels: Vec<Bytes>,
    /// Those of them that it searches on the hardware at hand.
    pub active: Vec<Bytes>,
}

/// The longest loader that is searched for its built-in folders; glibc's has 250 KiB, musl's 800.
const MAX_LOADER: usize = 16 << 20;

/// The longest `/etc/ld.so.preload` that is read.
const MAX_PRELOAD: usize = 1 << 16;

impl Loader {
    /// The loader at `path`, for objects of `machine`.
    pub(super) fn new(files: &mut dyn Files, path: RootfsPath, machine: Machine) -> Self {
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
            lib: Bytes::from(&b"lib"[..]),
            cache: None,
            conf_dirs: Vec::new(),
            preload: Vec::new(),
            levels: Vec::new(),
            active: Vec::new(),
        };
        match libc {
            Libc::Glibc => loader.glibc(files, &image),
            Libc::Musl => loader.musl(files, &image),
        }
        loader
    }

    fn glibc(&mut self, files: &mut dyn Files, image: &[u8]) {
        self.default_dirs = glibc_folders(image).unwrap_or_else(|| usual_folders(self.machine));
        self.levels = hwcaps::levels(image, self.machine);
        if let Some(first) = self.default_dirs.first() {
            let text = first.relative();
            self.lib = Bytes::from(text.strip_prefix(b"usr/").unwrap_or(text));
        }
        if let Find::File { file, .. } = files.find(&RootfsPath::root().join(b"etc/ld.so.cache")) {
            let bytes = files.read(file, cache::MAX_LENGTH).ok();
            self.cache = bytes.and_then(|bytes| Cache::parse(bytes, self.machine)).map(Arc::new);
        }
        if self.cache.is_none() {
            self.conf_dirs = conf::folders(files);
        }
        if let Find::File { file, .. } = files.find(&RootfsPath::root().join(b"etc/ld.so.preload")) {
            self.preload = files.read(file, MAX_PRELOAD).map_or_else(|_| Vec::new(), |text| preloads(&text));
        }
    }

    /// The same loader on other hardware.
    pub(super) fn on(&self, hwcaps: Hwcaps) -> Self {
        Self { active: hwcaps.of(&self.levels), ..self.clone() }
    }

    /// Whether it is Debian's or a derivative's, which are patched: those alone have a folder of two names for `$LIB`,
    /// multiarch's (local-ld-multiarch.diff).
    pub(super) fn is_debians(&self) -> bool {
        self.lib.contains(&b'/')
    }

    /// The first path that it would try for a name without slashes, of what it has built in or configured.
    pub(super) fn first_guess(&self, name: &[u8]) -> Option<RootfsPath> {
        let cached = self.cache.as_ref().and_then(|cache| cache.lookup(name, self.machine));
        cached.or_else(|| Some(self.conf_dirs.iter().chain(&self.default_dirs).next()?.join(name)))
    }

    /// `/etc/ld-musl-ARCH.path` beside the loader's prefix, else what is built in (ldso/dynlink.c).
    fn musl(&mut self, files: &mut dyn Files, image: &[u8]) {
        let configured = self.musl_path_file().and_then(|path| match files.find(&path) {
            Find::File { file, .. } => files.read(file, 1 << 20).ok(),
            _ => None,
        });
        let built_in = || musl_folders(image).unwrap_or_else(|| b"/lib:/usr/local/lib:/usr/lib".to_vec());
        self.default_dirs = configured
            .unwrap_or_else(built_in)
            .split(|byte| matches!(byte, b':' | b'\n'))
            .filter_map(RootfsPath::from_bytes)
            .collect();
    }

    /// Where musl's loader looks for its configured folders: `<prefix>/etc/ld-musl-ARCH.path`, the
    /// prefix being what stands before the folder that holds the loader.
    pub fn musl_path_file(&self) -> Option<RootfsPath> {
        let name = self.path.file_name().strip_prefix(b"ld-musl-")?;
        let arch = name.split(|byte| *byte == b'.').next()?;
        let prefix = self.path.parent()?.parent().unwrap_or_else(RootfsPath::root);
        Some(prefix.join(b"etc").join(&[b"ld-musl-", arch, b".path"].concat()))
    }

    /// The loader that objects of this machine expect where they do not name one.
    pub(super) fn usual_path(object: &Object) -> RootfsPath {
        let is_musl = object
            .dependencies
            .iter()
            .any(|needed| &*needed.name == b"libc.so" || needed.name.starts_with(b"libc.musl-"));
        let [glibc, musl] = Self::usual_paths(object.machine);
        if is_musl { musl } else { glibc }
    }

    /// Where the loaders of this machine usually are, glibc's and musl's.
    pub fn usual_paths(machine: Machine) -> [RootfsPath; 2] {
        let arch = match machine.e_machine {
            EM_386 => "i386".to_owned(),
            EM_ARM => "armhf".to_owned(),
            _ => machine.name().replace("riscv64gc", "riscv64"),
        };
        [usual_interpreter(machine).to_owned(), format!("lib/ld-musl-{arch}.so.1")]
            .map(|text| RootfsPath::root().join(text.as_bytes()))
    }
}

/// The interpreter that the psABI of each machine names (glibc's sysdeps/*/shlib-versions).
fn usual_interpreter(machine: Machine) -> &'static str {
    match (machine.e_machine, machine.is_64, machine.is_little_endian) {
        (EM_X86_64, true, _) => "lib64/ld-linux-x86-64.so.2",
        (EM_X86_64, false, _) => "libx32/ld-linux-x32.so.2",
        (EM_AARCH64, ..) => "lib/ld-linux-aarch64.so.1",
        (EM_ARM, ..) => "lib/ld-linux-armhf.so.3",
        (EM_RISCV, ..) => "lib/ld-linux-riscv64-lp64d.so.1",
        (EM_PPC64, _, true) => "lib64/ld64.so.2",
        (EM_PPC64, _, false) => "lib64/ld64.so.1",
        (EM_S390, ..) => "lib/ld64.so.1",
        (258, ..) => "lib64/ld-linux-loongarch-lp64d.so.1",
        _ => "lib/ld-linux.so.2",
    }
}

/// Debian's and Fedora's folders together, for a tree whose loader is absent: then nothing runs there
/// anyway, but what else is missing can still be told.
fn usual_folders(machine: Machine) -> Vec<RootfsPath> {
    let triplet = match machine.e_machine {
        EM_386 => "i386-linux-gnu".to_owned(),
        EM_ARM => "arm-linux-gnueabihf".to_owned(),
        _ => format!("{}-linux-gnu", machine.name().replace("riscv64gc", "riscv64")),
    };
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

/// The names in the text of `/etc/ld.so.preload`: between blanks and colons, up to a `#` on each line
/// (`dl_main`, elf/rtld.c).
fn preloads(text: &[u8]) -> Vec<Bytes> {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b'#').next());
    let names = lines.flat_map(|line| line.split(|byte| matches!(byte, b' ' | b'\t' | b':')));
    names.filter(|name| !name.is_empty()).map(Bytes::from).collect()
}

/// `system_dirs` of glibc's elf/dl-load.c: strings that begin and end with a slash, one after another.
/// The longest such run of the loader's bytes is taken.
fn glibc_folders(image: &[u8]) -> Option<Vec<RootfsPath>> {
    let mut best: Vec<std::ops::Range<usize>> = Vec::new();
    let mut run: Vec<std::ops::Range<usize>> = Vec::new();
    // Few strings end with a slash, so their ends are looked for first.
    for end in memchr::memmem::find_iter(image, b"/\0").map(|slash| slash + 1) {
        let start = memchr::memrchr(0, &image[..end]).map_or(0, |nul| nul + 1);
        let (range, string) = (start..end, &image[start..end]);
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

/// The `sys_path` of musl's ldso/dynlink.c: a string of absolute folders between colons.
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
