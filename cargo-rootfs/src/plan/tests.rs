use clap::Parser;
use serde_json::{Value, json};

use super::image::Start;
use super::*;
use crate::options::Options;

const ARM: &str = "aarch64-unknown-linux-gnu";
const INTEL: &str = "x86_64-unknown-linux-gnu";

/// A workspace at `/ws`; each member has a name, binaries, and other fields of its metadata.
fn workspace(members: &[(&str, &[&str], Value)], metadata: Value) -> Metadata {
    let id = |name: &str| format!("path+file:///ws/{name}#1.2.3");
    let package = |(name, bins, more): &(&str, &[&str], Value)| {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "crate_types": [kind], "name": name, "src_path": "/x.rs", "edition": "2021"});
        let mut targets: Vec<Value> = bins.iter().map(|bin| target("bin", bin)).collect();
        targets.push(target("lib", name));
        targets.push(target("example", "demo"));
        let mut package = json!({
            "name": name, "version": "1.2.3", "id": id(name), "dependencies": [], "targets": targets, "features": {},
            "manifest_path": format!("/ws/{name}/Cargo.toml"), "metadata": null, "default_run": null,
        });
        package.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        package
    };
    let ids: Vec<String> = members.iter().map(|(name, ..)| id(name)).collect();
    serde_json::from_value(json!({
        "packages": members.iter().map(package).collect::<Vec<_>>(), "workspace_members": ids,
        "workspace_default_members": ids, "resolve": null, "workspace_root": "/ws", "target_directory": "/ws/target",
        "version": 1, "metadata": metadata,
    }))
    .unwrap()
}

fn app(more: Value) -> Metadata {
    workspace(&[("app", &["app"], more)], Value::Null)
}

fn plan_for(project: Option<&Metadata>, configured: &[&str], line: &str) -> Result<Plan> {
    let options = Options::parse_from(["cargo-rootfs"].into_iter().chain(line.split_whitespace()));
    let request = Request {
        build: &options.build,
        content: &options.content,
        purpose: Purpose::Write(&options.output, &options.image, &options.process),
        terminal: &options.terminal,
    };
    let around = Surroundings {
        project,
        build_directory: None,
        configured_targets: configured.iter().map(|target| (*target).to_owned()).collect(),
        host: &|| Ok(Target::host().triple().to_owned()),
        foreign_sysroot: None,
        current_dir: Utf8Path::new("/here"),
    };
    Plan::new(&request, &around)
}

fn plan(project: &Metadata, line: &str) -> Plan {
    plan_for(Some(project), &[], line).unwrap()
}

fn wanted(project: &Metadata, line: &str) -> Vec<String> {
    match plan(project, line).source {
        Source::Cargo(build) => build.wanted.into_iter().map(|wanted| wanted.name).collect(),
        other => panic!("{other:?}"),
    }
}

fn arguments(project: &Metadata, line: &str) -> String {
    match plan(project, line).source {
        Source::Cargo(build) => build.arguments.join(" "),
        other => panic!("{other:?}"),
    }
}

fn places(plan: &RootfsPlan) -> Vec<String> {
    plan.outputs.iter().map(|output| format!("{:?}", output.place)).collect()
}

#[test]
fn the_default_output_is_beside_the_project() {
    let host = Target::host();
    let plan = plan(&app(json!({})), "");
    let path = format!("/ws/target/rootfs/app-{}.tar", host.triple());
    assert_eq!(places(&plan.rootfs[0]), [format!("File({path:?})")]);
    assert_eq!(plan.rootfs[0].sysroot, SysrootPlan::Folder("/".into()));
    assert_eq!(plan.rootfs[0].content.template, "base");
    assert_eq!(plan.rootfs[0].content.install_dir.to_string(), "/usr/local/bin");

    let moved = plan_for(Some(&app(json!({}))), &[], "--target-dir out").unwrap();
    assert_eq!(places(&moved.rootfs[0]), [format!("File(\"out/rootfs/app-{}.tar\")", host.triple())]);
}

#[test]
fn placeholders_are_filled_for_each_target() {
    let line = format!(
        "--sysroot ./s --target {ARM} --target {INTEL} --target {ARM} --tar {{package}}-{{version}}-{{triple}}.tar \
         --dir out/{{arch}} --docker-import reg.io:5000/{{package}}:{{arch}} --engine podman --force"
    );
    let plan = plan(&app(json!({})), &line);
    let expected = |triple: &str, arch: &str| {
        vec![
            format!("File(\"app-1.2.3-{triple}.tar\")"),
            format!("DirectoryPlace {{ path: \"out/{arch}\", replace: Force, takes_images: false }}"),
            format!(
                "EnginePlace {{ engine: Podman, name: ImageName {{ repository: \"reg.io:5000/app\", tag: \"{arch}\" }}, \
                 takes_images: false }}"
            ),
        ]
    };
    assert_eq!(plan.rootfs.len(), 2, "a target that is given twice is one");
    assert_eq!(places(&plan.rootfs[0]), expected(ARM, "arm64"));
    assert_eq!(places(&plan.rootfs[1]), expected(INTEL, "amd64"));
}

#[test]
fn the_plain_binary_of_each_choice() {
    let two: (&str, &[&str], Value) = ("app", &["server", "admin"], json!({"default_run": "server"}));
    let several = workspace(&[two, ("tool", &["tool"], json!({})), ("lib", &[], json!({}))], Value::Null);
    for (line, names) in [
        ("-p app", vec!["server"]),
        ("-p tool", vec!["tool"]),
        ("-p app@1.2.3", vec!["server"]),
        ("-p app:1", vec!["server"]),
        ("-p file:///ws/app", vec!["server"]),
        ("-p t*l", vec!["tool"]),
        ("-p app -p tool", vec!["server", "tool"]),
        ("--workspace", vec!["server", "tool"]),
        ("--workspace --exclude app", vec!["tool"]),
        ("--bin admin", vec!["admin"]),
        ("--bin admin --bin tool", vec!["admin", "tool"]),
        ("--bins", vec!["server", "admin", "tool"]),
        ("--bins -p app", vec!["server", "admin"]),
        ("--bin *er", vec!["server"]),
        ("-p app --example demo", vec!["demo"]),
        ("-p app --bin admin --example demo", vec!["admin", "demo"]),
    ] {
        assert_eq!(wanted(&several, line), names, "{line}");
    }
    for line in
        ["", "-p lib", "-p app@2", "--workspace --exclude app --exclude tool", "--bin no", "--bin a --exclude x"]
    {
        assert_eq!(plan_for(Some(&several), &[], line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_virtual_workspace_with_one_package_of_binaries_is_plain() {
    let one = workspace(&[("app", &["app"], json!({})), ("lib", &[], json!({}))], Value::Null);
    assert_eq!(wanted(&one, ""), ["app"]);
}

#[test]
fn configuration_chooses_binaries_and_the_command_line_others() {
    let table = json!({"metadata": {"rootfs": {"bin": "admin", "features": "a", "profile": "dist"}}});
    let project =
        workspace(&[("app", &["server", "admin"], table)], json!({"rootfs": {"bins": true, "features": "b"}}));
    assert_eq!(wanted(&project, ""), ["admin"]);
    assert_eq!(wanted(&project, "--bin server"), ["server"]);
    assert_eq!(
        arguments(&project, "--features c"),
        "build --message-format json-render-diagnostics --bin admin --features a --features c --profile dist"
    );
    assert!(arguments(&project, "--profile dev").ends_with("--profile dev"));
    assert!(arguments(&project, "--release").ends_with("--profile release"));
}

#[test]
fn cargo_gets_what_was_typed_for_it() {
    let line = format!(
        "-p app --all-features --no-default-features -F x,y --manifest-path m/Cargo.toml --target {ARM} --sysroot ./s \
         --target-dir t --locked --offline --frozen --config k=1 -Z flag -j 3 -vv --color never --with bash"
    );
    assert_eq!(
        arguments(&app(json!({})), &line),
        format!(
            "build --message-format json-render-diagnostics --verbose --verbose --color never --package app --bin app \
             --features x,y --all-features --no-default-features --manifest-path m/Cargo.toml --profile release \
             --target {ARM} --target-dir t --jobs 3 --locked --offline --frozen --config k=1 -Z flag"
        )
    );
    assert!(arguments(&app(json!({})), "-q").contains(" --quiet "));
}

#[test]
fn targets_are_typed_or_configured_or_the_hosts() {
    let project = app(json!({}));
    let triples = |configured: &[&str], line: &str| {
        let line = format!("--sysroot ./s {line}");
        let plan = plan_for(Some(&project), configured, &line).unwrap();
        let chosen = matches!(plan.source, Source::Cargo(Build { chosen_target: true, .. }));
        (plan.rootfs.iter().map(|one| one.target.triple().to_owned()).collect::<Vec<_>>(), chosen)
    };
    let host = Target::host().triple().to_owned();
    assert_eq!(triples(&[], ""), (vec![host.clone()], false));
    assert_eq!(triples(&[ARM], ""), (vec![ARM.to_owned()], true));
    assert_eq!(triples(&[ARM], &format!("--target {INTEL}")), (vec![INTEL.to_owned()], true));
    assert_eq!(triples(&[], "--target host-tuple"), (vec![host], true));
    assert_eq!(triples(&[], "--target conf/aarch64-mine-linux-musl.json").0, ["aarch64-mine-linux-musl"]);
}

#[test]
fn the_entrypoint_is_the_plain_binary() {
    let two = |default_run: Value| workspace(&[("app", &["a", "b"], json!({"default_run": default_run}))], Value::Null);
    for (project, line, start, warns) in [
        (app(json!({})), "", Start::Executable(0), false),
        (two(json!("b")), "--bins", Start::Executable(1), false),
        (two(json!(null)), "--bins", Start::Nothing, true),
        (two(json!(null)), "--bins --cmd /usr/local/bin/a", Start::Nothing, false),
        (
            two(json!(null)),
            "--bins --entrypoint /x --entrypoint -y",
            Start::Given(vec!["/x".into(), "-y".into()]),
            false,
        ),
        (app(json!({})), r#"--entrypoint ["/bin/sh","-c"]"#, Start::Given(vec!["/bin/sh".into(), "-c".into()]), false),
    ] {
        let plan = plan(&project, &format!("--docker-import app {line}"));
        assert_eq!(plan.rootfs[0].image.start, start, "{line}");
        assert_eq!(!plan.warnings.is_empty(), warns, "{line}: {:?}", plan.warnings);
    }
    assert_eq!(
        plan_for(None, &[], "--tools-only --with ls --docker-import x").unwrap().rootfs[0].image.start,
        Start::FirstTool
    );
    let given = plan_for(None, &[], "--tools-only --with ls --docker-import x --cmd /bin/ls").unwrap();
    assert_eq!((&given.rootfs[0].image.start, given.rootfs[0].image.config.cmd.len()), (&Start::Nothing, 1));
    let error = plan_for(Some(&app(json!({}))), &[], "--docker-import app --cmd [x").unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn images_have_a_path_unless_they_are_given_one() {
    let config = |line: &str| plan(&app(json!({})), line).rootfs.remove(0).image.config;
    let given =
        config("--docker-import app --env PATH=/x --env A=1 --env A=2 --expose 80,53/udp --label a=b --workdir /w");
    assert_eq!((given.env["PATH"].as_str(), given.env["A"].as_str()), ("/x", "2"));
    assert!(given.ports.contains("80/tcp") && given.ports.contains("53/udp"));
    assert_eq!((given.labels["a"].as_str(), given.workdir.as_deref()), ("b", Some("/w")));
    assert_eq!(config("--docker-import app").env["PATH"], crate::image::DEFAULT_PATH);
    assert_eq!(plan_for(Some(&app(json!({}))), &[], "--expose http").unwrap_err().exit_code(), 2);
}

#[test]
fn flags_of_images_without_an_image_are_said() {
    let plan = plan(&app(json!({})), "--user nobody");
    assert_eq!(plan.warnings[0].message, "`--user` has no effect: no output is an image");
    // Configured keys of images have no warning in a run without an image.
    let configured = app(json!({"metadata": {"rootfs": {"user": "nobody"}}}));
    assert!(super::tests::plan(&configured, "").warnings.is_empty());
}

/// The syntax of LD_LIBRARY_PATH: an empty element is the current directory, and an empty text is no path (ld.so(8)).
#[test]
fn a_library_path_is_taken_apart_as_the_variable_is() {
    let project = app(json!({}));
    let path = |line: &str| plan(&project, line).rootfs[0].content.library_path.clone();
    assert_eq!(path("--library-path a:/b;c"), ["a", "/b", "c"]);
    assert_eq!(path("--library-path :a --library-path /b"), [".", "a", "/b"]);
    assert_eq!(path("--library-path="), Vec::<String>::new());
    assert_eq!(path("--library-path $ORIGIN/../lib"), ["$ORIGIN/../lib"]);
}

#[test]
fn prebuilt_files_need_no_project() {
    let plan = plan_for(None, &[], "--binary out/app --tar x.tar").unwrap();
    match plan.source {
        Source::Prebuilt(files) => assert_eq!(files, [Executable { name: "app".to_owned(), path: "out/app".into() }]),
        other => panic!("{other:?}"),
    }
    assert_eq!(plan.rootfs[0].image.start, Start::Executable(0));
    for line in ["--binary a/app --binary b/app --tar x", "--binary / --tar x", "--binary app"] {
        assert_eq!(plan_for(None, &[], line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn several_packages_share_one_rootfs() {
    let table = |tool: &str, template: &str| json!({"metadata": {"rootfs": {"with": tool, "template": template}}});
    let agree = workspace(&[("a", &["a"], table("ls", "web")), ("b", &["b"], table("cat", "web"))], Value::Null);
    let rootfs = &plan(&agree, "--workspace --with sh").rootfs[0];
    assert_eq!(rootfs.content.tools, ["ls", "cat", "sh"]);
    assert_eq!(places(rootfs), [format!("File(\"/ws/target/rootfs/ws-{}.tar\")", Target::host().triple())]);

    let disagree = workspace(&[("a", &["a"], table("ls", "web")), ("b", &["b"], table("cat", "none"))], Value::Null);
    assert_eq!(plan_for(Some(&disagree), &[], "--workspace").unwrap_err().exit_code(), 2);
    assert_eq!(plan(&disagree, "--workspace --template base").rootfs[0].content.template, "base");
    assert_eq!(plan(&disagree, "-p b").rootfs[0].content.template, "none");
}

#[test]
fn a_targets_table_gives_it_a_sysroot() {
    let table = json!({"metadata": {"rootfs": {"target": {ARM: {"sysroot": "./arm"}, INTEL: {"sysroot": "./intel"}}}}});
    let plan = plan(&app(table), &format!("--target {ARM} --target {INTEL}"));
    let sysroots: Vec<_> = plan.rootfs.into_iter().map(|one| one.sysroot).collect();
    assert_eq!(sysroots, ["/ws/app/arm", "/ws/app/intel"].map(|folder| SysrootPlan::Folder(folder.into())));
}
