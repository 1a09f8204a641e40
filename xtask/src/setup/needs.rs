//! The tools and files that the tests use, and the Debian package of each.
//! The large tools of the bench are listed beside it, in `bench/large-tools.txt`.

use camino::Utf8Path;

use crate::host;

/// A command's name, or the absolute path of a file; and the package that has it.
const NEEDS: &[(&str, &str)] = &[
    // building
    ("cc", "gcc"),
    ("/usr/include/x86_64-linux-gnu/sys/types.h", "libc6-dev"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/lib/libc.so.6", "libc6-dev-arm64-cross"),
    ("musl-gcc", "musl-tools"),
    // what published crates link and build with
    ("pkg-config", "pkg-config"),
    ("cmake", "cmake"),
    ("/usr/include/git2.h", "libgit2-dev"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/include/sqlite3.h", "libsqlite3-dev"),
    ("/usr/include/zlib.h", "zlib1g-dev"),
    // foreign roots, and running what is in them
    ("mmdebstrap", "mmdebstrap"),
    // a mirror of our own, with a key of its own
    ("gpg", "gnupg"),
    ("qemu-aarch64-static", "qemu-user-static"),
    // engines
    ("docker", "docker.io"),
    ("podman", "podman"),
    ("/usr/lib/podman/netavark", "netavark"),
    ("runc", "runc"),
    // the compiler of the minimum version
    ("patchelf", "patchelf"),
    // cargo-zigbuild, which pip installs
    ("/usr/share/doc/python3-venv", "python3-venv"),
    // privileges, measuring
    ("setcap", "libcap2-bin"),
    ("setpriv", "util-linux"),
    ("script", "bsdutils"),
    ("time", "time"),
    ("xz", "xz-utils"),
    // trees to compare ours with
    ("libtree", "libtree"),
];

/// The packages of what is not here.
pub(super) fn missing() -> Vec<String> {
    let here = |what: &str| if what.starts_with('/') { Utf8Path::new(what).exists() } else { host::has(what) };
    NEEDS.iter().filter(|(what, _)| !here(what)).map(|(_, package)| (*package).to_owned()).collect()
}
