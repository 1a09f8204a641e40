//! The same files given to the loader of this machine, in a chroot; nothing of them is run but it.
//!
//! It needs root, unshare(1) and the loader; where one of them is missing, that is printed once.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Once, OnceLock};

use super::super::loader::glibc_release;
use super::tree::{LOADER, MUSL_LOADER, Node, Tree};
use crate::resolve::{Closure, Lack, Libc, Unsatisfied, Unversioned, Verdict};

/// What the child is told: the root, the current folder, and what to start there.
const ROOT: &str = "LOADER_TEST_ROOT";
const CURRENT: &str = "LOADER_TEST_CURRENT";
const START: &str = "LOADER_TEST_START";

/// Not a test: what [`ask`] starts, this program once more, to enter the chroot.
#[test]
fn child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    std::os::unix::fs::chroot(root).unwrap();
    std::env::set_current_dir(std::env::var_os(CURRENT).unwrap()).unwrap();
    let start = std::env::var(START).unwrap();
    let mut words = start.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).env_clear().env("LD_TRACE_LOADED_OBJECTS", "1");
    if let Some(path) = std::env::var_os("LOADER_TEST_PATH") {
        command.env("LD_LIBRARY_PATH", path);
    }
    if let Some(tunables) = std::env::var_os("LOADER_TEST_TUNABLES") {
        command.env("GLIBC_TUNABLES", tunables);
    }
    // Another test's fork may hold, until it executes, the descriptor that wrote this file (ETXTBSY).
    let mut error = command.exec();
    for _ in 0..100 {
        if error.kind() != std::io::ErrorKind::ExecutableFileBusy {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        error = command.exec();
    }
    panic!("{error}");
}

fn loader(tree: &Tree) -> Option<&'static str> {
    static SKIPPED: Once = Once::new();
    let loader = if tree.libc == Some(Libc::Musl) { MUSL_LOADER } else { LOADER };
    let is_root = rustix::process::geteuid().is_root();
    let has_unshare = Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|it| it.status.success());
    if cfg!(target_arch = "x86_64") && is_root && has_unshare && Path::new(loader).exists() {
        return Some(loader);
    }
    let may_skip = std::env::var_os("CI").is_none() || !cfg!(target_arch = "x86_64");
    assert!(may_skip, "CI must not skip: the rules need root, unshare(1) and {loader}");
    SKIPPED.call_once(|| {
        #[allow(clippy::print_stderr)]
        {
            eprintln!("skipped: the rules are not compared with {loader} (needs root, unshare and the loader)");
        }
    });
    None
}

/// The release of glibc's loader; the first of all where it does not say.
fn release_of(loader: &str) -> (u32, u32) {
    static RELEASE: OnceLock<(u32, u32)> = OnceLock::new();
    *RELEASE.get_or_init(|| glibc_release(&std::fs::read(loader).unwrap()).unwrap_or_default())
}

fn materialize(tree: &Tree, root: &Path, loader: &str) {
    let mut first: Vec<Option<std::path::PathBuf>> = vec![None; tree.bodies.len()];
    for (path, node) in &tree.nodes {
        let host = path.below(root);
        match node {
            Node::Dir if path.as_bytes() == b"/" => {}
            Node::Dir => std::fs::create_dir(&host).unwrap(),
            Node::Link(target) => {
                std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &host).unwrap();
            }
            Node::File(body) => match &first[*body] {
                Some(known) => std::fs::hard_link(known, &host).unwrap(),
                None => {
                    std::fs::write(&host, &tree.bodies[*body]).unwrap();
                    std::fs::set_permissions(&host, PermissionsExt::from_mode(0o755)).unwrap();
                    first[*body] = Some(host);
                }
            },
            Node::Loader(_) => {
                std::fs::copy(std::fs::canonicalize(loader).unwrap(), &host).unwrap();
            }
            Node::Special("socket") => drop(std::os::unix::net::UnixListener::bind(&host).unwrap()),
            Node::Special(_) | Node::Denied => unreachable!("only here"),
        }
    }
    std::fs::create_dir_all(root.join("proc")).unwrap();
}

/// Makes glibc's loader answer for the baseline, on whatever processor it runs: $PLATFORM, and the folders that have its
/// name, are not those of the one at hand (glibc manual, "Hardware Capability Tunables"; `_Usable` is of before 2.33).
const BASELINE: &str = "glibc.cpu.hwcaps=-AVX2,-POPCNT,-SSE4_2,-AVX512CD,-AVX2_Usable,-AVX512F_Usable";

/// Whether this hardware has what the subdirectory is for.
fn is_supported(loader: &str, level: &str) -> bool {
    let help = Command::new(loader).arg("--help").output().unwrap();
    let line = format!("  {level} (supported");
    String::from_utf8_lossy(&help.stdout).lines().any(|known| known.starts_with(&line))
}

fn ask(tree: &Tree, file: &str) -> Option<Output> {
    if tree.only_here.is_some() {
        return None;
    }
    let loader = loader(tree)?;
    if tree.before.is_some_and(|release| release_of(loader) >= release) {
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    materialize(tree, root.path(), loader);
    let start = match (&tree.hwcaps, tree.libc) {
        (_, Some(Libc::Musl)) => format!("{loader} --list {file}"),
        (None, _) => file.to_owned(),
        // What the hardware can do, less what the test does not want.
        (Some(wanted), _) if wanted.iter().all(|level| is_supported(loader, level)) => {
            let mask = if wanted.is_empty() { "none".to_owned() } else { wanted.join(":") };
            format!("{loader} --glibc-hwcaps-mask {mask} {file}")
        }
        (Some(_), _) => return None,
    };
    let mut command = Command::new("unshare");
    // The program's $ORIGIN comes from /proc/self/exe.
    command.arg("-m").arg(format!("--mount-proc={}", root.path().join("proc").display()));
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "resolve::tests::real::child", "--nocapture", "-q"]);
    command.env(ROOT, root.path()).env(CURRENT, tree.current.as_deref().unwrap_or("/")).env(START, start);
    if tree.hwcaps.is_none() {
        command.env("LOADER_TEST_TUNABLES", BASELINE);
    }
    if !tree.library_path.is_empty() {
        command.env("LOADER_TEST_PATH", tree.library_path.join(":"));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    Some(output)
}

/// The loader maps the same files by the same paths, and misses the same names.
#[track_caller]
pub(super) fn agrees(tree: &Tree, file: &str, closure: &Closure) {
    let Some(output) = ask(tree, file) else { return };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = format!("{stdout}{stderr}{}", output.status);
    let bad = closure.missing.iter().find_map(|missing| Some((&missing.needed, missing.bad.as_ref()?)));
    if let Some((name, (path, _))) = bad {
        // It gives up at the first such file, and says which, by its path or its name.
        let name = String::from_utf8_lossy(name);
        let is_told = said.contains(&path.to_string()) || said.contains(&*name);
        assert!(stderr.contains("rror") && is_told, "the loader does not give up:\n{said}");
        return;
    }
    let (mut found, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for line in stdout.lines().filter_map(|line| line.strip_prefix('\t')) {
        let line = line.split(" (0x").next().unwrap_or(line).trim();
        match line.split_once(" => ") {
            Some((name, "not found")) => {
                missing.insert(name.to_owned());
            }
            Some((_, path)) => {
                found.insert(path.to_owned());
            }
            None if line.starts_with("linux-vdso") || line == "statically linked" => {}
            None => {
                found.insert(line.to_owned());
            }
        }
    }
    for line in stderr.lines() {
        // musl's way to say so.
        let rest = line.strip_prefix("Error loading shared library ").and_then(|rest| rest.split_once(": "));
        missing.extend(rest.map(|(name, _)| name.to_owned()));
    }
    // The interpreter is mapped, and listed, whether or not it is needed by name.
    let interpreter = closure.interpreter.iter().map(|(path, _)| path.to_string());
    let mapped = closure.objects.iter().map(|object| object.path.to_string());
    let mut expected: BTreeSet<String> = mapped.collect();
    for path in interpreter {
        expected.remove(&path);
        found.remove(&path);
    }
    let clean = |paths: BTreeSet<String>| -> BTreeSet<String> {
        paths.into_iter().map(|text| super::tree::path(&absolute(tree, &text)).to_string()).collect()
    };
    let names = closure.missing.iter().map(|missing| String::from_utf8_lossy(&missing.needed).into_owned());
    let lacking: BTreeSet<String> = names.collect();
    assert_eq!((clean(expected), lacking), (clean(found), missing), "left is ours, right the loader's:\n{said}");
}

fn absolute(tree: &Tree, text: &str) -> String {
    if text.starts_with('/') { text.to_owned() } else { format!("{}/{text}", tree.current.as_deref().unwrap_or("")) }
}

/// The loader says the same of versions, line by line; weak ones that are lacking apart, of which it tells in this mode.
#[track_caller]
pub(super) fn agrees_on_versions(tree: &Tree, file: &str, verdict: &Verdict) {
    let Some(output) = ask(tree, file) else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let mut expected = BTreeSet::new();
    for lacking in &verdict.unsatisfied {
        let object = &lacking.needed_by;
        expected.extend(match &lacking.why {
            Lack::Versions { versions, library } => versions
                .iter()
                .map(|it| String::from_utf8_lossy(it))
                .map(|it| format!("{library}: version `{it}' not found (required by {object})"))
                .collect(),
            Lack::Library { .. } => vec!["Assertion `needed != NULL' failed!".to_owned()],
            Lack::Revision { file, revision } => {
                let record = if file == object { "Verneed" } else { "Verdef" };
                vec![format!("{file}: unsupported version {revision} of {record} record")]
            }
            Lack::Relr => vec![format!("{object}: DT_RELR without GLIBC_ABI_DT_RELR dependency")],
        });
    }
    let unversioned = verdict.unversioned.iter();
    expected.extend(unversioned.map(|Unversioned { needed_by, library, .. }| {
        format!("{library}: no version information available (required by {needed_by})")
    }));
    let is_complaint = |line: &&str| ["version", "DT_RELR", "failed!"].iter().any(|word| line.contains(word));
    let complaints = said.lines().filter(is_complaint).filter(|line| !line.contains("weak version"));
    let found: BTreeSet<String> = complaints
        .map(|line| line.split_once("Assertion").map_or(line, |(before, _)| &line[before.len()..]))
        .map(|line| line.strip_prefix(&format!("{file}: ")).unwrap_or(line))
        .map(|line| line.strip_prefix("error while loading shared libraries: ").unwrap_or(line).to_owned())
        .collect();
    // At these it ends, and gets no further.
    let ends = |lacking: &Unsatisfied| match &lacking.why {
        Lack::Library { .. } | Lack::Relr => true,
        Lack::Revision { file, .. } => *file == lacking.needed_by,
        Lack::Versions { .. } => false,
    };
    if verdict.unsatisfied.iter().any(ends) {
        assert!(!found.is_empty() && found.is_subset(&expected), "{expected:?}\n{said}");
    } else {
        assert_eq!(expected, found, "left is ours, right the loader's:\n{said}");
    }
}
