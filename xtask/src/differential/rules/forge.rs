//! Builds the files of a rule with the assembler and the linker that everybody uses, for the loader that is to judge.
//! They hold no code: a loader that only tells what it would map never runs any.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

/// A loader, and what makes files for it.
#[derive(Debug)]
pub(super) struct Flavor {
    pub(super) name: &'static str,
    pub(super) libc: Libc,
    /// The loader's path in a root, as programs name it.
    pub(super) interpreter: &'static str,
    /// The file that it is.
    pub(super) loader: Utf8PathBuf,
    /// Before the names of binutils' programs.
    pub(super) binutils: &'static str,
    /// Makes a file of another machine: the assembler, and the linker.
    pub(super) other_machine: [&'static str; 2],
    /// Debian's name for the machine in paths.
    pub(super) triplet: &'static str,
    /// What $PLATFORM stands for on the baseline.
    pub(super) platform: &'static str,
    /// Runs programs for this machine, where the host's is another.
    pub(super) emulator: Option<&'static str>,
    /// The release of the loader's libc, where it is glibc.
    pub(super) release: (u32, u32),
    /// Whether the loader has Debian's patches.
    pub(super) is_debians: bool,
    /// The ldconfig(8) that makes caches for the loader.
    pub(super) ldconfig: Vec<String>,
}

/// The C library that a loader belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Libc {
    Glibc,
    Musl,
}

/// The files of one rule, and how the program among them is started.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: Vec<(String, Body)>,
    /// What is started; `/r/app` unless told otherwise.
    pub(super) run: Option<String>,
    /// LD_LIBRARY_PATH.
    pub(super) library_path: Option<String>,
    /// The current folder; `/` unless told otherwise.
    pub(super) current: Option<String>,
    /// A name that the loader, when it only tells, reports missing, though it starts the program without it
    /// (`openaux` in elf/dl-deps.c).
    pub(super) may_be_missing: Option<String>,
    /// A file that the loader maps and, when it only tells, does not list.
    pub(super) untold: Option<String>,
    /// Files that go after ldconfig(8) has seen them; where `None`, there is no cache.
    pub(super) cached_then_removed: Option<Vec<String>>,
    /// Links that come then.
    then_links: Vec<(String, String)>,
    /// The format that ldconfig(8) is asked for.
    cache_format: Option<&'static str>,
    /// How many bytes are left of the cache.
    pub(super) cache_length: Option<u64>,
}

#[derive(Debug)]
enum Body {
    Object(Object),
    Link(String),
    HardLink(String),
    Bytes(Vec<u8>),
    Folder,
    Socket,
    Loader,
}

/// A program or a library in the making.
#[derive(Debug, Default, Clone)]
pub(super) struct Object {
    is_program: bool,
    needs: Vec<String>,
    flags: Vec<String>,
    /// What is written over once it is linked.
    changes: Vec<Change>,
    is_foreign: Foreign,
    length: Option<usize>,
}

/// Something that is written over in a 64-bit little-endian file.
#[derive(Debug, Clone)]
enum Change {
    /// Bytes at an offset.
    Bytes(usize, Vec<u8>),
    /// A field, by its offset, of the first program header of a type, or of the last.
    Segment { kind: u64, is_last: bool, field: usize, value: u64 },
    /// The type of all program headers of one.
    Segments { kind: u64, into: u64 },
    /// The first entry of the dynamic section with a tag: its new tag, and its new value if it gets one.
    Entry { tag: u64, into: u64, value: Option<u64> },
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Foreign {
    #[default]
    No,
    /// Another machine of the same class.
    Machine,
    /// 32-bit.
    Class,
}

impl Tree {
    fn object(&mut self, path: &str, object: Object) -> &mut Object {
        self.files.push((path.to_owned(), Body::Object(object)));
        match &mut self.files.last_mut().expect("pushed above").1 {
            Body::Object(object) => object,
            _ => unreachable!("pushed above"),
        }
    }

    /// A program.
    pub(super) fn program(&mut self, path: &str) -> &mut Object {
        self.object(path, Object { is_program: true, ..Object::default() })
    }

    /// `/r/app`, which is what is started.
    pub(super) fn app(&mut self) -> &mut Object {
        self.program("/r/app")
    }

    /// A shared object, without a soname.
    pub(super) fn library(&mut self, path: &str) -> &mut Object {
        self.object(path, Object::default())
    }

    /// Several of them that need nothing.
    pub(super) fn libraries(&mut self, paths: &[&str]) {
        for path in paths {
            self.library(path);
        }
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.files.push((path.to_owned(), Body::Link(target.to_owned())));
    }

    pub(super) fn hard_link(&mut self, path: &str, same_as: &str) {
        self.files.push((path.to_owned(), Body::HardLink(same_as.to_owned())));
    }

    pub(super) fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.push((path.to_owned(), Body::Bytes(bytes.into())));
    }

    pub(super) fn folder(&mut self, path: &str) {
        self.files.push((path.to_owned(), Body::Folder));
    }

    /// The loader's own file once more.
    pub(super) fn copy_of_loader(&mut self, path: &str) {
        self.files.push((path.to_owned(), Body::Loader));
    }

    pub(super) fn socket(&mut self, path: &str) {
        self.files.push((path.to_owned(), Body::Socket));
    }

    /// A link in the place of what ldconfig(8) has seen.
    pub(super) fn then_link(&mut self, path: &str, target: &str) {
        self.then_links.push((path.to_owned(), target.to_owned()));
    }

    /// ldconfig(8) makes a cache of all that is there, in a format.
    pub(super) fn cached_as(&mut self, format: &'static str) {
        self.cache_format = Some(format);
        self.cached();
    }

    /// ldconfig(8) makes a cache of all that is there.
    pub(super) fn cached(&mut self) {
        self.cached_then_removed = Some(Vec::new());
    }
}

impl Object {
    fn flag(&mut self, words: &[&str]) -> &mut Object {
        self.flags.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// DT_NEEDED, byte for byte.
    pub(super) fn needs(&mut self, name: &str) -> &mut Object {
        self.needs.push(name.to_owned());
        self
    }

    /// An empty DT_NEEDED, the first one, which no linker makes: the string at the beginning of any table.
    pub(super) fn needs_nothing(&mut self) -> &mut Object {
        self.changes.push(Change::Entry { tag: DT_NEEDED, into: DT_NEEDED, value: Some(0) });
        self.needs("libnothing.so")
    }

    /// DT_SONAME.
    pub(super) fn soname(&mut self, name: &str) -> &mut Object {
        self.flag(&["-soname", name])
    }

    /// DT_RPATH.
    pub(super) fn rpath(&mut self, path: &str) -> &mut Object {
        self.flag(&["--disable-new-dtags", "-rpath", path])
    }

    /// DT_RUNPATH.
    pub(super) fn runpath(&mut self, path: &str) -> &mut Object {
        self.flag(&["--enable-new-dtags", "-rpath", path])
    }

    /// Both, which no linker makes any more: the one is linked in as something else, and renamed.
    pub(super) fn rpath_and_runpath(&mut self, rpath: &str, runpath: &str) -> &mut Object {
        self.changes.push(Change::Entry { tag: DT_AUDIT, into: DT_RPATH, value: None });
        self.runpath(runpath).flag(&["--audit", rpath])
    }

    /// DF_1_NODEFLIB.
    pub(super) fn without_default_folders(&mut self) -> &mut Object {
        self.flag(&["-z", "nodefaultlib"])
    }

    /// DT_AUXILIARY.
    pub(super) fn auxiliary(&mut self, name: &str) -> &mut Object {
        self.flag(&["-f", name])
    }

    /// DT_AUXILIARY of a program, which no linker makes.
    pub(super) fn auxiliary_of_a_program(&mut self, name: &str) -> &mut Object {
        self.changes.push(Change::Entry { tag: DT_AUDIT, into: DT_AUXILIARY, value: None });
        self.flag(&["--audit", name])
    }

    /// DT_FILTER.
    pub(super) fn filter(&mut self, name: &str) -> &mut Object {
        self.flag(&["-F", name])
    }

    /// Of another machine, and of the same class.
    pub(super) fn of_another_machine(&mut self) {
        self.is_foreign = Foreign::Machine;
    }

    /// For a 32-bit machine.
    pub(super) fn of_another_class(&mut self) {
        self.is_foreign = Foreign::Class;
    }

    /// An executable, position-independent or not, under a library's name.
    pub(super) fn made_executable(&mut self, is_independent: bool) {
        self.is_program = true;
        if !is_independent {
            self.flag(&["-no-pie"]);
        }
    }

    /// A position-independent executable that says so (DF_1_PIE), under a library's name.
    pub(super) fn made_independent_executable(&mut self) {
        self.is_program = true;
        self.flag(&["-z", "now"]);
        self.changes.push(Change::Entry { tag: DT_FLAGS_1, into: DT_FLAGS_1, value: Some(0x0800_0001) });
    }

    /// Other bytes at an offset.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.changes.push(Change::Bytes(at, bytes.to_vec()));
    }

    /// Another value in the first program header of a type.
    pub(super) fn segment(&mut self, kind: u64, field: usize, value: u64) {
        self.changes.push(Change::Segment { kind, is_last: false, field, value });
    }

    /// Another value in the last program header of a type.
    pub(super) fn last_segment(&mut self, kind: u64, field: usize, value: u64) {
        self.changes.push(Change::Segment { kind, is_last: true, field, value });
    }

    /// No program header of a type.
    pub(super) fn without_segments(&mut self, kind: u64) {
        self.changes.push(Change::Segments { kind, into: 0 });
    }

    /// Another tag and value for the first entry with a tag.
    pub(super) fn entry(&mut self, tag: u64, into: u64, value: u64) {
        self.changes.push(Change::Entry { tag, into, value: Some(value) });
    }

    /// Only its first bytes.
    pub(super) fn cut_to(&mut self, length: usize) {
        self.length = Some(length);
    }
}

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_RPATH: u64 = 15;
const DT_AUDIT: u64 = 0x6fff_fefc;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const PT_DYNAMIC: u64 = 2;

/// Long enough for any name of a rule: a stub is made once, and its name is then written over.
const STUB_NAME: usize = 400;

/// Makes trees for one flavor.
pub(super) struct Forge<'f> {
    flavor: &'f Flavor,
    dir: Utf8PathBuf,
    /// Libraries to link with, by soname.
    stubs: Mutex<HashMap<(String, bool), Utf8PathBuf>>,
}

impl<'f> Forge<'f> {
    /// Keeps what it needs in `dir`.
    pub(super) fn new(flavor: &'f Flavor, dir: &Utf8Path) -> Result<Forge<'f>> {
        fs::create_dir_all(dir).with_context(|| format!("make {dir}"))?;
        let forge = Forge { flavor, dir: dir.to_owned(), stubs: Mutex::default() };
        let name = "x".repeat(STUB_NAME);
        for foreign in [Foreign::No, Foreign::Machine, Foreign::Class] {
            let (assembler, _) = forge.tools(foreign);
            run(&assembler, &["-o".to_owned(), forge.empty(foreign).into_string(), "/dev/null".to_owned()])?;
            let stub = forge.dir.join(format!("stub-{foreign:?}"));
            forge.link(foreign, &["-shared".to_owned(), "-soname".to_owned(), name.clone()], &stub)?;
        }
        Ok(forge)
    }

    fn tools(&self, foreign: Foreign) -> (Vec<String>, Vec<String>) {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        match foreign {
            Foreign::No => {
                (words(&format!("{}as", self.flavor.binutils)), words(&format!("{}ld", self.flavor.binutils)))
            }
            Foreign::Machine => (words(self.flavor.other_machine[0]), words(self.flavor.other_machine[1])),
            Foreign::Class => (words("x86_64-linux-gnu-as --32"), words("x86_64-linux-gnu-ld -m elf_i386")),
        }
    }

    fn empty(&self, foreign: Foreign) -> Utf8PathBuf {
        self.dir.join(format!("empty-{foreign:?}.o"))
    }

    fn link(&self, foreign: Foreign, flags: &[String], to: &Utf8Path) -> Result<()> {
        let words = ["-e", "0", "--no-as-needed", "--allow-shlib-undefined", "-o", to.as_str()].map(str::to_owned);
        let (_, linker) = self.tools(foreign);
        run(&linker, &[&words[..], &[self.empty(foreign).into_string()], flags].concat())
    }

    /// A library with this soname, to link with.
    fn stub(&self, name: &str, foreign: Foreign) -> Result<Utf8PathBuf> {
        ensure!(name.len() <= STUB_NAME, "{name} is too long");
        let key = (name.to_owned(), foreign == Foreign::No);
        let Ok(mut stubs) = self.stubs.lock() else { bail!("another stub could not be made") };
        if let Some(stub) = stubs.get(&key) {
            return Ok(stub.clone());
        }
        let template = self.dir.join(format!("stub-{foreign:?}"));
        let mut bytes = fs::read(&template).with_context(|| format!("read {template}"))?;
        let long = "x".repeat(STUB_NAME);
        let at = bytes.windows(STUB_NAME).position(|window| window == long.as_bytes());
        let at = at.with_context(|| format!("{template} has no soname"))?;
        bytes[at..at + STUB_NAME].fill(0);
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        let stub = self.dir.join(format!("{}.so", stubs.len()));
        fs::write(&stub, bytes).with_context(|| format!("write {stub}"))?;
        stubs.insert(key, stub.clone());
        Ok(stub)
    }

    fn object(&self, object: &Object, to: &Utf8Path) -> Result<()> {
        let mut flags = vec![if object.is_program { "-pie" } else { "-shared" }.to_owned()];
        if object.is_program {
            flags.extend(["--dynamic-linker".to_owned(), self.flavor.interpreter.to_owned()]);
        }
        flags.extend(object.flags.iter().cloned());
        for name in &object.needs {
            flags.push(self.stub(name, object.is_foreign)?.into_string());
        }
        self.link(object.is_foreign, &flags, to)?;
        if object.changes.is_empty() && object.length.is_none() {
            return Ok(());
        }
        let mut bytes = fs::read(to).with_context(|| format!("read {to}"))?;
        for change in &object.changes {
            apply(change, &mut bytes).with_context(|| format!("{to} has nothing for {change:?}"))?;
        }
        bytes.truncate(object.length.unwrap_or(usize::MAX));
        fs::write(to, bytes).with_context(|| format!("write {to}"))
    }

    /// Makes the tree in `root`, with the flavor's loader.
    pub(super) fn make(&self, tree: &Tree, root: &Utf8Path) -> Result<()> {
        let inside = |path: &str| root.join(path.trim_start_matches('/'));
        let parent = |path: &Utf8Path| match path.parent() {
            Some(parent) => fs::create_dir_all(parent).with_context(|| format!("make {parent}")),
            None => Ok(()),
        };
        for folder in ["proc", "etc", ".host", "r"] {
            fs::create_dir_all(root.join(folder)).with_context(|| format!("make {root}/{folder}"))?;
        }
        let loader = inside(self.flavor.interpreter);
        parent(&loader)?;
        fs::copy(&self.flavor.loader, &loader).with_context(|| format!("copy {} to {loader}", self.flavor.loader))?;
        for (path, body) in &tree.files {
            let path = inside(path);
            parent(&path)?;
            match body {
                Body::Object(object) => self.object(object, &path)?,
                Body::Link(target) => symlink(target, &path).with_context(|| format!("make the link {path}"))?,
                Body::HardLink(file) => {
                    fs::hard_link(inside(file), &path).with_context(|| format!("make the link {path}"))?;
                }
                Body::Bytes(bytes) => {
                    fs::write(&path, bytes).with_context(|| format!("write {path}"))?;
                    let mode = fs::Permissions::from_mode(0o755);
                    fs::set_permissions(&path, mode).with_context(|| format!("make {path} executable"))?;
                }
                Body::Folder => fs::create_dir_all(&path).with_context(|| format!("make {path}"))?,
                Body::Loader => {
                    fs::copy(&self.flavor.loader, &path).with_context(|| format!("copy the loader to {path}"))?;
                }
                Body::Socket => {
                    UnixListener::bind(&path).with_context(|| format!("make the socket {path}"))?;
                }
            }
        }
        if let Some(removed) = &tree.cached_then_removed {
            let format = tree.cache_format.unwrap_or("new");
            run(&self.flavor.ldconfig, &["-X", "-c", format, "-r", root.as_str()].map(str::to_owned))?;
            if let Some(length) = tree.cache_length {
                let cache = inside("/etc/ld.so.cache");
                let file = fs::File::options().write(true).open(&cache).with_context(|| format!("open {cache}"))?;
                file.set_len(length).with_context(|| format!("cut {cache}"))?;
            }
            for path in removed {
                fs::remove_file(inside(path)).with_context(|| format!("remove {path}"))?;
            }
            for (path, target) in &tree.then_links {
                symlink(target, inside(path)).with_context(|| format!("make the link {path}"))?;
            }
        }
        Ok(())
    }
}

/// Writes over in a 64-bit little-endian file; `None` where it has no such thing.
fn apply(change: &Change, bytes: &mut [u8]) -> Option<()> {
    let segments = |bytes: &[u8], kind: u64| -> Option<Vec<usize>> {
        let table = usize::try_from(word(bytes, 32)?).ok()?;
        let all = (0..half(bytes, 56)?).map(|index| table + index * 56);
        Some(all.filter(|&at| word(bytes, at).is_some_and(|word| word & 0xffff_ffff == kind)).collect())
    };
    match *change {
        Change::Bytes(at, ref new) => bytes.get_mut(at..at + new.len())?.copy_from_slice(new),
        Change::Segment { kind, is_last, field, value } => {
            let of_kind = segments(bytes, kind)?;
            let at = field + if is_last { of_kind.last()? } else { of_kind.first()? };
            bytes.get_mut(at..at + 8)?.copy_from_slice(&value.to_le_bytes());
        }
        Change::Segments { kind, into } => {
            for at in segments(bytes, kind)? {
                bytes.get_mut(at..at + 4)?.copy_from_slice(&into.to_le_bytes()[..4]);
            }
        }
        Change::Entry { tag, into, value } => {
            let dynamic = *segments(bytes, PT_DYNAMIC)?.first()?;
            let mut at = usize::try_from(word(bytes, dynamic + 8)?).ok()?;
            while word(bytes, at)? != tag {
                if word(bytes, at)? == DT_NULL {
                    return None;
                }
                at += 16;
            }
            bytes.get_mut(at..at + 8)?.copy_from_slice(&into.to_le_bytes());
            if let Some(value) = value {
                bytes.get_mut(at + 8..at + 16)?.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

/// Runs a tool without telling: there are hundreds.
fn run(tool: &[String], words: &[String]) -> Result<()> {
    let all = [tool, words].concat();
    let output = duct::cmd(&all[0], &all[1..]).stdout_capture().stderr_capture().unchecked().run();
    let output = output.with_context(|| format!("start {}", all[0]))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "`{}` ended with {}: {said}", all.join(" "), output.status);
    Ok(())
}
