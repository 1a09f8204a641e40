//! `init`: starting files, without removing any.

use crate::project::Project;

fn read(project: &Project, path: &str) -> String {
    std::fs::read_to_string(project.path().join(path)).unwrap()
}

#[test]
fn a_table_is_added_once_and_can_be_read() {
    let project = Project::app("")
        .file("src/main.rs", "fn main() {\n    let _ = std::process::Command::new(\"git\").status();\n}\n");
    let before = read(&project, "Cargo.toml");
    let run = project.run(&["init"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "[ROOT]/Cargo.toml\n"), "{run:#?}");
    let after = read(&project, "Cargo.toml");
    assert!(after.starts_with(&before) && after.contains("\n[package.metadata.rootfs]\n"), "{after}");
    assert!(after.contains("# src/main.rs seems to start git.\n# with = [\"git\"]\n"), "{after}");

    let again = project.run(&["init"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "{again:#?}");
    assert!(again.stderr.contains("Keeping [package.metadata.rootfs]"), "{again:#?}");
    assert_eq!(read(&project, "Cargo.toml"), after);
    assert_eq!(project.run(&["tree", "--runtime", "none", "--template", "none"]).code, 0);
}

#[test]
fn a_pipeline_is_replaced_by_force_alone() {
    for (forge, path) in [("github", ".github/workflows/release.yml"), ("gitlab", ".gitlab-ci.yml")] {
        let project = Project::app("");
        let run = project.run(&["init", "--ci", forge]);
        assert_eq!(run.code, 0, "{run:#?}");
        assert!(run.stdout.starts_with(&format!("[ROOT]/Cargo.toml\n[ROOT]/{path}\n")), "{run:#?}");
        let text = read(&project, path);
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(!text.split('@').skip(1).step_by(2).any(is_word), "a word was not replaced: {text}");

        let refused = Project::app("").file(path, "mine\n");
        let run = refused.run(&["init", "--ci", forge]);
        assert_eq!(run.code, 1, "{run:#?}");
        assert!(
            run.stderr.contains(&format!("error: `[ROOT]/{path}` exists\n  help: replace it: --force\n")),
            "{run:#?}"
        );
        assert_eq!(read(&refused, path), "mine\n");
        assert!(!read(&refused, "Cargo.toml").contains("rootfs"), "nothing is half done");
        assert_eq!(refused.run(&["init", "--ci", forge, "--force"]).code, 0);
        assert_eq!(read(&refused, path), text);
    }
}

#[test]
fn a_workspace_of_several_binaries_gets_a_table_of_its_own() {
    let workspace = Project::workspace("");
    assert_eq!(workspace.run_in("lib", &["init", "--ci", "github"], &[]).code, 0);
    let manifest = read(&workspace, "Cargo.toml");
    assert!(manifest.contains("\n[workspace.metadata.rootfs]\n"), "{manifest}");
    assert!(read(&workspace, ".github/workflows/release.yml").contains("--package app "));
}

#[test]
fn a_library_alone_has_nothing_to_release() {
    let library = Project::empty().package(".", "lib", "").file("src/lib.rs", "");
    let run = library.run(&["init"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("error: no package of `[ROOT]` has a binary\n"), "{run:#?}");
}

#[test]
fn steps_of_a_pipeline_get_outputs_checksums_and_annotations() {
    let project = Project::empty();
    let arguments = ["--tools-only", "--with", "true", "--tar", "dist/{arch}.tar", "--checksums", "dist/SHA256SUMS"];
    let files = [("GITHUB_OUTPUT", "output"), ("GITHUB_STEP_SUMMARY", "summary")];
    let paths = files.map(|(name, file)| (name, project.path().join(file).to_str().unwrap().to_owned()));
    let mut variables: Vec<(&str, &str)> = paths.iter().map(|(name, path)| (*name, path.as_str())).collect();
    variables.push(("GITHUB_ACTIONS", "true"));
    let run = project.run_in(".", &arguments, &variables);
    assert_eq!(run.code, 0, "{run:#?}");
    let archive = run.stdout.lines().next().unwrap();
    assert_eq!(run.stdout, format!("{archive}\ndist/SHA256SUMS\n"));
    assert_eq!(read(&project, "output"), format!("archives<<===\n{archive}\n===\n"));
    assert!(read(&project, "summary").contains(archive));
    let mut check = std::process::Command::new("sha256sum");
    let checked = check.args(["--check", "SHA256SUMS"]).current_dir(project.path().join("dist")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");

    let failed = project.run_in(".", &["--tools-only", "--with", "no-such-tool", "--tar", "x.tar"], &variables);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("\n::error title=cargo rootfs::"), "{failed:#?}");
    let nothing = project.run(&["--tools-only", "--with", "true", "--dir", "out", "--checksums", "SUMS"]);
    assert_eq!((nothing.code, project.path().join("SUMS").exists()), (2, false), "{nothing:#?}");
    assert!(!project.path().join("out").exists(), "nothing is half done");
}
