//! Cross compilers that take headers and libraries from a sysroot: scripts beside cargo's build output.
//!
//! Options of rustc would change the hashes in symbol names, so the sysroot's path would change the bytes of the
//! executable. Only the linker sees a script. The other tools of the compiler are symlinks in the same directory: build
//! scripts look for `aarch64-linux-gnu-g++` and `-ar` beside `aarch64-linux-gnu-gcc`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::machine::BuildMachine;
use crate::error::{Error, Result};
use crate::host_files;
use crate::target::Target;
use crate::wording::shell_word;

/// The settings with which a target's programs are compiled and linked with the files of a sysroot.
#[derive(Debug)]
pub(super) struct Driver {
    /// The script that links.
    pub(super) path: Utf8PathBuf,
    /// The directory of all scripts, for PATH. No name in it hides a program of the host's own.
    pub(super) programs: Option<Utf8PathBuf>,
    /// Options for compilers of C, as `CFLAGS` has them.
    pub(super) compile: String,
    /// The same settings for cmake (cmake-toolchains(7)).
    pub(super) cmake: Utf8PathBuf,
}

/// The names of compiler drivers, each with the name of its C++ compiler.
const DRIVERS: [(&str, &str); 3] = [("gcc", "g++"), ("clang", "clang++"), ("cc", "c++")];

/// The parts of a compiler's file name: `aarch64-linux-gnu-`, `gcc`, `-12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name<'n> {
    prefix: &'n str,
    /// A row of [`DRIVERS`].
    driver: (&'static str, &'static str),
    version: &'n str,
}

impl<'n> Name<'n> {
    /// `None` for a name that is no compiler driver, such as a linker's.
    fn of(name: &'n str) -> Option<Self> {
        let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let plain = if plain.len() < name.len() { plain.strip_suffix('-').unwrap_or(name) } else { name };
        let version = &name[plain.len()..];
        DRIVERS.iter().find_map(|driver| {
            let prefix = plain.strip_suffix(driver.0)?;
            (prefix.is_empty() || prefix.ends_with('-')).then_some(Self { prefix, driver: *driver, version })
        })
    }

    fn c_plus_plus(&self) -> String {
        format!("{}{}{}", self.prefix, self.driver.1, self.version)
    }

    /// True for a compiler with the same prefix, of any version.
    fn is_compiler(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(self.prefix) else { return false };
        let stem = rest.split('-').next().unwrap_or(rest);
        let version = rest[stem.len()..].trim_start_matches('-');
        let is_version = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        is_version && (DRIVERS.iter().any(|(c, cpp)| stem == *c || stem == *cpp) || stem == "cpp")
    }
}

/// Writes the scripts into `folder`. `None` if the linker is no compiler driver, or if its path is not UTF-8.
pub(super) fn write(
    target: &Target,
    linker: &OsStr,
    sysroot: &Utf8Path,
    folder: &Utf8Path,
    machine: &BuildMachine,
) -> Result<Option<Driver>> {
    // The path must be absolute: the script runs in any directory, and hides the compiler in PATH.
    let linker = machine.find(linker).and_then(|path| std::path::absolute(path).ok());
    let Some(linker) = linker.and_then(|path| Utf8PathBuf::from_path_buf(path).ok()) else { return Ok(None) };
    let Some(name) = linker.file_name().and_then(Name::of) else { return Ok(None) };
    let folder = folder.join(target.triple());
    let folders = library_folders(target, sysroot);
    let has_libc = has_libc(&folders);
    let option = format!("--sysroot={sysroot}");
    let (before, compile) = if has_libc {
        (option.clone(), option)
    } else {
        // The compiler's own C library is used.
        let include = sysroot.join("usr/include").join(target.multiarch().unwrap_or_default());
        (String::new(), if include.is_dir() { format!("-idirafter {include}") } else { String::new() })
    };
    let script = Script { before, first: inside(&folders, sysroot, &folder.join("lib"))?, folders };

    let programs = folder.join("bin");
    let own = linker.parent().unwrap_or(Utf8Path::new("/"));
    let mut beside: Vec<String> = Vec::new();
    if !name.prefix.is_empty() {
        let names = host_files::names(own).ok().unwrap_or_default();
        beside.extend(names.into_iter().filter_map(|name| name.into_string().ok()));
        beside.retain(|one| one.starts_with(name.prefix));
    }
    let known = linker.file_name().map(str::to_owned).into_iter().chain([name.c_plus_plus()]);
    beside.extend(known.filter(|one| own.join(one).is_file()));
    beside.sort();
    beside.dedup();
    for one in &beside {
        let (real, path) = (own.join(one), programs.join(one));
        let failed = |error| Error::io("write", &path, error);
        match name.is_compiler(one) {
            true => put(&path, &script.text(&real)).map_err(failed)?,
            false => link(&path, &real).map_err(failed)?,
        }
    }
    let path = programs.join(linker.file_name().unwrap_or("gcc"));
    let cmake = folder.join("toolchain.cmake");
    let text = toolchain(target, &path, &programs.join(name.c_plus_plus()), sysroot);
    put(&cmake, &text).map_err(|error| Error::io("write", &cmake, error))?;
    let programs = (!name.prefix.is_empty()).then_some(programs);
    Ok(Some(Driver { path, programs, compile, cmake }))
}

/// The directories of a sysroot in which a linker searches for libraries.
fn library_folders(target: &Target, sysroot: &Utf8Path) -> Vec<Utf8PathBuf> {
    let multiarch = target.multiarch().unwrap_or_default();
    let own =
        [format!("usr/lib/{multiarch}"), "usr/lib64".to_owned(), "usr/lib".to_owned(), format!("lib/{multiarch}")];
    own.iter().map(|folder| sysroot.join(folder)).filter(|folder| folder.is_dir()).collect()
}

fn has_libc(folders: &[Utf8PathBuf]) -> bool {
    folders.iter().any(|folder| folder.join("crt1.o").is_file())
}

/// True if the sysroot has files for linking: a C library, an archive, or the symlink that `-l` follows.
pub(super) fn links(target: &Target, sysroot: &Utf8Path) -> bool {
    let folders = library_folders(target, sysroot);
    let is_for_linking = |folder: &Utf8Path, name: &OsStr| {
        let name = name.to_str().filter(|name| name.starts_with("lib")).unwrap_or_default();
        name.ends_with(".a") || name.ends_with(".so") && folder.join(name).is_symlink()
    };
    has_libc(&folders)
        || folders.iter().any(|folder| {
            let names = host_files::names(folder).ok().unwrap_or_default();
            names.iter().any(|name| is_for_linking(folder, name))
        })
}

/// Makes a directory in `folder` with corrected copies of absolute symlinks: their targets are meant inside the
/// sysroot, but lead out of it on the host. A linker that follows such a symlink finds nothing, and takes the archive
/// beside it.
fn inside(folders: &[Utf8PathBuf], sysroot: &Utf8Path, folder: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    let mut links = Vec::new();
    for folder in folders {
        for name in host_files::names(folder).ok().unwrap_or_default() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("lib") && name.ends_with(".so")) else {
                continue;
            };
            let Some(to) = host_files::target(&folder.join(name)).ok() else { continue };
            let Some(below) = to.to_str().and_then(|to| to.strip_prefix('/')) else { continue };
            let meant = sysroot.join(below);
            if meant.is_file() && !links.iter().any(|(known, _)| *known == name) {
                links.push((name.to_owned(), meant));
            }
        }
    }
    let failed = |error| Error::io("write", folder, error);
    #[expect(clippy::disallowed_methods, reason = "the error is given its path")]
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    for (name, meant) in &links {
        link(&folder.join(name), meant).map_err(failed)?;
    }
    Ok((!links.is_empty()).then(|| folder.to_owned()))
}

/// A script that adds words to the command line of a compiler.
struct Script {
    /// Placed before the given words; a later word of the user overrides it.
    before: String,
    /// The directory that is searched first.
    first: Option<Utf8PathBuf>,
    /// Directories that are searched after those of the command line.
    folders: Vec<Utf8PathBuf>,
}

impl Script {
    fn text(&self, compiler: &Utf8Path) -> String {
        let word = |text: &str| format!(" {}", shell_word(text));
        let before = if self.before.is_empty() { String::new() } else { word(&self.before) };
        let first = self.first.iter().map(|folder| word(&format!("-L{folder}"))).collect::<String>();
        let search = self.folders.iter().map(|folder| word(&format!("-L{folder}"))).collect::<String>();
        // Libraries that the linked libraries need (ld(1)).
        let needed = self.folders.iter().map(|folder| word(&format!("-Wl,-rpath-link,{folder}"))).collect::<String>();
        let compiler = shell_word(compiler.as_str());
        // clang warns about linker options if it does not link.
        format!(
            "#!/bin/sh\nfor word; do\n  case $word in -c|-E|-S|-M|-MM) exec {compiler}{before} \"$@\" ;; esac\ndone\n\
             exec {compiler}{before}{first} \"$@\"{search}{needed}\n"
        )
    }
}

/// A toolchain file: cmake searches the sysroot before other places.
fn toolchain(target: &Target, c: &Utf8Path, cpp: &Utf8Path, sysroot: &Utf8Path) -> String {
    let mut text = format!("set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR {})\n", target.gnu_arch());
    // Without this line, cmake would take the host's C++ compiler; with it, cmake reports a missing one.
    text.push_str(&format!("set(CMAKE_C_COMPILER [[{c}]])\nset(CMAKE_CXX_COMPILER [[{cpp}]])\n"));
    if let Some(multiarch) = target.multiarch() {
        text.push_str(&format!("set(CMAKE_LIBRARY_ARCHITECTURE {multiarch})\n"));
    }
    text.push_str(&format!("set(CMAKE_FIND_ROOT_PATH [[{sysroot}]])\nset(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)\n"));
    text
}

/// Writes a program and renames it to its name, because another build may be running it. An identical file stays.
#[expect(clippy::disallowed_methods, reason = "the caller names the path")]
fn put(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Utf8Path::new("/"));
    if host_files::text(path).ok().is_some_and(|known| known == text) {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(PermissionsExt::from_mode(0o755))?;
    file.persist(path)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the caller names the path")]
fn link(path: &Utf8Path, to: &Utf8Path) -> std::io::Result<()> {
    if host_files::target(path).ok().is_some_and(|known| known == to) {
        return Ok(());
    }
    std::fs::create_dir_all(path.parent().unwrap_or(Utf8Path::new("/")))?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(to, path)
}

/// `PATH` with `folder` as its first directory.
pub(super) fn path_with(folder: &Utf8Path, path: &OsStr) -> Option<OsString> {
    let folders = std::iter::once(folder.as_std_path().to_owned()).chain(std::env::split_paths(path));
    std::env::join_paths(folders).ok()
}

#[cfg(test)]
mod tests {
    use super::super::machine::Distribution;
    use super::*;

    const ARM: &str = "aarch64-linux-gnu";

    /// A machine with a cross compiler that prints its arguments, and a sysroot with these files; `a -> b` is a
    /// symlink.
    struct Lab {
        _directory: tempfile::TempDir,
        path: Utf8PathBuf,
        root: Utf8PathBuf,
    }

    impl Lab {
        fn new(sysroot: &str, files: &[&str]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = Utf8PathBuf::from_path_buf(directory.path().canonicalize().unwrap()).unwrap();
            let root = path.join(sysroot);
            std::fs::create_dir_all(&root).unwrap();
            for file in files {
                let (name, to) = file.split_once(" -> ").unwrap_or((file, ""));
                std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
                match to {
                    "" => std::fs::write(root.join(name), "").unwrap(),
                    to => std::os::unix::fs::symlink(to, root.join(name)).unwrap(),
                }
            }
            for tool in ["gcc", "g++", "ar", "gcc-12"] {
                let program = path.join(format!("my tools/{ARM}-{tool}"));
                put(&program, &format!("#!/bin/sh\nprintf '%s\\n' {tool} \"$@\"\n")).unwrap();
            }
            Self { _directory: directory, path, root }
        }

        fn write(&self) -> Driver {
            let machine = BuildMachine::with_path(Distribution::Debian, self.path.join("my tools").into_std_path_buf());
            let target = Target::parse("aarch64-unknown-linux-gnu").unwrap();
            let linker = format!("{ARM}-gcc");
            write(&target, linker.as_ref(), &self.root, &self.path.join("linker"), &machine).unwrap().unwrap()
        }

        /// The arguments that a script passes to its compiler, one a line.
        fn said(&self, driver: &Driver, tool: &str, words: &[&str]) -> String {
            let program = driver.path.with_file_name(format!("{ARM}-{tool}"));
            duct::cmd(program.as_std_path(), words).read().unwrap().replace(self.root.as_str(), "ROOT")
        }
    }

    #[test]
    fn a_sysroot_with_a_c_library_is_the_compilers() {
        let lab = Lab::new("it's a root", &["usr/lib/aarch64-linux-gnu/crt1.o"]);
        let driver = lab.write();
        let folders = ["usr/lib/aarch64-linux-gnu", "usr/lib"];
        let each = |option: &str| folders.map(|folder| format!("\n{option}ROOT/{folder}")).concat();
        let search = each("-L") + &each("-Wl,-rpath-link,");
        for tool in ["gcc", "g++", "gcc-12"] {
            assert_eq!(lab.said(&driver, tool, &["-o", "a b"]), format!("{tool}\n--sysroot=ROOT\n-o\na b{search}"));
        }
        // These calls do not link.
        assert_eq!(lab.said(&driver, "gcc", &["-c", "a.c"]), "gcc\n--sysroot=ROOT\n-c\na.c");
        assert_eq!(lab.said(&driver, "ar", &["rc"]), "ar\nrc");
        assert_eq!(driver.compile, format!("--sysroot={}", lab.root));
        assert_eq!(driver.programs.as_deref(), driver.path.parent());
        let cmake = std::fs::read_to_string(&driver.cmake).unwrap();
        assert!(cmake.contains(&format!("CMAKE_CXX_COMPILER [[{}", driver.path.parent().unwrap())), "{cmake}");
    }

    #[test]
    fn without_one_its_libraries_are_found_all_the_same() {
        let files = ["usr/lib/aarch64-linux-gnu/libpq.so", "usr/include/aarch64-linux-gnu/openssl/opensslconf.h"];
        let lab = Lab::new("root", &files);
        let driver = lab.write();
        let said = lab.said(&driver, "gcc", &["x.o"]);
        assert!(said.starts_with("gcc\nx.o\n-LROOT/usr/lib/aarch64-linux-gnu\n"), "{said}");
        assert!(said.contains("\n-Wl,-rpath-link,ROOT/usr/lib/aarch64-linux-gnu\n"), "{said}");
        assert_eq!(driver.compile, format!("-idirafter {}/usr/include/aarch64-linux-gnu", lab.root));
    }

    /// Debian 12 has libz.so and libdbus-1.so as such symlinks.
    #[test]
    fn absolute_links_lead_inside_the_sysroot() {
        let lib = "usr/lib/aarch64-linux-gnu";
        let links = [
            "lib/aarch64-linux-gnu/libown.so.1",
            &format!("{lib}/libown.so -> /lib/aarch64-linux-gnu/libown.so.1"),
            &format!("{lib}/libnear.so -> libnear.so.1"),
            &format!("{lib}/libgone.so -> /lib/libgone.so.1"),
            &format!("{lib}/libown.a"),
        ];
        let lab = Lab::new("root", &links);
        let driver = lab.write();
        let first = lab.path.join("linker/aarch64-unknown-linux-gnu/lib");
        let said = lab.said(&driver, "gcc", &["-Lown", "-lown"]);
        assert!(said.starts_with(&format!("gcc\n-L{first}\n-Lown\n-lown\n-LROOT/{lib}\n")), "{said}");
        let names: Vec<_> = first.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
        assert_eq!(names, ["libown.so"]);
        assert!(first.join("libown.so").exists());
        // Without absolute symlinks in the sysroot, the corrected copies are removed.
        std::fs::remove_file(lab.root.join(lib).join("libown.so")).unwrap();
        lab.write();
        assert!(!first.exists());
    }

    #[test]
    fn what_a_program_can_be_linked_with() {
        let target = Target::parse("aarch64-unknown-linux-gnu").unwrap();
        for (file, is) in [
            ("usr/lib/aarch64-linux-gnu/libz.so.1 -> libz.so.1.2", false),
            ("usr/lib/aarch64-linux-gnu/libopcodes-2.40.so", false),
            ("usr/lib/aarch64-linux-gnu/libz.so -> libz.so.1", true),
            ("usr/lib/aarch64-linux-gnu/libz.a", true),
            ("usr/lib/crt1.o", true),
        ] {
            let lab = Lab::new("root", &[file]);
            assert_eq!(links(&target, &lab.root), is, "{file}");
        }
    }

    #[test]
    fn a_linker_that_is_no_compiler_has_no_such_options() {
        for (linker, parts) in [
            ("aarch64-linux-gnu-gcc", Some(("aarch64-linux-gnu-", "gcc", ""))),
            ("aarch64-linux-gnu-gcc-12", Some(("aarch64-linux-gnu-", "gcc", "-12"))),
            ("clang-19.1", Some(("", "clang", "-19.1"))),
            ("cc", Some(("", "cc", ""))),
            ("rust-lld", None),
            ("ld.mold", None),
            ("gcc12", None),
        ] {
            let name = Name::of(linker);
            assert_eq!(name.map(|name| (name.prefix, name.driver.0, name.version)), parts, "{linker}");
        }
        let name = Name::of("arm-gcc").unwrap();
        for (tool, is) in [("arm-g++", true), ("arm-gcc-12", true), ("arm-gcc-ar", false), ("arm-ld", false)] {
            assert_eq!(name.is_compiler(tool), is, "{tool}");
        }
    }
}
