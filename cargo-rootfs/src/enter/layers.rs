//! Selects the large files that are not copied: an overlayfs reads their bytes from the host's directories.
//!
//! The lower layer of the overlay has a placeholder for each: a file with the right size, owner and mode, and an
//! extended attribute with the path of the bytes in a data-only layer, which is a directory of the host
//! (Documentation/filesystems/overlayfs.rst, "Data-only lower layers"). From Linux 6.16 on, the kernel also follows
//! attributes that users may set. This module mounts nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, HostFile, Kind, Origin, Rootfs};
use crate::write::dir::Hollow;

/// Copying a smaller file takes less time than a placeholder and a later open.
const WORTH_IT: u64 = 64 << 10;

/// The limit of layers here; the kernel's is 500 (`OVL_MAX_STACK`), and a rootfs comes from few directories.
const LAYERS: usize = 16;

/// The referenced files, and the data-only layers that hold them.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) layers: Vec<PathBuf>,
    /// The placeholder of each file in the lower layer.
    pub(super) files: BTreeMap<RootfsPath, Hollow>,
}

impl References {
    /// Selects the files of `rootfs`; `mounts` are the host's mount points.
    pub(super) fn of(rootfs: &Rootfs, mounts: &[PathBuf]) -> Self {
        let mut folders = Folders { above_mounts: above(mounts), known: BTreeMap::new() };
        let mut references = Self::default();
        for (path, entry) in rootfs.iter() {
            let Some(file) = stable(entry) else { continue };
            let Some(layer) = folders.layer_of(&file.path) else { continue };
            if let Some(within) = references.place(&file.path, &layer) {
                references.files.insert(path.clone(), hollow(file.size, within));
            }
        }
        references
    }

    /// The path of `file` in its layer; `None` if another layer has, or would have, the same path.
    ///
    /// The kernel takes the first layer that has the path. A file that appears in another layer while the command runs
    /// has the same effect as a file that changes during the run.
    fn place(&mut self, file: &Path, layer: &Path) -> Option<Vec<u8>> {
        let within = file.strip_prefix(layer).ok()?;
        let is_there = |layer: &Path, within: &Path| layer.join(within).symlink_metadata().is_ok();
        if self.layers.iter().any(|other| other != layer && is_there(other, within)) {
            return None;
        }
        if !self.layers.iter().any(|known| known == layer) {
            let clashes = |known: &Hollow| is_there(layer, Path::new(OsStr::from_bytes(&redirect(known)[1..])));
            if self.layers.len() == LAYERS || self.files.values().any(clashes) {
                return None;
            }
            self.layers.push(layer.to_owned());
        }
        Some([b"/", within.as_os_str().as_bytes()].concat())
    }
}

/// The placeholder, with the attributes of the mount option `userxattr`: "no bytes here", and the path of the bytes.
fn hollow(size: u64, within: Vec<u8>) -> Hollow {
    Hollow { size, attributes: vec![("user.overlay.metacopy", Vec::new()), ("user.overlay.redirect", within)] }
}

fn redirect(hollow: &Hollow) -> &[u8] {
    &hollow.attributes[1].1
}

/// Host directories, each inspected once.
struct Folders {
    above_mounts: BTreeSet<PathBuf>,
    known: BTreeMap<PathBuf, Option<PathBuf>>,
}

impl Folders {
    /// The topmost directory above `file` that can be a layer: never `/`, and in a user namespace no directory with a
    /// mount below it (`has_locked_children` in the kernel's fs/namespace.c).
    fn layer_of(&mut self, file: &Path) -> Option<PathBuf> {
        let folder = file.parent()?;
        if let Some(known) = self.known.get(folder) {
            return known.clone();
        }
        // The kernel follows no symlink in a data-only layer (`ovl_lookup_data_layer` in fs/overlayfs/namei.c).
        let is_real = folder.canonicalize().is_ok_and(|real| real == folder);
        let mut above: Vec<&Path> = folder.ancestors().collect();
        above.pop();
        let layer = above.into_iter().rev().find(|folder| !self.above_mounts.contains(*folder));
        let layer = layer.filter(|_| is_real).map(Path::to_owned);
        self.known.insert(folder.to_owned(), layer.clone());
        layer
    }
}

/// All directories above at least one of `mounts`.
fn above(mounts: &[PathBuf]) -> BTreeSet<PathBuf> {
    mounts.iter().flat_map(|mount| mount.ancestors().skip(1)).map(Path::to_owned).collect()
}

/// The host file of `entry`, if it is large and does not belong to the project: a build may replace a project file
/// during the run.
fn stable(entry: &Entry) -> Option<&HostFile> {
    let Kind::File(Body::Host(file)) = &entry.kind else { return None };
    let is_projects = |origin: &Origin| matches!(origin, Origin::Binary(_) | Origin::Include(_));
    (file.size >= WORTH_IT && !entry.origins.iter().any(is_projects)).then_some(&**file)
}

/// The mount points of /proc/self/mountinfo (proc(5)), which writes spaces and similar characters in octal.
pub(super) fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescaped).collect()
}

fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\');
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn rootfs(files: &[(&str, &Path, Origin)]) -> Rootfs {
        let mut rootfs = Rootfs::default();
        for (path, host, origin) in files {
            let file = HostFile::new((*host).to_owned(), &fs::metadata(host).unwrap());
            let kind = Kind::File(Body::Host(file.into()));
            rootfs.insert(RootfsPath::parse(path).unwrap(), Entry::new(kind, 0o755, origin.clone()));
        }
        rootfs
    }

    fn large(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; 64 << 10]).unwrap();
    }

    fn tool() -> Origin {
        Origin::Tool("tool".to_owned())
    }

    fn paths(references: &References) -> Vec<String> {
        references.files.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn large_files_of_the_sysroot_are_referred_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (tool_at, app, small) = (root.join("usr/bin/tool"), root.join("target/app"), root.join("usr/small"));
        large(&tool_at);
        large(&app);
        fs::write(&small, "x").unwrap();
        let rootfs = rootfs(&[
            ("/bin/app", &app, Origin::Binary("app".to_owned())),
            ("/bin/tool", &tool_at, tool()),
            ("/small", &small, tool()),
        ]);
        let top = root.ancestors().nth(root.components().count() - 2).unwrap();
        let references = References::of(&rootfs, &["/".into(), top.into()]);
        assert_eq!(references.layers, [top], "a mount point can be a layer itself");
        assert_eq!(paths(&references), ["/bin/tool"]);
        let within = tool_at.strip_prefix(top).unwrap();
        assert_eq!(
            redirect(&references.files[&RootfsPath::parse("/bin/tool").unwrap()])[1..],
            *within.as_os_str().as_bytes()
        );
    }

    #[test]
    fn a_folder_with_a_mount_below_is_no_layer() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        large(&root.join("usr/bin/tool"));
        let rootfs = rootfs(&[("/bin/tool", &root.join("usr/bin/tool"), tool())]);
        let references = References::of(&rootfs, &["/".into(), root.join("usr/share/mounted")]);
        assert_eq!(references.layers, [root.join("usr/bin")]);
        let references = References::of(&rootfs, &["/".into(), root.join("usr/bin/another")]);
        assert!(references.files.is_empty() && references.layers.is_empty());
    }

    #[test]
    fn a_path_that_two_layers_have_is_not_referred_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for file in ["a/same", "b/same", "b/other"] {
            large(&root.join(file));
        }
        let mounts = ["/".into(), root.join("elsewhere")];
        let both = rootfs(&[("/1", &root.join("a/same"), tool()), ("/2", &root.join("b/same"), tool())]);
        assert!(References::of(&both, &mounts).files.len() <= 1);
        // The kernel would find the first file in the layer of the second one.
        let other = rootfs(&[("/1", &root.join("a/same"), tool()), ("/2", &root.join("b/other"), tool())]);
        assert_eq!(paths(&References::of(&other, &mounts)), ["/1"]);
    }

    #[test]
    fn what_is_reached_through_a_link_is_not_referred_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        large(&root.join("real/tool"));
        symlink("real", root.join("link")).unwrap();
        let rootfs = rootfs(&[("/tool", &root.join("link/tool"), tool())]);
        assert!(References::of(&rootfs, &[]).files.is_empty());
    }

    #[test]
    fn mount_points_are_unescaped() {
        let text = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n23 22 0:5 / /a\\040b\\134 rw - tmpfs t rw\n";
        assert_eq!(mount_points(text), [PathBuf::from("/"), PathBuf::from("/a b\\")]);
    }
}
