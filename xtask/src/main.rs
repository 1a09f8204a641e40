//! The project's tasks: what CI runs, and what people run by hand.
//! It holds no product code and the product knows nothing of it.

// A task runner's whole job is to tell on the terminal what it does.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod differential;
mod e2e;
mod host;
mod made;
mod oracle;
mod parallel;
mod process;
mod projects;
mod setup;
mod stage;
mod test;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  setup [--bench]    install what the tests need and this machine lacks (--bench: what the bench needs too)
  test               everything CI runs, stage by stage
  e2e [FILTER]       packages run in a chroot and in containers; FILTER is a part of a scenario's name
  projects [FILTER]  published crates that are not ours, built, packed and run, for this machine and aarch64
  differential [--quick | FILTER]
                     closures against the dynamic loader's own answer
  tools [--peers | --provisioned] [FILTER]
                     each tool of the table does its job, packed by its name alone (--peers: by elfpak and ldd too;
                     --provisioned: from sysroots that are made of packages for it)
  oracle BASE        answers and costs against BASE, the program of an earlier build
  bench [--quick]    speed and memory against libtree, GNU tar, elfpak, docker import";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["setup"] => setup::run(setup::Extent::Tests),
        ["setup", "--bench"] => setup::run(setup::Extent::TestsAndLargeTools),
        ["test"] => test::run(),
        ["e2e"] => e2e::run(""),
        ["e2e", filter] => e2e::run(filter),
        ["projects"] => projects::run(""),
        ["projects", filter] => projects::run(filter),
        ["differential"] => differential::run(differential::Extent::Full, ""),
        ["differential", "--quick"] => differential::run(differential::Extent::Quick, ""),
        ["differential", filter] => differential::run(differential::Extent::Full, filter),
        ["in-root", root, folder, rest @ ..] => differential::enter(root, folder, rest),
        ["tools", "--peers"] => tools::run(tools::By::OursAndPeers, ""),
        ["tools", "--peers", filter] => tools::run(tools::By::OursAndPeers, filter),
        ["tools", "--provisioned"] => tools::run(tools::By::Provisioned, ""),
        ["tools", "--provisioned", filter] => tools::run(tools::By::Provisioned, filter),
        ["tools"] => tools::run(tools::By::Ours, ""),
        ["tools", filter] => tools::run(tools::By::Ours, filter),
        ["oracle", base] => oracle::run(base),
        ["bench"] => bench::run(bench::Extent::Full),
        ["bench", "--quick"] => bench::run(bench::Extent::Quick),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
