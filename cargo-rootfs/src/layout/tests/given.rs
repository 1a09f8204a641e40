//! `--allow-missing`: libraries that the target provides.

use super::disk::{Ask, Disk, library, shape, tool};
use crate::resolve::Opening;

fn ask(names: &[&str]) -> Ask {
    let mut ask = Ask::tools(&["gpu"]);
    ask.content.allow_missing = names.iter().map(|name| (*name).to_owned()).collect();
    ask
}

fn sysroot() -> Disk {
    Disk::merged()
        .elf("usr/bin/gpu", tool().needs("libcuda.so.1").needs_versions("libcuda.so.1", &["CUDA_1"]).needs("libown.so"))
        .elf("usr/lib/libown.so", library("libown.so").needs("libnvidia-ml.so.1"))
}

#[test]
fn what_the_target_provides_is_not_missing() {
    let assembly = ask(&["libcuda.so.1", "libnvidia-*"]).assemble(&sysroot()).unwrap();
    assert!(assembly.warnings.is_empty(), "{:?}", assembly.warnings);
    let given: Vec<String> = assembly.closures[0]
        .1
        .given
        .iter()
        .map(|it| format!("{} for {}", String::from_utf8_lossy(&it.needed), it.needed_by))
        .collect();
    assert_eq!(given, ["libcuda.so.1 for /usr/bin/gpu", "libnvidia-ml.so.1 for /lib/libown.so"]);
    let mut text = Vec::new();
    let closure = Ok(assembly.closures[0].1.clone());
    crate::report::tree(&mut text, "gpu", &closure, crate::report::Show::Once);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("    libcuda.so.1 provided by the target (--allow-missing)\n"), "{text}");
    let mut json = Vec::new();
    crate::report::closure_json(&mut json, "gpu", &closure);
    let json = String::from_utf8(json).unwrap();
    assert!(
        json.contains(r#""allowed_missing":[{"needed":"libcuda.so.1","needed_by":"/usr/bin/gpu"},{"needed":"#),
        "{json}"
    );
}

/// The target's library replaces the sysroot's, which is not packed.
#[test]
fn what_the_target_provides_is_not_packed() {
    let sysroot = sysroot()
        .elf("usr/lib/libcuda.so.1", library("libcuda.so.1"))
        .elf("usr/lib/libnvidia-ml.so.1", library("libnvidia-ml.so.1"));
    let text = shape(&ask(&["libcuda.so.1", "libnvidia-*"]).rootfs(&sysroot));
    assert!(!text.contains("libcuda") && !text.contains("libnvidia"), "{text}");
}

#[test]
fn what_a_note_requires_may_be_the_targets() {
    let note = r#"[{"soname":["libcuda.so.1"],"priority":"required","feature":"gpu"}]"#;
    let sysroot = Disk::merged().elf("usr/bin/gpu", tool().note(note));
    assert_eq!(ask(&[]).error(&sysroot).message(), "`libcuda.so.1` not found for x86_64");
    let assembly = ask(&["libcuda.so.*"]).assemble(&sysroot).unwrap();
    assert!(matches!(assembly.closures[0].1.notes[0].opening, Opening::LeftOut));
}

/// The error names the option only for libraries that are known to be the host's.
#[test]
fn the_error_names_the_option_for_libraries_of_the_host() {
    let error = ask(&[]).error(&sysroot());
    let helps: Vec<_> = error.each().filter_map(|it| it.help_line()).collect();
    assert_eq!(
        helps,
        [
            "leave it to the host: --allow-missing libcuda.so.1",
            "leave it to the host: --allow-missing libnvidia-ml.so.1"
        ]
    );
    let other = Disk::merged().elf("usr/bin/gpu", tool().needs("libother.so.1"));
    let error = ask(&["libcuda.so.1"]).error(&other);
    assert!(!error.help_line().unwrap_or_default().contains("--allow-missing"), "{error}");
}

#[test]
fn a_path_is_no_name_of_a_library() {
    let error = ask(&["/usr/lib/libcuda.so.1"]).error(&sysroot());
    assert_eq!(error.exit_code(), 2, "{error}");
}
