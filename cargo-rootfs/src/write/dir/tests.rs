use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::write::tests::*;
use crate::write::{tar, write};
use camino::Utf8PathBuf;

fn write_dir(planned: &Planned, path: &Utf8Path, replace: Replace) -> Result<Written> {
    write_one(planned, Dir::create(path, 0, replace))
}

#[test]
fn a_folder_has_every_entry_as_planned() {
    let (_folder, path) = temp();
    let planned = some_of_everything();
    for epoch in [0, 1_700_000_000] {
        let written = write_one(&planned, Dir::create(&path.join("new/out"), epoch, Replace::OwnOnly)).unwrap();
        assert_eq!(written, Written::Dir(path.join("new/out").into()));
        assert_on_disk(&planned, path.join("new/out").as_std_path(), epoch);
        assert_eq!(names_in(&path.join("new")), ["out"]);
    }
}

#[test]
fn the_root_has_the_mode_of_its_entry() {
    let (_folder, path) = temp();
    for mode in [0o555, 0o700, 0o1777] {
        let planned = Planned::new().file("/file", 0o644, b"").with("/", |entry| entry.mode = mode);
        write_dir(&planned, &path.join("out"), Replace::OwnOnly).unwrap();
        assert_on_disk(&planned, path.join("out").as_std_path(), 0);
    }
}

#[test]
fn an_empty_folder_is_replaced() {
    let (_folder, path) = temp();
    std::fs::create_dir(path.join("out")).unwrap();
    write_dir(&some_of_everything(), &path.join("out"), Replace::OwnOnly).unwrap();
    assert_on_disk(&some_of_everything(), path.join("out").as_std_path(), 0);
}

#[test]
fn what_somebody_else_made_stays() {
    let (_folder, path) = temp();
    std::fs::create_dir(path.join("out")).unwrap();
    std::fs::write(path.join("out/thesis"), "years of work").unwrap();
    let error = write_dir(&some_of_everything(), &path.join("out"), Replace::OwnOnly).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_eq!(error.message(), format!("`{}` is neither empty nor made by cargo rootfs", path.join("out")));
    assert!(error.help_line().unwrap().contains("--force"));
    assert_eq!(std::fs::read(path.join("out/thesis")).unwrap(), b"years of work");
    assert_eq!(names_in(&path), ["out"]);

    write_dir(&some_of_everything(), &path.join("out"), Replace::Force).unwrap();
    assert_on_disk(&some_of_everything(), path.join("out").as_std_path(), 0);
    assert_eq!(names_in(&path), ["out"]);
}

#[test]
fn files_put_into_an_earlier_output_stay() {
    type Change = fn(&Utf8Path);
    let changes: [(&str, Change); 4] = [
        ("srv/own", |out| std::fs::write(out.join("srv/own"), "own").unwrap()),
        ("usr/bin/app", |out| {
            File::options().append(true).open(out.join("usr/bin/app")).unwrap().write_all(b"!").unwrap()
        }),
        ("srv/link", |out| symlink("own", out.join("srv/link")).unwrap()),
        // `cp -a` from another output has this effect.
        ("srv/old", |out| {
            // The kernel's clock for files has the resolution of its timer.
            std::thread::sleep(std::time::Duration::from_millis(30));
            std::fs::write(out.join("srv/old"), "own").unwrap();
            let file = File::options().write(true).open(out.join("srv/old")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
    ];
    for (name, change) in changes {
        let (_folder, path) = temp();
        let out = path.join("out");
        write_dir(&some_of_everything(), &out, Replace::OwnOnly).unwrap();
        change(&out);
        let error = write_dir(&some_of_everything(), &out, Replace::OwnOnly).unwrap_err();
        assert_eq!(error.details(), [format!("`{}` is not as it was written", out.join(name))]);
        assert!(out.join(name).symlink_metadata().is_ok(), "{name}");
        write_dir(&some_of_everything(), &out, Replace::Force).unwrap();
        assert_on_disk(&some_of_everything(), out.as_std_path(), 0);
    }
}

#[test]
fn what_a_chroot_leaves_in_volatile_folders_goes() {
    let (_folder, path) = temp();
    let out = path.join("out");
    let planned = some_of_everything().dir("/dev", 0o755);
    for _ in 0..2 {
        write_dir(&planned, &out, Replace::OwnOnly).unwrap();
        assert_on_disk(&planned, out.as_std_path(), 0);
        std::fs::write(out.join("dev/null"), "what was to vanish").unwrap();
        std::fs::write(out.join("tmp/scratch"), "scratch").unwrap();
        std::fs::write(out.join("etc/touched"), "").unwrap();
    }
}

#[test]
fn a_file_or_a_link_to_one_is_no_folder() {
    let (_folder, path) = temp();
    std::fs::write(path.join("file"), "kept").unwrap();
    symlink("file", path.join("link")).unwrap();
    symlink("nowhere", path.join("dangling")).unwrap();
    for name in ["file", "link", "dangling"] {
        let error = write_dir(&some_of_everything(), &path.join(name), Replace::Force).unwrap_err();
        assert!(error.message().ends_with("it is not a directory"), "{name}: {error}");
    }
    assert_eq!(std::fs::read(path.join("file")).unwrap(), b"kept");
    assert_eq!(names_in(&path), ["dangling", "file", "link"]);
    assert!(write_dir(&some_of_everything(), "/".into(), Replace::Force).is_err());
}

#[test]
fn a_link_to_a_folder_stays_and_leads_to_the_new_one() {
    let (_folder, path) = temp();
    std::fs::create_dir(path.join("real")).unwrap();
    symlink("real", path.join("out")).unwrap();
    for _ in 0..2 {
        write_dir(&some_of_everything(), &path.join("out"), Replace::OwnOnly).unwrap();
        assert!(path.join("out").is_symlink());
        assert_on_disk(&some_of_everything(), path.join("real").as_std_path(), 0);
    }
}

#[test]
fn links_out_of_the_earlier_output_are_not_followed() {
    let (_folder, path) = temp();
    std::fs::create_dir(path.join("outside")).unwrap();
    std::fs::write(path.join("outside/file"), "kept").unwrap();
    let planned = Planned::new()
        .symlink("/absolute", path.join("outside").as_str().as_bytes())
        .symlink("/folder/relative", b"../../outside");
    for _ in 0..2 {
        write_dir(&planned, &path.join("out"), Replace::OwnOnly).unwrap();
    }
    assert_eq!(std::fs::read(path.join("outside/file")).unwrap(), b"kept");
    assert_eq!(names_in(&path), ["out", "outside"]);
}

#[test]
fn a_mount_in_the_earlier_output_is_never_emptied() {
    let (_folder, path) = temp();
    let (_other, outside) = temp();
    std::fs::write(outside.join("file"), "kept").unwrap();
    let planned = some_of_everything().dir("/dev", 0o755);
    write_dir(&planned, &path.join("out"), Replace::OwnOnly).unwrap();
    let mount = Command::new("mount").args(["--bind", outside.as_str(), path.join("out/dev").as_str()]).output();
    if !is_root() || !mount.is_ok_and(|output| output.status.success()) {
        return skip("a directory cannot be mounted");
    }
    for replace in [Replace::OwnOnly, Replace::Force] {
        let error = write_dir(&planned, &path.join("out"), replace).unwrap_err();
        assert!(error.message().ends_with("is mounted in it"), "{error}");
        // A second protection, in case the check missed it.
        assert_eq!(remove::tree(path.join("out").as_std_path()), Err(rustix::io::Errno::XDEV));
        assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"kept");
    }
    assert!(Command::new("umount").arg(path.join("out/dev")).status().unwrap().success());
}

/// The file system has no user attributes, like an old tmpfs, NFS or FAT.
#[test]
fn without_attributes_the_mark_is_a_file_beside() {
    let (_folder, path) = temp();
    let out = path.join("out");
    for _ in 0..2 {
        let sink = Dir::create(&out, 0, Replace::OwnOnly).unwrap();
        write_one(&some_of_everything(), Ok(sink)).unwrap();
        let folder = File::open(&out).unwrap();
        rustix::fs::fremovexattr(&folder, "user.cargo-rootfs").unwrap();
        assert!(Dir::create(&out, 0, Replace::OwnOnly).is_err());
        standing::mark_beside(out.as_std_path(), std::os::fd::AsFd::as_fd(&folder), 0).unwrap();
        assert_eq!(names_in(&path), [".out.cargo-rootfs", "out"]);
    }
    // The mark belongs to the directory, not to its name.
    std::fs::rename(&out, path.join("other")).unwrap();
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("file"), "kept").unwrap();
    assert!(Dir::create(&out, 0, Replace::OwnOnly).is_err());
}

#[test]
fn a_failed_run_leaves_the_earlier_folder() {
    let (_folder, path) = temp();
    std::fs::write(path.join("host"), [1; 3000]).unwrap();
    write_dir(&some_of_everything(), &path.join("out"), Replace::OwnOnly).unwrap();
    let planned = some_of_everything().host("/z", 0o644, path.join("host").as_std_path());
    let sink = Dir::create(&path.join("out"), 0, Replace::OwnOnly).unwrap();
    std::fs::write(path.join("host"), [1; 2000]).unwrap();
    assert!(write_one(&planned, Ok(sink)).is_err());
    assert_on_disk(&some_of_everything(), path.join("out").as_std_path(), 0);
    assert_eq!(names_in(&path), ["host", "out"]);
}

#[test]
fn what_a_killed_run_left_is_removed_and_a_running_one_is_not() {
    let (_folder, path) = temp();
    let running = Dir::create(&path.join("out"), 0, Replace::OwnOnly).unwrap();
    let before = names_in(&path);
    for name in [".out.cargo-rootfs-killed", ".other.cargo-rootfs-killed"] {
        std::fs::create_dir(path.join(name)).unwrap();
    }
    let old = std::time::SystemTime::UNIX_EPOCH;
    for name in [before[0].as_str(), ".out.cargo-rootfs-killed", ".other.cargo-rootfs-killed"] {
        File::open(path.join(name)).unwrap().set_modified(old).unwrap();
    }
    drop(Dir::create(&path.join("out"), 0, Replace::OwnOnly).unwrap());
    let mut kept = [".other.cargo-rootfs-killed", &before[0]];
    kept.sort_unstable();
    assert_eq!(names_in(&path), kept);
    drop(running);
}

#[test]
fn what_was_left_a_moment_ago_goes_with_files_of_its_kind() {
    let (_folder, path) = temp();
    let running = Dir::create(&path.join("out"), 0, Replace::OwnOnly).unwrap();
    let kept = names_in(&path);
    std::fs::create_dir_all(path.join(".out.cargo-rootfs-killed/usr/bin")).unwrap();
    std::fs::write(path.join(".out.cargo-rootfs-killed/usr/bin/app"), "app").unwrap();
    std::fs::write(path.join(".out.cargo-rootfs-named"), "archive").unwrap();
    for name in [".out.cargo-rootfs", ".out.mine"] {
        std::fs::write(path.join(name), "of others").unwrap();
    }
    drop(Dir::create(&path.join("out"), 0, Replace::OwnOnly).unwrap());
    assert_eq!(names_in(&path), [".out.cargo-rootfs", kept[0].as_str(), ".out.mine"]);
    drop(running);
}

/// Each may find the other's directory in the moment before it is locked.
#[test]
fn runs_that_begin_at_once_do_not_take_each_others_for_leftovers() {
    let (_folder, path) = temp();
    let out = path.join("out");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let staging = Staging::beside(out.as_std_path()).unwrap();
                    assert!(rustix::fs::statat(staging.folder(), ".", rustix::fs::AtFlags::empty()).is_ok());
                    std::fs::create_dir(staging.path().join("usr")).unwrap();
                }
            });
        }
    });
    assert_eq!(names_in(&path), [""; 0]);
}

#[test]
fn a_tar_and_a_folder_from_one_reading_are_equal() {
    let (_folder, path) = temp();
    std::fs::write(path.join("host"), vec![3; 3 << 20]).unwrap();
    let planned = some_of_everything().host("/host", 0o640, path.join("host").as_std_path());
    let sinks = vec![
        tar::TarFile::create(&path.join("x.tar"), 0).unwrap(),
        Dir::create(&path.join("out"), 0, Replace::OwnOnly).unwrap(),
    ];
    let written = write(&planned.0, sinks, &mut (), &AtomicBool::new(false)).unwrap();
    assert_eq!(written, [Written::Tar(path.join("x.tar").into()), Written::Dir(path.join("out").into())]);
    let compared = Command::new("tar").args(["-df", "x.tar", "-C", "out"]).current_dir(&path).output().unwrap();
    let said = String::from_utf8_lossy(&compared.stderr).into_owned() + &String::from_utf8_lossy(&compared.stdout);
    // As root all attributes are equal; for another user, the owner and the setuid bit differ.
    let is_owners = |line: &&str| line.contains("id differs") || *line == "usr/bin/app: Mode differs";
    let differences = said.lines().filter(|line| is_root() || !is_owners(line)).collect::<Vec<_>>();
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn root_keeps_owners_and_capabilities() {
    if !is_root() {
        return skip("only root gives files away");
    }
    let (_folder, path) = temp();
    let planned = some_of_everything()
        .file("/ping", 0o755, b"x")
        .with("/ping", |entry| entry.capability = Some(CAP_NET_RAW.into()))
        .with("/usr/bin/app", |entry| (entry.uid, entry.gid) = (12, 34))
        .with("/bin", |entry| (entry.uid, entry.gid) = (56, 78))
        .with("/srv", |entry| (entry.uid, entry.gid) = (90, 12));
    write_dir(&planned, &path.join("out"), Replace::OwnOnly).unwrap();
    assert_on_disk(&planned, path.join("out").as_std_path(), 0);
    for (name, owner) in [("usr/bin/app", (12, 34)), ("bin", (56, 78)), ("srv", (90, 12)), ("etc", (0, 0))] {
        let metadata = std::fs::symlink_metadata(path.join("out").join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), owner, "{name}");
    }
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(path.join("out/ping").as_str(), "security.capability", &mut value[..]).unwrap();
    assert_eq!(value[..length], CAP_NET_RAW);
}

/// The result for an ordinary user with a umask that removes all permissions: this test again, as another process.
#[test]
fn an_ordinary_user_writes_and_replaces_unwritable_folders() {
    const AGAIN: &str = "CARGO_ROOTFS_TEST_AS_USER";
    if let Some(path) = std::env::var_os(AGAIN) {
        let path = Utf8PathBuf::from(path.into_string().unwrap());
        assert!(!is_root());
        let planned = some_of_everything()
            .file("/ping", 0o755, b"x")
            .with("/ping", |entry| entry.capability = Some(CAP_NET_RAW.into()))
            .with("/", |entry| entry.mode = 0o555);
        #[derive(Default)]
        struct Warned(Vec<String>);
        impl Observer for Warned {
            fn warn(&mut self, warning: crate::Warning) {
                self.0.push(warning.message);
            }
        }
        let error = write_dir(&planned, &path.join("roots"), Replace::Force).unwrap_err();
        assert!(error.message().ends_with("it belongs to user 0"), "{error}");
        for _ in 0..2 {
            let mut warned = Warned::default();
            let sinks = vec![Dir::create(&path.join("out"), 0, Replace::OwnOnly).unwrap()];
            write(&planned.0, sinks, &mut warned, &AtomicBool::new(false)).unwrap();
            assert_on_disk(&planned, path.join("out").as_std_path(), 0);
            assert_eq!(
                warned.0,
                [
                    format!("capabilities cannot be set in `{path}/out`, of /ping"),
                    format!("setuid and setgid bits cannot be set in `{path}/out`, of /usr/bin/app"),
                ]
            );
        }
        return;
    }
    if !is_root() {
        return skip("only root can become another user");
    }
    let (_folder, path) = temp();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    write_dir(&some_of_everything(), &path.join("roots"), Replace::OwnOnly).unwrap();
    // Other users may not enter the directory of the test program.
    let program = path.join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let name = "an_ordinary_user_writes_and_replaces_unwritable_folders";
    let script = format!("umask 0777 && exec setpriv --reuid 65534 --regid 65534 --clear-groups {program} {name}");
    let run = Command::new("sh").args(["-c", &script]).env(AGAIN, &path).current_dir(&path).output().unwrap();
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"));
}
