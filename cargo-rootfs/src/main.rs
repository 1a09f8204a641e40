//! The `cargo-rootfs` binary: parse, run, exit code, and nothing else.

use std::process::ExitCode;

use cargo_rootfs::cli;

// The whole policy on exit codes stands here; which error has which is said where it is made
// (see `cargo_rootfs::exit_code`).
fn main() -> ExitCode {
    // `run` and `shell` start this program again, inside the rootfs's namespaces.
    if let Some(code) = cli::inside(std::env::args_os()) {
        return code;
    }
    let options = match cli::parse(std::env::args_os()) {
        Ok(options) => options,
        Err(answer) => return answer.print(),
    };
    match cli::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&options, &error),
    }
}
