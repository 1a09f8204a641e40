//! The bytes that a registry stores for ten releases of a project, with layers by packages and with one layer. One
//! release comes with another C library, and two with another library. The packages are Debian's with changed contents:
//! real point versions would need ten archives of the past.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::Bench;
use super::measure::Measured;
use super::table::{Row, Table, Unit};
use crate::process::command;
use crate::stage::cannot;
use crate::{host, packed};

const RELEASES: usize = 10;

/// The releases with changed packages, and the files of these packages in the image, as shell globs.
const CHANGES: &[(usize, &str)] = &[
    (3, "usr/lib/x86_64-linux-gnu/libselinux.so.1"),
    (
        5,
        "usr/lib/x86_64-linux-gnu/{libc.so.6,libm.so.6,ld-linux-x86-64.so.2,gconv/*.so} usr/lib/locale/C.utf8/LC_{CTYPE,COLLATE,TIME}",
    ),
    (8, "usr/lib/x86_64-linux-gnu/libtinfo.so.6.*"),
];

pub(super) fn ten(bench: &Bench, table: &mut Table) -> Result<()> {
    let tools = packed::open(host::sysroot_tools())?;
    if !tools.join("usr/bin/bash").exists() {
        return cannot(format!("no {tools}: run `cargo xtask setup`"));
    }
    let dir = bench.dir.join("releases");
    fs::create_dir_all(&dir)?;
    let sysroot = dir.join("sysroot");
    command(["cp", "-a", tools.as_str(), sysroot.as_str()]).run()?;

    let mut stored = [("split", BTreeMap::new()), ("single", BTreeMap::new())];
    for release in 1..=RELEASES {
        for (_, files) in CHANGES.iter().filter(|(at, _)| *at == release) {
            let script = "shopt -s failglob; eval \"files=($1)\"; for file in \"${files[@]}\"; do \
                          head -c 64 /dev/zero | tr '\\0' x >> \"$file\"; done";
            command(["bash", "-ec", script, "-", files]).dir(&sysroot).run()?;
        }
        let program = program(&dir, &sysroot, release)?;
        for (layers, blobs) in &mut stored {
            let out = dir.join(format!("{layers}-{release}"));
            let argv = [bench.ours.as_str(), "rootfs", "--quiet", "--binary", program.as_str(), "--with", "bash,ls"];
            let output = ["--sysroot", sysroot.as_str(), "--layers", layers, "--oci", out.as_str()];
            command(argv.into_iter().chain(output)).run()?;
            for blob in fs::read_dir(out.join("blobs/sha256"))? {
                let blob = blob?;
                blobs.insert(blob.file_name(), blob.metadata()?.len());
            }
        }
    }
    let bytes = |blobs: &BTreeMap<_, u64>| Measured::exactly(blobs.values().sum::<u64>() as f64);
    let [(_, split), (_, single)] = &stored;
    ensure!(single.len() >= 3 * RELEASES, "each release has a layer, a configuration and a manifest of its own");
    let work = format!("{RELEASES} releases of a program with bash and ls, stored");
    table.push(Row::new(&work, "one layer each", bytes(split), bytes(single), Unit::Memory, 0.2));
    Ok(())
}

/// The program of a release: half a MiB, different in each.
fn program(dir: &Utf8Path, sysroot: &Utf8Path, release: usize) -> Result<Utf8PathBuf> {
    let program = dir.join("app");
    let mut bytes = fs::read(sysroot.join("usr/bin/find"))?;
    bytes.extend(format!("release {release}").bytes());
    let _ = fs::remove_file(&program);
    fs::write(&program, bytes)?;
    command(["chmod", "755", program.as_str()]).run()?;
    Ok(program)
}
