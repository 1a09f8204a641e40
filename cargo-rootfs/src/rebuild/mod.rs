//! `--check-reproducible`: builds and packs twice, and compares the archives.
//!
//! The second run is later, and has another umask and number of jobs. Its build directory has the same path, and so has
//! its source directory, unless another one is requested. Each run is a new process of this program. A user cannot
//! change the date of a process (time namespaces affect only the monotonic clock), so executables are searched for the
//! date instead.

mod cause;
mod compare;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, CommandFactory};

use crate::cargo;
use crate::error::{Error, Result, Warning};
use crate::events::Events;
use crate::host_files::{self, Found, Walk};
use crate::image::rfc3339;
use crate::options::{BuildArgs, Options, OutputArgs};
use crate::pipeline::Epoch;

/// Options besides those of outputs, without dashes, that the inner runs do not get.
const OTHERS: [&str; 3] = ["target-dir", "jobs", "message-format"];

/// The source directory of the second run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    /// The project's own.
    Same,
    /// A copy of the workspace in another directory.
    Copied,
}

/// Runs `words`, the arguments of this process without its name, twice. Fails with the first differing file.
pub(crate) fn check(words: &[OsString], build: &BuildArgs, sources: Sources, events: &dyn Events) -> Result<()> {
    let epoch = Epoch::from_environment()?;
    let current_dir = std::env::current_dir().map_err(|error| Error::io("find", "the current directory", error))?;
    let current_dir = Utf8PathBuf::try_from(current_dir)
        .map_err(|error| Error::failed("the current directory's path is not UTF-8").with_source(error))?;
    let builds = !build.selection.tools_only && build.selection.binary.is_empty();
    let (root, target) = if builds {
        let project = cargo::metadata(build, &current_dir)?.metadata;
        (project.workspace_root, project.target_directory)
    } else {
        (current_dir.clone(), Utf8PathBuf::try_from(std::env::temp_dir()).unwrap_or_else(|_| "/tmp".into()))
    };
    host_files::make_directory(&target).or_cannot("create")?;
    let work = tempfile::Builder::new().prefix("check-reproducible.").tempdir_in(&target);
    let work = work.map_err(|error| Error::io("create a directory in", &target, error))?;
    let work_path = Utf8Path::from_path(work.path()).ok_or_else(|| Error::failed("a path is not UTF-8"))?;

    let runs = Runs { words: inner(words), builds, current_dir, root, work: work_path };
    let directories = [Sources::Same, sources].map(|sources| runs.directory(sources, events)).into_iter();
    let directories = directories.collect::<Result<Vec<_>>>()?;
    for (number, directory) in directories.iter().enumerate() {
        events.stop()?;
        events.status("Checking", &format_args!("build {} of 2", number + 1));
        runs.run(number, directory)?;
        events.stop()?;
    }
    let paths = cause::Paths { source: &runs.root, copied: &runs.elsewhere(), build: &runs.build_dir() };
    let date = today(epoch);
    let same = compare::directories(&work_path.join("0"), &work_path.join("1"), &paths, date.as_deref())?;
    for (path, text) in &same.dated {
        let warning = format!("`{path}` contains the date of this day, `{text}`: a build of tomorrow may differ");
        events.warning(&Warning::new(warning).help("use SOURCE_DATE_EPOCH in build.rs"));
    }
    events.status("Checked", &format_args!("two builds: {same}"));
    Ok(())
}

/// The current date; `None` if the epoch, which executables may contain, is on the same day.
fn today(epoch: Epoch) -> Option<String> {
    let day = |seconds: i64| rfc3339(seconds).split('T').next().map(str::to_owned);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let (now, epoch) = (day(i64::try_from(now.as_secs()).ok()?), day(epoch.seconds()));
    if now == epoch { None } else { now }
}

/// The two runs.
struct Runs<'r> {
    words: Vec<OsString>,
    builds: bool,
    current_dir: Utf8PathBuf,
    root: Utf8PathBuf,
    work: &'r Utf8Path,
}

impl Runs<'_> {
    fn build_dir(&self) -> Utf8PathBuf {
        self.work.join("build")
    }

    fn elsewhere(&self) -> Utf8PathBuf {
        self.work.join("elsewhere")
    }

    /// The working directory of a run; makes a copy of the sources if requested.
    fn directory(&self, sources: Sources, events: &dyn Events) -> Result<Utf8PathBuf> {
        if sources == Sources::Same || !self.builds {
            return Ok(self.current_dir.clone());
        }
        let to = self.elsewhere();
        copy(&self.root, &to, &|path| {
            events.stop().is_ok()
                && !self.work.as_std_path().starts_with(path)
                && path.file_name() != Some(OsStr::new(".git"))
        })?;
        Ok(to.join(self.current_dir.strip_prefix(&self.root).unwrap_or(Utf8Path::new(""))))
    }

    fn run(&self, number: usize, directory: &Utf8Path) -> Result<()> {
        let program = std::env::current_exe().map_err(|error| Error::io("find", "this program", error))?;
        // Permissions that only one of the umasks allows must not reach an archive.
        let umask = if number == 0 { "umask 022" } else { "umask 077" };
        let mut words: Vec<OsString> =
            vec!["-c".into(), format!("{umask}; exec \"$@\"").into(), "sh".into(), program.into()];
        words.extend(self.words.iter().cloned());
        words.extend(["--tar".into(), self.work.join(number.to_string()).join("{triple}.tar").into()]);
        if self.builds {
            words.extend(["--target-dir".into(), self.build_dir().into()]);
            if number == 1 {
                words.extend(["--jobs".into(), "1".into()]);
            }
        }
        let expression = duct::cmd("sh", words).dir(directory.as_std_path()).stdout_null().unchecked();
        // The results of these runs are not results of the forge's pipeline.
        let expression = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"]
            .iter()
            .fold(expression, |expression, name| expression.env_remove(name));
        let output = expression.run().map_err(|error| Error::io("run", "sh", error))?;
        if self.builds {
            #[expect(clippy::disallowed_methods, reason = "what stays goes with the temporary directory")]
            let _ = fs::remove_dir_all(self.build_dir());
        }
        match output.status.code() {
            Some(0) => Ok(()),
            // The inner run has printed the reason.
            code => Err(Error::cargo(code.unwrap_or(crate::error::exit_code::FAILED), "")),
        }
    }
}

/// The arguments of an inner run: those of this run without outputs and their options.
fn inner(words: &[OsString]) -> Vec<OsString> {
    let (options, outputs) = (Options::command(), OutputArgs::augment_args(clap::Command::new("outputs")));
    let outputs: Vec<_> = outputs.get_arguments().filter_map(clap::Arg::get_long).chain(OTHERS).collect();
    let dropped: Vec<_> =
        options.get_arguments().filter(|it| it.get_long().is_some_and(|long| outputs.contains(&long))).collect();
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        // The option without its value, and the value if it is in the same word.
        let (long, with_long) = text.strip_prefix("--").map_or(("", None), |text| match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        });
        let short = |option: &clap::Arg| text.strip_prefix('-')?.strip_prefix(option.get_short()?);
        let found = dropped.iter().find_map(|option| match option.get_long() == Some(long) {
            true => Some((option, with_long.is_some())),
            false => short(option).map(|value| (option, !value.is_empty())),
        });
        match found {
            None => kept.push(word.clone()),
            Some((option, false)) if option.get_action().takes_values() => drop(words.next()),
            Some(_) => {}
        }
    }
    kept
}

/// Copies the files, directories and symlinks of a tree for which `wanted` returns true.
#[expect(clippy::disallowed_methods, reason = "each error is given its path")]
fn copy(from: &Utf8Path, to: &Utf8Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    host_files::make_directory(to).or_cannot("create")?;
    let mut walk = Walk::below(from, "read");
    while let Some(found) = walk.next() {
        let Found { path, metadata } = found?;
        let copied = to.as_std_path().join(path.strip_prefix(from).unwrap_or(&path));
        let done = if !wanted(&path) {
            walk.leave();
            Ok(())
        } else if metadata.is_symlink() {
            fs::read_link(&path).and_then(|target| std::os::unix::fs::symlink(target, &copied))
        } else if metadata.is_dir() {
            fs::create_dir(&copied)
        } else if metadata.is_file() {
            fs::copy(&path, &copied).map(drop)
        } else {
            Ok(())
        };
        done.map_err(|error| Error::io("copy", &path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_runs_have_no_outputs_of_their_own() {
        let words = "rootfs --with bash --tar a.tar --push=x -j4 -j 2 --jobs 3 --target t --check-reproducible --checksums \
                     S --other-directory --dir d -q";
        let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        assert_eq!(inner(&words).join(OsStr::new(" ")), "rootfs --with bash --target t -q");
    }
}
