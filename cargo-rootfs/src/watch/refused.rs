//! Explains why this machine forbids to watch processes, by the name of the setting.
//!
//! It changes no setting.

use std::fs;
use std::io;

use crate::error::Error;

/// The error after ptrace(2) failed with `error`.
pub(crate) fn explain(error: io::Error) -> Error {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let status = read("/proc/self/status").unwrap_or_default();
    let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(|mode| mode.trim().to_owned());
    explained(error, read("/proc/sys/kernel/yama/ptrace_scope").as_deref(), seccomp.as_deref())
}

/// `scope` is Yama's (Documentation/admin-guide/LSM/Yama.rst), `seccomp` the mode in /proc/self/status.
fn explained(error: io::Error, scope: Option<&str>, seccomp: Option<&str>) -> Error {
    let why = Error::failed("this machine does not let a command be watched").with_source(error);
    match (scope, seccomp) {
        (Some("3"), _) => why
            .detail("the setting kernel.yama.ptrace_scope is 3: no process may use ptrace")
            .help("set kernel.yama.ptrace_scope=1 in /etc/sysctl.d, and restart: it cannot be lowered before"),
        (Some("2"), _) => why
            .detail("the setting kernel.yama.ptrace_scope is 2: only root may use ptrace")
            .help("sudo sysctl kernel.yama.ptrace_scope=1, or run it as root"),
        (_, Some("2")) => why
            .detail("system calls are filtered by seccomp, as in a container")
            .help("start the container with `--cap-add SYS_PTRACE`"),
        _ => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_named() {
        for (scope, seccomp, words) in [
            (Some("3"), Some("0"), "kernel.yama.ptrace_scope is 3"),
            (Some("2"), Some("2"), "sudo sysctl kernel.yama.ptrace_scope=1"),
            (Some("1"), Some("2"), "--cap-add SYS_PTRACE"),
            (None, Some("2"), "--cap-add SYS_PTRACE"),
        ] {
            let said = explained(io::ErrorKind::PermissionDenied.into(), scope, seccomp).to_string();
            assert!(said.contains(words), "{words} is not in {said}");
        }
    }
}
