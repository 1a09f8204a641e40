//! `--sysroot auto`: chooses a sysroot on the host for another architecture, the nearest first, and otherwise a
//! distribution.
//!
//! It reads directories, and asks the linker for its sysroot. It reports why a candidate is rejected.

use std::ffi::OsStr;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use super::apt;
use super::suite::Suite;
use crate::error::{Error, Result};
use crate::layout::tools;
use crate::path::RootfsPath;
use crate::resolve::{Files, Find, Loader};
use crate::sysroot::Sysroot;
use crate::target::{Machine, Target};

/// A possible sysroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) place: Place,
    /// The reason for the choice, such as `the sysroot of aarch64-linux-gnu-gcc`; empty if it is obvious.
    pub(crate) why: String,
}

/// The place of a sysroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(Utf8PathBuf),
    Suite(Suite),
}

/// The requirements on a candidate.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) target: &'a Target,
    pub(crate) tools: &'a [String],
    /// The program that links for the target, if known.
    pub(crate) linker: Option<&'a OsStr>,
    /// The suite in the project's lock for this architecture.
    pub(crate) locked: Option<&'a Suite>,
    /// True if packages are requested by name; only a distribution has them.
    pub(crate) packages: bool,
}

/// The candidates in their order, and the reasons against rejected ones. Fails without a candidate.
pub(crate) fn candidates(asked: &Asked<'_>) -> Result<(Vec<Candidate>, Vec<String>)> {
    let (mut candidates, mut passed_over) = (Vec::new(), Vec::new());
    // If the lock has a sysroot for `auto`, all users get that one, whatever compilers they have.
    if asked.locked.is_none() && !asked.packages {
        for (folder, why) in folders(asked) {
            let is_known = candidates.iter().any(|known: &Candidate| known.place == Place::Folder(folder.clone()));
            match lacking(&folder, asked) {
                Ok(()) if !is_known => candidates.push(Candidate { place: Place::Folder(folder), why }),
                Ok(()) => {}
                Err(Some(what)) => passed_over.push(format!("{folder} {what}")),
                Err(None) => {}
            }
        }
    }
    let suite = asked.locked.cloned().or_else(apt::host_suite);
    match (suite, apt::missing()) {
        _ if asked.target.is_musl() => {
            passed_over.push("this distribution's packages are linked with glibc".to_owned())
        }
        (Some(suite), None) => {
            let why = if asked.locked.is_some() { "as in rootfs.lock" } else { "" };
            candidates.push(Candidate { place: Place::Suite(suite), why: why.to_owned() });
        }
        (_, Some(program)) => {
            passed_over.push(format!("there is no {program} to make one of a distribution's packages"))
        }
        (None, None) => passed_over
            .push("this system is not of Debian's or Ubuntu's family: no packages of its own release".to_owned()),
    }
    if candidates.is_empty() {
        let target = asked.target;
        let error = Error::failed(format!("no sysroot for {}", target.triple()))
            .detail(format!("this machine's own libraries and tools are for {}", Machine::host()));
        let error = passed_over.into_iter().fold(error, Error::detail);
        return Err(match apt::missing() {
            None if target.is_musl() => error.help("name a root of musl's, such as an unpacked Alpine: --sysroot DIR"),
            None => error.help("choose a distribution: --sysroot debian:bookworm"),
            Some(_) => error.help("name a directory with the target's libraries and tools: --sysroot DIR"),
        });
    }
    Ok((candidates, passed_over))
}

/// Directories in which compilers and distributions keep libraries of other architectures, the nearest first.
fn folders(asked: &Asked<'_>) -> Vec<(Utf8PathBuf, String)> {
    let gnu = gnu_triple(asked.target);
    let gcc = format!("{gnu}-gcc");
    let linker = asked.linker.unwrap_or(OsStr::new(&gcc));
    let mut folders = Vec::new();
    if let Some(folder) = own_sysroot(linker) {
        folders.push((folder, format!("the sysroot of {}", linker.to_string_lossy())));
    }
    // Cross compilers of Fedora, Arch and crosstool have a whole root below it; Debian's directory is a root itself.
    for folder in [format!("/usr/{gnu}/sys-root"), format!("/usr/{gnu}/sysroot"), format!("/usr/{gnu}")] {
        folders.push((folder.into(), format!("the libraries of {gnu} compilers")));
    }
    folders.push(("/".into(), format!("the libraries of {} that are installed here", asked.target.machine())));
    folders.retain(|(folder, _)| folder.is_dir());
    folders
}

/// The output of `-print-sysroot`. A compiler built for the host's own root prints `/` or nothing.
fn own_sysroot(linker: &OsStr) -> Option<Utf8PathBuf> {
    let said = duct::cmd(linker.to_owned(), ["-print-sysroot"]).stdin_null().stderr_null().read().ok()?;
    let folder = Utf8PathBuf::from(said.trim());
    let folder = folder.canonicalize_utf8().unwrap_or(folder);
    (folder.is_absolute() && folder != "/").then_some(folder)
}

/// The prefix of GCC's and binutils' names: without the vendor, and with GNU's name of the architecture.
fn gnu_triple(target: &Target) -> String {
    let rest: Vec<_> = target.triple().split('-').skip(1).filter(|part| !matches!(*part, "unknown" | "pc")).collect();
    format!("{}-{}", target.gnu_arch(), rest.join("-"))
}

/// Fails with the directory's shortages in words; with `None` if it has nothing for the target.
fn lacking(folder: &Utf8Path, asked: &Asked<'_>) -> std::result::Result<(), Option<String>> {
    let machine = asked.target.machine();
    let mut view = Sysroot::open(Path::new(folder)).map_err(|_| None)?;
    let loader = |path: &RootfsPath, view: &mut Sysroot| match view.find(path) {
        Find::File { file, .. } => view.object(file).is_ok_and(|object| object.machine == machine),
        _ => false,
    };
    if !Loader::usual_paths(machine).iter().any(|path| loader(path, &mut view)) {
        return Err(None);
    }
    let (mut absent, mut foreign) = (Vec::new(), Vec::new());
    for tool in asked.tools {
        let path = match RootfsPath::from_bytes(tool.as_bytes()) {
            Some(path) => Some(path),
            None => tools::find(&mut view, tool),
        };
        match path.map(|path| view.find(&path)) {
            Some(Find::File { file, .. }) => {
                // A file that is not ELF may be a script, which runs on every machine.
                if view.object(file).is_ok_and(|object| object.machine != machine) {
                    foreign.push(tool.as_str());
                }
            }
            _ => absent.push(tool.as_str()),
        }
    }
    match (&absent[..], &foreign[..]) {
        ([], []) => Ok(()),
        ([], foreign) => Err(Some(format!("has {} for another machine", foreign.join(", ")))),
        (absent, _) => Err(Some(format!("has no {}", absent.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_named_without_a_vendor() {
        for (triple, gnu) in [
            ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu"),
            ("armv7-unknown-linux-gnueabihf", "arm-linux-gnueabihf"),
            ("riscv64gc-unknown-linux-gnu", "riscv64-linux-gnu"),
            ("i686-unknown-linux-gnu", "i686-linux-gnu"),
            ("x86_64-unknown-linux-musl", "x86_64-linux-musl"),
        ] {
            assert_eq!(gnu_triple(&Target::parse(triple).unwrap()), gnu);
        }
    }

    #[test]
    fn a_folder_without_the_targets_loader_is_no_candidate() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(temp.path()).unwrap();
        let target = Target::parse("aarch64-unknown-linux-gnu").unwrap();
        let asked = Asked { target: &target, tools: &[], linker: None, locked: None, packages: false };
        assert_eq!(lacking(folder, &asked), Err(None));
        std::fs::create_dir(temp.path().join("lib")).unwrap();
        std::fs::write(temp.path().join("lib/ld-linux-aarch64.so.1"), "not ELF").unwrap();
        assert_eq!(lacking(folder, &asked), Err(None));
    }

    #[test]
    fn this_machine_has_its_own_tools() {
        let target = Target::host();
        let tools = ["sh".to_owned(), "no-such-tool".to_owned()];
        let mut asked = Asked { target: &target, tools: &tools[..1], linker: None, locked: None, packages: false };
        assert_eq!(lacking("/".into(), &asked), Ok(()));
        asked.tools = &tools;
        assert_eq!(lacking("/".into(), &asked), Err(Some("has no no-such-tool".to_owned())));
    }

    #[test]
    fn what_is_locked_is_what_is_taken() {
        let target = Target::host();
        let suite = Suite::parse("debian:trixie").unwrap();
        let asked = Asked { target: &target, tools: &[], linker: None, locked: Some(&suite), packages: false };
        if apt::missing().is_none() {
            let (candidates, _) = candidates(&asked).unwrap();
            assert_eq!(candidates.len(), 1);
            assert_eq!(candidates[0].place, Place::Suite(suite));
        }
    }
}
