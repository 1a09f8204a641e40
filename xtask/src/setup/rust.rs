//! A Rust compiler of exactly the declared minimum version, with aarch64's standard library: Debian's packages,
//! downloaded and unpacked. Only its LLVM is installed; rustup and the machine's Rust do not change.

use anyhow::{Context, Result, ensure};

use super::packages::{self, PrivateApt};
use crate::host;
use crate::made::{self, RUSTC};
use crate::packed;
use crate::process::command;
use crate::stage::{cannot, need};

/// The libraries' directory in an amd64 package, relative to its programs.
const LIBRARIES: &str = "$ORIGIN/../lib/x86_64-linux-gnu";

pub(super) fn make() -> Result<()> {
    let ready = made::rust_folder()?;
    if packed::has(&ready, RUSTC) {
        return packed::pack(&ready);
    }
    need("apt-get")?;
    let wanted = host::rust_version()?;
    println!("  unpacking Debian's rustc {wanted} to {ready}");
    let apt = PrivateApt::new()?;
    let madison = apt.command(["apt-cache", "madison", "rustc-web"]).run()?.stdout;
    let Some(version) = version_of(&wanted, &madison) else {
        return cannot(format!("Debian's sources here have no rustc-web {wanted}; they have:\n{madison}"));
    };
    let dir = host::cache_dir().join(format!("rust-{wanted}.new"));
    let debs = dir.join("debs");
    fs_err::create_dir_all(&debs)?;
    let libraries = format!("libstd-rust-web-{wanted}");
    let packages = ["rustc-web", &libraries, "libstd-rust-web-dev:amd64", "libstd-rust-web-dev:arm64"];
    let packages = packages.map(|package| format!("{package}={version}"));
    apt.command(["apt-get", "-q", "download"]).args(packages).dir(&debs).run()?;
    let needs = apt.command(["apt-cache", "depends", &libraries]).run()?.stdout;
    let llvm =
        needs.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).find(|on| on.starts_with("libllvm"));
    let llvm = llvm.with_context(|| format!("{libraries} depends on no LLVM:\n{needs}"))?;
    packages::install(&[llvm.to_owned()])?;
    for deb in debs.read_dir_utf8().with_context(|| format!("read {debs}"))? {
        let deb = deb.with_context(|| format!("read {debs}"))?;
        command(["dpkg-deb", "--extract", deb.path().as_str(), dir.as_str()]).run()?;
    }
    fs_err::remove_dir_all(&debs)?;

    // The compiler looks for its libraries in the system's directories. A shell script that sets LD_LIBRARY_PATH would
    // not do: dash drops variables such as CARGO_BIN_EXE_cargo-rootfs.
    let rustc = dir.join(RUSTC);
    command(["patchelf", "--force-rpath", "--set-rpath", LIBRARIES, rustc.as_str()]).run()?;
    let says = command([rustc.as_str(), "--version"]).run()?.stdout;
    ensure!(says.starts_with(&format!("rustc {wanted}.")), "unpacked {version}, which calls itself {says}");
    fs_err::rename(&dir, &ready)?;
    packed::pack(&ready)
}

/// Debian's package of the LLVM that the compiler uses.
pub(super) fn llvm() -> Result<String> {
    let script = r#"dpkg-query --search "$(ldd "$1"/usr/lib/*/librustc_driver-*.so | sed -n 's|.*\(libLLVM[^ ]*\) =>.*|\1|p')" | sed -n 's/:.*//p' | head -n 1"#;
    let found = command(["sh", "-ec", script, "sh", made::rust()?.as_str()]).run()?;
    Ok(found.line()?.to_owned())
}

/// The package version in `apt-cache madison`'s table with the upstream version `wanted`, or one of its point releases.
fn version_of(wanted: &str, madison: &str) -> Option<String> {
    let versions = madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    let upstream = format!("{wanted}.");
    versions.filter(|version| version.starts_with(&upstream)).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn the_version_is_found_in_madisons_table() {
        let madison = " rustc-web | 1.96.0+dfsg1-1~deb12u2 | security amd64 Packages\n \
                       rustc-web | 1.85.0+dfsg3-1~deb12u3 | main amd64 Packages\n";
        assert_eq!(version_of("1.85", madison).as_deref(), Some("1.85.0+dfsg3-1~deb12u3"));
        assert_eq!(version_of("1.8", madison), None);
        assert_eq!(version_of("1.90", madison), None);
    }
}
