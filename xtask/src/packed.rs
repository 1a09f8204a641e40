//! Directories of the set-up that are kept as compressed images, in a third of the space.
//!
//! An image is mounted below a volatile layer when a task first needs it, in a mount namespace of the thread that needs it
//! and of all that this thread starts later. So nothing stays mounted when the task ends, even if it is killed.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use nix::sched::{CloneFlags, unshare};

use crate::host;
use crate::process::{Command, command};
use crate::stage::need;

/// Mounts the image `$0` on `$1`.
const MOUNT: &str = r#"
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/lower" "$1/upper" "$1/work"
mount -t squashfs -o loop,ro "$0" "$1/lower"
mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" overlay "$1"
"#;

/// Replaces `dir` with an image, if there is none. Without root, and where images cannot be mounted, it stays a directory.
pub(crate) fn pack(dir: &Utf8Path) -> Result<()> {
    let (image, new) = (image(dir), Utf8PathBuf::from(format!("{dir}.new-image")));
    if !host::is_root() || image.exists() {
        return Ok(());
    }
    need("mksquashfs")?;
    // The lowest level: a higher one takes more time, and saves a twentieth.
    let words = ["-comp", "zstd", "-Xcompression-level", "1", "-noappend", "-quiet", "-no-progress"];
    command(["mksquashfs", dir.as_str(), new.as_str()]).args(words).run()?;
    if mount(&new, dir).by(["unshare", "--mount"]).finish()?.code != Some(0) {
        println!("  {dir} stays a directory, because its image cannot be mounted");
        return Ok(fs::remove_file(&new)?);
    }
    fs::rename(&new, &image)?;
    Ok(fs::remove_dir_all(dir)?)
}

/// Makes the files of `dir` visible to the calling thread and to what it starts later, if they are in an image.
pub(crate) fn open(dir: Utf8PathBuf) -> Result<Utf8PathBuf> {
    let image = image(&dir);
    if image.exists() && !is_mounted(&dir)? {
        fs::create_dir_all(&dir)?;
        unshare(CloneFlags::CLONE_NEWNS).context("leave the mount namespace")?;
        mount(&image, &dir).run()?;
    }
    Ok(dir)
}

/// Removes `dir` and its image, for a new one.
pub(crate) fn remove(dir: &Utf8Path) -> Result<()> {
    let found = |removed: std::io::Result<()>| {
        removed.or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    };
    found(fs::remove_file(image(dir)))?;
    Ok(found(fs::remove_dir_all(dir))?)
}

/// Returns whether `dir` has `file`, or is an image, which is always complete.
pub(crate) fn has(dir: &Utf8Path, file: &str) -> bool {
    image(dir).exists() || dir.join(file).exists()
}

/// The image of `dir`, whose name may contain a dot.
fn image(dir: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{dir}.squashfs"))
}

fn mount(image: &Utf8Path, dir: &Utf8Path) -> Command {
    command(["sh", "-ec", MOUNT, image.as_str(), dir.as_str()]).shown(format!("mount {image} {dir}"))
}

fn is_mounted(dir: &Utf8Path) -> Result<bool> {
    let device = |path: &Utf8Path| path.metadata().map(|meta| meta.dev());
    let parent = dir.parent().with_context(|| format!("{dir} has no parent"))?;
    Ok(device(dir).ok() != Some(device(parent).with_context(|| format!("look at {parent}"))?) && dir.exists())
}
