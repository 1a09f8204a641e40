//! Files that change while they are read, and runs that end early.

use super::*;

#[test]
fn a_file_that_changes_after_it_was_planned_fails_the_run() {
    type Change = fn(&Utf8Path);
    let changes: [(&str, Change); 5] = [
        ("shorter", |path| File::options().write(true).open(path).unwrap().set_len(100).unwrap()),
        ("longer", |path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap()),
        ("other bytes", |path| File::options().write(true).open(path).unwrap().write_all(b"other").unwrap()),
        ("another file", |path| {
            std::fs::write(path.with_extension("new"), [1; 5000]).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("gone", |path| std::fs::remove_file(path).unwrap()),
    ];
    for size in [5000, 20 << 20] {
        for (what, change) in changes {
            let (_folder, path) = temp();
            std::fs::write(path.join("host"), vec![1; size]).unwrap();
            let planned = Planned::new().host("/host", 0o644, path.join("host").as_std_path());
            std::fs::write(path.join("x.tar"), "earlier").unwrap();
            let sink = TarFile::create(&path.join("x.tar"), 0);
            change(&path.join("host"));
            let error = write_one(&planned, sink).unwrap_err();
            assert!(error.to_string().contains("/host`"), "{what}: {error}");
            assert_eq!(std::fs::read(path.join("x.tar")).unwrap(), b"earlier", "{what}");
            std::fs::remove_file(path.join("host")).ok();
            assert_eq!(names_in(&path), ["x.tar"], "{what}");
        }
    }
}

/// A sink that runs a function while the files are read.
struct During<F>(F);

impl<F: FnMut(&[u8]) -> Result<()>> Sink for During<F> {
    fn entry(&mut self, _: &RootfsPath, _: &Entry) -> Result<()> {
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.0(bytes)
    }

    fn finish(self: Box<Self>, _: &mut dyn Observer) -> Result<Box<dyn Staged>> {
        panic!("it must have failed before");
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_fails_the_run() {
    for size in [1 << 20, 20 << 20] {
        let (_folder, path) = temp();
        let host = path.join("host");
        std::fs::write(&host, vec![1; size]).unwrap();
        let planned = Planned::new().host("/host", 0o644, host.as_std_path());
        let mut first = true;
        let during = During(move |_: &[u8]| {
            if std::mem::take(&mut first) {
                File::options().append(true).open(&host).unwrap().write_all(b"more").unwrap();
            }
            Ok(())
        });
        let error = write_one(&planned, Ok(Box::new(during))).unwrap_err();
        assert!(error.message().contains("changed while it was packed"), "{error}");
    }
}

#[test]
fn another_name_is_no_change_and_a_write_with_a_forged_time_is_one() {
    let (_folder, path) = temp();
    let host = path.join("host");
    let packed = |change: &mut dyn FnMut()| {
        let _ = std::fs::remove_file(path.join("other"));
        std::fs::write(&host, vec![1; 1000]).unwrap();
        let metadata = std::fs::metadata(&host).unwrap();
        let file = HostFile::new(host.clone().into(), &metadata);
        // With a coarse clock, both would have the same time.
        std::thread::sleep(std::time::Duration::from_millis(20));
        change();
        file.open()
    };
    packed(&mut || {}).unwrap();
    packed(&mut || std::fs::hard_link(&host, path.join("other")).unwrap()).unwrap();
    let mut forge = || {
        let modified = std::fs::metadata(&host).unwrap().modified().unwrap();
        std::fs::write(&host, vec![2; 1000]).unwrap();
        File::options().write(true).open(&host).unwrap().set_modified(modified).unwrap();
    };
    let error = packed(&mut forge).unwrap_err();
    assert!(error.message().contains("changed while it was packed"), "{error}");
}

#[test]
fn an_interrupt_between_two_blocks_leaves_the_earlier_output() {
    for size in [2 << 20, 40 << 20] {
        let (_folder, path) = temp();
        std::fs::write(path.join("host"), vec![1; size]).unwrap();
        std::fs::write(path.join("x.tar"), "earlier").unwrap();
        let planned = Planned::new().host("/host", 0o644, path.join("host").as_std_path());
        let interrupted = AtomicBool::new(false);
        struct Interrupting<'a>(&'a AtomicBool);
        impl Observer for Interrupting<'_> {
            fn wrote(&mut self, _: u64) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let sink = TarFile::create(&path.join("x.tar"), 0).unwrap();
        let error = write(&planned.0, vec![sink], &mut Interrupting(&interrupted), &interrupted).unwrap_err();
        assert_eq!(error.exit_code(), crate::exit_code::INTERRUPTED);
        assert_eq!(std::fs::read(path.join("x.tar")).unwrap(), b"earlier");
        assert_eq!(names_in(&path), ["host", "x.tar"]);
    }
}

#[test]
fn no_output_is_taken_before_every_other_is_complete() {
    let (_folder, path) = temp();
    let failing = During(|_: &[u8]| Err(Error::failed("no more")));
    let sinks: Vec<Box<dyn Sink>> = vec![
        TarFile::create(&path.join("new/folder/x.tar"), 0).unwrap(),
        dir::Dir::create(&path.join("new/dir"), 0, dir::Replace::OwnOnly).unwrap(),
        Box::new(failing),
    ];
    let error = write(&some_of_everything().0, sinks, &mut (), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.message(), "no more");
    assert!(names_in(&path).is_empty(), "{:?}", names_in(&path));
}
