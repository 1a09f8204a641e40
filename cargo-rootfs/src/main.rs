//! The `cargo-rootfs` binary: only parse, run, exit code.

use std::process::ExitCode;

use cargo_rootfs::cli;

// The complete policy on exit codes; each error gets its code where it is made (see `cargo_rootfs::exit_code`).
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
