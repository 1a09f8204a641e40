//! A cross compiler that takes headers and libraries from a sysroot: a script of one line, beside what cargo builds.
//!
//! Options of rustc would do as well, but they go into the names of symbols, and so the sysroot's path into the bytes of
//! the executable. This one is seen by the linker alone.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result};
use crate::target::Target;
use crate::wording::shell_word;

/// What is set so that a target's programs are compiled and linked with what is in a sysroot.
#[derive(Debug)]
pub(super) struct Driver {
    /// The script.
    pub(super) path: Utf8PathBuf,
    /// Options for compilers of C, as `CFLAGS` has them.
    pub(super) compile: String,
}

/// Writes the script into `folder`. `None` where the linker is no compiler driver, or its path no text.
pub(super) fn write(target: &Target, linker: &OsStr, sysroot: &Utf8Path, folder: &Utf8Path) -> Result<Option<Driver>> {
    let Some(linker) = linker.to_str().filter(|linker| is_driver(linker)) else { return Ok(None) };
    let multiarch = target.multiarch().unwrap_or_default();
    let within = |folder: &str| Some(sysroot.join(folder)).filter(|folder| folder.is_dir());
    let own =
        [format!("usr/lib/{multiarch}"), "usr/lib64".to_owned(), "usr/lib".to_owned(), format!("lib/{multiarch}")];
    let folders: Vec<Utf8PathBuf> = own.iter().filter_map(|folder| within(folder)).collect();
    let has_libc = folders.iter().any(|folder| folder.join("crt1.o").is_file());
    let (link, compile) = if has_libc {
        let option = format!("--sysroot={sysroot}");
        (shell_word(&option), option)
    } else {
        // The C library is the compiler's own then. What its libraries need of each other is the sysroot's (ld(1)).
        let folders = folders.iter().map(|folder| shell_word(&format!("-Wl,-rpath-link,{folder}")));
        let include = within(&format!("usr/include/{multiarch}"));
        (folders.collect::<Vec<_>>().join(" "), include.map(|it| format!("-idirafter {it}")).unwrap_or_default())
    };
    // What the user gives comes after it, and so before it in effect.
    let script = format!("#!/bin/sh\nexec {} {link} \"$@\"\n", shell_word(linker));
    let folder = folder.join(target.triple());
    // rustc and cc know a compiler by its name.
    let path = folder.join(Utf8Path::new(linker).file_name().unwrap_or("gcc"));
    if !std::fs::read_to_string(&path).is_ok_and(|known| known == script) {
        put(&path, &folder, &script).map_err(|error| Error::io("write", &path, error))?;
    }
    Ok(Some(Driver { path, compile }))
}

fn is_driver(linker: &str) -> bool {
    let stem = Path::new(linker).file_stem().and_then(OsStr::to_str).unwrap_or_default();
    ["gcc", "clang", "cc"].iter().any(|name| stem == *name || stem.ends_with(&format!("-{name}")))
}

/// Whole under its name at once: another build may be running it.
fn put(path: &Utf8Path, folder: &Utf8Path, script: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(script.as_bytes())?;
    file.as_file().set_permissions(PermissionsExt::from_mode(0o755))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the script calls, with the words it gives it: one a line.
    fn called(files: &[&str], sysroot: &str) -> (String, String, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap().keep();
        let path = Utf8PathBuf::from_path_buf(folder).unwrap();
        let root = path.join(sysroot);
        for file in files {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        let gcc = path.join("my tools/aarch64-linux-gnu-gcc");
        put(&gcc, gcc.parent().unwrap(), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
        let target = Target::parse("aarch64-unknown-linux-gnu").unwrap();
        let driver = write(&target, gcc.as_os_str(), &root, &path.join("linker")).unwrap().unwrap();
        assert_eq!(driver.path.file_name(), gcc.file_name());
        let said = duct::cmd!(driver.path.as_std_path(), "-o", "a b").read().unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        (said, driver.compile, root)
    }

    #[test]
    fn a_sysroot_with_a_c_library_is_the_compilers() {
        let (said, compile, root) = called(&["usr/lib/aarch64-linux-gnu/crt1.o"], "it's a root");
        assert_eq!(said, format!("--sysroot={root}\n-o\na b"));
        assert_eq!(compile, format!("--sysroot={root}"));
    }

    #[test]
    fn without_one_its_libraries_find_each_other() {
        let files = ["usr/lib/aarch64-linux-gnu/libpq.so", "usr/include/aarch64-linux-gnu/openssl/opensslconf.h"];
        let (said, compile, root) = called(&files, "root");
        let rpath_link = |folder| format!("-Wl,-rpath-link,{root}/{folder}\n");
        assert_eq!(said, rpath_link("usr/lib/aarch64-linux-gnu") + &rpath_link("usr/lib") + "-o\na b");
        assert_eq!(compile, format!("-idirafter {root}/usr/include/aarch64-linux-gnu"));
    }

    #[test]
    fn a_linker_that_is_no_compiler_has_no_such_options() {
        for (linker, is) in [
            ("aarch64-linux-gnu-gcc", true),
            ("/opt/bin/clang", true),
            ("cc", true),
            ("rust-lld", false),
            ("ld.mold", false),
        ] {
            assert_eq!(is_driver(linker), is, "{linker}");
        }
    }
}
