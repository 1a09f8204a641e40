//! The tools and files of the tests, and the Debian package of each. The large tools of the bench are listed in
//! `bench/large-tools.txt`.

use anyhow::Result;
use camino::Utf8Path;

use crate::process::command;
use crate::stage::Tier;
use crate::{bench, host, libraries};

/// A command's name, or the absolute path of a file; its package; and its first tier.
const NEEDS: &[(&str, &str, Tier)] = &[
    // building
    ("cc", "gcc", Tier::Quick),
    ("/usr/include/x86_64-linux-gnu/sys/types.h", "libc6-dev", Tier::Quick),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", Tier::Quick),
    ("/usr/aarch64-linux-gnu/lib/libc.so.6", "libc6-dev-arm64-cross", Tier::Quick),
    ("musl-gcc", "musl-tools", Tier::Quick),
    // libraries and tools for building published crates
    ("pkg-config", "pkg-config", Tier::Full),
    ("cmake", "cmake", Tier::Full),
    ("/usr/include/git2.h", "libgit2-dev", Tier::Full),
    ("/usr/include/openssl/ssl.h", "libssl-dev", Tier::Full),
    ("/usr/include/sqlite3.h", "libsqlite3-dev", Tier::Full),
    ("/usr/include/zlib.h", "zlib1g-dev", Tier::Full),
    // foreign roots, and running their programs
    ("mmdebstrap", "mmdebstrap", Tier::Quick),
    ("mksquashfs", "squashfs-tools", Tier::Full),
    // the MIME database of provisioned roots
    ("update-mime-database", "shared-mime-info", Tier::Full),
    // a mirror of our own, with a key of its own
    ("gpg", "gnupg", Tier::Quick),
    ("qemu-aarch64-static", "qemu-user-static", Tier::Quick),
    // engines
    ("docker", "docker.io", Tier::Quick),
    ("podman", "podman", Tier::Full),
    ("/usr/lib/podman/netavark", "netavark", Tier::Full),
    ("runc", "runc", Tier::Quick),
    // a registry, and a client of another author
    ("docker-registry", "docker-registry", Tier::Full),
    ("skopeo", "skopeo", Tier::Full),
    // its certificates, and a server of tokens
    ("openssl", "openssl", Tier::Full),
    ("python3", "python3", Tier::Full),
    // tools of forges' runners
    ("jq", "jq", Tier::Full),
    ("git", "git", Tier::Full),
    // readers of images besides the engines
    ("umoci", "umoci", Tier::Full),
    ("buildah", "buildah", Tier::Full),
    ("ctr", "containerd", Tier::Full),
    ("zstd", "zstd", Tier::Full),
    // the schemas of image documents
    (
        "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema/config-schema.json",
        "golang-github-opencontainers-image-spec-dev",
        Tier::Full,
    ),
    // a browser for the report
    ("chromium", "chromium", Tier::Full),
    // the compiler of the minimum version
    ("patchelf", "patchelf", Tier::Full),
    // tools that pip installs: cargo-zigbuild, readers of images, validators
    ("/usr/share/doc/python3-venv", "python3-venv", Tier::Full),
    // privileges, measuring
    ("setcap", "libcap2-bin", Tier::Quick),
    ("setpriv", "util-linux", Tier::Quick),
    ("script", "bsdutils", Tier::Quick),
    ("time", "time", Tier::Full),
    ("xz", "xz-utils", Tier::Quick),
    // tools for running the sampled commands
    ("strace", "strace", Tier::Full),
    ("pigz", "pigz", Tier::Full),
    // other programs with trees
    ("libtree", "libtree", Tier::Full),
];

/// The packages that `tier` needs and this machine lacks.
pub(super) fn missing(tier: Tier) -> Result<Vec<String>> {
    let here = |what: &str| if what.starts_with('/') { Utf8Path::new(what).exists() } else { host::has(what) };
    let lacking = NEEDS.iter().filter(|(what, _, from)| *from <= tier && !here(what));
    let mut packages: Vec<String> = lacking.map(|(_, package, _)| (*package).to_owned()).collect();
    if tier == Tier::Full {
        packages.extend(bench::large_tools::missing_packages()?);
        let libraries = libraries::packages()?;
        let show = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"];
        let known = command(show).args(libraries.iter().cloned()).finish().map_or(String::new(), |done| done.stdout);
        let is_here = |name: &String| known.lines().any(|line| line == format!("{name} installed"));
        packages.extend(libraries.into_iter().filter(|name| !is_here(name)));
    }
    Ok(packages)
}
