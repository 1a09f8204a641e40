//! Imports into Docker and Podman, and runs the images. Containers get no network, and images are removed again.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::arm64;
use super::lab::Lab;
use crate::process::{Command, Done, command};
use crate::stage::{cannot, need};

/// An image of this run, removed with it.
pub(super) struct Image<'a> {
    engine: &'a str,
    id: String,
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        // A leftover image is litter, but no reason for the test to fail.
        let _ = duct::cmd!(self.engine, "rmi", "--force", &self.id).stdout_null().stderr_null().unchecked().run();
    }
}

impl<'a> Image<'a> {
    /// Takes the id that an import printed; standard output must have nothing else.
    pub(super) fn of(engine: &'a str, done: &Done) -> Result<Image<'a>> {
        let id = done.line()?.to_owned();
        let hex = id.trim_start_matches("sha256:");
        ensure!(hex.len() >= 12 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{}", done.report("not an image's id"));
        Ok(Image { engine, id })
    }

    pub(super) fn run(&self, flags: &[&str], args: &[&str]) -> Command {
        run(self.engine, flags).arg(self.id.as_str()).args(args.iter().copied())
    }

    fn inspect(&self) -> Result<Value> {
        let done = command([self.engine, "image", "inspect", &self.id]).run()?;
        let images: Value = serde_json::from_str(&done.stdout).context("inspect's JSON")?;
        Ok(images[0].clone())
    }

    fn expect(&self, image: &Value, path: &str, expected: &Value) -> Result<()> {
        let got = image.pointer(path).unwrap_or(&Value::Null);
        ensure!(got == expected, "{} image inspect: {path} is {got}, not {expected}", self.engine);
        Ok(())
    }
}

/// `engine run` of a temporary container without a network.
pub(super) fn run_by(engine: &str) -> Command {
    // podman prefers crun where that is installed, which does not support hybrid cgroups, and raises these limits,
    // which some machines forbid.
    let (runtime, limits): (&[&str], &[&str]) = match engine {
        "podman" => (&["--runtime", "runc"], &["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]),
        _ => (&[], &[]),
    };
    let run = command([engine]).args(runtime.iter().copied()).args(["run", "--rm", "--network", "none"]);
    run.args(limits.iter().copied())
}

/// `engine run`, without image and arguments.
fn run(engine: &str, flags: &[&str]) -> Command {
    run_by(engine).args(flags.iter().copied())
}

/// Fails if `engine` cannot be used.
pub(crate) fn ready(engine: &str) -> Result<()> {
    need(engine)?;
    let answers = duct::cmd!(engine, "info").stdout_null().stderr_null().unchecked().run();
    if answers.is_ok_and(|output| output.status.success()) {
        Ok(())
    } else {
        cannot(format!("{engine} does not answer"))
    }
}

pub(super) fn docker_amd64(lab: &Lab) -> Result<()> {
    native("docker", lab)
}

pub(super) fn docker_arm64(lab: &Lab) -> Result<()> {
    foreign("docker", lab)
}

pub(super) fn podman(lab: &Lab) -> Result<()> {
    native("podman", lab)?;
    foreign("podman", lab)
}

fn import(lab: &Lab, engine: &str, name: &str) -> Result<Command> {
    let hello = if lab.path("hello").exists() { lab.path("hello") } else { lab.fixture("hello")? };
    let command = lab.rootfs(&hello, ["--docker-import", name]);
    Ok(if engine == "docker" { command } else { command.args(["--engine", engine]) })
}

fn native(engine: &str, lab: &Lab) -> Result<()> {
    ready(engine)?;
    let name = "cargo-rootfs-e2e:native";
    let plain = Image::of(engine, &import(lab, engine, name)?.run()?)?;
    let image = plain.inspect()?;
    plain.expect(&image, "/Architecture", &"amd64".into())?;
    plain.expect(&image, "/Config/Entrypoint", &serde_json::json!(["/usr/local/bin/hello"]))?;
    let said = plain.run(&[], &["a b"]).run()?;
    ensure!(
        said.stdout == "hello from x86_64\nargs 1 [\"a b\"]\n",
        "{}",
        said.report("another output than the host's")
    );
    ensure!(plain.run(&[], &["exit", "7"]).finish()?.code == Some(7), "the exit code of the program is lost");
    run(engine, &[]).arg(name).run()?;

    let import = import(lab, engine, "cargo-rootfs-e2e:configured")?.args(
        [
            ["--with", "bash,ls"],
            ["--env", "GREETING=good day, \"you\" $HOME"],
            ["--label", "org.example.kind=a test"],
            ["--user", "nonroot"],
            ["--workdir", "/var/tmp"],
            ["--expose", "8080"],
            ["--cmd", "env"],
            ["--cmd", "GREETING"],
        ]
        .concat(),
    );
    let configured = Image::of(engine, &import.run()?)?;
    let image = configured.inspect()?;
    configured.expect(&image, "/Config/User", &"65532".into())?;
    configured.expect(&image, "/Config/WorkingDir", &"/var/tmp".into())?;
    configured.expect(&image, "/Config/Labels/org.example.kind", &"a test".into())?;
    configured.expect(&image, "/Config/ExposedPorts", &serde_json::json!({"8080/tcp": {}}))?;
    let env = image.pointer("/Config/Env").and_then(Value::as_array).context("no Env in the image")?;
    ensure!(env.iter().any(|e| e == "GREETING=good day, \"you\" $HOME"), "the image's Env is {env:?}");
    ensure!(env.iter().any(|e| e.as_str().is_some_and(|e| e.starts_with("PATH="))), "no PATH in {env:?}");
    let said = configured.run(&[], &[]).run()?;
    ensure!(
        said.stdout.ends_with("GREETING=good day, \"you\" $HOME\ncwd=/var/tmp\n"),
        "{}",
        said.report("Env or Cmd is lost")
    );
    let who = configured.run(&["--entrypoint", "/bin/bash"], &["-c", "echo $UID"]).run()?;
    ensure!(who.line()? == "65532", "{}", who.report("nonroot is not 65532"));
    Ok(())
}

fn foreign(engine: &str, lab: &Lab) -> Result<()> {
    ready(engine)?;
    arm64::can_run()?;
    let import = import(lab, engine, "cargo-rootfs-e2e:arm64")?.args(arm64::target()?).args(["--with", "bash,ls"]);
    let image = Image::of(engine, &arm64::with_compilers(import)?.run()?)?;
    let inspected = image.inspect()?;
    image.expect(&inspected, "/Architecture", &"arm64".into())?;
    image.expect(&inspected, "/Os", &"linux".into())?;
    let said = image
        .run(&["--platform", "linux/arm64"], &["run", "/bin/bash", "-c", "echo $HOSTTYPE; ls /usr/local/bin"])
        .run()?;
    ensure!(said.stdout.starts_with("hello from aarch64\n"), "{}", said.report("not aarch64"));
    ensure!(said.stdout.ends_with("aarch64\nhello\n"), "{}", said.report("bash and ls"));
    Ok(())
}

/// A missing engine, or one that fails half way, is exit 1 and no image.
pub(super) fn failed_import(lab: &Lab) -> Result<()> {
    ready("docker")?;
    let name = "cargo-rootfs-e2e:failed";
    let nowhere = format!("unix://{}", lab.path("no.sock"));
    import(lab, "docker", name)?.env("DOCKER_HOST", nowhere).fail(&[1])?.says(&["docker"])?;

    // The client reads a little and ends while the tar is still written to it.
    let shim = lab.file("shim/docker", "#!/bin/sh\ncase $1 in import|load) head -c 100000 >/dev/null; echo 'no space' >&2; exit 1;; *) exec /usr/bin/docker \"$@\";; esac\n")?;
    command(["chmod", "755", shim.as_str()]).run()?;
    let path = format!("{}:{}:{}", lab.path("shim"), lab.path("bin"), std::env::var("PATH").unwrap_or_default());
    import(lab, "docker", name)?.env("PATH", path).fail(&[1])?.says(&["no space"])?;
    let left = command(["docker", "image", "inspect", name]).finish()?;
    ensure!(left.code != Some(0), "{}", left.report("a failed import left an image"));

    // No engine in PATH. cargo itself is called by its full path.
    let cargo_only = format!("{}:{}", lab.path("bin"), lab.folder("empty")?);
    let tools = lab.tools(["--with", "/usr/bin/ls", "--docker-import", name]).env("PATH", cargo_only);
    tools.fail(&[1])?.says(&["docker"])?;
    Ok(())
}
