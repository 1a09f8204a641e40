//! CONTENT: where libraries and tools come from, and what is taken.

use camino::Utf8PathBuf;

use crate::cli::options::ContentArgs;
use crate::error::{Error, Result};
use crate::layout::Content;
use crate::path::RootfsPath;
use crate::target::{Machine, Target};

/// Where `cargo install --root /usr/local` would put them too.
const INSTALL_DIR: &str = "/usr/local/bin";

/// Debian's release for the sysroot that is proposed.
const SUITE: &str = "bookworm";

/// With defaults in the place of what was not given.
pub(super) fn content(args: ContentArgs) -> Content {
    // An empty item is the current folder for ld.so(8), and hardly ever meant.
    let folders = args.library_path.unwrap_or_default().into_iter().filter(|folder| !folder.as_str().is_empty());
    Content {
        tools: args.with.unwrap_or_default(),
        libraries: args.with_lib.unwrap_or_default(),
        includes: args.include.unwrap_or_default(),
        template: args.template.unwrap_or_else(|| "base".to_owned()),
        library_path: folders.collect(),
        install_dir: args.install_dir.unwrap_or_else(|| RootfsPath::root().join(INSTALL_DIR.as_bytes())),
    }
}

/// The sysroot's folder: the one given, or `/` for the host's machine.
pub(super) fn sysroot(given: Option<&str>, target: &Target, tools: &[String]) -> Result<Utf8PathBuf> {
    match given {
        None if target.machine() == Machine::host() => Ok("/".into()),
        None => {
            let message = format!("no sysroot for {}", target.triple());
            let why = format!("this machine's own libraries and tools are for {}", Machine::host());
            Err(proposed(Error::failed(message).detail(why), target, SUITE, tools))
        }
        Some("auto") => Err(proposed(Error::failed("`--sysroot auto` is not supported yet"), target, SUITE, tools)),
        // `.` and `..` are folders in every shell.
        Some(folder) if folder.contains('/') || folder == "." || folder == ".." => Ok(folder.into()),
        Some(word) => match word.split_once(':') {
            Some((_, suite)) => {
                let error = Error::failed(format!("`--sysroot {word}` is not supported yet"));
                Err(proposed(error, target, suite, tools))
            }
            None => Err(Error::usage(format!("`{word}` is not a sysroot: a folder is written with a slash"))
                .help(format!("--sysroot ./{word}"))),
        },
    }
}

/// With the command that makes a sysroot, where Debian has the machine.
fn proposed(error: Error, target: &Target, suite: &str, tools: &[String]) -> Error {
    let Some(arch) = target.machine().debian() else { return error };
    // What every program that Rust links needs, and base-files for the links `/lib` and `/bin` of a merged /usr.
    let mut packages = vec!["base-files", "libc6", "libgcc-s1"];
    packages.extend(tools.iter().map(|tool| debian_package(tool)));
    packages.sort_unstable();
    packages.dedup();
    let (packages, folder) = (packages.join(","), format!("./sysroot-{arch}"));
    error.help(format!(
        "make one with `mmdebstrap --arch={arch} --variant=extract --include={packages} {suite} {folder}`, \
         then pass `--sysroot {folder}`"
    ))
}

/// The package that has a tool: known for those that are named otherwise, and else the tool's own name,
/// which is right more often than not.
fn debian_package(tool: &str) -> &str {
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
