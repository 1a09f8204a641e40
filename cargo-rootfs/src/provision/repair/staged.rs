//! A root that is being made: every path, and every absolute or `..` symlink, resolves inside it, for reading and for
//! writing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::distro::OsRelease;
use crate::glob::Glob;
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

pub(super) struct Staged {
    path: std::path::PathBuf,
    handle: OwnedFd,
}

impl Staged {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let handle = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { path: root.to_owned(), handle })
    }

    fn at(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { "/" } else { path };
        rustix::fs::openat2(&self.handle, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Returns whether `path` exists after following symlinks.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.at(path, OFlags::PATH).is_ok()
    }

    /// Returns whether `path` exists, also as a dangling symlink.
    pub(super) fn is_there(&self, path: &str) -> bool {
        self.at(path, OFlags::PATH | OFlags::NOFOLLOW).is_ok()
    }

    /// The permission bits of a regular file; `None` for a symlink.
    pub(super) fn mode(&self, path: &str) -> Option<u32> {
        let stat = rustix::fs::fstat(self.at(path, OFlags::PATH | OFlags::NOFOLLOW).ok()?).ok()?;
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(stat.st_mode & 0o7777)
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::from(self.at(path, OFlags::RDONLY | OFlags::NONBLOCK)?).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The files that match a pattern, sorted, each with the matched stars; empty for an empty pattern.
    pub(super) fn found(&self, pattern: &str) -> io::Result<Vec<(String, Vec<String>)>> {
        let mut found = Vec::new();
        // A view caches its answers, and rows change the tree.
        let mut view = Sysroot::open(&self.path).map_err(io::Error::other)?;
        for glob in Glob::parse(pattern).unwrap_or_default() {
            for path in view.expand(&glob) {
                let stars = glob.matches(&path).unwrap_or_default();
                let stars = stars.iter().map(|star| String::from_utf8_lossy(star).into_owned()).collect();
                found.extend(path.as_str().map(|text| (text.to_owned(), stars)));
            }
        }
        Ok(found)
    }

    /// The directories of /usr/lib that belong to one architecture each.
    pub(super) fn triplets(&self) -> io::Result<Vec<String>> {
        let mut view = Sysroot::open(&self.path).map_err(io::Error::other)?;
        let names = view.names(&RootfsPath::root().join(b"usr/lib"));
        let names = names.into_iter().filter_map(|name| String::from_utf8(name.into()).ok());
        Ok(names.filter(|name| name.contains("-linux-gnu")).collect())
    }

    /// The release's code name (os-release(5)).
    pub(super) fn codename(&self) -> Option<String> {
        let system = OsRelease::find(|path| self.read(path.as_str()?).ok());
        system.value("VERSION_CODENAME").map(str::to_owned)
    }

    /// Makes a symlink, unless `path` exists.
    pub(super) fn link(&self, path: &str, target: &str) -> io::Result<()> {
        if self.is_there(path) {
            return Ok(());
        }
        let (directory, name) = self.place(path)?;
        Ok(rustix::fs::symlinkat(target, directory, name)?)
    }

    /// Replaces a file. The old one must not be written to: it has hard links in the cache and in other sysroots.
    pub(super) fn write(&self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let (directory, name) = self.place(path)?;
        self.replace(&directory, name, bytes, mode)
    }

    /// Sets the mode of a regular file, if it exists.
    pub(super) fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        if self.mode(path).is_none() {
            return Ok(());
        }
        let bytes = self.read(path)?;
        let (directory, name) = self.place(path)?;
        self.replace(&directory, name, &bytes, mode)
    }

    fn replace(&self, directory: &OwnedFd, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let staged = format!(".{name}.cargo-rootfs");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(directory, &staged, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(rustix::fs::renameat(directory, &staged, directory, name)?)
    }

    /// Opens the directory of `path`, and makes it if missing; also returns the name in it.
    fn place<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.at(parent, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => {
                let (above, new) = self.place(parent)?;
                rustix::fs::mkdirat(above, new, Mode::from_raw_mode(0o755))?;
                Ok((self.at(parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
            }
            directory => Ok((directory?, name)),
        }
    }
}
