//! The mounts of an entered rootfs, made by init in its mount namespace.
//!
//! First a tmpfs becomes `/` with the host's tree in `/host`, so that it hides no path of the host. Then the rootfs
//! becomes `/`, and the tmpfs and the host are detached. Nothing is unmounted at the end: the mounts end with the
//! namespace.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::io::{Errno, Result as SysResult};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
};

use super::message::{Emulator, Failure, Orders, Place};
use super::{Access, Bind, Way, emulator, layers};

/// Mount points of the first tmpfs: any existing directory will do, because it is hidden only for a moment.
const ANY_FOLDER: [&str; 4] = ["/tmp", "/usr", "/etc", "/var"];

/// The devices that a program may expect (runtime-spec, config-linux.md, "Default Devices").
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 5] =
    [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")];

/// Writable parts of /proc that affect the whole machine; read-only here, as in engines (runc's defaults).
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Names in the tmpfs, which is the current directory while mounts are made.
const HOST: &str = "host";
pub(super) const LOWER: &str = "/lower";
const ROOT: &str = "/root";

/// Makes the tmpfs the root, with an empty directory [`LOWER`], and opens it.
pub(super) fn base() -> Result<OwnedFd, Failure> {
    let failed = |error| Failure::new("make a root in memory", error);
    private().and_then(|()| on_tmpfs()).map_err(failed)?;
    let make = || -> SysResult<OwnedFd> {
        for folder in [LOWER, ROOT] {
            rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755))?;
        }
        open("/")
    };
    make().map_err(failed)
}

/// Keeps later mounts inside this namespace.
fn private() -> SysResult<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

fn on_tmpfs() -> SysResult<()> {
    let folder = ANY_FOLDER.into_iter().find(|folder| Path::new(folder).is_dir()).ok_or(Errno::NOENT)?;
    // Huge pages halve the time to copy large files; kernels without them refuse the option.
    tmpfs(folder, c"mode=0755,huge=within_size").or_else(|_| tmpfs(folder, c"mode=0755"))?;
    rustix::process::chdir(folder)?;
    rustix::fs::mkdir(HOST, Mode::from_raw_mode(0o755))?;
    rustix::process::pivot_root(".", HOST)?;
    rustix::process::chdir("/")
}

fn tmpfs(folder: &str, options: &std::ffi::CStr) -> SysResult<()> {
    rustix::mount::mount("rootfs", folder, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options)
}

/// Returns whether the kernel follows references to data-only layers: otherwise it refuses the mount.
pub(super) fn refers() -> bool {
    let probe = || -> SysResult<()> {
        rustix::fs::mkdir("/probe", Mode::RWXU)?;
        let folders = ["/probe/lower", "/probe/data", "/probe/upper", "/probe/work"];
        folders.iter().try_for_each(|folder| rustix::fs::mkdir(*folder, Mode::RWXU))?;
        // tmpfs has such attributes from Linux 6.6.
        rustix::fs::setxattr(folders[0], "user.overlay.opaque", b"n", rustix::fs::XattrFlags::empty())?;
        overlay(Path::new(folders[0]), &[Path::new(folders[1])], folders[2], folders[3]).map(drop)
    };
    probe().is_ok()
}

/// Makes an overlayfs that is not mounted yet.
fn overlay(lower: &Path, data: &[&Path], upper: &str, work: &str) -> SysResult<OwnedFd> {
    use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string};
    let overlay = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&overlay, "source", "rootfs")?;
    fsconfig_set_flag(&overlay, "userxattr")?;
    match fsconfig_set_string(&overlay, "lowerdir+", lower) {
        // Linux before 6.5 has one key for all layers, and splits its value at colons.
        Err(Errno::INVAL) if data.is_empty() => fsconfig_set_string(&overlay, "lowerdir", lower)?,
        result => result?,
    }
    data.iter().try_for_each(|folder| fsconfig_set_string(&overlay, "datadir+", *folder))?;
    fsconfig_set_string(&overlay, "upperdir", upper)?;
    fsconfig_set_string(&overlay, "workdir", work)?;
    fsconfig_create(&overlay)?;
    Ok(overlay)
}

/// Mounts the filled tree at [`ROOT`].
pub(super) fn place(place: &Place) -> Result<(), Failure> {
    match place {
        Place::Overlay(layers) => {
            let layers: Vec<PathBuf> = layers.iter().map(|layer| on_host(layer.as_ref())).collect();
            let layers: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
            over(Path::new(LOWER), &layers).map_err(|error| Failure::new("mount an overlay", error))
        }
        Place::Below(folder) => {
            let failed = |error| Failure::new(format!("mount an overlay over `{}`", folder.display()), error);
            over(&on_host(folder), &[]).map_err(failed)
        }
        Place::Memory(name) => bind(Path::new("/").join(name).as_path(), Path::new(ROOT)),
        Place::Folder(folder) => bind(&on_host(folder), Path::new(ROOT)),
    }
}

fn over(lower: &Path, layers: &[&Path]) -> SysResult<()> {
    for folder in ["/upper", "/work"] {
        rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755))?;
    }
    let overlay = overlay(lower, layers, "/upper", "/work")?;
    let mount = rustix::mount::fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    rustix::mount::move_mount(&mount, "", CWD, ROOT, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// The path of the host's `path` in the tmpfs. `path` is absolute and without symlinks.
pub(super) fn on_host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

fn bind(source: &Path, destination: &Path) -> Result<(), Failure> {
    rustix::mount::mount_bind_recursive(source, destination)
        .map_err(|error| Failure::new(format!("mount `{}`", shown(source)), error))
}

/// The path as the user knows it.
fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(HOST).unwrap_or(path).display()
}

/// Makes the rootfs the root, adds the mounts of `orders`, and detaches the host. The result lists deviations from the
/// plan.
pub(super) fn furnish(orders: &Orders) -> Result<Furnished, Failure> {
    let failed = |error| Failure::new("make the rootfs the root", error);
    let outside = open("/").map_err(failed)?;
    // pivot_root(2), "pivot_root(".", ".")": the tmpfs is then mounted over the rootfs's `/`. Absolute paths do not see
    // it, but it is the current directory, so the host is at the relative path `host`.
    rustix::process::chdir(ROOT).and_then(|()| rustix::process::pivot_root(".", ".")).map_err(failed)?;
    rustix::process::fchdir(&outside).map_err(failed)?;

    let mut furnished = Furnished::default();
    proc(&mut furnished)?;
    devices(orders.terminal.as_deref().map(Path::new))?;
    if let Err(why) = sys() {
        furnished.notes.push(format!("/sys is empty: {why}"));
    }
    emulate(orders, &mut furnished)?;
    READ_ONLY.iter().try_for_each(|name| read_only_proc(name))?;
    for bind in &orders.binds {
        bind_for_user(bind)?;
    }
    resolv_conf(orders)?;

    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)?;
    Ok(furnished)
}

/// The result of furnishing a rootfs.
#[derive(Debug, Default)]
pub(super) struct Furnished {
    /// Deviations from the plan, in sentences.
    pub(super) notes: Vec<String>,
    /// The emulator that must start the command.
    pub(super) emulator: Option<&'static Path>,
}

fn proc(furnished: &mut Furnished) -> Result<(), Failure> {
    folder(Path::new("/proc"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match rustix::mount::mount("proc", "/proc", "proc", flags, None) {
        // The kernel refuses a new /proc if parts of the host's are hidden, as in a container (`mount_too_revealing` in
        // fs/namespace.c).
        Err(Errno::PERM) => {
            furnished.notes.push("/proc is the host's, because the kernel allows no new one here".to_owned());
            bind(&on_host(Path::new("/proc")), Path::new("/proc"))
        }
        result => result.map_err(|error| Failure::new("mount /proc", error)),
    }
}

/// Mounts /sys of the machine read-only, as engines do. A failure is only a note: no program needs /sys to start.
fn sys() -> Result<(), String> {
    let path = Path::new("/sys");
    let failed = |failure: Failure| format!("cannot {}: {}", failure.what, io::Error::from_raw_os_error(failure.errno));
    folder(path).map_err(failed)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    if rustix::mount::mount("sysfs", path, "sysfs", flags, None).is_ok() {
        return Ok(());
    }
    // Only the owner of the network namespace may mount a new one (`sysfs_init_fs_context`, fs/sysfs/mount.c).
    bind(&on_host(path), path).map_err(failed)?;
    read_only(path).map_err(|failure| {
        let _ = rustix::mount::unmount(path, UnmountFlags::DETACH);
        failed(failure)
    })
}

fn read_only_proc(name: &str) -> Result<(), Failure> {
    let path = Path::new("/proc").join(name);
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    bind(&path, &path)?;
    read_only(&path)
}

/// Makes a /dev with the devices for all users, a devpts and shared memory.
fn devices(terminal: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new("make /dev", error);
    folder(Path::new("/dev"))?;
    rustix::mount::mount("tmpfs", "/dev", "tmpfs", MountFlags::NOSUID, c"mode=0755")
        .map_err(|error| failed(error.into()))?;
    for name in DEVICES {
        device(&on_host(Path::new("/dev")).join(name), name)?;
    }
    for (name, target) in LINKS {
        std::os::unix::fs::symlink(target, Path::new("/dev").join(name)).map_err(failed)?;
    }
    for (name, mode) in [("pts", 0o755), ("shm", 0o1777)] {
        let path = Path::new("/dev").join(name);
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(failed)?;
    }
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount("devpts", "/dev/pts", "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620")
        .map_err(|error| Failure::new("mount /dev/pts", error))?;
    // The new /dev/pts has no name for the terminal; ttyname(3) finds it as /dev/console.
    match terminal {
        Some(terminal) => device(&on_host(terminal), "console"),
        None => Ok(()),
    }
}

fn device(source: &Path, name: &str) -> Result<(), Failure> {
    let path = Path::new("/dev").join(name);
    empty_file(&path)?;
    bind(source, &path)
}

/// Makes the kernel's emulator visible, or registers one. If that fails, the emulator still starts the command itself.
fn emulate(orders: &Orders, furnished: &mut Furnished) -> Result<(), Failure> {
    match &orders.emulator {
        Emulator::Kernel => Ok(()),
        Emulator::Bound(program, path) => {
            empty_file(path)?;
            bind(&on_host(program), path)
        }
        Emulator::Registered { program, magic, mask } => {
            // Without a user namespace, the registration would affect the whole machine.
            if orders.way == Way::User && register(&on_host(program), magic, mask).is_ok() {
                return Ok(());
            }
            furnished.notes.push(emulator::unregistered(program));
            let path = Path::new(emulator::INSIDE);
            empty_file(path)?;
            bind(&on_host(program), path)?;
            furnished.emulator = Some(path);
            Ok(())
        }
    }
}

/// Registers an emulator. From Linux 6.7 on, each user namespace has its own registrations.
fn register(program: &Path, magic: &[u8], mask: &[u8]) -> io::Result<()> {
    const PATH: &str = "/proc/sys/fs/binfmt_misc";
    rustix::mount::mount("binfmt_misc", PATH, "binfmt_misc", MountFlags::empty(), None)?;
    fs::write(Path::new(PATH).join("register"), emulator::line(program.as_os_str().as_bytes(), magic, mask))
}

fn bind_for_user(one: &Bind) -> Result<(), Failure> {
    let source = on_host(&one.source);
    let destination = one.destination.below(Path::new("/"));
    let metadata = fs::metadata(&source).map_err(|error| Failure::new(format!("find `{}`", shown(&source)), error))?;
    if metadata.is_dir() {
        folder(&destination)?;
    } else {
        empty_file(&destination)?;
    }
    bind(&source, &destination)?;
    if one.access == Access::ReadOnly { read_only(&destination) } else { Ok(()) }
}

/// Makes the mounts at and below `path` read-only. Other flags stay: a user namespace may not clear them
/// (mount_namespaces(7)).
fn read_only(path: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("make `{}` read-only", path.display()), error);
    let real = path.canonicalize().map_err(failed)?;
    let mountinfo = fs::read("/proc/self/mountinfo").map_err(failed)?;
    for mount in layers::mount_points(&mountinfo).into_iter().filter(|mount| mount.starts_with(&real)) {
        let kept = rustix::fs::statvfs(&mount).map_err(|error| failed(error.into()))?.f_flag;
        let flags = MountFlags::BIND | MountFlags::RDONLY | mount_flags(kept);
        rustix::mount::mount_remount(&mount, flags, "").map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

fn mount_flags(flags: StatVfsMountFlags) -> MountFlags {
    let known = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    known.into_iter().filter(|(known, _)| flags.contains(*known)).map(|(_, flag)| flag).collect()
}

/// Detaches all mounts but `/`: rmdir(2) fails on a mount point of this namespace.
pub(super) fn detach_all() {
    let mountinfo = fs::read("/proc/self/mountinfo").unwrap_or_default();
    for mount in layers::mount_points(&mountinfo).into_iter().rev().filter(|mount| mount != Path::new("/")) {
        let _ = rustix::mount::unmount(&mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
}

/// Writes `/etc/resolv.conf`, as engines do, unless the rootfs has one.
pub(super) fn resolv_conf(orders: &Orders) -> Result<(), Failure> {
    let path = Path::new("/etc/resolv.conf");
    match &orders.resolv_conf {
        Some(bytes) if path.symlink_metadata().is_err() && Path::new("/etc").is_dir() => {
            match fs::write(path, bytes) {
                // The directory belongs to another user.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                result => result.map_err(|error| Failure::new("write /etc/resolv.conf", error)),
            }
        }
        _ => Ok(()),
    }
}

/// Makes a directory in the rootfs, and follows symlinks inside it.
fn folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::new(format!("make the directory `{}`", path.display()), error))
}

fn empty_file(path: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("make the file `{}`", path.display()), error);
    if path.exists() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, "")).map_err(failed)
}

fn open(path: &str) -> SysResult<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
