//! Libraries for particular hardware in a rootfs: all of them or none, and all hardware finds all its needs.

use super::disk::{Ask, Disk, expect_shape, library, path, shape, tool};
use crate::elf::Bytes;
use crate::elf::fixture::machine;
use crate::path::RootfsPath;
use crate::report::{self, Show};
use crate::resolve::cache::{self, Cache};
use crate::rootfs::{Body, Kind, Rootfs};

const V3: &str = "usr/lib/glibc-hwcaps/x86-64-v3";
const V2: &str = "usr/lib/glibc-hwcaps/x86-64-v2";

/// A library for all hardware and for two levels; the needs of the better variant exist for all hardware and for the
/// other level.
fn sysroot() -> Disk {
    Disk::merged()
        .elf("usr/bin/app", tool().needs("libsum.so.1"))
        .elf("usr/lib/libsum.so.1", library("libsum.so.1"))
        .elf(&format!("{V2}/libsum.so.1"), library("libsum.so.1"))
        .elf(&format!("{V3}/libsum.so.1.0"), library("libsum.so.1").needs("libfast.so"))
        .link(&format!("{V3}/libsum.so.1"), "libsum.so.1.0")
        .elf("usr/lib/libfast.so", library("libfast.so"))
        .elf(&format!("{V2}/libfast.so"), library("libfast.so"))
}

/// Without the flag, the image has only the baseline.
#[test]
fn no_variants_unless_they_are_asked_for() {
    let text = shape(&Ask::tools(&["app"]).rootfs(&sysroot()));
    assert!(!text.contains("glibc-hwcaps") && !text.contains("libfast") && text.contains("libsum.so.1 f"), "{text}");
}

/// With it, every variant is packed with its needs, for every set of levels: with `x86-64-v3` only, which
/// `--glibc-hwcaps-mask` may select, the variant needs the libfast.so for all hardware.
#[test]
fn all_variants_come_with_what_they_need() {
    let rootfs = Ask::tools(&["app"]).hwcaps().rootfs(&sysroot());
    expect_shape(
        &rootfs,
        "/ d0755
         /bin l0777 -> usr/bin
         /lib l0777 -> usr/lib
         /lib64 l0777 -> usr/lib64
         /usr d0755
         /usr/bin d0755
         /usr/bin/app f0755
         /usr/lib d0755
         /usr/lib/glibc-hwcaps d0755
         /usr/lib/glibc-hwcaps/x86-64-v2 d0755
         /usr/lib/glibc-hwcaps/x86-64-v2/libfast.so f0755
         /usr/lib/glibc-hwcaps/x86-64-v2/libsum.so.1 f0755
         /usr/lib/glibc-hwcaps/x86-64-v3 d0755
         /usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1 l0777 -> libsum.so.1.0
         /usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1.0 f0755
         /usr/lib/libc.so.6 f0755
         /usr/lib/libfast.so f0755
         /usr/lib/libsum.so.1 f0755
         /usr/lib64 d0755
         /usr/lib64/ld-linux-x86-64.so.2 f0755",
    );
    let origins =
        |at: &str| -> Vec<String> { rootfs.get(&path(at)).unwrap().origins.iter().map(ToString::to_string).collect() };
    let at = "/usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1.0";
    assert_eq!(origins(at), ["needed on x86-64-v3 by /usr/bin/app"]);
    assert_eq!(origins("/usr/lib/libfast.so"), [format!("needed by {at}")]);
    assert_eq!(origins("/usr/lib/glibc-hwcaps/x86-64-v2/libfast.so"), [format!("needed on x86-64-v2 by {at}")]);
}

/// Without variants in the sysroot, the flag changes nothing.
#[test]
fn without_variants_the_flag_changes_nothing() {
    let one = Ask::tools(&["sh", "env"]).rootfs(&Disk::merged());
    let other = Ask::tools(&["sh", "env"]).hwcaps().rootfs(&Disk::merged());
    assert_eq!(one.dump(), other.dump());
}

/// A library that is opened by name has variants on other hardware.
#[test]
fn a_library_asked_for_by_name_has_variants() {
    let text = shape(&Ask::nothing().library("libsum.so.1").hwcaps().rootfs(&sysroot()));
    for name in ["/x86-64-v2/libsum.so.1 f", "/x86-64-v3/libsum.so.1.0 f", "/usr/lib/libfast.so f"] {
        assert!(text.contains(name), "{text}");
    }
}

fn cache_of(rootfs: &Rootfs) -> Vec<String> {
    let Kind::File(Body::Bytes(bytes)) = &rootfs.get(&path("/etc/ld.so.cache")).unwrap().kind else { panic!() };
    let cache = Cache::parse(bytes.to_vec(), machine("x86_64")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = |entry: cache::Entry<'_>| {
        let hwcaps = entry.hwcaps.map(|hwcaps| format!(" ({})", text(hwcaps))).unwrap_or_default();
        format!("{}{hwcaps} => {}", text(entry.name), text(entry.path))
    };
    cache.entries().map(line).collect()
}

/// A sysroot whose cache leads to a separate directory, to variants in it, and to a variant in a default directory
/// whose name is not its soname.
pub(super) fn cached() -> Disk {
    let entry = |name: &str, hwcaps: Option<&str>, at: &str| {
        let hwcaps = hwcaps.map(|name| Bytes::from(name.as_bytes()));
        (Bytes::from(name.as_bytes()), hwcaps, RootfsPath::parse(at).unwrap())
    };
    let entries = [
        entry("libdeep.so.1", None, "/opt/deep/libdeep.so.1"),
        entry("libdeep.so.1", Some("x86-64-v3"), "/opt/deep/glibc-hwcaps/x86-64-v3/libdeep.so.1.3"),
        entry("libdeep.so.1", Some("x86-64-v2"), "/usr/lib/glibc-hwcaps/x86-64-v2/libdeep.so.1"),
        entry("libsum.so.1", None, "/usr/lib/libsum.so.1"),
        entry("libsum.so.1", Some("x86-64-v3"), "/usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1.0"),
        entry("libsum.so.1", Some("x86-64-v2"), "/usr/lib/glibc-hwcaps/x86-64-v2/libsum.so.1"),
    ];
    sysroot()
        .bytes("etc/ld.so.cache", &cache::write_with_hwcaps(machine("x86_64"), &entries), 0o644)
        .elf("usr/bin/app", tool().needs("libsum.so.1").needs("libdeep.so.1"))
        .elf("opt/deep/libdeep.so.1", library("libdeep.so.1"))
        .elf("opt/deep/glibc-hwcaps/x86-64-v3/libdeep.so.1.3", library("libdeep.so.1"))
        .elf("usr/lib/glibc-hwcaps/x86-64-v2/libdeep.so.1", library("libdeep.so.1"))
}

/// A cache with a library also lists its better variants: otherwise their hardware would use the library in the cache.
/// Libraries in default directories are not in it.
#[test]
fn the_cache_has_the_variants_of_what_it_has() {
    let rootfs = Ask::tools(&["app"]).hwcaps().rootfs(&cached());
    assert_eq!(
        cache_of(&rootfs),
        [
            "libsum.so.1 (x86-64-v3) => /usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1.0",
            "libdeep.so.1 (x86-64-v2) => /usr/lib/glibc-hwcaps/x86-64-v2/libdeep.so.1",
            "libdeep.so.1 (x86-64-v3) => /opt/deep/glibc-hwcaps/x86-64-v3/libdeep.so.1.3",
            "libdeep.so.1 => /opt/deep/libdeep.so.1",
        ]
    );
    assert_eq!(cache_of(&Ask::tools(&["app"]).rootfs(&cached())), ["libdeep.so.1 => /opt/deep/libdeep.so.1"]);
}

/// A missing need of a variant is an error; without variants it does not matter.
#[test]
fn what_only_a_variant_misses_is_an_error() {
    let sysroot = || {
        Disk::merged()
            .elf("usr/bin/app", tool().needs("libsum.so.1"))
            .elf("usr/lib/libsum.so.1", library("libsum.so.1"))
            .elf(&format!("{V3}/libsum.so.1"), library("libsum.so.1").needs("libgone.so"))
    };
    let error = Ask::tools(&["app"]).hwcaps().error(&sysroot());
    let expected = "\
`libgone.so` not found for x86_64
  needed by /lib/glibc-hwcaps/x86-64-v3/libsum.so.1
  tried  default     /lib, /usr/lib
  help: add its package to the sysroot, or leave out libraries for some hardware: --hwcaps none";
    assert_eq!(error.to_string(), expected);
    Ask::tools(&["app"]).rootfs(&sysroot());
}

/// The image must run on all hardware, so a library that only some hardware finds is missing.
#[test]
fn a_library_that_only_some_hardware_finds_is_missing() {
    let sysroot = Disk::merged()
        .elf("usr/bin/app", tool().needs("libonly.so"))
        .elf(&format!("{V3}/libonly.so"), library("libonly.so"));
    for ask in [Ask::tools(&["app"]), Ask::tools(&["app"]).hwcaps()] {
        let expected = "\
`libonly.so` not found for x86_64
  needed by /usr/bin/app
  tried  default     /lib, /usr/lib
  only glibc-hwcaps/x86-64-v3 has it, which other hardware does not search
  help: add the library for all hardware to the sysroot, or pass --library-path DIR";
        assert_eq!(ask.error(&sysroot).to_string(), expected);
    }
    let error = Ask::nothing().library("libonly.so").error(&sysroot).to_string();
    assert!(error.contains("only glibc-hwcaps/x86-64-v3 has it"), "{error}");
}

/// The hardware of an included variant finds it, independent of `--hwcaps`, so its needs and symbol versions must be
/// satisfied too.
#[test]
fn an_included_variant_must_be_complete() {
    let sysroot = || {
        Disk::merged()
            .elf("usr/bin/app", tool().needs("libsum.so.1").needs_versions("libsum.so.1", &["V_1"]))
            .elf("usr/lib/libsum.so.1", library("libsum.so.1").defines_versions(&["libsum.so.1", "V_1"]))
    };
    let project = Disk::empty()
        .elf("whole.so", library("libsum.so.1").defines_versions(&["libsum.so.1", "V_1"]))
        .elf("old.so", library("libsum.so.1").defines_versions(&["libsum.so.1", "V_0"]));
    let ask = |file: &str| Ask::tools(&["app"]).include(project.at(file), &format!("/{V3}/libsum.so.1"));
    ask("whole.so").rootfs(&sysroot());
    let error = ask("old.so").error(&sysroot()).to_string();
    assert!(error.contains("`V_1`") && error.contains("glibc-hwcaps/x86-64-v3/libsum.so.1"), "{error}");
}

#[test]
fn reports_list_what_variants_add() {
    let assembly = Ask::tools(&["app"]).hwcaps().assemble(&sysroot()).unwrap();
    let closure = &assembly.closures[0].1;
    let mut text = Vec::new();
    report::tree(&mut text, "app", &Ok(closure.clone()), Show::Once);
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| line.starts_with("hwcaps")).collect();
    assert_eq!(
        lines,
        [
            "hwcaps x86-64-v3: libsum.so.1 => /lib/glibc-hwcaps/x86-64-v3/libsum.so.1 -> \
             /usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1.0 [default]",
            "hwcaps: libfast.so => /lib/libfast.so -> /usr/lib/libfast.so [default]",
            "hwcaps x86-64-v2: libsum.so.1 => /lib/glibc-hwcaps/x86-64-v2/libsum.so.1 -> \
             /usr/lib/glibc-hwcaps/x86-64-v2/libsum.so.1 [default]",
            "hwcaps x86-64-v2: libfast.so => /lib/glibc-hwcaps/x86-64-v2/libfast.so -> \
             /usr/lib/glibc-hwcaps/x86-64-v2/libfast.so [default]",
        ]
    );
    let mut json = Vec::new();
    report::closure_json(&mut json, "app", &Ok(closure.clone()));
    let json = String::from_utf8(json).unwrap();
    let expected = r#","hwcaps":[{"needed":"libsum.so.1","path":"/lib/glibc-hwcaps/x86-64-v3/libsum.so.1","realpath":"/usr/lib/glibc-hwcaps/x86-64-v3/libsum.so.1.0","found_by":"default","hwcaps":"x86-64-v3"},{"needed":"libfast.so","path":"/lib/libfast.so","realpath":"/usr/lib/libfast.so","found_by":"default","hwcaps":null},"#;
    assert!(json.contains(expected), "{json}");
}
