//! Images to a registry on loopback and to layouts, against the build alone, skopeo, sha256sum, tar, zstd and pigz.
//! Each push of a new image goes to a repository of its own.

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use serde_json::Value;

use super::measure::{self, Contender, Leaves, Measured};
use super::table::{Row, Table, Unit};
use super::{Bench, large_tools};
use crate::e2e::lab::Lab;
use crate::e2e::registry::Registry;
use crate::process::command;
use crate::stage::need;

/// A project whose push is compared with its build alone.
struct Project {
    manifest: Utf8PathBuf,
    source: Utf8PathBuf,
}

impl Project {
    fn new(lab: &Lab, name: &str) -> Result<Project> {
        let manifest = "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
        let source = lab.file(&format!("{name}/src/main.rs"), "fn main() { println!(\"hello\") }\n")?;
        Ok(Project { manifest: lab.file(&format!("{name}/Cargo.toml"), manifest)?, source })
    }

    /// A shell command that changes the printed text.
    fn changed(&self) -> String {
        format!("echo \"fn main() {{ println!(\\\"$(date +%s%N)\\\") }}\" > {}", self.source)
    }
}

/// A new name in the registry for each run, for a shell.
const NEW: &str = "n$(date +%s%N):1";

/// The cost of a push beyond the build: unchanged, and after a changed line.
pub(super) fn of_a_project(bench: &Bench, table: &mut Table) -> Result<()> {
    let lab = Lab::new(&bench.ours)?;
    let registry = Registry::open(&lab)?;
    let (pushed, built) = (Project::new(&lab, "pushed")?, Project::new(&lab, "built")?);
    // As typed: rustup and cargo are on the way of both.
    let push = format!(
        "PATH={}:$PATH cargo rootfs --quiet --manifest-path {} --with bash,ls --push {}/me/hello:1",
        lab.path("bin"),
        pushed.manifest,
        registry.host
    );
    let build = format!("cargo build --quiet --release --manifest-path {}", built.manifest);
    let shell = |name: &str, words: &str| Contender::new(name, Leaves::Nothing, ["sh", "-c", words]);

    let unchanged = shell("cargo rootfs", &push);
    let build_alone = shell("cargo build, and 50 ms", &build);
    // Files written a moment ago are not taken from the cache of layers.
    unchanged.check()?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    unchanged.check()?;
    registry.requests()?;
    unchanged.check()?;
    let asked = registry.requests()?;
    let blobs = asked.iter().filter(|line| line.contains("/blobs/") || line.starts_with("PUT")).count();
    ensure!(blobs == 0 && asked.len() <= 6, "4 requests and 2 to authenticate are enough: {asked:#?}");
    let [a, b] = measure::interleaved([&unchanged, &build_alone], bench.rounds(11, 31))?;
    table.push(Row::new("push of an unchanged image", &build_alone.name, a, plus(b, 0.05), Unit::Time, 1.0));

    let changed = shell("cargo rootfs", &format!("{} && {push}", pushed.changed()));
    let build_changed = shell("cargo build, and 0.3 s", &format!("{} && {build}", built.changed()));
    registry.requests()?;
    changed.check()?;
    let asked = registry.requests()?;
    let sent: Vec<_> = asked.iter().filter(|line| line.starts_with("PUT")).collect();
    let of_blobs = sent.iter().filter(|line| line.contains("/blobs/")).count();
    ensure!(
        of_blobs == 2 && sent.len() == 4,
        "the last layer, its configuration, the manifest by digest and tag: {sent:#?}"
    );
    let [a, b] = measure::interleaved([&changed, &build_changed], bench.rounds(5, 15))?;
    table.push(Row::new("push after a changed line", &build_changed.name, a, plus(b, 0.3), Unit::Time, 1.0));
    Ok(())
}

fn plus(measured: Measured, seconds: f64) -> Measured {
    Measured { median: measured.median + seconds, best: measured.best + seconds }
}

/// Large tools, with already compressed layers, to a registry.
pub(super) fn first(bench: &Bench, table: &mut Table) -> Result<()> {
    need("skopeo")?;
    let lab = Lab::new(&bench.ours)?;
    let (registry, tools) = (Registry::open(&lab)?, large_tools()?);
    let (layout, leaves) = bench.directory("layout");
    let made = bench.tools(&tools, ["--oci", &layout], leaves);
    made.check()?;
    let ours = format!("{} rootfs --quiet index {}/ours/{NEW} {layout}", bench.ours, registry.host);
    // skopeo remembers the repositories that have a blob, and mounts it from there; without its memory each run sends.
    let forgetful = "export _CONTAINERS_ROOTLESS_UID=1 XDG_DATA_HOME=$(mktemp -d); trap 'rm -r $XDG_DATA_HOME' EXIT;";
    let theirs = format!(
        "{forgetful} skopeo copy --quiet --dest-tls-verify=false oci:{layout} docker://{}/theirs/{NEW}",
        registry.host
    );
    let shell = |name: &str, words: &str| Contender::new(name, Leaves::Nothing, ["sh", "-c", words]);
    let (ours, theirs) = (shell("cargo rootfs", &ours), shell("skopeo copy", &theirs));
    for contender in [&ours, &theirs] {
        ensure!(contender.check()?.code == Some(0), "{} failed", contender.name);
    }
    let [a, b] = measure::interleaved([&ours, &theirs], bench.rounds(3, 9))?;
    let work = format!("a layout of {} large tools to a registry", tools.len());
    table.push(Row::new(&work, &theirs.name, a, b, Unit::Time, 1.1));
    made.clear()
}

/// Large tools to a layout, against programs that read the finished tar.
pub(super) fn of_large_tools(bench: &Bench, table: &mut Table, compression: &str) -> Result<()> {
    for tool in ["zstd", "pigz", "time"] {
        need(tool)?;
    }
    let tools = large_tools()?;
    let finished = bench.tar(&tools);
    finished.check()?;
    let (tar, _) = bench.file("ours.tar");
    let (layout, leaves) = bench.directory("layout");
    let (out, out_leaves) = bench.file("theirs");
    let ours = bench.tools(&tools, ["--oci", &layout], leaves).with(["--compression", compression]);
    let theirs = |name: &str, words: String| Contender::new(name, out_leaves.clone(), ["sh", "-c", &words]);
    let has_sha = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default().contains(" sha_ni");
    let (peer, reach) = match (compression, has_sha) {
        ("none", true) => (theirs("tar -b 2048 of the same, unpacked", unpacked(bench, &tar, &out)?), 1.3),
        ("none", false) => (theirs("sha256sum of a finished tar", format!("sha256sum {tar} > {out}")), 1.1),
        ("zstd", _) => (theirs("zstd -3 -T2 of a finished tar", format!("zstd -q -3 -T2 -f {tar} -o {out}")), 1.2),
        _ => (theirs("pigz -6 of a finished tar", format!("pigz -6 -c {tar} > {out}")), 0.5),
    };
    let work = format!("{} large tools to a layout, {compression}", tools.len());
    let [a, b] = measure::interleaved([&ours, &peer], bench.rounds(3, 7))?;
    table.push(Row::new(&work, &peer.name, a, b, Unit::Time, reach));
    let peak = measure::peak_memory(&ours)?;
    table.push(Row::new(&work, "64 MiB", peak, Measured::exactly(64.0 * 1024.0 * 1024.0), Unit::Memory, 1.0));
    if compression == "gzip" {
        ours.check()?;
        peer.check()?;
        let theirs = fs_err::metadata(&out)?.len();
        let (a, b) = (Measured::exactly(size(&layout)? as f64), Measured::exactly(theirs as f64));
        table.push(Row::new(&format!("{work}: bytes"), &peer.name, a, b, Unit::Memory, 1.03));
    }
    ours.clear()?;
    peer.clear()?;
    let _ = fs_err::remove_dir_all(bench.dir.join("unpacked"));
    finished.clear()
}

/// The arguments for GNU tar to pack the contents of `tar` to `out`.
fn unpacked(bench: &Bench, tar: &str, out: &str) -> Result<String> {
    let directory = bench.dir.join("unpacked");
    fs_err::create_dir_all(&directory)?;
    command(["tar", "-xf", tar, "-C", directory.as_str()]).run()?;
    Ok(format!("tar -b 2048 -cf {out} -C {directory} ."))
}

/// The bytes of all layers of a layout.
fn size(layout: &str) -> Result<u64> {
    let read = |path: &str| -> Result<Value> {
        let text = fs_err::read_to_string(format!("{layout}/{path}"))?;
        serde_json::from_str(&text).with_context(|| format!("parse {layout}/{path}"))
    };
    let index = read("index.json")?;
    let digest = index["manifests"][0]["digest"].as_str().context("a digest")?.replace(':', "/");
    let manifest = read(&format!("blobs/{digest}"))?;
    Ok(manifest["layers"].as_array().into_iter().flatten().filter_map(|layer| layer["size"].as_u64()).sum())
}
