//! Images: layers are the same everywhere and at any time, and labels contain the data of Cargo.toml.

use std::process::Command;

use crate::project::Project;

/// A JSON file of the archive `name` of a project.
fn json(project: &Project, name: &str, member: &str) -> serde_json::Value {
    let read = Command::new("tar").args(["-xOf", name, member]).current_dir(project.path()).output().unwrap();
    assert!(read.status.success(), "{read:?}");
    serde_json::from_slice(&read.stdout).unwrap()
}

/// The configuration of the image in an archive, and the name of each layer.
fn image(project: &Project, name: &str) -> (serde_json::Value, Vec<String>) {
    let manifest = json(project, name, "manifest.json")[0].take();
    let layers = manifest["Layers"].as_array().unwrap().iter().map(|layer| layer.as_str().unwrap().to_owned());
    (json(project, name, manifest["Config"].as_str().unwrap()), layers.collect())
}

fn comments(config: &serde_json::Value) -> Vec<&str> {
    config["history"].as_array().unwrap().iter().map(|entry| entry["comment"].as_str().unwrap()).collect()
}

#[test]
fn layers_do_not_depend_on_project_epoch_directory_or_processors() {
    let one = Project::app("").file("src/main.rs", "fn main() { println!(\"one\") }\n");
    let other = Project::app("[[bin]]\nname = 'other'\npath = 'src/main.rs'\n");
    let write = |project: &Project, name: &str, variables: &[(&str, &str)]| {
        let arguments = ["--with", "bash,ls", "--oci-archive", name];
        let run = project.run_in(".", &arguments, variables);
        assert_eq!(run.code, 0, "{run:#?}");
        image(project, name)
    };
    let (config, layers) = write(&one, "a.tar", &[]);
    assert!((6..=10).contains(&layers.len()), "{:?}", comments(&config));
    assert_eq!(comments(&config).last(), Some(&"the project's own files"));
    let (theirs, other_layers) = write(&other, "deep/er/b.tar", &[("SOURCE_DATE_EPOCH", "1700000000")]);
    assert_eq!(comments(&theirs), comments(&config));
    let (last, shared) = layers.split_last().unwrap();
    let (other_last, other_shared) = other_layers.split_last().unwrap();
    assert_eq!(shared, other_shared, "another project and another epoch");
    assert_ne!(last, other_last);
    assert_eq!(theirs["created"], "2023-11-14T22:13:20Z");

    let (later, again) = write(&one, "c.tar", &[("SOURCE_DATE_EPOCH", "1700000000")]);
    assert_eq!(again, layers, "another epoch");
    assert_ne!(later["created"], config["created"]);

    let arguments = ["--with", "bash,ls", "--oci-archive", "d.tar"];
    let whole = one.command(".", &arguments, &[]);
    let mut alone = Command::new("taskset");
    alone.args(["-c", "0"]).arg(whole.get_program()).args(whole.get_args()).current_dir(one.path()).env_clear();
    alone.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(alone.output().unwrap().status.success());
    let archive = |name: &str| std::fs::read(one.path().join(name)).unwrap();
    assert!(archive("d.tar") == archive("a.tar"), "one processor");
}

#[test]
fn one_layer_and_several_outputs() {
    let folder = Project::empty();
    let outputs = ["--oci-archive", "a.tar", "--oci", "layout", "--tar", "plain.tar"];
    let tools = ["--tools-only", "--with", "ls"];
    let run = folder.run(&[&tools[..], &outputs, &["--layers", "single"]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (0, "plain.tar\nlayout\na.tar\n"), "{run:#?}");
    let (config, layers) = image(&folder, "a.tar");
    assert_eq!(comments(&config), ["the root filesystem"]);
    assert!(folder.path().join("layout").join(&layers[0]).exists(), "both have the same layer");
    // The same output again replaces it; a directory of another origin stays.
    let again = folder.run(&[&tools[..], &["--oci", "layout"]].concat());
    assert_eq!(again.code, 0, "{again:#?}");
    std::fs::write(folder.path().join("layout/note"), "mine").unwrap();
    let refused = folder.run(&[&tools[..], &["--oci", "layout"]].concat());
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert!(refused.stderr.contains("has changed since cargo rootfs made it"), "{refused:#?}");
    assert_eq!(folder.run(&[&tools[..], &["--oci", "layout", "--force"]].concat()).code, 0);
    assert!(!folder.path().join("layout/note").exists());
}

#[test]
fn labels_are_those_of_the_manifest() {
    let about = "description = 'An app'\nlicense = 'MIT/Apache-2.0'\nrepository = 'https://example.org/app.git'\n\
                 homepage = 'https://example.org'\nauthors = ['A <a@example.org>', 'B']\n";
    let project = Project::app(about);
    let labels = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = [&["--template", "none", "--layers", "single", "--oci-archive", "a.tar"], arguments].concat();
        let run = project.run_in(".", &all, variables);
        assert_eq!(run.code, 0, "{run:#?}");
        let index = json(&project, "a.tar", "index.json");
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest = json(&project, "a.tar", &format!("blobs/{digest}"));
        let config = image(&project, "a.tar").0["config"].take();
        (config["Labels"].clone(), manifest["annotations"].clone(), config)
    };
    let (own, annotations, _) = labels(&[], &[]);
    let expected = serde_json::json!({
        "org.opencontainers.image.authors": "A <a@example.org>, B",
        "org.opencontainers.image.description": "An app",
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.source": "https://example.org/app.git",
        "org.opencontainers.image.title": "app",
        "org.opencontainers.image.url": "https://example.org",
        "org.opencontainers.image.version": "0.1.0",
    });
    assert_eq!((&own, &annotations), (&expected, &expected));

    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"];
        let done = Command::new("git").args(identity).args(arguments).current_dir(project.path()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    std::fs::write(project.path().join(".gitignore"), "/target\n/a.tar\n").unwrap();
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    let title = "org.opencontainers.image.title";
    let typed = ["--label", &format!("{title}="), "--label", "org.opencontainers.image.url=x", "--label", "mine=1"];
    let more = ["--annotation", "org.opencontainers.image.version=", "--annotation", "other=2", "--volume", "/data"];
    let started = ["--stop-signal", "int"];
    let (own, annotations, config) =
        labels(&[&typed[..], &more, &started].concat(), &[("SOURCE_DATE_EPOCH", "1700000000")]);
    let commit = git(&["rev-parse", "HEAD"]);
    assert_eq!((&own[title], &annotations[title]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!((&own["org.opencontainers.image.url"], &own["mine"]), (&"x".into(), &"1".into()));
    assert_eq!(own["org.opencontainers.image.revision"], commit);
    assert_eq!(own["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    assert_eq!(annotations["org.opencontainers.image.revision"], commit);
    assert_eq!(annotations["other"], "2");
    assert_eq!(annotations.get("org.opencontainers.image.version"), None);
    assert_eq!(annotations.get("mine"), None, "only what readers know is an annotation too");
    assert_eq!((&config["StopSignal"], &config["Volumes"]), (&"SIGINT".into(), &serde_json::json!({"/data": {}})));

    std::fs::write(project.path().join("note"), "").unwrap();
    let dropped = ["--label", "org.opencontainers.image.created="];
    let (own, ..) = labels(&dropped, &[("SOURCE_DATE_EPOCH", "1700000000")]);
    assert_eq!(own.get("org.opencontainers.image.revision"), None, "something is not committed");
    assert_eq!(own.get("org.opencontainers.image.created"), None);
}

/// By the loader's own search: tokens, the image's working directory, and both variables.
#[test]
fn libraries_that_the_loader_is_to_load_first_are_there() {
    let project = Project::empty();
    for (variable, name) in [
        ("LD_PRELOAD", "$LIB/absent.so"),
        ("LD_PRELOAD", "/$ORIGIN/absent.so"),
        ("LD_PRELOAD", "absent/x.so"),
        ("LD_AUDIT", "/absent.so"),
    ] {
        let env = format!("{variable}={name}");
        let run = project.run(&["--tools-only", "--with", "true", "--env", &env, "--oci", "image"]);
        let said = format!("error: {variable} of the image names `{name}`, which is not in the rootfs\n");
        assert!(run.code == 1 && run.stderr.contains(&said), "{run:#?}");
        assert!(!project.path().join("image").exists());
    }
    for env in ["LD_PRELOAD=/${LIB}/libc.so.6 $LIB/libc.so.6", "LD_AUDIT=libc.so.6"] {
        let run = project.run(&["--tools-only", "--with", "true", "--env", env, "--oci", "image"]);
        assert_eq!(run.code, 0, "{run:#?}");
    }
}

#[test]
fn the_user_is_a_number() {
    let folder = Project::empty();
    for (typed, number) in [("nonroot", "65532"), ("nonroot:root", "65532:0"), ("1234", "1234")] {
        let run = folder.run(&["--tools-only", "--with", "ls", "--user", typed, "--oci-archive", "a.tar"]);
        assert_eq!(run.code, 0, "{run:#?}");
        assert_eq!(image(&folder, "a.tar").0["config"]["User"], number, "{typed}");
    }
}
