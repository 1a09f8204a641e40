//! Caches of every format, written here and by ldconfig(8).

use super::*;
use crate::target::Target;

fn library(name: &str, path: &str) -> (Bytes, RootfsPath) {
    (Bytes::from(name.as_bytes()), RootfsPath::parse(path).unwrap())
}

#[test]
fn what_is_written_is_found_in_both_byte_orders() {
    let libraries = [
        library("libfoo.so.9", "/opt/libfoo.so.9"),
        library("libfoo.so.10", "/opt/libfoo.so.10"),
        library("liba.so", "/opt/a/liba.so"),
        library("libz.so.1", "/opt/z/libz.so.1"),
    ];
    for triple in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "s390x-unknown-linux-gnu"] {
        let machine = Target::parse(triple).unwrap().machine();
        let cache = Cache::parse(write(machine, &libraries), machine).unwrap();
        for (name, path) in &libraries {
            assert_eq!(cache.lookup(name, machine).as_ref(), Some(path));
        }
        assert_eq!(cache.lookup(b"libfoo.so.1", machine), None);
    }
}

#[test]
fn a_cache_of_the_other_byte_order_is_ignored() {
    let machine = |triple| Target::parse(triple).unwrap().machine();
    let big = machine("s390x-unknown-linux-gnu");
    let bytes = write(big, &[library("liba.so", "/a/liba.so")]);
    assert!(Cache::parse(bytes, machine("x86_64-unknown-linux-gnu")).is_none());
}

#[test]
fn digits_compare_as_numbers() {
    for (one, two, order) in [
        ("libc.so.6", "libc.so.6", Ordering::Equal),
        ("lib.so.10", "lib.so.9", Ordering::Greater),
        ("lib1", "liba", Ordering::Greater),
        ("lib", "liba", Ordering::Less),
        ("lib.so.1", "lib.so", Ordering::Greater),
    ] {
        assert_eq!(compare(one.as_bytes(), two.as_bytes()), order, "{one} {two}");
        assert_eq!(compare(two.as_bytes(), one.as_bytes()), order.reverse(), "{two} {one}");
    }
}

#[test]
fn entries_of_another_architecture_are_passed_over() {
    let machine = |triple| Target::parse(triple).unwrap().machine();
    let bytes = write(machine("aarch64-unknown-linux-gnu"), &[library("liba.so", "/a/liba.so")]);
    let x86 = machine("x86_64-unknown-linux-gnu");
    assert_eq!(Cache::parse(bytes, x86).unwrap().lookup(b"liba.so", x86), None);
}

/// A cache of the new format with these flags, names, paths and hwcaps, in this order.
fn raw(machine: Machine, entries: &[(u32, &str, &str, u64)]) -> Vec<u8> {
    let mut bytes = write(machine, &[]);
    bytes[20..24].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    let mut strings = Vec::new();
    let start = NEW_HEADER + entries.len() * NEW_ENTRY;
    for (flags, name, path, hwcap) in entries {
        let mut offset = |text: &str| {
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            (start + strings.len() - text.len() - 1) as u32
        };
        for value in [*flags, offset(name), offset(path), 0] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&hwcap.to_le_bytes());
    }
    bytes.extend_from_slice(&strings);
    bytes
}

fn machine(name: &str) -> Machine {
    Target::parse(&format!("{name}-unknown-linux-gnu")).unwrap().machine()
}

fn found(machine: Machine, bytes: Vec<u8>, name: &str) -> Option<String> {
    let cache = Cache::parse(bytes, machine)?;
    cache.lookup(name.as_bytes(), machine).map(|path| path.to_string())
}

/// `search_cache`: the first accepted entry is taken; on ARM an entry without a floating-point ABI is accepted.
#[test]
fn the_first_entry_that_counts_is_taken() {
    let x86 = machine("x86_64");
    let entries = [
        (0x0303, "liba.so", "/v3/liba.so", 1 << 62),
        (0x0803, "liba.so", "/x32/liba.so", 0),
        (0x0303, "liba.so", "/first/liba.so", 0),
        (0x0303, "liba.so", "/second/liba.so", 0),
    ];
    assert_eq!(found(x86, raw(x86, &entries), "liba.so").as_deref(), Some("/first/liba.so"));
    let arm = machine("armv7");
    let either = [(0x0b03, "liba.so", "/soft/liba.so", 0), (0x0003, "liba.so", "/any/liba.so", 0)];
    assert_eq!(found(arm, raw(arm, &either), "liba.so").as_deref(), Some("/any/liba.so"));
    assert_eq!(found(x86, raw(x86, &either), "liba.so"), None);
}

/// The binary search expects sorted entries; on unsorted ones, it must probe the same entries as the loader.
#[test]
fn entries_out_of_order_are_found_or_not_as_the_loader_does() {
    let x86 = machine("x86_64");
    let entries = ["libz.so", "liba.so", "libb.so", "libc.so"].map(|name| (0x0303, name, "/found", 0));
    let is_found = |name| found(x86, raw(x86, &entries), name).is_some();
    // The middle of four entries is the second; lesser names are searched for after it.
    assert_eq!(["libz.so", "liba.so", "libb.so", "libc.so"].map(is_found), [true, true, false, false]);
}

/// The old format, alone and followed by the new one, with the alignment of the machine.
#[test]
fn old_formats() {
    for (name, flags, padding) in [("x86_64", 0x0303_u32, 4), ("i686", 3, 0)] {
        let (machine, text) = (machine(name), b"liba.so\0/old/liba.so\0");
        let mut old = OLD_MAGIC.to_vec();
        old.resize(12, 0);
        for value in [1, flags, 0, 8] {
            old.extend_from_slice(&value.to_le_bytes());
        }
        let alone = [&old[..], text].concat();
        assert_eq!(found(machine, alone, "liba.so").as_deref(), Some("/old/liba.so"), "{name}");
        let new = raw(machine, &[(flags, "liba.so", "/new/liba.so", 0)]);
        let both = [&old[..], &vec![0; padding], &new].concat();
        assert_eq!(found(machine, both, "liba.so").as_deref(), Some("/new/liba.so"), "{name}");
    }
}

/// `_dl_load_cache_lookup`: a cache must be longer than its header, and have the length for its count.
#[test]
fn caches_that_the_loader_ignores() {
    let x86 = machine("x86_64");
    assert!(Cache::parse(raw(x86, &[]), x86).is_none());
    let whole = raw(x86, &[(0x0303, "liba.so", "/a", 0)]);
    assert!(Cache::parse(whole.clone(), x86).is_some());
    assert!(Cache::parse(whole[..71].to_vec(), x86).is_none());
    for (flags, is_taken) in [(0, true), (2, true), (6, true), (1, false), (3, false), (4, false)] {
        let mut bytes = whole.clone();
        bytes[28] = flags;
        assert_eq!(Cache::parse(bytes, x86).is_some(), is_taken, "{flags}");
    }
}

#[test]
fn damaged_caches_get_an_answer() {
    let machine = Machine::host();
    let whole = write(machine, &[library("liba.so.1", "/a/liba.so.1"), library("libb.so.2", "/b/libb.so.2")]);
    for at in 0..whole.len() {
        let _ = Cache::parse(whole[..at].to_vec(), machine).map(|cache| cache.lookup(b"liba.so.1", machine));
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[at] = value;
            if let Some(cache) = Cache::parse(changed, machine) {
                let _ = cache.lookup(b"liba.so.1", machine);
                let _ = cache.entries().count();
            }
        }
    }
}

/// The glibc-hwcaps subdirectories of x86_64, the best one first.
fn levels(names: &[&str]) -> Vec<Bytes> {
    names.iter().map(|name| Bytes::from(name.as_bytes())).collect()
}

/// `search_cache`: the best entry for an active subdirectory is taken, in any order of the entries; otherwise the entry
/// for all hardware; entries for inactive subdirectories do not count.
#[test]
fn the_best_active_subdirectory_is_taken() {
    let entry = |name: &str, hwcaps: Option<&str>, path: &str| {
        let (name, path) = library(name, path);
        (name, hwcaps.map(|hwcaps| Bytes::from(hwcaps.as_bytes())), path)
    };
    let libraries = [
        entry("liba.so.1", None, "/lib/liba.so.1"),
        entry("liba.so.1", Some("x86-64-v3"), "/lib/glibc-hwcaps/x86-64-v3/liba.so.1.3"),
        entry("liba.so.1", Some("x86-64-v2"), "/lib/glibc-hwcaps/x86-64-v2/liba.so.1.2"),
        entry("libonly.so", Some("x86-64-v4"), "/lib/glibc-hwcaps/x86-64-v4/libonly.so"),
        entry("libz.so", None, "/lib/libz.so"),
    ];
    for triple in ["x86_64-unknown-linux-gnu", "s390x-unknown-linux-gnu"] {
        let machine = Target::parse(triple).unwrap().machine();
        let cache = Cache::parse(write_with_hwcaps(machine, &libraries), machine).unwrap();
        let look = |name: &str, active: &[&str]| {
            let (path, hwcaps) = cache.lookup_on(name.as_bytes(), machine, &levels(active), |hwcap| hwcap == 0)?;
            assert_eq!(hwcaps.is_some(), path.to_string().contains("hwcaps"), "{path}");
            Some(path.file_name().to_vec())
        };
        let file = |name: &str| Some(name.as_bytes().to_vec());
        assert_eq!(look("liba.so.1", &[]), file("liba.so.1"));
        assert_eq!(look("liba.so.1", &["x86-64-v2"]), file("liba.so.1.2"));
        assert_eq!(look("liba.so.1", &["x86-64-v3", "x86-64-v2"]), file("liba.so.1.3"));
        assert_eq!(look("liba.so.1", &["x86-64-v2", "x86-64-v3"]), file("liba.so.1.2"));
        assert_eq!(look("liba.so.1", &["x86-64-v4"]), file("liba.so.1"));
        assert_eq!(look("libonly.so", &["x86-64-v3"]), None);
        assert_eq!(look("libonly.so", &["x86-64-v4", "x86-64-v3"]), file("libonly.so"));
        assert_eq!(look("libz.so", &["x86-64-v3"]), file("libz.so"));
        let order: Vec<_> = cache.entries().map(|entry| entry.hwcaps.map(|name| name[name.len() - 1])).collect();
        assert_eq!(order, [None, Some(b'4'), Some(b'2'), Some(b'3'), None]);
    }
}

/// Without subdirectories there is no extension, and older glibc reads the same bytes.
#[test]
fn without_subdirectories_there_is_no_extension() {
    let machine = Machine::host();
    let bytes = write(machine, &[library("liba.so.1", "/a/liba.so.1")]);
    assert_eq!(bytes[EXTENSION..EXTENSION + 4], [0; 4]);
    assert!(bytes.ends_with(b"/a/liba.so.1\0"));
}

/// `cache_extension_load`: an invalid value invalidates the extension, and the entries for subdirectories.
#[test]
fn an_extension_that_does_not_fit_is_none() {
    let machine = Target::parse("x86_64-unknown-linux-gnu").unwrap().machine();
    let (name, path) = library("liba.so.1", "/lib/glibc-hwcaps/x86-64-v3/liba.so.1");
    let whole = write_with_hwcaps(machine, &[(name, Some(Bytes::from(b"x86-64-v3")), path)]);
    let extension = u32::from_le_bytes(whole[EXTENSION..EXTENSION + 4].try_into().unwrap()) as usize;
    let found = |bytes: Vec<u8>| {
        let cache = Cache::parse(bytes, machine).unwrap();
        assert_eq!(cache.lookup(b"liba.so.1", machine), None);
        cache.lookup_on(b"liba.so.1", machine, &levels(&["x86-64-v3"]), |hwcap| hwcap == 0).is_some()
    };
    assert!(found(whole.clone()));
    // Position, magic, count, and the tag, offset and size of the section.
    for at in [EXTENSION, extension, extension + 4, extension + 8, extension + 16, extension + 20] {
        for value in [1u32, 2, 0xffff_fffc, 0xffff_ffff] {
            let mut changed = whole.clone();
            if changed[at..at + 4] == value.to_le_bytes() {
                continue;
            }
            changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(!found(changed), "{value:#x} at {at}");
        }
    }
}

/// The output of ldconfig(8), in each of its formats, is read as ldconfig itself reads it. In the format for old and
/// new loaders, loaders do not find the names of subdirectories: `write_extensions` counts from the new header,
/// `glibc_hwcaps_compare` from the file's beginning.
#[test]
fn what_ldconfig_writes_is_read() {
    use std::os::unix::fs::symlink;
    use std::process::Command;
    let ldconfig = std::path::Path::new("/sbin/ldconfig");
    if !ldconfig.exists() || !cfg!(target_arch = "x86_64") {
        assert!(std::env::var_os("CI").is_none(), "CI must not skip: ldconfig(8) is needed");
        #[allow(clippy::print_stderr)]
        return eprintln!("skipped: no /sbin/ldconfig for x86_64");
    }
    let root = tempfile::tempdir().unwrap();
    let put = |at: &str, soname: &str| {
        let path = root.path().join(at);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, crate::elf::fixture::Fixture::library().soname(soname).needs("libc.so.6").build())
            .unwrap();
    };
    put("opt/a/liba.so.1.0", "liba.so.1");
    put("opt/a/libb.so.10", "libb.so.10");
    put("opt/a/libb.so.9", "libb.so.9");
    put("opt/a/glibc-hwcaps/x86-64-v3/liba.so.1.3", "liba.so.1");
    put("opt/b/glibc-hwcaps/x86-64-v2/libb.so.9.2", "libb.so.9");
    symlink("liba.so.1.0", root.path().join("opt/a/liba.so.1")).unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    std::fs::write(root.path().join("etc/ld.so.conf"), "/opt/a\n/opt/b\n").unwrap();
    let machine = Machine::host();
    for format in ["old", "compat", "new"] {
        let cache = root.path().join("etc/ld.so.cache");
        let mut command = Command::new(ldconfig);
        command.args(["-X", "-c", format, "-C", "/etc/ld.so.cache", "-r"]).arg(root.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&cache).unwrap();
        let parsed = Cache::parse(bytes, machine).unwrap();

        // `\tliba.so.1 (libc6,x86-64, hwcap: "x86-64-v3") => /opt/...`
        let printed = Command::new(ldconfig).arg("-p").arg("-C").arg(&cache).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        let listed: Vec<(String, String)> = printed
            .lines()
            .filter_map(|line| line.strip_prefix('\t')?.split_once(" => "))
            .map(|(name, path)| (name.split(' ').next().unwrap().to_owned(), path.to_owned()))
            .collect();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut ours: Vec<_> = parsed.entries().map(|entry| (text(entry.name), text(entry.path))).collect();
        // With an odd number of entries, the old format has the last one twice.
        ours.dedup();
        assert_eq!(ours, listed, "{format}");

        let look = |name: &str, active: &[&str]| {
            let found = parsed.lookup_on(name.as_bytes(), machine, &levels(active), |hwcap| hwcap == 0);
            found.map(|(path, _)| path.to_string()).unwrap_or_default()
        };
        let all = ["x86-64-v4", "x86-64-v3", "x86-64-v2"];
        let (v3, v2) = ("/opt/a/glibc-hwcaps/x86-64-v3/liba.so.1.3", "/opt/b/glibc-hwcaps/x86-64-v2/libb.so.9.2");
        // On the baseline, and on the best hardware. The old format has no hwcaps: the first entry is taken on all
        // hardware.
        let [on_all, on_best] = match format {
            "old" => [[v3, v2]; 2],
            "compat" => [["/opt/a/liba.so.1", "/opt/a/libb.so.9"]; 2],
            _ => [["/opt/a/liba.so.1", "/opt/a/libb.so.9"], [v3, v2]],
        };
        assert_eq!(look("libb.so.10", &all), "/opt/a/libb.so.10", "{format}");
        for (active, expected) in [(&[][..], on_all), (&all[..], on_best)] {
            assert_eq!(["liba.so.1", "libb.so.9"].map(|name| look(name, active)), expected, "{format} {active:?}");
        }
    }
}
