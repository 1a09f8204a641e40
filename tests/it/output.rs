//! The output of a run: results on standard output, one per line, all else on standard error.

use std::process::Command;

use crate::project::{Project, without_sizes};

#[test]
fn the_path_is_the_only_line_of_standard_output() {
    let run = Project::app("").run(&[]);
    assert_eq!(run.code, 0, "{run:#?}");
    let host = host();
    assert_eq!(run.stdout, format!("[ROOT]/target/rootfs/app-{host}.tar\n"));
    for verb in ["Resolving app for", "Packing [ROOT]/target/rootfs/app-", "Finished "] {
        assert!(run.stderr.contains(verb), "{run:#?}");
    }
}

#[test]
fn quiet_leaves_results_and_errors() {
    let folder = Project::empty();
    let run = folder.run(&["--tools-only", "--with", "true", "--tar", "x.tar", "-q", "--user", "nobody"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "x.tar\n", ""));
    assert_eq!(folder.run(&["--tools-only", "-q"]).stderr.lines().count(), 2);
}

#[test]
fn several_outputs_of_several_targets_are_told_in_order() {
    let folder = Project::empty();
    let (gnu, musl) = (format!("{}-unknown-linux-gnu", arch()), format!("{}-unknown-linux-musl", arch()));
    let run = folder.run(&[
        "--tools-only",
        "--with",
        "true",
        "--target",
        &gnu,
        "--target",
        &musl,
        "--sysroot",
        "/",
        "--tar",
        "{triple}.tar",
        "--dir",
        "{triple}",
    ]);
    assert_eq!(run.code, 0, "{run:#?}");
    assert_eq!(run.stdout, format!("{gnu}.tar\n{gnu}\n{musl}.tar\n{musl}\n"));
    assert!(folder.path().join(gnu).join("usr/bin/true").is_file());
    assert!(folder.path().join(musl).join("usr/bin/true").is_file());
}

#[test]
fn tools_of_glibc_do_not_come_with_musl_unasked() {
    let folder = Project::empty();
    let musl = format!("{}-unknown-linux-musl", arch());
    let arguments = ["--tools-only", "--target", &musl, "--tar", "x.tar", "--with", "true,ls"];
    let run = folder.run(&arguments);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:#?}");
    let refused = format!("error: `true`, `ls` are linked with glibc, and {musl} is for musl\n");
    assert!(run.stderr.contains(&refused) && run.stderr.contains("help: name a root of musl's"), "{run:#?}");
    assert_eq!(folder.run(&[arguments.as_slice(), &["--sysroot", "/"]].concat()).code, 0);
}

#[test]
fn what_is_wrong_for_each_target_is_told_in_the_order_of_the_targets() {
    let folder = Project::empty().file("root/etc/hostname", "");
    let arches = ["aarch64", "riscv64gc", "x86_64", "s390x"];
    let targets = arches.map(|arch| format!("{arch}-unknown-linux-gnu"));
    let mut arguments = vec!["--tools-only", "--sysroot", "./root", "--with", "nowhere", "--tar", "{triple}.tar"];
    arguments.extend(targets.iter().flat_map(|target| ["--target", target]));
    // They are laid out at the same time, and one of them ends first.
    for _ in 0..5 {
        let run = folder.run(&arguments);
        assert_eq!(run.code, 1, "{run:#?}");
        let told = run.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("Resolving tools for "));
        assert_eq!(told.collect::<Vec<_>>(), targets, "{run:#?}");
        assert_eq!(run.stderr.matches("`nowhere`").count(), 1, "it is the same mistake for each: {run:#?}");
        assert_eq!(folder.files().len(), 3, "nothing is written: {run:#?}");
    }
}

#[test]
fn nothing_is_written_where_one_output_fails() {
    let folder = Project::empty().file("taken/file", "mine");
    let run = folder.run(&["--tools-only", "--with", "true", "--tar", "x.tar", "--dir", "taken"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:#?}");
    assert!(run.stderr.contains("taken"), "{run:#?}");
    assert_eq!(folder.files(), ["taken", "taken/file"].map(std::path::PathBuf::from));
}

#[test]
fn json_is_one_object_a_line_with_a_reason() {
    let folder = Project::empty();
    let run = folder.run(&[
        "--tools-only",
        "--with",
        "true",
        "--tar",
        "x.tar",
        "--dir",
        "d",
        "--user",
        "nobody",
        "--message-format",
        "json",
    ]);
    assert_eq!(run.code, 0, "{run:#?}");
    let triple = format!("{}-unknown-linux-gnu", arch());
    let expected = [
        r#"{"reason":"rootfs-warning","help":null,"message":"`--user` has no effect: no output is an image"}"#
            .to_owned(),
        format!(r#"{{"reason":"rootfs-output","kind":"tar","path":"x.tar","target":"{triple}"}}"#),
        format!(r#"{{"reason":"rootfs-output","kind":"dir","path":"d","target":"{triple}"}}"#),
    ];
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), expected);
    assert!(run.stderr.contains("warning: `--user`"), "people are told in both formats: {run:#?}");

    let failed = folder.run(&["--tools-only", "--with", "no-such-tool", "--tar", "y.tar", "--message-format", "json"]);
    assert_ne!(failed.code, 0);
    assert!(failed.stdout.starts_with(r#"{"reason":"rootfs-error","#), "{failed:#?}");
    assert!(failed.stdout.contains("no-such-tool"), "{failed:#?}");
}

#[test]
fn an_archive_on_standard_output_is_alone_there() {
    let folder = Project::empty();
    let output = folder.command(".", &["--tools-only", "--with", "true", "--tar", "-"], &[]).output().unwrap();
    assert!(output.status.success());
    std::fs::write(folder.path().join("piped.tar"), &output.stdout).unwrap();
    folder.run(&["--tools-only", "--with", "true", "--tar", "written.tar"]);
    assert_eq!(output.stdout, std::fs::read(folder.path().join("written.tar")).unwrap());
}

#[test]
fn a_text_on_standard_output_is_alone_there() {
    let folder = Project::empty();
    let tools = ["--tools-only", "--with", "true"];
    let run = |more: &[&str]| folder.run(&[&tools[..], more].concat());
    assert_eq!(run(&["--tar", "x.tar", "--sbom", "spdx=x.json"]).stdout, "x.tar\n");
    let document = std::fs::read_to_string(folder.path().join("x.json")).unwrap();
    for name in ["-", "/dev/stdout"] {
        let printed = run(&["--tar", "x.tar", "--dir", "d", "--sbom", &format!("spdx={name}")]);
        assert!(printed.code == 0 && printed.stdout == document, "{name}: {printed:#?}");
    }
    let sums = run(&["--tar", "x.tar", "--checksums", "-"]);
    assert!(sums.code == 0 && sums.stdout.ends_with("  x.tar\n") && sums.stdout.lines().count() == 1, "{sums:#?}");
    for name in ["-", "x.tar", "x.json"] {
        assert_eq!(folder.path().join(name).exists(), name != "-");
    }
}

#[test]
fn archives_are_compressed_by_the_end_of_their_name() {
    let folder = Project::empty();
    let names = ["x.tar", "x.tar.gz", "x.tgz", "x.tar.zst", "x.tzst"];
    let mut arguments = vec!["-q", "--tools-only", "--with", "true"];
    arguments.extend(names.iter().flat_map(|name| ["--tar", name]));
    let run = folder.run(&arguments);
    assert_eq!((run.code, run.stdout.lines().collect::<Vec<_>>()), (0, names.to_vec()), "{run:#?}");
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let plain = Command::new("gzip").args(["-dc", "x.tar.gz"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(plain.stdout, bytes("x.tar"));
    assert_eq!(bytes("x.tgz"), bytes("x.tar.gz"));
    assert_eq!(bytes("x.tzst"), bytes("x.tar.zst"));
    assert_eq!(bytes("x.tar.zst")[..4], [0x28, 0xb5, 0x2f, 0xfd]);
}

#[test]
fn the_epoch_is_the_time_of_all_files() {
    let folder = Project::empty();
    let run = folder.run_in(
        ".",
        &["--tools-only", "--with", "true", "--tar", "x.tar"],
        &[("SOURCE_DATE_EPOCH", "1700000000")],
    );
    assert_eq!(run.code, 0, "{run:#?}");
    let list = Command::new("tar").args(["--utc", "--full-time", "-tvf", "x.tar"]).current_dir(folder.path()).output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    assert!(list.lines().count() > 5);
    assert!(list.lines().all(|line| line.contains(" 2023-11-14 22:13:20 ")), "{list}");
}

#[test]
fn colour_is_as_asked() {
    let folder = Project::empty();
    let error = |arguments: &[&str], variables: &[(&str, &str)]| {
        folder.run_in(".", &[&["--tools-only"], arguments].concat(), variables).stderr
    };
    let red = "\u{1b}[1m\u{1b}[91merror\u{1b}[0m: ";
    assert!(error(&["--color", "always"], &[]).starts_with(red));
    assert!(error(&[], &[("CARGO_TERM_COLOR", "always")]).starts_with(red));
    assert!(error(&["--color", "never"], &[("CARGO_TERM_COLOR", "always")]).starts_with("error: "));
    assert!(error(&[], &[("CLICOLOR_FORCE", "1")]).starts_with(red));
    assert!(error(&[], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).starts_with("error: "));
    assert!(error(&[], &[]).starts_with("error: "));
}

#[test]
fn a_prebuilt_file_may_be_named_by_a_link() {
    let folder = Project::empty();
    std::os::unix::fs::symlink("/bin/true", folder.path().join("link")).unwrap();
    let run = folder.run(&["--binary", "link", "--dir", "out"]);
    assert_eq!(run.code, 0, "{run:#?}");
    let packed = folder.path().join("out/usr/local/bin/link");
    assert!(packed.symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read(packed).unwrap(), std::fs::read("/bin/true").unwrap());
}

#[test]
fn a_prebuilt_script_brings_what_runs_it() {
    let folder = Project::empty().file("start", "#!/bin/sh\nexec echo started\n").file("lost", "#!/bin/gone\n");
    let run = folder.run(&["-q", "--binary", "./start", "--dir", "out"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:#?}");
    assert!(folder.path().join("out/bin/sh").is_file(), "its interpreter is packed");
    folder.run(&["-q", "--binary", "./lost", "--tar", "x.tar"]).fails(
        1,
        snapbox::str![[r#"
error: `lost` cannot be run
  [ROOT]/lost begins with #!/bin/gone
  `/bin/gone` is not in the sysroot

"#]],
    );
}

#[test]
fn a_tool_that_is_there_but_not_executable_is_said_so() {
    let folder = Project::empty().file("root/usr/bin/plain", "x");
    std::fs::create_dir_all(folder.path().join("root/usr/bin/folder")).unwrap();
    folder.run(&["-q", "--tools-only", "--sysroot", "./root", "--with", "plain,folder", "--tar", "x.tar"]).fails(
        1,
        snapbox::str![[r#"
error: tool `plain` cannot be packed
  /usr/bin/plain: it is not executable
error: tool `folder` cannot be packed
  /usr/bin/folder: it is a directory

"#]],
    );
}

/// ld.so too prints `version GLIBC_9... not found` for it.
#[test]
fn a_symbol_version_that_the_sysroot_lacks_is_told() {
    let folder = Project::empty();
    let mut new = std::fs::read("/bin/true").unwrap();
    let at = new.windows(8).position(|window| window == b"GLIBC_2.").unwrap();
    new[at + 6] = b'9';
    std::fs::write(folder.path().join("new"), new).unwrap();
    let run = folder.run(&["-q", "--binary", "./new", "--tar", "x.tar"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:#?}");
    snapbox::assert_data_eq!(
        run.stderr.as_str(),
        snapbox::str![[r#"
error: version `GLIBC_9.[..]` not found in `/lib[..]/libc.so.6`
  needed by /usr/local/bin/new
  linked for glibc 9.[..] or newer; the sysroot has versions up to 2.[..]
  help: take libraries of a newer release: --sysroot debian:sid

"#]],
    );
    assert!(!folder.path().join("x.tar").exists());
}

#[test]
fn a_prebuilt_file_needs_no_project() {
    let folder = Project::empty();
    let run = folder.run(&["--binary", "/bin/true", "--install-dir", "/opt/bin", "--dir", "out"]);
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(folder.path().join("out/opt/bin/true").is_file());
    let absent = folder.run(&["--binary", "absent", "--dir", "other"]);
    assert_eq!((absent.code, absent.stdout.as_str()), (1, ""), "{absent:#?}");
    assert!(!folder.path().join("other").exists());
}

#[test]
fn configuration_is_relative_to_its_manifest() {
    let workspace = Project::workspace("")
        .package("tool", "tool", "[package.metadata.rootfs]\nwith = 'true'\ninclude = 'etc:/etc/tool'\ndir = 'out'\n")
        .file("tool/etc/tool.conf", "x");
    let run = workspace.run_in("app", &["-p", "tool"], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "[ROOT]/tool/out\n"), "{run:#?}");
    for file in ["usr/bin/true", "usr/local/bin/tool", "etc/tool/tool.conf"] {
        assert!(workspace.path().join("tool/out").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_build_folder_in_an_executable_is_told() {
    let app = Project::app("").file("src/main.rs", "fn main() { println!(env!(\"CARGO_MANIFEST_DIR\")); }");
    let run = app.run(&["--tar", "x.tar"]);
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.stderr.contains("warning: `app` contains the path `[ROOT]`"), "{run:#?}");
    assert!(run.stderr.contains("--remap-path-prefix=[ROOT]="), "{run:#?}");
}

#[test]
fn trees_show_files_of_any_kind() {
    let folder = Project::empty().file("text", &"no ELF file\n".repeat(100));
    let run = folder.run(&["tree", "/bin/true", "absent", "./text"]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.stdout.contains("libc.so.6 => "), "{run:#?}");
    assert!(run.stdout.ends_with("absent: not found\n./text: invalid ELF header\n"), "{run:#?}");
    assert_eq!(run.stderr, "");
    assert_eq!(folder.run(&["tree", "/bin/true"]).code, 0);

    let json = folder.run(&["tree", "--message-format", "json", "absent", "/bin/true"]);
    assert_eq!((json.code, json.stderr.as_str()), (1, ""));
    let mut lines = json.stdout.lines();
    let absent =
        r#"{"reason":"closure","file":"absent","interpreter":null,"objects":[],"missing":[],"error":"not found"}"#;
    assert_eq!(lines.next(), Some(absent));
    let there = lines.next().unwrap();
    assert!(there.starts_with(r#"{"reason":"closure","file":"/bin/true","interpreter":"#));
    let lowest =
        r#"[..],"glibc":{"lowest":"2.[..]","needed_by":"[..]"},"kernel":{"lowest":"[..]","needed_by":"[..]"}}"#;
    snapbox::assert_data_eq!(there, lowest);
}

#[test]
fn trees_say_which_glibc_and_kernel_they_run_on() {
    let tree = Project::empty().run(&["tree", "/bin/true"]);
    snapbox::assert_data_eq!(
        tree.stdout,
        snapbox::str![[r#"
/bin/true
    interpreter [..]
    runs on glibc >= 2.[..] (needed by [..]), Linux >= [..]
    libc.so.6 => [..]
...
"#]]
    );
}

#[test]
fn trees_and_reasons_are_of_the_rootfs_that_would_be_written() {
    let app = Project::app("");
    let tree = app.run(&["tree", "-q", "--with", "true"]);
    assert_eq!((tree.code, tree.stderr.as_str()), (0, ""), "{tree:#?}");
    assert!(tree.stdout.starts_with("app\n"), "{tree:#?}");
    assert!(tree.stdout.contains("\ntrue\n"), "{tree:#?}");

    let why = app.run(&["why", "-q", "/usr/local/bin/app"]);
    let expected = "/usr/local/bin/app\n    layer   the project's own files\n    binary app\n";
    assert_eq!((why.code, without_sizes(&why.stdout).as_str()), (0, expected));
    assert!(app.run(&["why", "-q", "libc.so.6"]).stdout.contains("needed by /usr/local/bin/app"));
    let json = app.run(&["why", "-q", "/usr/local/bin/app", "--message-format", "json"]);
    assert!(
        json.stdout
            .starts_with(r#"{"reason":"rootfs-entry","layers":["the project's own files"],"origins":["binary app"],"#),
        "{json:#?}"
    );

    let absent = app.run(&["why", "-q", "/bin/absent", "--target", &host()]);
    assert_eq!(absent.code, 1);
    assert!(absent.stderr.contains("error: `/bin/absent` is not in the rootfs"), "{absent:#?}");
    assert_eq!(app.files().iter().filter(|file| file.extension().is_some_and(|end| end == "tar")).count(), 0);
}

#[test]
fn an_interrupted_build_is_told_as_such() {
    let slow =
        Project::app("").file("build.rs", "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }");
    let mut command = slow.command(".", &["--tar", "x.tar"], &[]);
    // A process group of its own, as a shell makes one: Ctrl-C reaches cargo too.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let script = slow.path().join("target/release/build");
    let is_running = || std::fs::read_dir(&script).is_ok_and(|mut entries| entries.next().is_some());
    until("cargo has begun", is_running);
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.ends_with("error: interrupted; nothing was written\n"), "{stderr}");
    assert!(!slow.path().join("x.tar").exists());
}

/// Killed as soon as it has written anything, and a little later each time.
#[test]
fn what_a_killed_run_left_goes_with_the_next() {
    let folder = Project::empty().file("big", "");
    // A sparse file takes long to write, and no disk space.
    std::fs::File::options().write(true).open(folder.path().join("big")).unwrap().set_len(4 << 30).unwrap();
    std::fs::create_dir(folder.path().join("outputs")).unwrap();
    let outputs = folder.path().join("outputs");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&outputs).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let written = |name: &str| outputs.join(name).join("big").metadata().map_or(0, |metadata| metadata.len());
    for bytes in [0, 1, 5_000_000] {
        let arguments = ["-q", "--tools-only", "--include", "big:/big", "--dir", "outputs/out"];
        let mut child = folder.command(".", &arguments, &[]).spawn().unwrap();
        while !names().iter().any(|name| name.starts_with(".out.cargo-rootfs-") && written(name) >= bytes) {
            assert!(child.try_wait().unwrap().is_none(), "it ended early");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(names().len(), 1, "a killed run cleans nothing up: {:?}", names());
    }
    let run = folder.run(&["-q", "--tools-only", "--with", "true", "--dir", "outputs/out"]);
    assert_eq!((run.code, names()), (0, vec!["out".to_owned()]), "{run:#?}");
}

#[test]
fn ctrl_c_while_an_engine_does_not_answer_is_told_as_such() {
    use std::os::unix::process::CommandExt;

    let folder = Project::empty().file("bin/docker", "#!/bin/sh\n: > asked\nexec sleep 600\n");
    let docker = folder.path().join("bin/docker");
    std::fs::set_permissions(docker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
    let arguments = ["-q", "--tools-only", "--with", "true", "--docker-import", "x"];
    let mut command = folder.command(".", &arguments, &[("PATH", &path)]);
    let child = command.process_group(0).stderr(std::process::Stdio::piped()).spawn().unwrap();
    until("docker has been asked", || folder.path().join("asked").exists());
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(130), "error: interrupted; nothing was written\n"));
}

/// A text for /dev/stdout goes to the end of a file behind it.
#[test]
fn a_file_behind_standard_output_keeps_its_other_lines() {
    use std::io::Write;
    let project = Project::empty();
    let log = project.path().join("log");
    let mut file = std::fs::File::create(&log).unwrap();
    file.write_all(b"before\n").unwrap();
    let arguments = ["--tools-only", "--with", "true", "--tar", "x.tar", "--checksums", "/dev/stdout"];
    let status = project.command(".", &arguments, &[]).stdout(file.try_clone().unwrap()).status().unwrap();
    assert!(status.success());
    file.write_all(b"after\n").unwrap();
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines.len(), lines[2]), ("before", 3, "after"), "{text}");
    assert!(lines[1].len() > 64 && lines[1].ends_with("x.tar"), "{text}");
}

/// Waits until the condition is true. It fails after a time limit, so that a hang is a failure.
fn until(what: &str, is_so: impl Fn() -> bool) {
    const TRIES: u32 = 15_000;
    let pause = || std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(
        (0..TRIES).any(|_| is_so() || {
            pause();
            false
        }),
        "it never came to this: {what}"
    );
}

/// The triple of the compiler that these tests were built with.
fn host() -> String {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn arch() -> &'static str {
    std::env::consts::ARCH
}
