//! Sysroots made of packages: errors without a network.
//!
//! `cargo xtask e2e` tests their contents.

use snapbox::str;

use crate::project::Project;

/// An empty directory for the cache, beside the project.
fn cache(project: &Project) -> String {
    project.path().join("cache").to_str().unwrap().to_owned()
}

#[test]
fn without_a_network_it_is_said_what_is_lacking() {
    let app = Project::app("");
    let run = app.run_in(".", &["--sysroot", "debian:trixie"], &[("CARGO_ROOTFS_CACHE", &cache(&app))]);
    assert_eq!(run.code, 1, "{run:#?}");
    if !std::path::Path::new("/usr/bin/apt-get").exists() {
        assert!(run.stderr.contains("there is no `apt-get` here"), "{run:#?}");
        return;
    }
    snapbox::assert_data_eq!(
        run.stderr.as_str(),
        str![[r#"
error: cannot make a sysroot of debian:trixie for [..] without the network
  lacking  the index of debian:trixie for [..]
  help: run it once without --offline

"#]],
    );
    assert!(!app.path().join("rootfs.lock").exists() && !app.path().join("target").exists());
}

#[test]
fn a_lock_that_would_have_to_change_is_told_before_anything_is_fetched() {
    let app = Project::app("").file("Cargo.lock", "version = 3\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n");
    let arguments = ["--locked", "--sysroot", "debian:trixie", "--with", "ls"];
    let run = app.run_in(".", &arguments, &[("CARGO_ROOTFS_CACHE", &cache(&app))]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(
        run.stderr.starts_with("error: `[ROOT]/rootfs.lock` would have to change, and --locked was given\n"),
        "{run:#?}"
    );
    assert!(run.stderr.contains("tool `ls`"), "{run:#?}");
    assert!(!app.path().join("cache").exists(), "nothing was made");
}

#[test]
fn a_damaged_lock_is_not_replaced() {
    let app = Project::app("").file("rootfs.lock", "version = 1\n<<<<<<< a\n=======\n>>>>>>> b\n");
    let run = app.run_in(".", &["--sysroot", "debian:trixie"], &[("CARGO_ROOTFS_CACHE", &cache(&app))]);
    assert_eq!(run.code, 1, "{run:#?}");
    snapbox::assert_data_eq!(
        run.stderr.as_str(),
        str![[r#"
error: `[ROOT]/rootfs.lock` is not a lock that this version reads
  it holds both sides of a merge that was not finished
  help: keep one side of each conflict, then run `cargo rootfs sysroot update`

"#]],
    );
}

#[test]
fn an_empty_cache_lists_and_prunes_nothing() {
    let app = Project::app("");
    let cache = cache(&app);
    let variables = [("CARGO_ROOTFS_CACHE", cache.as_str())];
    let list = app.run_in(".", &["sysroot", "list"], &variables);
    assert_eq!((list.code, list.stdout.as_str(), list.stderr.as_str()), (0, "", ""));
    let prune = app.run_in(".", &["sysroot", "prune", "--all"], &variables);
    assert_eq!((prune.code, prune.stdout.as_str()), (0, ""));
    let update = app.run_in(".", &["sysroot", "update"], &variables);
    assert_eq!(update.code, 1);
    assert!(update.stderr.starts_with("error: this project has no `rootfs.lock`"), "{update:#?}");
    let path = app.run_in(".", &["sysroot", "path"], &variables);
    assert_eq!((path.code, path.stdout.as_str()), (0, "/\n"));
}
