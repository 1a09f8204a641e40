//! Links the command with glibc's archives, where there are any: half of the time that a short command takes is the
//! dynamic loader's, and none of its own.
//!
//! The library is linked as whoever uses it likes, and so is the command where anything is missing.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What rustc names for itself, in its order, before the arguments that a build script adds.
const RUSTC: [&str; 11] = [
    "-Wl,--as-needed",
    "-Wl,-Bdynamic",
    "-lgcc_s",
    "-lutil",
    "-lrt",
    "-lpthread",
    "-lm",
    "-ldl",
    "-lc",
    "-pie",
    "-nodefaultlibs",
];

/// Archives, each by the name that rustc has for it. The unwinder of libgcc_s is libgcc_eh where it is an archive.
const ARCHIVES: [(&str, &str); 3] = [("libc.a", "libc.a"), ("libm.a", "libm.a"), ("libgcc_s.a", "libgcc_eh.a")];

fn main() {
    tell("rerun-if-changed=build.rs");
    let linker = env::var_os("RUSTC_LINKER").map_or_else(|| PathBuf::from("cc"), PathBuf::from);
    if is_wanted() {
        for argument in arguments(&linker).unwrap_or_default() {
            tell(&format!("rustc-link-arg-bins={argument}"));
        }
    }
}

fn tell(directive: &str) {
    println!("cargo::{directive}");
}

/// Whether there is a command, for a target of which it is known to work, and nobody has asked for the same already.
fn is_wanted() -> bool {
    let is = |name: &str, values: &[&str]| env::var(name).is_ok_and(|value| values.contains(&value.as_str()));
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    env::var_os("CARGO_FEATURE_CLI").is_some()
        && is("CARGO_CFG_TARGET_OS", &["linux"])
        && is("CARGO_CFG_TARGET_ENV", &["gnu"])
        && is("CARGO_CFG_TARGET_ARCH", &["x86_64", "aarch64"])
        && !features.split(',').any(|feature| feature == "crt-static")
        && env::var_os("CARGO_CFG_SANITIZE").is_none()
}

/// What makes `linker`, which is told to find libraries as rustc tells it, link all of them statically.
fn arguments(linker: &Path) -> Option<Vec<String>> {
    // Before 2.34 glibc had threads in an archive of its own, which not all programs get whole.
    if find(linker, "libpthread.so").is_some() {
        return None;
    }
    // rustc says that it wants shared libraries, so archives are looked for second in each folder: in the first one
    // there are only those.
    let folder = PathBuf::from(env::var_os("OUT_DIR")?).join("archives");
    std::fs::create_dir_all(&folder).ok()?;
    for (name, real) in ARCHIVES {
        let real = find(linker, real)?;
        tell(&format!("rerun-if-changed={}", real.display()));
        let link = folder.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(real, link).ok()?;
    }
    let folder = format!("-L{}", folder.to_str()?);
    // libc and the unwinder need each other, and arithmetic of libgcc.
    let arguments = [&folder, "-static", "-no-pie", "-Wl,--start-group", "-lgcc_s", "-lgcc", "-lc", "-Wl,--end-group"];
    let arguments = arguments.map(str::to_owned).to_vec();
    links(linker, &arguments).then_some(arguments)
}

/// Where a C compiler finds a library (gcc's and clang's `-print-file-name`, which answers with the name alone where
/// it does not).
fn find(linker: &Path, name: &str) -> Option<PathBuf> {
    let asked = Command::new(linker).arg(format!("-print-file-name={name}")).stderr(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim_end());
    (asked.status.success() && path.is_absolute() && path.exists()).then_some(path)
}

/// Whether it works for a small program.
fn links(linker: &Path, arguments: &[String]) -> bool {
    let Some(folder) = env::var_os("OUT_DIR").map(PathBuf::from) else { return false };
    let mut command = Command::new(linker);
    command.args(["-x", "c", "-", "-x", "none", "-o"]).arg(folder.join("trial")).args(RUSTC).args(arguments);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.is_ok_and(|mut child| {
        let written = child.stdin.take().map(|mut source| source.write_all(b"int main(void) { return 0; }\n"));
        matches!(written, Some(Ok(()))) && child.wait().is_ok_and(|status| status.success())
    })
}
