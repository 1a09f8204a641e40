//! The command that makes a sysroot, for help lines: it can be pasted, and is not run here.

use crate::resolve::Release;
use crate::target::Machine;

/// Debian's release, where nothing asks for a newer one.
pub(crate) const SUITE: &str = "bookworm";

/// Debian's releases since then, and the glibc that each has.
const SUITES: &[(&str, (u32, u32))] = &[(SUITE, (2, 36)), ("trixie", (2, 41))];

/// What comes after the last of them.
const NEWEST: &str = "sid";

/// The first of Debian's releases that has this glibc.
pub(crate) fn suite_with(glibc: Release) -> &'static str {
    let found = SUITES.iter().find(|(_, (major, minor))| glibc <= Release::new(*major, *minor));
    found.map_or(NEWEST, |(suite, _)| suite)
}

/// A sysroot of `suite` with `tools`, by name or path; `None` where Debian does not have the machine.
pub(crate) fn sysroot<'t>(machine: Machine, suite: &str, tools: impl Iterator<Item = &'t str>) -> Option<String> {
    let arch = machine.debian()?;
    // What every program that Rust links needs, and base-files for the links `/lib` and `/bin` of a merged /usr.
    let mut packages = vec!["base-files", "libc6", "libgcc-s1"];
    packages.extend(tools.map(package));
    packages.sort_unstable();
    packages.dedup();
    let (packages, folder) = (packages.join(","), format!("./sysroot-{arch}"));
    Some(format!(
        "`mmdebstrap --arch={arch} --variant=extract --include={packages} {suite} {folder}`, \
         then pass `--sysroot {folder}`"
    ))
}

/// The package that has a tool: known for those that are named otherwise, and else the tool's own name,
/// which is right more often than not.
fn package(tool: &str) -> &str {
    let name = tool.rsplit('/').next().unwrap_or(tool);
    let known = PACKAGES.iter().find(|(_, tools)| tools.split(' ').any(|tool| tool == name));
    known.map_or(name, |(package, _)| package)
}

/// As in Debian 12's `Contents` files.
const PACKAGES: &[(&str, &str)] = &[
    (
        "coreutils",
        "[ arch b2sum base32 base64 basename basenc cat chcon chgrp chmod chown chroot cksum comm cp csplit cut date \
         dd df dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install join \
         link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pinky pr \
         printenv printf ptx pwd readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum sha384sum sha512sum \
         shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort \
         tty uname unexpand uniq unlink users vdir wc who whoami yes",
    ),
    ("dash", "sh"),
    ("bind9-dnsutils", "dig nslookup nsupdate"),
    ("binutils", "ar ld nm objcopy objdump readelf strings strip"),
    ("bsdextrautils", "column hexdump"),
    ("diffutils", "cmp diff diff3 sdiff"),
    ("findutils", "find xargs"),
    ("gzip", "gunzip zcat"),
    ("iproute2", "ip ss tc"),
    ("iputils-ping", "ping"),
    ("libc-bin", "getconf getent iconv ldconfig ldd locale"),
    ("mawk", "awk"),
    ("netcat-openbsd", "nc"),
    ("openssh-client", "scp sftp ssh ssh-keygen"),
    ("procps", "free kill pgrep pkill pmap ps sysctl top uptime vmstat w watch"),
    ("sysvinit-utils", "pidof"),
    ("util-linux", "dmesg flock getopt lsblk lscpu more nsenter setsid unshare"),
    ("vim", "vi"),
    ("xz-utils", "unxz xz xzcat"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_named_by_its_glibc() {
        for (version, suite) in
            [("GLIBC_2.2.5", "bookworm"), ("GLIBC_2.36", "bookworm"), ("GLIBC_2.37", "trixie"), ("GLIBC_2.99", "sid")]
        {
            assert_eq!(suite_with(Release::of_version(version.as_bytes()).unwrap()), suite, "{version}");
        }
    }
}
