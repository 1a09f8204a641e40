//! Destinations: existing files, full and read-only file systems, pipes.

use super::*;

#[test]
fn a_tar_replaces_an_earlier_one_and_makes_its_folders() {
    let (_folder, path) = temp();
    let output = path.join("a/b/x.tar");
    for _ in 0..2 {
        let written = write_one(&some_of_everything(), TarFile::create(&output, 0)).unwrap();
        assert_eq!(written, Written::Tar(output.clone().into()));
        assert_eq!(listed(&std::fs::read(&output).unwrap()).len(), 13);
        assert_eq!(names_in(&path.join("a/b")), ["x.tar"]);
    }
}

#[test]
fn a_tar_goes_where_a_symlink_leads() {
    let (_folder, path) = temp();
    std::fs::create_dir(path.join("store")).unwrap();
    std::fs::write(path.join("store/real.tar"), "earlier").unwrap();
    symlink("store/real.tar", path.join("x.tar")).unwrap();
    write_one(&some_of_everything(), TarFile::create(&path.join("x.tar"), 0)).unwrap();
    assert!(path.join("x.tar").is_symlink());
    assert_eq!(listed(&std::fs::read(path.join("store/real.tar")).unwrap()).len(), 13);
}

#[test]
fn a_tar_onto_a_folder_or_below_a_file_is_refused() {
    let (_folder, path) = temp();
    std::fs::write(path.join("file"), "").unwrap();
    let error = TarFile::create(&path, 0).err().unwrap();
    assert!(error.message().ends_with("it is a directory"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(TarFile::create(&path.join("file/x.tar"), 0).is_err());
    assert_eq!(names_in(&path), ["file"]);
}

#[test]
fn a_full_disk_and_a_closed_pipe_are_said() {
    let error = write_one(&some_of_everything(), TarFile::create("/dev/full".into(), 0)).unwrap_err();
    assert_eq!(error.message(), "cannot write `/dev/full`");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("No space left"), "{error:?}");

    let (_folder, path) = temp();
    let fifo = path.join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fifo.as_str(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut reader = File::options().read(true).custom_flags(flags).open(&fifo).unwrap();
    let sink = TarFile::create(&fifo, 0);
    let mut start = [0; 1];
    assert!(reader.read(&mut start).is_err(), "nothing was written yet");
    drop(reader);
    let error = write_one(&some_of_everything(), sink).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("Broken pipe"), "{error:?}");
    assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn a_full_file_system_leaves_the_earlier_output() {
    let Some(mounted) = Mounted::tmpfs("size=256k") else { return };
    let output = mounted.path.join("x.tar");
    std::fs::write(&output, "earlier").unwrap();
    let planned = Planned::new().file("/big", 0o644, &[1; 1 << 20]);
    let (_folder, elsewhere) = temp();
    std::fs::write(elsewhere.join("big"), [1; 1 << 20]).unwrap();
    let from_the_host = Planned::new().host("/big", 0o644, elsewhere.join("big").as_std_path());
    for planned in [&planned, &from_the_host] {
        let error = write_one(planned, TarFile::create(&output, 0)).unwrap_err();
        assert_eq!(error.message(), format!("cannot write `{output}`"));
        assert_eq!(std::fs::read(&output).unwrap(), b"earlier");
        assert_eq!(names_in(&mounted.path), ["x.tar"]);
    }
    // The space is available again.
    write_one(&some_of_everything(), TarFile::create(&output, 0)).unwrap();

    let output = mounted.path.join("dir");
    for _ in 0..2 {
        write_one(&some_of_everything(), dir::Dir::create(&output, 0, dir::Replace::OwnOnly)).unwrap();
        let error = write_one(&planned, dir::Dir::create(&output, 0, dir::Replace::OwnOnly)).unwrap_err();
        assert_eq!(error.message(), format!("cannot write `{output}/big`"));
        assert_on_disk(&some_of_everything(), output.as_std_path(), 0);
        assert_eq!(names_in(&mounted.path).iter().filter(|name| name.ends_with("rootfs")).count(), 0);
    }
}

#[test]
fn a_read_only_file_system_is_said() {
    let Some(mounted) = Mounted::tmpfs("size=256k,ro") else { return };
    let error = TarFile::create(&mounted.path.join("x.tar"), 0).err().unwrap();
    assert_eq!(error.message(), format!("cannot create `{}`", mounted.path.join("x.tar")));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("Read-only"), "{error:?}");
    let error = dir::Dir::create(&mounted.path.join("dir"), 0, dir::Replace::OwnOnly).err().unwrap();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("Read-only"), "{error:?}");
}

/// A tmpfs for a test, which only root can mount.
struct Mounted {
    path: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

impl Mounted {
    fn tmpfs(options: &str) -> Option<Self> {
        let (folder, path) = temp();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", path.as_str()]).output();
        if !is_root() || !mount.is_ok_and(|output| output.status.success()) {
            skip("a tmpfs cannot be mounted");
            return None;
        }
        Some(Self { path, _folder: folder })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}

#[test]
fn without_o_tmpfile_the_result_is_the_same() {
    // A named temporary file, as on file systems without O_TMPFILE.
    let (_folder, path) = temp();
    let output: PathBuf = path.join("x.tar").into();
    for _ in 0..2 {
        let mut file = staged_file::StagedFile::named(&output).unwrap();
        file.write_all(b"bytes").unwrap();
        assert_eq!(names_in(&path).iter().filter(|name| name.starts_with(".x.tar.")).count(), 1);
        file.persist().unwrap();
        assert_eq!(names_in(&path), ["x.tar"]);
    }
    let running = staged_file::StagedFile::named(&output).unwrap();
    std::fs::write(path.join(".x.tar.cargo-rootfs-killed"), "left").unwrap();
    drop(staged_file::StagedFile::named(&output).unwrap());
    assert_eq!(names_in(&path).len(), 2, "what is being written stays: {:?}", names_in(&path));
    drop(running);
    assert_eq!(names_in(&path), ["x.tar"]);

    let named = output.metadata().unwrap().mode();
    staged_file::StagedFile::create(&output).unwrap().persist().unwrap();
    assert_eq!(output.metadata().unwrap().mode(), named);
}
