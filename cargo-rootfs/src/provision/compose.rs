//! Composes unpacked packages into a root file system with dpkg's records.
//!
//! Files are hard links to those of the cache: a later change must replace the file and not write to it.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::cache::{CONTROL, Cache, FILES, NAMES, OWNERS};
use super::folder::Unwritable;
use super::lock::Section;
use super::repair::{Recipe, SCRIPTS, add_accounts};
use super::request::Stop;
use super::sums::Sums;
use crate::error::Result;
use crate::host_files;

/// The directory of dpkg's database (dpkg(1)).
const ADMIN: &str = "var/lib/dpkg";

/// Control files that describe a package and run nothing (deb-control(5) and related pages).
const RECORDS: [&str; 6] = ["md5sums", "conffiles", "shlibs", "symbols", "triggers", "templates"];

/// Fills the empty `root` with the packages of `section`; `unpacked` are their directories, in the same order.
pub(super) fn compose(
    cache: &Cache,
    section: &Section,
    unpacked: &[PathBuf],
    root: &Path,
    stop: Stop<'_>,
) -> Result<()> {
    let unwritable = |Unwritable(path, error)| cache.unwritable(&path, error);
    let write = |path: PathBuf, bytes: Vec<u8>| fs::write(&path, bytes).map_err(|error| cache.unwritable(&path, error));
    let recipe = Recipe::debian();
    recipe.before(root, &section.architecture).map_err(unwritable)?;
    let info = root.join(ADMIN).join("info");
    fs::create_dir_all(&info).map_err(|error| cache.unwritable(&info, error))?;
    let (mut status, mut owners, mut scripts) = (Vec::new(), Vec::new(), Vec::new());
    let into = Root::open(root).map_err(unwritable)?;
    for (package, folder) in section.packages.iter().zip(unpacked) {
        stop()?;
        into.add(&folder.join(FILES)).map_err(unwritable)?.write(folder);
        let control = folder.join(CONTROL);
        let fields = host_files::text(&control.join("control")).or_cannot("read")?;
        let stem = match field(&fields, "Multi-Arch") {
            Some("same") => format!("{}:{}", package.name, section.architecture),
            _ => package.name.clone(),
        };
        for record in RECORDS.into_iter().chain([NAMES]) {
            let file = control.join(record);
            if file.is_file() {
                let path = info.join(format!("{stem}.{record}"));
                fs::copy(file, &path).map_err(|error| cache.unwritable(&path, error))?;
            }
        }
        status.extend(stanza(&fields));
        scripts.extend(SCRIPTS.iter().filter_map(|script| fs::read(control.join(script)).ok()));
        owners.extend(fs::read(control.join(OWNERS)).unwrap_or_default());
    }
    write(root.join(ADMIN).join("status"), status)?;
    into.lead_inside().map_err(unwritable)?;
    recipe.after(root).map_err(unwritable)?;
    add_accounts(root, &scripts).map_err(unwritable)?;
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // Files whose set-ID bits a script would set belong to root.
    let by_scripts = recipe.set_id_files(root);
    owners.extend(by_scripts.iter().flat_map(|(path, mode)| format!("#0 #0 {mode:o} {path}\n").into_bytes()));
    // The format in which dpkg records owners that differ from the package's (dpkg-statoverride(1)).
    write(root.join(ADMIN).join("statoverride"), owners)
}

/// The directory that receives the packages, one over the other. Symlinks are resolved inside it.
struct Root {
    path: PathBuf,
    handle: OwnedFd,
}

impl Root {
    fn open(path: &Path) -> Result<Self, Unwritable> {
        let handle = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { path: path.to_owned(), handle: handle.map_err(Unwritable::at(path))? })
    }

    /// Adds everything below `from`, and returns the digests of the linked files.
    fn add(&self, from: &Path) -> Result<Sums, Unwritable> {
        let device = host_files::metadata(from).result().map_err(Unwritable::at(from))?.dev();
        let (known, mut sums) = (Sums::read(from.parent().unwrap_or(from), device), Sums::default());
        self.add_folder(from, Path::new(""), self.handle.as_fd(), &known, &mut sums)?;
        Ok(sums)
    }

    /// Makes absolute symlinks of names for linking (`libz.so`) relative: a linker on the host would follow them out of
    /// the root, to nothing or to another library. In an image their meaning does not change.
    fn lead_inside(&self) -> Result<(), Unwritable> {
        self.lead_links_inside().map_err(Unwritable::at(self.path.join("usr/lib")))
    }

    fn lead_links_inside(&self) -> io::Result<()> {
        let lib = Path::new("usr/lib");
        let Ok(folder) = self.real_folder(lib) else { return Ok(()) };
        let mut folders = vec![lib.to_owned()];
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if entry.file_type().is_dir() && name.iter().filter(|byte| **byte == b'-').count() >= 2 {
                folders.push(lib.join(OsStr::from_bytes(name)));
            }
        }
        for path in folders {
            let folder = self.real_folder(&path)?;
            let up = "../".repeat(path.components().count());
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let is_for_linking = name.to_bytes().starts_with(b"lib") && name.to_bytes().ends_with(b".so");
                if !is_for_linking || !entry.file_type().is_symlink() {
                    continue;
                }
                let to = rustix::fs::readlinkat(&folder, name, Vec::new())?;
                let Some(below) = to.to_bytes().strip_prefix(b"/") else { continue };
                rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
                rustix::fs::symlinkat([up.as_bytes(), below].concat(), &folder, name)?;
            }
        }
        Ok(())
    }

    /// Opens the directory at `path`, without following symlinks.
    fn real_folder(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.handle, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
    }

    /// Opens the directory at `path`, through symlinks inside the root.
    fn folder(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.handle, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Adds a directory: `path` is its path in the root, and `to` the same directory, opened.
    fn add_folder(
        &self,
        from: &Path,
        path: &Path,
        to: BorrowedFd<'_>,
        known: &Sums,
        sums: &mut Sums,
    ) -> Result<(), Unwritable> {
        for name in host_files::names(from).result().map_err(Unwritable::at(from))? {
            let (from, path) = (from.join(&name), path.join(&name));
            let at = Unwritable::at(self.path.join(&path));
            let metadata = host_files::own_metadata(&from).result().map_err(&at)?;
            if !metadata.is_dir() {
                put(&from, to, name.as_bytes()).map_err(&at)?;
                if metadata.is_file() {
                    let now = host_files::own_metadata(&from).result().map_err(at)?;
                    sums.follow(known, path.as_os_str().as_bytes(), &from, &metadata, &now);
                }
                continue;
            }
            let folder = self.made_folder(&path, to, name.as_bytes()).map_err(&at)?;
            self.add_folder(&from, &path, folder.as_fd(), known, sums)?;
            // Last, because the mode may forbid its owner to write.
            own(&folder, &metadata).map_err(at)?;
        }
        Ok(())
    }

    /// The directory `name` in `to`, whose path is `path`; it is made if it is missing.
    fn made_folder(&self, path: &Path, to: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
        if let Ok(folder) = self.folder(path) {
            return Ok(folder);
        }
        // The existing entry is neither a directory nor a symlink to one.
        remove(to, name)?;
        rustix::fs::mkdirat(to, name, Mode::RWXU)?;
        Ok(self.folder(path)?)
    }
}

/// Gives a directory owner and mode.
fn own(folder: &OwnedFd, metadata: &Metadata) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let owner = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        rustix::fs::fchown(folder, Some(owner.0), Some(owner.1))?;
    }
    Ok(rustix::fs::fchmod(folder, Mode::from_raw_mode(metadata.mode() & 0o7777))?)
}

/// Puts a file or a symlink at `name` in the directory `to`: as a hard link, or as a copy if that fails.
fn put(from: &Path, to: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    // As in dpkg, an existing directory stays.
    if !remove(to, name)? {
        return Ok(());
    }
    match rustix::fs::linkat(rustix::fs::CWD, from, to, name, AtFlags::empty()) {
        Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => copy(from, to, name),
        linked => Ok(linked?),
    }
}

fn copy(from: &Path, to: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let metadata = from.symlink_metadata()?;
    if metadata.is_symlink() {
        rustix::fs::symlinkat(fs::read_link(from)?.as_os_str(), to, name)?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
        io::copy(&mut fs::File::open(from)?, &mut file)?;
    }
    if rustix::process::geteuid().is_root() {
        let owner = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        rustix::fs::chownat(to, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if metadata.is_symlink() {
        return Ok(());
    }
    // After the owner: chown(2) clears set-ID bits.
    Ok(rustix::fs::chmodat(to, name, Mode::from_raw_mode(metadata.mode() & 0o7777), AtFlags::empty())?)
}

/// Removes `name` and returns true; returns false for a directory, which stays.
fn remove(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A package's paragraph in dpkg's status file, as an installed package.
fn stanza(fields: &str) -> Vec<u8> {
    let mut text = String::new();
    for line in fields.lines() {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("Package:") {
            text.push_str("Status: install ok installed\n");
        }
    }
    text.push('\n');
    text.into_bytes()
}

fn field<'f>(fields: &'f str, key: &str) -> Option<&'f str> {
    fields.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn put_file(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn packages_are_put_over_each_other_and_stay_in_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = temp.path().join(name);
            fs::create_dir(&folder).unwrap();
            folder
        };
        let (one, two, root, outside) = (folder("one"), folder("two"), folder("root"), folder("outside"));
        put_file(&one, "usr/bin/a", "one's");
        put_file(&one, "usr/share/real/x", "x");
        put_file(&one, "usr/share/both/folder", "kept");
        symlink("real", one.join("usr/share/near")).unwrap();
        // openssl's /usr/lib/ssl/certs is such a symlink: it leads into the root, not out of it.
        fs::create_dir_all(one.join(outside.strip_prefix("/").unwrap())).unwrap();
        symlink(&outside, one.join("usr/share/far")).unwrap();
        put_file(&two, "usr/bin/a", "two's");
        put_file(&two, "usr/share/near/y", "y");
        put_file(&two, "usr/share/far/z", "z");
        symlink("elsewhere", two.join("usr/share/both")).unwrap();
        fs::set_permissions(two.join("usr/share/near"), fs::Permissions::from_mode(0o555)).unwrap();

        let into = Root::open(&root).unwrap();
        into.add(&one).unwrap();
        into.add(&two).unwrap();
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert_eq!((read("usr/bin/a").as_str(), read("usr/share/real/y").as_str()), ("two's", "y"));
        assert_eq!(read("usr/share/both/folder"), "kept", "a directory stays one");
        assert!(root.join("usr/share/near").is_symlink());
        assert_eq!(fs::metadata(root.join("usr/share/real")).unwrap().mode() & 0o7777, 0o555);
        assert!(fs::read_dir(&outside).unwrap().next().is_none(), "a link led out of the root");
        assert_eq!(read(&format!("{}/z", outside.strip_prefix("/").unwrap().display())), "z");
        // The file is a hard link; replacing its name in one root leaves the other unchanged.
        assert_eq!(fs::metadata(two.join("usr/bin/a")).unwrap().nlink(), 2);
        assert_eq!(fs::read_to_string(one.join("usr/bin/a")).unwrap(), "one's");
        fs::set_permissions(root.join("usr/share/real"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(two.join("usr/share/near"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Debian 12's libz.so is such a symlink: a linker on the host follows it to nothing, or to the host's library.
    #[test]
    fn links_for_linking_lead_inside_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let (package, root) = (temp.path().join("package"), temp.path().join("root"));
        let lib = "usr/lib/aarch64-linux-gnu";
        put_file(&package, &format!("{lib}/libown.so.1"), "own");
        for (name, to) in [
            ("libown.so", "/usr/lib/aarch64-linux-gnu/libown.so.1"),
            ("libnear.so", "libown.so.1"),
            ("plugin.so", "/usr/lib/aarch64-linux-gnu/libown.so.1"),
        ] {
            symlink(to, package.join(lib).join(name)).unwrap();
        }
        symlink("/usr/lib/aarch64-linux-gnu/libown.so.1", package.join("usr/lib/libtop.so")).unwrap();
        fs::create_dir(&root).unwrap();
        let into = Root::open(&root).unwrap();
        into.add(&package).unwrap();
        into.lead_inside().unwrap();
        let to = |name: &str| fs::read_link(root.join("usr/lib").join(name)).unwrap().display().to_string();
        for name in ["aarch64-linux-gnu/libown.so", "aarch64-linux-gnu/libnear.so", "libtop.so"] {
            assert_eq!(fs::read_to_string(root.join("usr/lib").join(name)).unwrap(), "own", "{name}");
        }
        assert_eq!(to("aarch64-linux-gnu/libown.so"), "../../../usr/lib/aarch64-linux-gnu/libown.so.1");
        assert_eq!(to("aarch64-linux-gnu/libnear.so"), "libown.so.1");
        // This name is not for linking. The cache keeps the package's own symlink.
        assert!(to("aarch64-linux-gnu/plugin.so").starts_with('/'));
        assert!(fs::read_link(package.join(lib).join("libown.so")).unwrap().is_absolute());
    }

    #[test]
    fn where_no_link_can_be_made_there_is_a_copy() {
        let temp = tempfile::tempdir().unwrap();
        put_file(temp.path(), "from/a", "text");
        fs::set_permissions(temp.path().join("from/a"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("a", temp.path().join("from/b")).unwrap();
        fs::create_dir(temp.path().join("to")).unwrap();
        let to = Root::open(&temp.path().join("to")).unwrap();
        copy(&temp.path().join("from/a"), to.handle.as_fd(), b"a").unwrap();
        copy(&temp.path().join("from/b"), to.handle.as_fd(), b"b").unwrap();
        let copied = temp.path().join("to/a").metadata().unwrap();
        assert_eq!((copied.mode() & 0o7777, copied.len(), copied.nlink()), (0o4711, 4, 1));
        assert_eq!(fs::read_link(temp.path().join("to/b")).unwrap(), Path::new("a"));
    }

    #[test]
    fn an_extracted_package_is_told_of_as_installed() {
        let fields = "Package: bash\nMulti-Arch: foreign\nDescription: x\n Package: no field\n";
        let text = String::from_utf8(stanza(fields)).unwrap();
        assert_eq!(
            text,
            "Package: bash\nStatus: install ok installed\nMulti-Arch: foreign\nDescription: x\n Package: no field\n\n"
        );
        assert_eq!(field(fields, "Multi-Arch"), Some("foreign"));
    }
}
