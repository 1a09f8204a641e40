//! Tests against real engines, and against shell scripts that simulate rare failures.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use super::*;
use crate::rootfs::{Body, Kind};
use crate::target::Target;
use crate::write::tests::*;
use crate::write::write;

/// A unique name for each test, and the images that had it, which are removed with it.
struct Named(Engine, ImageName, RefCell<Vec<String>>);

impl Named {
    /// `None`, with a message, if the engine is not available.
    fn new(engine: Engine, test: &str) -> Option<Self> {
        if let Err(error) = engine.ask(&["version"]) {
            skip(&error.to_string());
            return None;
        }
        let name = format!("cargo-rootfs-test/{test}:{}", std::process::id());
        Some(Self(engine, ImageName::parse(&name).unwrap(), RefCell::default()))
    }

    /// The engine's description of the image of that name.
    fn inspect(&self) -> Option<Value> {
        let json = inspect(self.0, &self.1.to_string(), "{{json .}}").ok()?;
        // Podman returns an array with one element.
        match serde_json::from_str(&json).ok()? {
            Value::Array(mut images) => images.pop(),
            image => Some(image),
        }
    }

    fn import(&self, config: &ImageConfig, planned: &Planned) -> Result<String> {
        let sink = import(self.0, &self.1, config, &planned.0)?;
        match write_one(planned, Ok(sink))? {
            Written::Image { id, name } => {
                self.2.borrow_mut().push(id.clone());
                assert_eq!(name, self.1.to_string());
                assert_eq!(id, inspect(self.0, &id, "{{.Id}}").unwrap(), "the id that the engine reports");
                Ok(id)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The paths in the image, as a container of it has them.
    fn files(&self, id: &str) -> Vec<String> {
        let container = self.0.ask(&["create", id, "/none"]).unwrap();
        let program = self.0.program();
        let script = format!("{program} export {container} | tar -tf -; {program} rm {container} >/dev/null");
        let listed = Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        for id in self.2.borrow().iter() {
            let _ = self.0.ask(&["image", "rm", "--force", id]);
        }
    }
}

fn config(triple: &str) -> ImageConfig {
    let mut config = ImageConfig::new(&Target::parse(triple).unwrap()).unwrap();
    config.entrypoint = vec!["/usr/bin/app".to_owned(), "$HOME \"'\\ü".to_owned()];
    config.cmd = vec!["two\nlines".to_owned()];
    let printable: String = (' '..='~').collect();
    config.add_env(&format!("PRINTABLE={printable}ü")).unwrap();
    config.add_env("EMPTY=").unwrap();
    config.add_env("WITH_PATH=$PATH ${PATH} $$ \\$PATH \\").unwrap();
    config.add_label(&format!("org.example/label={printable}ü")).unwrap();
    config.add_port("8080").unwrap();
    config.add_port("53/udp").unwrap();
    config.user = Some("65532:65532".to_owned());
    config.workdir = Some("/srv/$x \"y\"".to_owned());
    config
}

fn own() -> String {
    Target::host().triple().to_owned()
}

/// Asserts that the engine has the configuration, string for string.
fn assert_configured(image: &Value, config: &ImageConfig) {
    let expected: Value = serde_json::from_str(&config.to_json(&[])).unwrap();
    assert_eq!(image["Architecture"], expected["architecture"]);
    for (key, value) in expected["config"].as_object().unwrap() {
        let mut found = image["Config"][key].clone();
        let mut value = value.clone();
        if key == "Env" {
            for env in [&mut found, &mut value] {
                env.as_array_mut().unwrap().sort_by_key(Value::to_string);
            }
        }
        assert_eq!(found, value, "{key}");
    }
}

#[test]
fn docker_imports_what_is_for_its_own_architecture() {
    let Some(image) = Named::new(Engine::Docker, "own") else { return };
    let config = config(&own());
    assert!(matches!(choose(Engine::Docker, &config).unwrap(), Way::Import(_)));
    let id = image.import(&config, &some_of_everything()).unwrap();
    let inspected = image.inspect().unwrap();
    assert_eq!(inspected["Id"], *id);
    assert_eq!(inspected["Comment"], "Imported from -");
    assert_configured(&inspected, &config);
    let files = image.files(&id);
    for name in ["bin", "etc/empty", "srv/locked/file", "usr/bin/app", "usr/bin/app-1.0"] {
        assert!(files.iter().any(|file| file == name), "{name} of {files:?}");
    }
}

#[test]
fn docker_loads_what_it_cannot_import() {
    let Some(image) = Named::new(Engine::Docker, "load") else { return };
    let mut own = config(&own());
    own.add_env("LINES=one\ntwo\n").unwrap();
    for (config, length) in
        [(config("aarch64-unknown-linux-gnu"), 17 << 20), (config("armv7-unknown-linux-gnueabihf"), 1), (own, 1)]
    {
        assert!(matches!(choose(Engine::Docker, &config).unwrap(), Way::Load));
        loads(&image, &config, length);
    }
}

#[test]
fn podman_loads() {
    let Some(image) = Named::new(Engine::Podman, "podman") else { return };
    loads(&image, &config(&own()), 1 << 20);
    loads(&image, &config("aarch64-unknown-linux-gnu"), 1);
}

fn loads(image: &Named, config: &ImageConfig, length: usize) {
    let (_folder, path) = temp();
    std::fs::write(path.join("host"), vec![5; length]).unwrap();
    let planned = some_of_everything().host("/usr/lib/large", 0o644, path.join("host").as_std_path());
    let id = image.import(config, &planned).unwrap();
    let inspected = image.inspect().unwrap();
    assert_configured(&inspected, config);
    assert!(inspected["Created"].as_str().unwrap().starts_with("1970-01-01T00:00:00"), "{}", inspected["Created"]);
    let files = image.files(&id);
    assert!(files.iter().any(|file| file == "usr/lib/large"), "{files:?}");
    assert_eq!(image.import(config, &planned).unwrap(), id, "the same image again");
}

#[test]
fn a_failure_elsewhere_leaves_the_earlier_image_and_no_other() {
    let Some(image) = Named::new(Engine::Docker, "failure") else { return };
    for config in [config(&own()), config("riscv64gc-unknown-linux-gnu")] {
        // Unique bytes, so that no other test makes the same image.
        let file = Planned::new().file("/file", 0o644, format!("failure {}", std::process::id()).as_bytes());
        let more = file.clone().file("/more", 0o644, b"more");
        let earlier = image.import(&config, &file).unwrap();
        for planned in [&file, &more] {
            let mut sink = start(image.0, &image.1, &config, &planned.0).unwrap();
            for (path, entry) in planned.0.iter() {
                sink.entry(path, entry).unwrap();
                if let Kind::File(Body::Bytes(bytes)) = &entry.kind {
                    sink.data(bytes).unwrap();
                }
            }
            let staged = sink.complete().unwrap();
            let id = staged.id.clone();
            assert!(inspect(image.0, &id, "{{.Id}}").is_ok());
            drop(staged);
            assert_eq!(image.inspect().expect("the earlier image is there")["Id"], *earlier);
            assert_eq!(inspect(image.0, &id, "{{.Id}}").is_ok(), id == earlier);
        }
    }
}

/// Runs the test of this name again as another process, which finds a shell script as `docker`. Returns true in that
/// process.
fn with_fake_docker(test: &str, script: Option<&str>) -> bool {
    const AGAIN: &str = "CARGO_ROOTFS_TEST_FAKE_DOCKER";
    if std::env::var_os(AGAIN).is_some() {
        return true;
    }
    let (_folder, path) = temp();
    let mut programs = path.to_string();
    if let Some(script) = script {
        let program = path.join("docker");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        programs += ":/usr/bin:/bin";
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", &format!("output::docker::sink::tests::{test}")]).env(AGAIN, "1").env("PATH", programs);
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    false
}

fn import_large() -> Result<Written> {
    let planned = Planned::new().file("/large", 0o644, &vec![1; 4 << 20]);
    let name = ImageName::parse("app").unwrap();
    write_one(&planned, import(Engine::Docker, &name, &config("x86_64-unknown-linux-gnu"), &planned.0))
}

#[test]
fn a_missing_engine_is_named() {
    if with_fake_docker("a_missing_engine_is_named", None) {
        let error = import_large().unwrap_err();
        assert_eq!(error.message(), "`docker` is not installed, or not in PATH");
        assert!(error.help_line().unwrap().contains("--engine podman"));
    }
}

#[test]
fn an_engine_that_does_not_run_says_so_itself() {
    let script = "echo 'Cannot connect to the Docker daemon at unix:///x.sock.' >&2; exit 1";
    if with_fake_docker("an_engine_that_does_not_run_says_so_itself", Some(script)) {
        let error = import_large().unwrap_err();
        assert_eq!(error.message(), "`docker version` failed: exit status: 1");
        assert_eq!(error.details(), ["Cannot connect to the Docker daemon at unix:///x.sock."]);
    }
}

#[test]
fn an_engine_that_dies_half_way_is_heard() {
    let script = r#"
        case "$1" in
            version) echo linux/amd64 ;;
            import) head -c 1000000 >/dev/null; echo 'no space left on device' >&2; exit 1 ;;
            *) exit 9 ;;
        esac"#;
    if with_fake_docker("an_engine_that_dies_half_way_is_heard", Some(script)) {
        let error = import_large().unwrap_err();
        assert_eq!(error.message(), "`docker import` failed: exit status: 1");
        assert_eq!(error.details(), ["no space left on device"]);
    }
}

#[test]
fn an_image_of_another_architecture_is_an_error_and_removed() {
    let script = r#"
        digits=0123456789abcdef
        case "$1 $2" in
            version*) echo linux/amd64 ;;
            import*) cat >/dev/null; echo "sha256:$digits$digits$digits$digits" ;;
            "image inspect") echo "sha256:x arm64" ;;
            "image rm") echo "$3" >"${0%/*}/removed" ;;
            *) exit 9 ;;
        esac"#;
    if with_fake_docker("an_image_of_another_architecture_is_an_error_and_removed", Some(script)) {
        let error = import_large().unwrap_err();
        assert_eq!(error.message(), "`docker` made an image for arm64 of a root filesystem for amd64");
        let removed = std::fs::read_to_string(fake_folder().join("removed")).unwrap();
        assert_eq!(removed, "sha256:x\n");
    }
}

/// The directory of the script named `docker`.
fn fake_folder() -> camino::Utf8PathBuf {
    std::env::var("PATH").unwrap().split(':').next().unwrap().into()
}

/// Host files go unchanged into the pipe, with their headers and padding around them.
#[test]
fn an_import_is_fed_what_a_tar_holds() {
    let script = r#"
        digits=0123456789abcdef
        case "$1 $2" in
            version*) echo linux/amd64 ;;
            import*) cat >"${0%/*}/fed"; echo "sha256:$digits$digits$digits$digits" ;;
            "image inspect") echo "sha256:x amd64" ;;
        esac"#;
    if with_fake_docker("an_import_is_fed_what_a_tar_holds", Some(script)) {
        let (_folder, path) = temp();
        let mut planned = some_of_everything();
        for length in [0, 1, 511, 512, 4096, 70_000, (3 << 20) + 5] {
            let host = path.join(length.to_string());
            std::fs::write(&host, (0..length).map(|at: usize| at.to_le_bytes()[0]).collect::<Vec<_>>()).unwrap();
            planned = planned.host(&format!("/srv/{length}"), 0o644, host.as_std_path());
        }
        let name = ImageName::parse("app").unwrap();
        let mut sink = import(Engine::Docker, &name, &config("x86_64-unknown-linux-gnu"), &planned.0).unwrap();
        assert_eq!(sink.splice().map(|splice| splice.backlog()), Some(1 << 20));
        write_one(&planned, Ok(sink)).unwrap();
        assert!(std::fs::read(fake_folder().join("fed")).unwrap() == tar_bytes(&planned, 0));
    }
}

/// Pages of a file in a pipe change with the file.
#[test]
fn a_file_that_changes_before_the_engine_has_read_it_fails_the_run() {
    let script = r#"
        digits=0123456789abcdef
        case "$1 $2" in
            version*) echo linux/amd64 ;;
            import*) cat >/dev/null; echo more >>"${0%/*}/host"; echo "sha256:$digits$digits$digits$digits" ;;
            "image inspect") echo "sha256:x amd64" ;;
            "image rm") echo "$3" >"${0%/*}/removed" ;;
        esac"#;
    if with_fake_docker("a_file_that_changes_before_the_engine_has_read_it_fails_the_run", Some(script)) {
        let host = fake_folder().join("host");
        std::fs::write(&host, "file").unwrap();
        let planned = Planned::new().host("/file", 0o644, host.as_std_path());
        let name = ImageName::parse("app").unwrap();
        let sink = import(Engine::Docker, &name, &config("x86_64-unknown-linux-gnu"), &planned.0);
        let error = write_one(&planned, sink).unwrap_err();
        assert_eq!(error.message(), format!("`{host}` changed while it was packed"));
        assert_eq!(std::fs::read_to_string(fake_folder().join("removed")).unwrap(), "sha256:x\n");
    }
}

/// `docker` would accept a stream that ends between two entries as complete.
#[test]
fn an_abandoned_import_is_killed_before_its_input_ends() {
    let script = r#"
        case "$1" in
            version) echo linux/amd64 ;;
            import) while read -r line; do :; done; echo complete >"${0%/*}/complete" ;;
        esac"#;
    if with_fake_docker("an_abandoned_import_is_killed_before_its_input_ends", Some(script)) {
        let planned = Planned::new().file("/large", 0o644, &vec![1; 4 << 20]);
        let name = ImageName::parse("app").unwrap();
        let sink = import(Engine::Docker, &name, &config("x86_64-unknown-linux-gnu"), &planned.0).unwrap();
        let error = write(&planned.0, vec![sink], &mut (), &AtomicBool::new(true)).unwrap_err();
        assert_eq!(error.exit_code(), crate::exit_code::INTERRUPTED);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!fake_folder().join("complete").exists());
    }
}
