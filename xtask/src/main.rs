//! The project's tasks, for CI and for people. It holds no product code, and the product does not depend on it.

// A task runner prints its steps on the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod differential;
mod e2e;
mod host;
mod libraries;
mod made;
mod oracle;
mod packed;
mod parallel;
mod process;
mod projects;
mod readers;
mod release;
mod setup;
mod stage;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;

use bench::Verdict;
use stage::Tier;
use tools::By;
use tools::sample::Choice;

const USAGE: &str = "\
usage: cargo xtask TASK

  test               what a change must pass: each capability once, in ten minutes on two idle cores
  acceptance         everything else, in the better part of an hour
  setup [--all]      install what `test` needs and this machine lacks (--all: what `acceptance` and the bench need too)
  e2e [--quick] [FILTER]
                     packages run in a chroot and in containers; FILTER is a part of a scenario's name
  projects [FILTER]  published crates that are not ours, built, packed and run, for this machine and aarch64
  differential [--quick | FILTER]
                     closures against the dynamic loader's own answer
  tools [--quick | --peers | --provisioned] [FILTER]
                     each tool of the table does its job, packed by its name alone (--quick: some, of this machine's;
                     --peers: by elfpak and ldd too; --provisioned: from sysroots that are made of packages for it)
  tools --without-rules [FILTER]
                     the same with the rules that name tools put aside: `--runtime auto` alone
  tools --sample COUNT [--seed SEED]
                     commands drawn from a root of a thousand packages say and find the same as in the whole root
  tools --sample NAME,NAME
                     these commands of that root
  release [--dry-run] [TARGET]
                     static archives, an image, checksums and notes in target/dist (--dry-run: without a tag)
  libraries [--quick | --aarch64] [FILTER]
                     Rust programs linked with native libraries that open data or plugins do their jobs, packed alone
                     (--aarch64: a dozen of them, cross-compiled)
  oracle BASE        answers and costs against BASE, the program of an earlier build
  bench [--quick] [--strict] [FILTER]
                     speed and memory against libtree, GNU tar, elfpak, docker import (--strict: a figure that is far
                     from its reach fails)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Some(done) = task(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the task that `args` name; `None` for an unknown one.
fn task(args: &[&str]) -> Option<Result<()>> {
    let [name, rest @ ..] = args else { return None };
    if let ("in-root", [root, folder, rest @ ..]) = (*name, rest) {
        return Some(differential::enter(root, folder, rest));
    }
    if let ("tools", ["--sample", count, rest @ ..]) = (*name, rest) {
        let seed = match rest {
            [] => tools::sample::SEED,
            ["--seed", seed] => seed.parse().ok()?,
            _ => return None,
        };
        let choice = match count.parse() {
            Ok(count) => Choice::Drawn { count, seed },
            Err(_) => Choice::Named(count.split(',').map(str::to_owned).collect()),
        };
        return Some(tools::sample::run(&choice));
    }
    let (flags, words): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.starts_with("--"));
    let filter = words.first().copied().unwrap_or_default();
    let done = match (*name, flags.as_slice(), words.len()) {
        ("help" | "--help" | "-h", [], 0) => {
            println!("{USAGE}");
            Ok(())
        }
        ("test", [], 0) => test::run(),
        ("acceptance", [], 0) => test::accept(),
        ("setup", [], 0) => setup::run(Tier::Quick),
        ("setup", ["--all"], 0) => setup::run(Tier::Full),
        ("e2e", [], 0 | 1) => e2e::run(Tier::Full, filter),
        ("e2e", ["--quick"], 0 | 1) => e2e::run(Tier::Quick, filter),
        ("projects", [], 0 | 1) => projects::run(filter),
        ("differential", [], 0 | 1) => differential::run(Tier::Full, filter),
        ("differential", ["--quick"], 0 | 1) => differential::run(Tier::Quick, filter),
        ("tools", [], 0 | 1) => tools::run(Tier::Full, By::Ours, filter),
        ("tools", ["--quick"], 0 | 1) => tools::run(Tier::Quick, By::Ours, filter),
        ("tools", ["--peers"], 0 | 1) => tools::run(Tier::Full, By::OursAndPeers, filter),
        ("tools", ["--provisioned"], 0 | 1) => tools::run(Tier::Full, By::Provisioned, filter),
        ("tools", ["--without-rules"], 0 | 1) => tools::run(Tier::Full, By::OursWithoutRules, filter),
        ("release", [], 0 | 1) => release::run(filter, false),
        ("release", ["--dry-run"], 0 | 1) => release::run(filter, true),
        ("libraries", [], 0 | 1) => libraries::run(Tier::Full, filter),
        ("libraries", ["--quick"], 0 | 1) => libraries::run(Tier::Quick, filter),
        ("libraries", ["--aarch64"], 0 | 1) => libraries::run_arm64(filter),
        ("oracle", [], 1) => oracle::run(filter),
        ("bench", [], 0 | 1) => bench::run(Tier::Full, Verdict::Printed, filter),
        ("bench", ["--quick"], 0 | 1) => bench::run(Tier::Quick, Verdict::Printed, filter),
        ("bench", ["--strict"], 0 | 1) => bench::run(Tier::Full, Verdict::Strict, filter),
        ("bench", ["--quick", "--strict"], 0 | 1) => bench::run(Tier::Quick, Verdict::Strict, filter),
        _ => return None,
    };
    Some(done)
}
