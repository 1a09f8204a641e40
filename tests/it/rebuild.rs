//! `--check-reproducible`: two builds, compared.

use crate::project::Project;

#[test]
fn the_same_bytes_twice() {
    let project = Project::app("");
    let run = project.run(&["--check-reproducible", "--other-directory", "--tar", "x.tar"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "x.tar\n"), "{run:#?}");
    assert!(run.stderr.contains("     Checked two builds: the same bytes (one archive, "), "{run:#?}");
    let left = project.files().into_iter().filter(|path| path.to_str().unwrap().contains("check-reproducible"));
    assert_eq!(left.count(), 0, "nothing is left behind");
}

#[test]
fn a_time_of_the_build_is_found_and_nothing_is_written() {
    let build = "fn main() {\n    println!(\"cargo::rustc-env=STAMP=built at {}\", \
                 std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos());\n}\n";
    let main = "fn main() {\n    println!(\"{}\", env!(\"STAMP\"));\n}\n";
    let project = Project::app("").file("build.rs", build).file("src/main.rs", main);
    let run = project.run(&["--check-reproducible", "--tar", "x.tar"]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.stderr.contains("error: two builds differ: `/usr/local/bin/app`, first at offset 0x"), "{run:#?}");
    assert!(run.stderr.contains("SOURCE_DATE_EPOCH in build.rs"), "{run:#?}");
    assert!(!project.path().join("x.tar").exists());
}

#[test]
fn the_date_of_the_day_is_warned_of() {
    let build = "fn main() {\n    let date = std::process::Command::new(\"date\").args([\"-u\", \"+%F\"]).output().unwrap();\n    \
                 println!(\"cargo::rustc-env=DATE={}\", String::from_utf8(date.stdout).unwrap().trim());\n}\n";
    let main = "fn main() {\n    println!(\"of {}\", env!(\"DATE\"));\n}\n";
    let project = Project::app("").file("build.rs", build).file("src/main.rs", main);
    let run = project.run(&["--check-reproducible", "--tar", "x.tar"]);
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.stderr.contains("warning: `/usr/local/bin/app` contains the date of this day, `20"), "{run:#?}");
}

#[test]
fn a_path_of_the_sources_is_found_in_another_directory_alone() {
    let main = "fn main() {\n    println!(\"{}\", env!(\"CARGO_MANIFEST_DIR\"));\n}\n";
    let project = Project::app("").file("src/main.rs", main);
    assert_eq!(project.run(&["--check-reproducible", "--tar", "x.tar"]).code, 0);
    let run = project.run(&["--check-reproducible", "--other-directory", "--tar", "y.tar"]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(
        run.stderr.contains("help: it contains the path of its sources: RUSTFLAGS='--remap-path-prefix="),
        "{run:#?}"
    );
    assert_eq!(project.run(&["--other-directory", "--tar", "y.tar"]).code, 2);
}
