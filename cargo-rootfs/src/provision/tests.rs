//! Provisioning without a network: sysroots made of packages in a directory instead of apt's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::apt::Contents;
use super::cache::hexadecimal;
use super::index::Index;
use super::lock::Package;
use super::repair::Recipe;
use super::suite::base;
use super::want::Owners;
use super::*;
use crate::rootfs::{HostFile, KnownFiles};
use crate::target::Target;

/// One package, whose version and files a test may change.
struct Deb {
    name: &'static str,
    version: &'static str,
    needs: &'static [&'static str],
    files: &'static [&'static str],
}

impl Deb {
    /// The file: an ar(1) archive of two tar archives (deb(5)).
    fn file(&self) -> Vec<u8> {
        let tar = |files: &[(String, String)]| {
            let mut tar = tar::Builder::new(Vec::new());
            for (path, text) in files {
                let mut header = tar::Header::new_gnu();
                header.set_mode(0o755);
                header.set_size(text.len() as u64);
                tar.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            tar.into_inner().unwrap()
        };
        let (name, version) = (self.name, self.version);
        let fields =
            format!("Package: {name}\nVersion: {version}\nArchitecture: arm64\nMaintainer: x\nDescription: x\n");
        let files = self.files.iter().map(|path| (format!("./{path}"), format!("{name} {version}\n")));
        let control = tar(&[("./control".to_owned(), fields)]);
        let data = tar(&files.collect::<Vec<_>>());
        let mut deb = b"!<arch>\n".to_vec();
        for (name, bytes) in [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", data)] {
            deb.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, bytes.len()).bytes());
            deb.extend(&bytes);
            deb.extend((bytes.len() % 2 == 1).then_some(b'\n'));
        }
        deb
    }

    fn package(&self) -> Package {
        let sha256 = hexadecimal(&Sha256::digest(self.file()));
        Package { name: self.name.to_owned(), version: self.version.to_owned(), sha256 }
    }
}

/// A mirror with the packages of every sysroot, which are empty, and a few more.
struct Mirror {
    debs: RefCell<Vec<Deb>>,
    is_fetched: Cell<bool>,
    has_contents: Cell<bool>,
    /// True if the indexes of all files cannot be fetched.
    is_broken: Cell<bool>,
    /// The received requests.
    asked: RefCell<Vec<String>>,
    said: RefCell<Vec<String>>,
    cache: tempfile::TempDir,
    project: tempfile::TempDir,
}

impl Mirror {
    fn new(debs: Vec<Deb>) -> Self {
        let essential = base().into_iter().map(|name| Deb { name, version: "1", needs: &[], files: &[] });
        Self {
            debs: RefCell::new(essential.chain(debs).collect()),
            is_fetched: Cell::new(false),
            has_contents: Cell::new(false),
            is_broken: Cell::new(false),
            asked: RefCell::default(),
            said: RefCell::default(),
            cache: tempfile::tempdir().unwrap(),
            project: tempfile::tempdir().unwrap(),
        }
    }

    fn note(&self, what: impl Into<String>) {
        self.asked.borrow_mut().push(what.into());
    }

    /// Makes a sysroot with `wants` on arm64, for a project whose lock is in the mirror's directory.
    fn provide(&self, wants: &[Want], may: May) -> Result<Provided> {
        let request = Request {
            suite: Suite::parse("debian:bookworm").unwrap(),
            machine: Target::parse("aarch64-unknown-linux-gnu").unwrap().machine(),
            wants: wants.iter().filter(|want| !want.is_recommended()).cloned().collect(),
            hopes: wants.iter().filter(|want| want.is_recommended()).cloned().collect(),
            pinned: Pinned::Project(self.project.path().to_owned()),
            may,
            is_auto: false,
        };
        let open = || -> Result<Box<dyn Index + '_>> { Ok(Box::new(self)) };
        provide_from(&open, &Cache::at(self.cache.path()), &request, &mut Choices(&self.said), &|| Ok(()))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.take()
    }

    fn said(&self) -> Vec<String> {
        self.said.take()
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.project.path().join(LOCK)).unwrap()
    }
}

/// Records the messages about choices.
struct Choices<'m>(&'m RefCell<Vec<String>>);

impl Watch for Choices<'_> {
    fn step(&mut self, step: Step<'_>) {
        if let Step::Chosen(what) = step {
            self.0.borrow_mut().push(what.to_owned());
        }
    }
}

impl Index for &Mirror {
    fn has_index(&self) -> bool {
        self.is_fetched.get()
    }

    fn is_fresh(&self) -> bool {
        self.is_fetched.get()
    }

    fn update(&self) -> Result<()> {
        self.note("index");
        self.is_fetched.set(true);
        Ok(())
    }

    fn forget(&self) {
        self.is_fetched.set(false);
    }

    fn known(&self, names: &[String]) -> Result<Vec<String>> {
        let debs = self.debs.borrow();
        Ok(names.iter().filter(|name| debs.iter().any(|deb| deb.name == *name)).cloned().collect())
    }

    fn has_contents(&self, _: Contents, _: Network) -> bool {
        self.has_contents.get()
    }

    fn update_contents(&self, _: Contents) -> Result<()> {
        self.note("files");
        if self.is_broken.get() {
            return Err(Error::failed("the mirror is in the middle of an update"));
        }
        self.has_contents.set(true);
        Ok(())
    }

    fn owners(&self, _: Contents, wants: &[&Want]) -> Result<Vec<Owners>> {
        let recipe = Recipe::debian();
        let of = |want: &&Want| {
            let (places, mut owners) = (want.places(recipe), Owners::default());
            for deb in self.debs.borrow().iter() {
                deb.files.iter().for_each(|file| places.note(&format!("{file} utils/{}", deb.name), &mut owners));
            }
            owners
        };
        Ok(wants.iter().map(of).collect())
    }

    fn resolve(&self, specs: &[String]) -> Result<Vec<Package>> {
        let debs = self.debs.borrow();
        let mut left: Vec<&str> = specs.iter().map(String::as_str).collect();
        let mut chosen = BTreeSet::new();
        while let Some(spec) = left.pop() {
            let (name, version) = spec.split_once('=').map_or((spec, None), |(name, version)| (name, Some(version)));
            let found = debs.iter().find(|deb| deb.name == name && version.is_none_or(|it| it == deb.version));
            let deb = found.ok_or_else(|| Error::failed(format!("the mirror no longer has {spec}")))?;
            if chosen.insert(deb.package()) {
                left.extend(deb.needs);
            }
        }
        Ok(chosen.into_iter().collect())
    }

    fn download(&self, packages: &[&Package], folder: &Path) -> Result<()> {
        self.note(format!("{} packages", packages.len()));
        for package in packages {
            let debs = self.debs.borrow();
            let deb = debs.iter().find(|deb| deb.name == package.name && deb.version == package.version);
            let deb = deb.ok_or_else(|| Error::failed(format!("the mirror no longer has {}", package.spec())))?;
            fs::write(folder.join(format!("{}_{}_arm64.deb", deb.name, deb.version)), deb.file()).unwrap();
        }
        Ok(())
    }
}

const LOCKED: May = May { change_lock: Lockfile::Stays, network: Network::Unused };

fn tool(name: &str) -> Want {
    Want::Tool(name.to_owned())
}

/// Packages are unpacked with Debian's own tools.
#[allow(clippy::print_stderr)]
fn is_debian() -> bool {
    let is_debian = apt::missing().is_none();
    assert!(is_debian || std::env::var_os("CI").is_none(), "CI must not skip: apt and dpkg-deb are needed");
    if !is_debian {
        eprintln!("skipped: no apt and dpkg-deb");
    }
    is_debian
}

fn mirror() -> Mirror {
    Mirror::new(vec![
        Deb { name: "app-tools", version: "1", needs: &["libapp1"], files: &["usr/bin/own-app"] },
        Deb { name: "libapp1", version: "1", needs: &[], files: &["usr/lib/libapp.so.1"] },
        Deb { name: "own-data", version: "1", needs: &[], files: &["usr/share/own/data"] },
    ])
}

#[test]
fn a_sysroot_is_made_once_and_then_found() {
    if !is_debian() {
        return;
    }
    let mirror = mirror();
    let made = mirror.provide(&[tool("own-app")], May::default()).unwrap();
    let read = |path: &str| fs::read_to_string(made.kept.root.join(path)).unwrap();
    assert_eq!((read("usr/bin/own-app"), read("usr/lib/libapp.so.1")), ("app-tools 1\n".into(), "libapp1 1\n".into()));
    assert!(!made.kept.root.join("usr/share/own").exists());
    assert!(read("var/lib/dpkg/status").contains("Package: libapp1\n"));
    let count = format!("{} packages", base().len() + 2);
    assert_eq!((made.packages, mirror.asked()), (base().len() + 2, vec!["index".into(), "files".into(), count]));
    assert!(mirror.lock().contains("\"own-app\" = \"app-tools\""), "{}", mirror.lock());

    let again = mirror.provide(&[tool("own-app")], LOCKED).unwrap();
    assert_eq!((again.kept.root, mirror.asked()), (made.kept.root, Vec::new()));
}

/// This machine's package of a tool is a guess, which the package's files refute. The second choice asks for no index that
/// could not be fetched for the first one.
#[test]
fn an_index_of_files_that_cannot_be_fetched_is_tried_once() {
    if !is_debian() {
        return;
    }
    let mirror = Mirror::new(vec![Deb { name: "dpkg", version: "1", needs: &[], files: &[] }]);
    mirror.is_broken.set(true);
    let error = mirror.provide(&[tool("dpkg-split")], May::default()).unwrap_err();
    assert!(error.to_string().contains("is known to have tool `dpkg-split`"), "{error}");
    let asked = mirror.asked();
    assert_eq!(asked.iter().filter(|what| *what == "files").count(), 2, "one for each architecture: {asked:?}");
    assert!(asked.iter().any(|what| what.ends_with(" packages")), "no guess was tried: {asked:?}");
}

/// The digest that is known of a file in a sysroot.
fn known(kept: &Kept, path: &str) -> Option<String> {
    let host = kept.root.join(path);
    let file = HostFile::new(host.clone(), &host.symlink_metadata().unwrap());
    let mut known = KnownFiles::default();
    kept.find_known_files(&BTreeSet::from([file.inode]), &mut known);
    known.get(&file).map(|digests| hexadecimal(&digests.sha256))
}

/// Every sysroot has a hard link to a package's file, and each new link gives the file another ctime.
#[test]
fn the_digests_of_a_packages_files_are_known_in_all_sysroots() {
    if !is_debian() {
        return;
    }
    let digest = |text: &str| Some(hexadecimal(&Sha256::digest(text)));
    let mirror = mirror();
    let one = mirror.provide(&[tool("own-app")], May::default()).unwrap().kept;
    assert_eq!(known(&one, "usr/bin/own-app"), digest("app-tools 1\n"));
    let two = mirror.provide(&[Want::Package("own-data".to_owned())], May::default()).unwrap().kept;
    assert_ne!(one.root, two.root);
    for path in ["usr/bin/own-app", "usr/lib/libapp.so.1"] {
        assert_eq!(known(&one, path), known(&two, path));
        assert_eq!(known(&one, path), digest(&fs::read_to_string(one.root.join(path)).unwrap()));
    }
    // This file was made for the sysroot.
    assert_eq!(known(&one, "var/lib/dpkg/status"), None);

    // The record of another state, or a damaged one, is not believed.
    let unpacked = fs::read_dir(mirror.cache.path().join("unpacked")).unwrap().map(|entry| entry.unwrap().path());
    for sums in unpacked.map(|folder| folder.join("sums")).filter(|sums| sums.exists()) {
        let mut bytes = fs::read(&sums).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&sums, bytes).unwrap();
    }
    assert_eq!(known(&one, "usr/bin/own-app"), None);
}

/// A change that restores the size and the mtime still changes the ctime, which cannot be set.
#[test]
fn a_package_file_that_was_tampered_with_is_read_again() {
    if !is_debian() {
        return;
    }
    let digest = |text: &str| Some(hexadecimal(&Sha256::digest(text)));
    let mirror = mirror();
    let one = mirror.provide(&[tool("own-app")], May::default()).unwrap().kept;
    let path = one.root.join("usr/bin/own-app");
    let before = path.metadata().unwrap();
    // The clock of a file system has ticks of some milliseconds.
    while path.metadata().unwrap().ctime_nsec() == before.ctime_nsec() {
        fs::write(&path, "app-tools 2\n").unwrap();
        let times = fs::FileTimes::new().set_modified(before.modified().unwrap());
        fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    }
    let after = path.metadata().unwrap();
    assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
    assert_eq!(known(&one, "usr/bin/own-app"), None);
    let two = mirror.provide(&[Want::Package("own-data".to_owned())], May::default()).unwrap().kept;
    assert_eq!(known(&two, "usr/bin/own-app"), digest("app-tools 2\n"));
    assert_eq!(known(&two, "usr/lib/libapp.so.1"), digest("libapp1 1\n"));
}

#[test]
fn what_is_pinned_stays_until_it_is_renewed() {
    if !is_debian() {
        return;
    }
    let mirror = mirror();
    mirror.provide(&[tool("own-app")], May::default()).unwrap();
    let before = mirror.lock();
    let error = mirror.provide(&[Want::Package("own-data".to_owned())], LOCKED).unwrap_err().to_string();
    assert!(error.contains("would have to change") && mirror.lock() == before, "{error}");

    // Only new packages are fetched.
    mirror.asked();
    mirror.provide(&[Want::Package("own-data".to_owned())], May::default()).unwrap();
    assert_eq!(mirror.asked(), ["1 packages"]);

    // The mirror is updated and no longer has the version in the lock.
    mirror.debs.borrow_mut().iter_mut().filter(|deb| deb.name == "libapp1").for_each(|deb| deb.version = "2");
    fs::remove_dir_all(mirror.cache.path().join("debs")).unwrap();
    fs::remove_dir_all(mirror.cache.path().join("unpacked")).unwrap();
    fs::remove_dir_all(mirror.cache.path().join("sysroots")).unwrap();
    let error = mirror.provide(&[tool("own-app")], May::default()).unwrap_err().to_string();
    assert!(error.contains("the mirror no longer has libapp1=1"), "{error}");
    let renewed = May { change_lock: Lockfile::Renewed, network: Network::Used };
    let made = mirror.provide(&[tool("own-app")], renewed).unwrap();
    assert_eq!(fs::read_to_string(made.kept.root.join("usr/lib/libapp.so.1")).unwrap(), "libapp1 2\n");
}

/// The package with the tool's name does not contain the tool, as with Debian's `sendmail` and `uwsgi`.
#[test]
fn a_package_of_the_tools_name_is_taken_only_if_it_has_the_tool() {
    if !is_debian() {
        return;
    }
    let mirror = Mirror::new(vec![
        Deb { name: "mailer", version: "1", needs: &[], files: &["usr/share/mailer/x"] },
        Deb { name: "own-mta", version: "1", needs: &[], files: &["usr/sbin/mailer"] },
        Deb { name: "another-own-mta", version: "1", needs: &[], files: &["usr/sbin/mailer"] },
        Deb { name: "server", version: "1", needs: &[], files: &["usr/bin/server-core"] },
        Deb { name: "game", version: "1", needs: &[], files: &["usr/games/game"] },
    ]);
    let made = mirror.provide(&[tool("mailer"), tool("game")], May::default()).unwrap();
    assert!(made.kept.root.join("usr/sbin/mailer").exists());
    assert!(mirror.lock().contains("\"mailer\" = \"own-mta\""), "{}", mirror.lock());
    // The layout reports that the tool is in no directory of PATH.
    assert!(mirror.lock().contains("\"game\" = \"game\""), "{}", mirror.lock());
    let error = mirror.provide(&[tool("server")], May::default()).unwrap_err();
    assert!(error.to_string().contains("`server` has no such file"), "{error}");
    assert_eq!(error.help_line(), Some("take it by its own name: --with server-core"));
}

#[test]
fn of_several_packages_the_named_one_is_taken() {
    if !is_debian() {
        return;
    }
    let debs = || {
        let of = |name| Deb { name, version: "1", needs: &[], files: &["usr/bin/two-go"] };
        Mirror::new(vec![of("gcc-two"), of("two-lang-go")])
    };
    let mirror = debs();
    mirror.provide(&[tool("two-go")], May::default()).unwrap();
    assert!(mirror.lock().contains("\"two-go\" = \"two-lang-go\""), "it begins like it: {}", mirror.lock());
    assert_eq!(mirror.said(), ["two-lang-go for `two-go`, which gcc-two has too: choose by --with-package gcc-two"]);
    let mirror = debs();
    mirror.provide(&[tool("two-go"), Want::Package("gcc-two".to_owned())], May::default()).unwrap();
    assert!(mirror.lock().contains("\"two-go\" = \"gcc-two\""), "{}", mirror.lock());
    assert_eq!(mirror.said(), Vec::<String>::new());
}

#[test]
fn all_that_no_package_has_is_told_at_once() {
    let mirror = mirror();
    let wants = [tool("nowhere"), Want::Package("no-package".to_owned()), Want::Recommended("no-data".to_owned())];
    let error = mirror.provide(&wants, May::default()).unwrap_err().to_string();
    assert!(error.contains("`nowhere`") && error.contains("no package `no-package`"), "{error}");
    assert!(!error.contains("no-data") && !mirror.project.path().join(LOCK).exists(), "{error}");
}

#[test]
fn what_is_lacking_without_the_network_is_told() {
    let mirror = mirror();
    let offline = May { change_lock: Lockfile::Grows, network: Network::Unused };
    let error = mirror.provide(&[tool("own-app")], offline).unwrap_err().to_string();
    assert!(error.contains("lacking  the index of debian:bookworm for arm64"), "{error}");
    mirror.is_fetched.set(true);
    mirror.has_contents.set(true);
    let error = mirror.provide(&[tool("own-app")], offline).unwrap_err().to_string();
    assert!(error.contains("lacking  libapp1=1") && mirror.asked().is_empty(), "{error}");
}
