//! Explains why this machine forbids to enter the rootfs, by the name of the setting.
//!
//! It changes no setting.

use std::fs;
use std::path::Path;

use super::Way;
use super::message::Failure;
use crate::error::Error;

/// The relevant settings. `None` if the kernel lacks the setting.
#[derive(Debug, Default)]
struct Settings {
    /// Names of user.max_user_namespaces and similar limits that are 0 (namespaces(7)).
    none_allowed: Vec<String>,
    /// kernel.unprivileged_userns_clone, of Debian's and Arch's kernels.
    clone: Option<String>,
    /// kernel.apparmor_restrict_unprivileged_userns, of Ubuntu from 23.10 on.
    apparmor: Option<String>,
    /// The mode of seccomp(2) in /proc/self/status: 2 is a filter, as in containers.
    seccomp: Option<String>,
    /// True in a chroot, where `/` is no mount point: the kernel refuses user namespaces there (user_namespaces(7)).
    in_chroot: bool,
    is_root: bool,
    program: String,
}

const MAXIMA: [&str; 5] =
    ["max_user_namespaces", "max_mnt_namespaces", "max_pid_namespaces", "max_ipc_namespaces", "max_net_namespaces"];

impl Settings {
    fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let maximum = |name: &&str| read(&format!("/proc/sys/user/{name}")).as_deref() == Some("0");
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        let mounts = super::layers::mount_points(&fs::read("/proc/self/mountinfo").unwrap_or_default());
        Self {
            none_allowed: MAXIMA.into_iter().filter(maximum).map(|name| format!("user.{name}")).collect(),
            clone: read("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            seccomp: seccomp.map(|mode| mode.trim().to_owned()),
            in_chroot: !mounts.iter().any(|mount| mount == Path::new("/")),
            is_root: rustix::process::geteuid().is_root(),
            program: std::env::current_exe().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

/// The error after every way has failed: each attempt with its failure.
pub(super) fn explain(tried: &[(Way, Failure)]) -> Error {
    explained(tried, &Settings::read())
}

fn explained(tried: &[(Way, Failure)], settings: &Settings) -> Error {
    let who = if settings.is_root { "" } else { " without root's rights" };
    let mut error = Error::failed(format!("this machine does not let a rootfs be entered{who}"));
    for (way, Failure { what, errno }) in tried {
        let by = match way {
            Way::User => "user namespaces",
            Way::Root => "mount namespaces",
            Way::Chroot => "chroot",
            Way::Here => "here",
        };
        error = error.detail(format!("{by}: cannot {what}: {}", std::io::Error::from_raw_os_error(*errno)));
    }
    let off = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
    if let Some(setting) = settings.none_allowed.first() {
        return error.detail(format!("the setting {setting} is 0")).help(format!("sudo sysctl {setting}=10000"));
    }
    if settings.is_root {
        return match settings.seccomp.as_deref() {
            Some("2") => container(error),
            _ => error,
        };
    }
    if off(&settings.clone, "0") {
        return error
            .detail("the setting kernel.unprivileged_userns_clone is 0")
            .help("sudo sysctl kernel.unprivileged_userns_clone=1, or run it as root");
    }
    if off(&settings.apparmor, "1") {
        return error
            .detail("the setting kernel.apparmor_restrict_unprivileged_userns is 1")
            .detail("AppArmor then allows user namespaces only to programs that it knows")
            .help(profile(&settings.program));
    }
    if off(&settings.seccomp, "2") {
        return container(error);
    }
    if settings.in_chroot {
        return error.detail("it runs in a chroot, where the kernel allows no user namespaces");
    }
    error.help("run it as root, or `cargo rootfs --dir DIR`, and chroot to that")
}

fn container(error: Error) -> Error {
    error.detail("system calls are filtered by seccomp, as in a container").help(
        "start the container with `--cap-add SYS_ADMIN --security-opt seccomp=unconfined \
             --security-opt apparmor=unconfined`",
    )
}

/// The command that allows user namespaces for `program` only
/// (<https://ubuntu.com/blog/ubuntu-23-10-restricted-unprivileged-user-namespaces>).
fn profile(program: &str) -> String {
    format!(
        "printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile cargo-rootfs \"{program}\" flags=(unconfined) \
         {{\\n  userns,\\n}}\\n' | sudo tee /etc/apparmor.d/cargo-rootfs && \
         sudo apparmor_parser -r /etc/apparmor.d/cargo-rootfs"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tried: &[Way], settings: &Settings) -> String {
        let tried: Vec<_> =
            tried.iter().map(|way| (*way, Failure { what: "make namespaces".to_owned(), errno: 1 })).collect();
        explained(&tried, settings).to_string()
    }

    #[test]
    fn the_setting_is_named() {
        let value = |text: &str| Some(text.to_owned());
        let cases = [
            (
                Settings { none_allowed: vec!["user.max_user_namespaces".to_owned()], ..Settings::default() },
                "help: sudo sysctl user.max_user_namespaces=10000",
            ),
            (Settings { clone: value("0"), ..Settings::default() }, "kernel.unprivileged_userns_clone is 0"),
            (
                Settings { apparmor: value("1"), program: "/bin/x y".to_owned(), ..Settings::default() },
                "profile cargo-rootfs \"/bin/x y\" flags=(unconfined)",
            ),
            (Settings { seccomp: value("2"), ..Settings::default() }, "--security-opt seccomp=unconfined"),
            (Settings { in_chroot: true, ..Settings::default() }, "it runs in a chroot"),
            (
                Settings { clone: value("1"), apparmor: value("0"), seccomp: value("0"), ..Settings::default() },
                "run it as root",
            ),
        ];
        for (settings, words) in cases {
            let said = said(&[Way::User], &settings);
            assert!(said.contains(words), "{words} is not in {said}");
            assert!(said.contains("user namespaces: cannot make namespaces: Operation not permitted"), "{said}");
        }
    }

    #[test]
    fn root_is_not_told_to_become_root() {
        let settings = Settings { is_root: true, clone: Some("0".to_owned()), ..Settings::default() };
        let said = said(&Way::ALL, &settings);
        assert!(!said.contains("as root") && said.contains("chroot: cannot"), "{said}");
    }
}
