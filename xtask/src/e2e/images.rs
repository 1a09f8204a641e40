//! Images in other readers: docker, podman, skopeo, umoci, buildah and containerd load the output of one run, run it,
//! and report its digest.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use serde_json::Value;

use super::arm64;
use super::lab::Lab;
use super::layout::{ImageRead, Layout};
use crate::host;
use crate::process::{Command, command, until};
use crate::stage::need;

/// Images of this run, removed with it.
struct Images<'a>(&'a str, Vec<String>);

impl Drop for Images<'_> {
    fn drop(&mut self) {
        for image in &self.1 {
            let _ = duct::cmd!(self.0, "rmi", "--force", image).stdout_null().stderr_null().unchecked().run();
        }
    }
}

/// Runs the program in `image`; its first line must name the machine.
fn runs(engine: &str, image: &str, platform: &str, machine: &str) -> Result<()> {
    let said = super::engine::run_by(engine).args(["--platform", platform, image]).run()?;
    ensure!(said.stdout.starts_with(&format!("hello from {machine}\n")), "{}", said.report(machine));
    Ok(())
}

/// The engine's output for `{{.Id}}` and the architecture.
fn known(engine: &str, image: &str) -> Result<String> {
    let asked = command([engine, "image", "inspect", "--format", "{{.Id}} {{.Architecture}}", image]).run()?;
    Ok(asked.line()?.trim_start_matches("sha256:").to_owned())
}

fn id(image: &ImageRead) -> &str {
    image.id.trim_start_matches("sha256:")
}

/// One run writes an archive, a layout and an engine's image; each reader has the same image, and runs it.
pub(super) fn every_reader(lab: &Lab) -> Result<()> {
    super::ready("docker")?;
    super::ready("podman")?;
    ["skopeo", "umoci", "buildah", "runc", "ctr"].into_iter().try_for_each(need)?;
    let (hello, name) = (lab.fixture("hello")?, "cargo-rootfs-e2e/images:1");
    let native = format!("linux/{}", if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" });
    // A bill of materials is attached, which no reader may reject.
    let outputs = ["--oci-archive", "hello.tar", "--oci", "layout", "--docker-load", name, "--with", "bash"];
    let outputs = [&outputs[..], &["--sbom", "spdx"]].concat();
    let written = lab.rootfs(&hello, outputs).run()?;
    let _docker = Images("docker", vec![name.to_owned()]);
    let (archive, directory) = (hello.join("hello.tar"), hello.join("layout"));

    // Every digest is computed again, and the archive holds the same image.
    let layout = Layout::read(&directory)?;
    let [image] = &layout.images[..] else { anyhow::bail!("not one image") };
    ensure!(image.layers.len() > 4, "{:?}", image.layers);
    ensure!(layout.referrers.len() == 1, "no bill of materials in the layout");
    let unpacked = lab.folder("unpacked")?;
    command(["tar", "-C", unpacked.as_str(), "-xf", archive.as_str()]).run()?;
    ensure!(Layout::read(&unpacked)?.digest == layout.digest, "the archive holds another image");
    labelled(image)?;

    // docker, by --docker-load and by the archive.
    let lines: Vec<&str> = written.stdout.lines().collect();
    ensure!(
        lines.contains(&&*image.id),
        "{}",
        written.report("the configuration's digest, as the classic store has it")
    );
    ensure!(known("docker", name)?.starts_with(id(image)), "docker has another image");
    runs("docker", name, &native, std::env::consts::ARCH)?;
    let loaded = command(["docker", "load", "--quiet", "--input", archive.as_str()]).run()?;
    ensure!(loaded.stdout.contains(&image.id), "{}", loaded.report(&image.id));

    // podman: the archive, and through --engine.
    let loaded = command(["podman", "load", "--quiet", "--input", archive.as_str()]).run()?;
    ensure!(loaded.stdout.contains(id(image)), "{}", loaded.report(&image.id));
    let podman = Images("podman", vec![image.id.clone()]);
    runs("podman", &image.id, &native, std::env::consts::ARCH)?;
    drop(podman);
    lab.rootfs(&hello, ["--with", "bash", "--engine", "podman", "--docker-load", name]).run()?;
    let _podman = Images("podman", vec![name.to_owned()]);
    ensure!(known("podman", name)?.starts_with(id(image)), "podman has another image");
    runs("podman", name, &native, std::env::consts::ARCH)?;

    // skopeo, then umoci's unpacking, and a container of runc's.
    let source = format!("oci:{directory}");
    let digest = command(["skopeo", "inspect", "--format", "{{.Digest}}", &source]).run()?;
    ensure!(digest.line()? == image.digest, "{}", digest.report(&image.digest));
    let copy = lab.path("copy");
    command(["skopeo", "copy", "--quiet", &source, &format!("oci:{copy}:1")]).run()?;
    let bundle = lab.path("bundle");
    command(["umoci", "unpack", "--image", &format!("{copy}:1"), bundle.as_str()]).run()?;
    without_terminal(&bundle.join("config.json"))?;
    let said = command(["runc", "run", "--bundle", bundle.as_str(), "cargo-rootfs-e2e-images"]).run()?;
    ensure!(said.stdout.starts_with(&format!("hello from {}\n", std::env::consts::ARCH)), "{}", said.report("in runc"));

    // buildah makes a name of the path, so the path has no capital letters.
    let pulled = command(["buildah", "pull", "--quiet", "oci:layout"]).dir(&hello).run()?;
    ensure!(pulled.line()? == id(image), "{}", pulled.report(&image.id));
    containerd(lab, &archive, image)
}

/// Labels and settings that are made of Cargo.toml.
fn labelled(image: &ImageRead) -> Result<()> {
    let (labels, annotations) = (&image.config["config"]["Labels"], &image.manifest["annotations"]);
    for (name, value) in [("title", "hello"), ("version", "1.2.3")] {
        let name = format!("org.opencontainers.image.{name}");
        ensure!(labels[&name] == value && annotations[&name] == value, "{name}: {labels}, {annotations}");
    }
    Ok(())
}

/// Disables the terminal in a container configuration.
fn without_terminal(config: &Utf8Path) -> Result<()> {
    let text = fs_err::read_to_string(config)?;
    let mut spec: Value = serde_json::from_str(&text).context("the bundle's JSON")?;
    spec["process"]["terminal"] = false.into();
    Ok(fs_err::write(config, spec.to_string())?)
}

/// A containerd of this scenario loads the archive, and reports the image's manifest.
fn containerd(lab: &Lab, archive: &Utf8Path, image: &ImageRead) -> Result<()> {
    need("containerd")?;
    let (root, state, socket) = (lab.folder("containerd/root")?, lab.folder("containerd/state")?, lab.path("c.sock"));
    let config = lab.file("containerd/config.toml", &format!(
        "version = 2\nroot = '{root}'\nstate = '{state}'\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{socket}'\n"
    ))?;
    let log = lab.path("containerd.log");
    let serve = duct::cmd!("containerd", "--config", config.as_str()).stderr_to_stdout().stdout_path(&log).unchecked();
    let process = serve.start().context("start containerd")?;
    let ctr =
        |words: &[&str]| -> Command { command(["ctr", "--address", socket.as_str()]).args(words.iter().copied()) };
    let done = (|| {
        let version = duct::cmd!("ctr", "--address", socket.as_str(), "version").stdout_null().stderr_null();
        until("containerd answers", || Ok(version.run().is_ok()))?;
        ctr(&["images", "import", "--base-name", "example.org/hello", "--digests", archive.as_str()]).run()?;
        let listed = ctr(&["images", "list"]).run()?;
        ensure!(listed.stdout.contains(&image.digest), "{}", listed.report(&image.digest));
        let name = format!("example.org/hello@{}", image.digest);
        let words = ["run", "--rm", "--snapshotter", "native", &name, "cargo-rootfs-e2e"];
        let said = ctr(&words).run()?;
        ensure!(
            said.stdout.starts_with(&format!("hello from {}\n", std::env::consts::ARCH)),
            "{}",
            said.report("in containerd")
        );
        Ok(())
    })();
    let _ = process.kill();
    done
}

/// Two architectures in one archive and one layout; an engine has both under separate names.
pub(super) fn two_architectures(lab: &Lab) -> Result<()> {
    arm64::can_run()?;
    super::ready("docker")?;
    super::ready("podman")?;
    need("skopeo")?;
    let hello = lab.fixture("hello")?;
    let native = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let sysroot = format!("target.{}.sysroot = \"{}\"\n", arm64::TRIPLE, host::sysroot_arm64());
    let manifest = fs_err::read_to_string(hello.join("Cargo.toml"))?;
    lab.file("hello/Cargo.toml", &format!("{manifest}\n[package.metadata.rootfs]\n{sysroot}"))?;
    let name = "cargo-rootfs-e2e/two:1";
    let arm = format!("{name}-arm64");
    for engine in ["docker", "podman"] {
        let outputs = ["--oci", "layout", "--oci-archive", "two.tar", "--docker-load", name, "--engine", engine];
        let write = lab.rootfs(&hello, ["--target", &native, "--target", arm64::TRIPLE]).args(outputs);
        let written = arm64::with_compilers(write)?.run()?;
        let _images = Images(engine, vec![name.to_owned(), arm.clone()]);
        let layout = Layout::read(&hello.join("layout"))?;
        let [first, second] = &layout.images[..] else { anyhow::bail!("not two images") };
        ensure!(written.stdout.contains(id(first)), "{}", written.report("the id of the first"));
        ensure!(known(engine, name)? == format!("{} amd64", id(first)), "{engine}: {name}");
        ensure!(known(engine, &arm)? == format!("{} arm64", id(second)), "{engine}: {arm}");
        runs(engine, name, "linux/amd64", "x86_64")?;
        runs(engine, &arm, "linux/arm64", "aarch64")?;
        if engine == "podman" {
            // podman takes the platform of its own machine from the index.
            let loaded = command(["podman", "load", "--quiet", "--input", hello.join("two.tar").as_str()]).run()?;
            ensure!(loaded.stdout.contains(id(first)), "{}", loaded.report(&first.id));
        }
        let raw = command(["skopeo", "inspect", "--raw", &format!("oci-archive:{}", hello.join("two.tar"))]).run()?;
        let index: Value = serde_json::from_str(&raw.stdout).context("the index")?;
        ensure!(index["manifests"][1]["digest"] == *second.digest, "{}", raw.report("the index"));
    }
    Ok(())
}
