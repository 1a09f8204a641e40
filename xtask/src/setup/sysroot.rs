//! Makes the Debian roots for scenarios and tables. For roots of extracted packages, nothing in them is executed.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::process::command;
use crate::stage::{cannot, need};
use crate::tools;
use crate::{host, made, packed};

const SUITE: &str = "bookworm";

/// The packages that the cross scenarios and the quick rows of tools use.
const PACKAGES: &str = "bash,dash,coreutils,grep,gzip,libc-bin,libgcc-s1,libstdc++6,ca-certificates,tzdata,curl";

/// Development libraries, including the C library.
const DEVELOPMENT: &str = "bash,coreutils,libgcc-s1,libc6-dev,libssl-dev,libgit2-dev,libsqlite3-dev,zlib1g-dev";

/// The arm64 root of the cross scenarios.
pub(super) fn make() -> Result<()> {
    extracted(&host::sysroot_arm64(), PACKAGES)
}

/// The arm64 root of published crates.
pub(super) fn make_for_projects() -> Result<()> {
    let root = made::development_folder();
    extracted(&root, DEVELOPMENT)?;
    packed::pack(&root)
}

/// The roots of the table of tools: an installed one as on any Debian, and one for arm64 without the files that package
/// scripts make.
pub(super) fn make_for_tools() -> Result<()> {
    let [native, arm64] = tools::packages()?;
    if !host::is_root() {
        return cannot("only root can install packages into a folder");
    }
    let root = host::sysroot_tools();
    // The pages are not needed here, and are half of the files.
    let excluded = ["man", "doc", "info", "locale"].map(|it| format!("--dpkgopt=path-exclude=/usr/share/{it}/*"));
    let variant = ["--variant=essential", "--arch=amd64", "--aptopt=APT::Install-Recommends \"false\""];
    let args: Vec<&str> = variant.into_iter().chain(excluded.iter().map(String::as_str)).collect();
    let packages = [native.join(","), ",ca-certificates".to_owned()].concat();
    let foreign = host::sysroot_tools_arm64();
    made(&root, &args, &packages, || {
        // It has the other root's authority.
        packed::remove(&foreign)?;
        trust_the_peers(&root)
    })?;
    packed::pack(&root)?;
    packed::open(root.clone())?;
    made(&foreign, EXTRACTED, &arm64.join(","), || {
        let to = foreign.join(tools::AUTHORITY);
        fs_err::create_dir_all(to.parent().context("a file is in a folder")?)?;
        fs_err::copy(root.join(tools::AUTHORITY), &to)?;
        Ok(())
    })?;
    packed::pack(&foreign)
}

/// The tools of a forge's runner that pipelines use, and the libraries of the compiler that is mounted there.
const RUNNER: &str =
    "bash,ca-certificates,curl,git,jq,sudo,gcc,libc6-dev,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross,musl-tools";

/// The root for jobs of pipelines: Debian's, with a user `runner` who may use sudo, as on GitHub's.
pub(super) fn make_runner() -> Result<()> {
    const USER: &str = "useradd --create-home --uid 1001 --shell /bin/bash runner
        echo 'runner ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/runner
        su runner -c 'mkdir -p ~/.cache ~/.cargo/bin'";
    if !host::is_root() {
        return cannot("only root can install packages into a directory");
    }
    let root = host::cache_dir().join("runner");
    let excluded = ["man", "doc", "info", "locale"].map(|it| format!("--dpkgopt=path-exclude=/usr/share/{it}/*"));
    let variant = ["--variant=apt", "--arch=amd64", "--aptopt=APT::Install-Recommends \"false\""];
    let args: Vec<&str> = variant.into_iter().chain(excluded.iter().map(String::as_str)).collect();
    let packages = format!("{RUNNER},{}", super::rust::llvm()?);
    made(&root, &args, &packages, || command(["chroot", root.as_str(), "sh", "-ec", USER]).run().map(drop))?;
    packed::pack(&root)
}

/// The root for samples of commands: the table's packages and many more, installed as on any machine.
pub(crate) fn make_for_sample() -> Result<()> {
    let [native, _] = tools::packages()?;
    let more = include_str!("sample-packages.txt").lines().filter(|line| !line.starts_with('#'));
    let more: Vec<&str> = more.flat_map(str::split_whitespace).collect();
    let packages = [native.join(","), more.join(",")].join(",");
    // Package scripts need the directories of the pages.
    let excluded = ["man", "doc", "info", "locale"].map(|it| format!("--dpkgopt=path-exclude=/usr/share/{it}/*/*"));
    let variant = ["--variant=essential", "--arch=amd64", "--aptopt=APT::Install-Recommends \"false\""];
    let quick = ["--dpkgopt=force-unsafe-io"];
    let args = variant.into_iter().chain(quick).chain(excluded.iter().map(String::as_str));
    let root = host::sysroot_sample();
    made(&root, &args.collect::<Vec<_>>(), &packages, || Ok(()))?;
    packed::pack(&root)
}

/// Options of mmdebstrap(1) for packages of arm64 that are only extracted.
const EXTRACTED: &[&str] = &["--variant=extract", "--arch=arm64"];

fn extracted(root: &Utf8Path, packages: &str) -> Result<()> {
    made(root, EXTRACTED, packages, || Ok(()))
}

/// An authority that the sysroot trusts, added as an administrator adds one, and its certificates for the peers of the
/// table.
fn trust_the_peers(root: &Utf8Path) -> Result<()> {
    const SIGN: &str = r#"
set -e
mkdir -p /srv/peers /usr/local/share/ca-certificates
cd /srv/peers
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=cargo-rootfs tests" \
    -keyout ca.key -out /usr/local/share/ca-certificates/tests.crt
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=localhost" \
    -addext "subjectAltName=DNS:localhost" -addext "basicConstraints=critical,CA:FALSE" \
    -CA /usr/local/share/ca-certificates/tests.crt -CAkey ca.key -keyout server.key -out server.pem
rm ca.key
update-ca-certificates
"#;
    command(["chroot", root.as_str(), "sh", "-c", SIGN]).run().map(drop)
}

/// Puts a layer on a directory that is both its upper one and its mount point, and goes on: dpkg waits for the disk after
/// each step, and the kernel skips the syncs of a volatile layer (Documentation/filesystems/overlayfs.rst). Where it has no
/// such layers, the work takes longer.
const WITHOUT_SYNC: &str = r#"
rm -rf "$0.empty" "$0.work"
mkdir -p "$0" "$0.empty" "$0.work"
mount --make-rprivate /
mount -t overlay -o "volatile,lowerdir=$0.empty,upperdir=$0,workdir=$0.work" overlay "$0" || :
"$@"
status=$?
umount "$0" 2>/dev/null
rm -rf "$0.empty" "$0.work"
exit $status
"#;

/// Makes `root` with mmdebstrap if it is missing or has another recipe.
fn made(root: &Utf8Path, args: &[&str], packages: &str, finish: impl Fn() -> Result<()>) -> Result<()> {
    let (name, made) = (root.file_name().unwrap_or_default(), root.with_extension("made-of"));
    let recipe = format!("{SUITE} {packages}");
    if fs_err::read_to_string(&made).is_ok_and(|text| text == recipe) && packed::has(root, "bin/bash") {
        return Ok(());
    }
    need("mmdebstrap")?;
    println!("  making {name} of {SUITE} in {root}");
    packed::remove(root)?;
    fs_err::create_dir_all(host::cache_dir())?;
    let mmdebstrap = command(["mmdebstrap", "--quiet", "--aptopt=Acquire::Retries \"3\""])
        .args(args.iter().copied())
        .args([format!("--include={packages}"), SUITE.to_owned(), root.to_string()])
        .by(if host::is_root() { vec!["unshare", "--mount", "sh", "-c", WITHOUT_SYNC, root.as_str()] } else { vec![] })
        .shown(format!("mmdebstrap {} --include={packages} {SUITE} {root}", args.join(" ")));
    if let Err(error) = mmdebstrap.run() {
        println!("  once more, for a mirror can hiccup: {error:#}");
        packed::remove(root)?;
        mmdebstrap.run()?;
    }
    finish()?;
    Ok(fs_err::write(&made, recipe)?)
}
