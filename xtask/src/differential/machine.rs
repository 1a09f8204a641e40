//! Every dynamic ELF file of this machine: our closure against the list of its own loader. Only loaders are started;
//! they map a file to list its needs, and do not run it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8Path;

use super::answer::{Answer, Printed, finish};
use super::header::{self, Machine};
use crate::parallel::in_parallel;
use crate::stage::{Tier, cannot};

/// The loader of this machine's glibc.
const LOADER: &str =
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" };

/// Makes glibc's loader answer for the baseline of its architecture, on which an image must run: it then searches no
/// glibc-hwcaps directory, and $PLATFORM does not name the processor at hand (glibc manual, "Hardware Capability
/// Tunables"; the names with `_Usable` are those before 2.33).
pub(super) const BASELINE: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-POPCNT,-SSE4_2,-AVX512CD,-AVX2_Usable,-AVX512F_Usable");

/// The time limit of one loader.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The number of files for one of our processes.
const BATCH: usize = 500;
/// The number of divergences that are printed in full.
const SHOWN: usize = 40;

struct Subject {
    path: PathBuf,
    loader: String,
}

/// Compares all of them, or a sample.
pub(super) fn compare(ours: &Utf8Path, tier: Tier) -> Result<()> {
    let step = if tier == Tier::Quick { 8 } else { 1 };
    if !Path::new(LOADER).exists() {
        return cannot(format!("this machine has no {LOADER}"));
    }
    let files: Vec<PathBuf> = header::walk(Path::new("/"), &is_left_out).into_iter().step_by(step).collect();
    let objects = header::dynamic(&files)?.into_iter().filter(|object| object.machine == Machine::HOST);
    let subjects = objects.map(|object| {
        let loader = object.interpreter.unwrap_or_else(|| usual_loader(&object.path));
        Subject { path: object.path, loader }
    });
    let subjects: Vec<Subject> = subjects.collect();
    ensure!(!subjects.is_empty(), "there is no dynamic ELF file on this machine");
    let sample = if step == 1 { String::new() } else { format!(" (every {step}th file is looked at)") };
    println!("  {} dynamic among {} files{sample}", subjects.len(), files.len());

    let paths: Vec<PathBuf> = subjects.iter().map(|subject| subject.path.clone()).collect();
    let our_answers = ask_us(ours, &[], &paths)?;
    let their_answers = in_parallel(&subjects, ask_loader)?;
    let mut tally = Tally::default();
    for ((subject, our), their) in subjects.iter().zip(&our_answers).zip(&their_answers) {
        tally.count(subject, our, their);
    }
    tally.tell(subjects.len())
}

/// Directories that are not compared: kernel file systems, directories that other processes change, and caches that are
/// tagged as such (<https://bford.info/cachedir/>; Cargo's target directories are).
fn is_left_out(folder: &Path) -> bool {
    const LEFT_OUT: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var"];
    // The corpus of fuzz targets is broken on purpose.
    let is_corpus = folder.ends_with("tests/fuzz/corpus");
    is_corpus || LEFT_OUT.iter().any(|it| folder == Path::new(it)) || folder.join("CACHEDIR.TAG").exists()
}

/// The loader for a library, which names none: that of the libc in the same directory.
fn usual_loader(path: &Path) -> String {
    let musl = format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH);
    let is_musl = path.components().any(|part| part.as_os_str().as_bytes().ends_with(b"-linux-musl"));
    if is_musl && Path::new(&musl).exists() { musl } else { LOADER.to_owned() }
}

/// Our answers for files, in their order, with `words` before the files.
pub(super) fn ask_us(ours: &Utf8Path, words: &[&str], files: &[PathBuf]) -> Result<Vec<Answer>> {
    let batches: Vec<&[PathBuf]> = files.chunks(BATCH).collect();
    let answers = in_parallel(&batches, |batch| {
        let fixed = ["rootfs", "tree", "--message-format", "json"].iter().chain(words).chain(&["--"]);
        let files = batch.iter().map(|file| file.clone().into_os_string());
        let printed = run(ours.as_os_str(), fixed.map(OsString::from).chain(files), &[])?;
        let lines: Vec<&str> = printed.stdout.lines().collect();
        ensure!(lines.len() == batch.len(), "{} answers for {} files: {}", lines.len(), batch.len(), printed.why());
        lines.into_iter().map(Answer::of_ours).collect::<Result<Vec<_>>>()
    })?;
    Ok(answers.into_iter().flatten().collect())
}

fn ask_loader(subject: &Subject) -> Result<Answer> {
    let is_musl = subject.loader.contains("/ld-musl-");
    let list = is_musl.then(|| OsString::from("--list"));
    let words = list.into_iter().chain([subject.path.clone().into_os_string()]);
    if !Path::new(&subject.loader).exists() {
        return Ok(Answer { missing: [subject.loader.clone()].into(), ..Answer::default() });
    }
    let printed = run(OsStr::new(&subject.loader), words, &[("LD_TRACE_LOADED_OBJECTS", "1"), BASELINE])?;
    let real = |path: &str| fs::canonicalize(path).map_or(path.to_owned(), |it| it.to_string_lossy().into_owned());
    Ok(Answer::of_loader(&printed, &real))
}

/// Runs it without the caller's environment, from `/`.
fn run(program: &OsStr, words: impl Iterator<Item = OsString>, env: &[(&str, &str)]) -> Result<Printed> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    finish(&duct::cmd(program, words).full_env(env).dir("/").stdin_null(), TIMEOUT)
}

/// The counts of a comparison.
#[derive(Default)]
struct Tally {
    same: usize,
    /// The size of the loader's answers: files, and names that were not found.
    mapped: usize,
    missing: usize,
    /// The files that both refuse, by the loader's message.
    refused: BTreeMap<String, usize>,
    diverged: Vec<String>,
}

impl Tally {
    fn count(&mut self, subject: &Subject, our: &Answer, their: &Answer) {
        // Our list has the loader only if it is needed by name; the trace always has it.
        let loader = fs::canonicalize(&subject.loader).map(|it| it.to_string_lossy().into_owned());
        let (mut our, mut their) = (our.clone(), their.clone());
        for answer in [&mut our, &mut their] {
            answer.files.extend(loader.iter().cloned());
        }
        self.mapped += their.files.len();
        self.missing += their.missing.len();
        if our.agrees(&their) {
            self.same += 1;
            if let Some(why) = &their.refusal {
                *self.refused.entry(reason(why)).or_default() += 1;
            }
        } else {
            let (path, ours, theirs) = (subject.path.display(), our.beyond(&their), their.beyond(&our));
            self.diverged.push(format!("  {path}\n    ours only:   {ours}\n    loader only: {theirs}"));
        }
    }

    fn tell(self, all: usize) -> Result<()> {
        for (why, count) in &self.refused {
            println!("  {count} refused by both: {why}");
        }
        for divergence in self.diverged.iter().take(SHOWN) {
            println!("{divergence}");
        }
        println!("  the loader would map {} files, and misses {} names", self.mapped, self.missing);
        println!("  {} of {all} files as the loader has them: {}", self.same, percent(self.same, all));
        ensure!(self.diverged.is_empty(), "{} files diverge", self.diverged.len());
        Ok(())
    }
}

/// A loader's message without the file names before its last colons.
fn reason(words: &str) -> String {
    words.rsplit(": ").find(|part| part.contains(' ')).unwrap_or(words).to_owned()
}

/// A percentage, rounded down so that one divergence never reads as 100%.
pub(super) fn percent(part: usize, whole: usize) -> String {
    let hundredths = part * 10_000 / whole.max(1);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}
