//! Architectures without available packages: the built-in directories of their loaders, tested with made-up files.

use super::tree::{LOADER, Tree, library, lines, program, soname};
use crate::elf::fixture::{Fixture, machine};
use crate::path::RootfsPath;
use crate::resolve::{Closure, Resolver, cache};

/// glibc's sysdeps/unix/sysv/linux/loongarch/shlib-versions; lp64d is the ABI of Rust's target.
const LOONGARCH: &str = "/lib64/ld-linux-loongarch-lp64d.so.1";
/// glibc's configure script uses `lib64` for the loader and for the libraries.
const LIB64: &[u8] = b"\0/lib64/\0/usr/lib64/\0";
/// Debian's multiarch directories replace them.
const MULTIARCH: &[u8] = b"\0/lib/loongarch64-linux-gnu/\0/usr/lib/loongarch64-linux-gnu/\0/lib/\0/usr/lib/\0";

fn loongarch(file: Fixture) -> Fixture {
    file.machine(machine("loongarch64"))
}

fn closure(tree: &mut Tree, file: &str) -> Closure {
    Resolver::new(Vec::new(), None).closure(tree, &RootfsPath::parse(file).unwrap()).unwrap()
}

/// Puts a library into each of many directories, and returns the one that is found.
fn searched_first(system_dirs: &[u8]) -> String {
    let folders = ["/lib64/lp64d", "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/lib/loongarch64-linux-gnu"];
    let app = program().interpreter(LOONGARCH).needs("liba.so");
    let loader = soname("ld-linux-loongarch-lp64d.so.1").tail(system_dirs);
    let mut tree = Tree::default().elf(LOONGARCH, loongarch(loader)).elf("/bin/app", loongarch(app));
    for folder in folders {
        tree = tree.elf(&format!("{folder}/liba.so"), loongarch(library()));
    }
    let closure = closure(&mut tree, "/bin/app");
    assert_eq!(closure.interpreter.as_ref().map(|(path, _)| path.to_string()).as_deref(), Some(LOONGARCH));
    lines(&closure).join("\n")
}

/// The directories are built into the loader, upstream's or Debian's.
#[test]
fn loongarch64_has_the_folders_of_its_loader() {
    assert_eq!(searched_first(LIB64), "liba.so => /lib64/liba.so [default]");
    assert_eq!(searched_first(MULTIARCH), "liba.so => /usr/lib/loongarch64-linux-gnu/liba.so [default]");
}

/// A library names no interpreter, so its machine's is used. `$LIB` is that loader's built-in value (ld.so(8)).
#[test]
fn a_loongarch64_library_is_for_its_machines_loader() {
    let lib = |system_dirs, folder: &str| {
        let mut tree = Tree::default()
            .elf(LOONGARCH, loongarch(library().tail(system_dirs)))
            .elf("/opt/libapp.so", loongarch(library().needs("liba.so").runpath("/opt/$LIB")))
            .elf(&format!("/opt/{folder}/liba.so"), loongarch(library()));
        lines(&closure(&mut tree, "/opt/libapp.so")).join("\n")
    };
    assert_eq!(lib(LIB64, "lib64"), "liba.so => /opt/lib64/liba.so [runpath]");
    let debian = "lib/loongarch64-linux-gnu";
    assert_eq!(lib(MULTIARCH, debian), format!("liba.so => /opt/{debian}/liba.so [runpath]"));
}

/// Its libraries have FLAG_LARCH_FLOAT_ABI_DOUBLE in ld.so.cache; entries of another ABI are skipped
/// (`_dl_cache_check_flags`).
#[test]
fn loongarch64_takes_its_own_entries_of_the_cache() {
    let found = |flags: u32| {
        let entry = (crate::resolve::bytes(b"liba.so"), RootfsPath::parse("/opt/liba.so").unwrap());
        let mut bytes = cache::write(machine("loongarch64"), &[entry]);
        assert_eq!(bytes[48..52], 0x1203u32.to_le_bytes());
        bytes[48..52].copy_from_slice(&flags.to_le_bytes());
        let mut tree = Tree::default()
            .elf(LOONGARCH, loongarch(library().tail(LIB64)))
            .elf("/bin/app", loongarch(program().interpreter(LOONGARCH).needs("liba.so")))
            .elf("/opt/liba.so", loongarch(library()))
            .bytes("/etc/ld.so.cache", &bytes);
        lines(&closure(&mut tree, "/bin/app")).join("\n")
    };
    assert_eq!(found(0x1203), "liba.so => /opt/liba.so [ld.so.cache]");
    // The soft-float ABI's, and x86_64's.
    assert_eq!(found(0x1103), "liba.so missing for /bin/app");
    assert_eq!(found(0x0303), "liba.so missing for /bin/app");
}

/// A needed name with an unknown token is skipped silently, and an auxiliary one is fatal (`expand_dst`; `fatal` is set
/// for DT_AUXILIARY). The kernel has no platform on riscv64.
#[test]
fn names_with_a_token_that_has_no_value() {
    let riscv = machine("riscv64gc");
    let found = |file: Fixture| {
        let mut tree = Tree::glibc()
            .elf(LOADER, library().machine(riscv))
            .elf("/bin/app", file.machine(riscv).needs("liba.so"))
            .elf("/lib/liba.so", library().machine(riscv));
        lines(&closure(&mut tree, "/bin/app")).join("\n")
    };
    for file in [program().needs("$PLATFORM/libb.so"), program().filter("${PLATFORM}.so")] {
        assert_eq!(found(file), "liba.so => /lib/liba.so [default]");
    }
    assert_eq!(found(program().auxiliary("$PLATFORM.so")), "$PLATFORM.so bad at /bin/app for /bin/app");
}
