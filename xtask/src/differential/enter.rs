//! Starts a program in another root, as a loader requires. The root is a directory with the empty directories `.host`
//! and `proc`; no mount stays behind.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::answer::{Printed, finish};

/// The path of the host's files in a root.
pub(super) const HOST: &str = "/.host";

const FAILED: &str = "cannot enter";

/// Runs `argv` in the directory `current` of `root`, with only the variables `env`. It requires root's rights.
pub(super) fn in_root(
    root: &Utf8Path,
    current: &str,
    env: &[String],
    argv: &[String],
    timeout: Duration,
) -> Result<Printed> {
    entered(root, [current.to_owned()].into_iter().chain(env.to_vec()), argv, timeout)
}

/// Runs `argv` with each of `files` as its last word, and returns the outputs in order. Entering a root takes as long
/// as one answer of a loader, so it is entered once.
pub(super) fn each_in_root(
    root: &Utf8Path,
    env: &[String],
    argv: &[String],
    files: &[String],
    timeout: Duration,
) -> Result<Vec<Printed>> {
    let each = ["/".to_owned(), format!("{EACH}{}:{}", timeout.as_secs(), files.len())];
    let words = [argv, files].concat();
    let printed = entered(root, each.into_iter().chain(env.to_vec()), &words, timeout * files.len() as u32)?;
    let lines = printed.stdout.lines().map(|line| Printed::from_json(line).with_context(|| format!("read {line}")));
    let all: Vec<Printed> = lines.collect::<Result<_>>()?;
    ensure!(all.len() == files.len(), "{} answers for {} files: {}", all.len(), files.len(), printed.why());
    Ok(all)
}

/// Prefix of the seconds for each file, and of the number of files at the end of the words.
const EACH: &str = "--each=";

fn entered(
    root: &Utf8Path,
    words: impl Iterator<Item = String>,
    argv: &[String],
    timeout: Duration,
) -> Result<Printed> {
    // The mounts are in a namespace that ends with the program.
    const MOUNT_AND_GO: &str = "mount --rbind / \"$1/.host\" && mount -t proc proc \"$1/proc\" && \
                                exec \"$0\" in-root \"$@\" || echo cannot enter >&2";
    let this = std::env::current_exe().context("find this program")?.to_string_lossy().into_owned();
    let first = ["--mount", "sh", "-c", MOUNT_AND_GO, &this, root.as_str()].map(str::to_owned);
    let words = first.into_iter().chain(words).chain(["--".to_owned()]).chain(argv.to_vec());
    let printed = finish(&duct::cmd("unshare", words).stdin_null(), timeout)?;
    ensure!(!printed.stderr.contains(FAILED), "{} in {root}: {}", argv.join(" "), printed.stderr);
    Ok(printed)
}

/// Runs `cargo xtask in-root ROOT FOLDER [--each=SECONDS:COUNT] NAME=VALUE... -- PROGRAM WORD...`: the process that
/// `in_root` starts is this program again. It returns only on failure, or at the end with `--each`. The variables are
/// set last, so that the programs before do not see them.
pub(crate) fn enter(root: &str, folder: &str, rest: &[&str]) -> Result<()> {
    let Some(at) = rest.iter().position(|word| *word == "--") else { bail!("{FAILED}: no `--` before the program") };
    let [program, words @ ..] = &rest[at + 1..] else { bail!("{FAILED}: no program after `--`") };
    let env = rest[..at].iter().filter(|word| !word.starts_with(EACH)).filter_map(|word| word.split_once('='));
    // The root may have no /dev/null.
    let nothing = fs::File::open("/dev/null").context(FAILED)?;
    std::os::unix::fs::chroot(root).with_context(|| format!("{FAILED} {root}"))?;
    std::env::set_current_dir(folder).with_context(|| format!("{FAILED} {folder} of {root}"))?;
    let Some(each) = rest[0].strip_prefix(EACH) else {
        let mut command = Command::new(program);
        command.args(words).env_clear().envs(env);
        return Err(command.exec()).with_context(|| format!("{FAILED} {root} with {program}"));
    };
    let (seconds, count) = each.split_once(':').context(FAILED)?;
    let timeout = Duration::from_secs(seconds.parse().context(FAILED)?);
    let (words, files) = words.split_at(words.len().saturating_sub(count.parse().context(FAILED)?));
    for file in files {
        let process = duct::cmd(*program, words.iter().chain([file])).full_env(env.clone());
        let printed = finish(&process.stdin_file(nothing.try_clone().context(FAILED)?), timeout)?;
        println!("{}", printed.to_json());
    }
    Ok(())
}

/// The path that `path` leads to in `root`, through any links, by the rules of path_resolution(7), with `root` as `/`.
pub(crate) fn real(root: &Utf8Path, path: &str) -> String {
    let mut done: Vec<String> = Vec::new();
    let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "" | "." => {}
            ".." => {
                done.pop();
            }
            _ => {
                let at: Utf8PathBuf = root.join(done.join("/")).join(&part);
                match fs::read_link(&at) {
                    Ok(target) if links < 40 => {
                        links += 1;
                        let target = target.to_string_lossy().into_owned();
                        if target.starts_with('/') {
                            done.clear();
                        }
                        rest.extend(target.split('/').rev().map(str::to_owned));
                    }
                    _ => done.push(part),
                }
            }
        }
    }
    format!("/{}", done.join("/"))
}
