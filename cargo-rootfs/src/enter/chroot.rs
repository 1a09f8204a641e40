//! chroot(2) into a directory on a disk, for root in a container that forbids namespaces and mounts.
//!
//! Such a rootfs has no /proc and no network of its own; notes report both.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use super::channel::Channel;
use super::emulator;
use super::leftover::Leftover;
use super::message::{Emulator, Failure, FromInside, Orders, Place, ToInside};
use super::mounts::{self, Furnished};

/// Device numbers of the standard devices (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

pub(super) fn enter(channel: &Channel, orders: &Orders) -> Result<(Furnished, Leftover), Failure> {
    channel.send(&FromInside::Empty { refers: false }, None).map_err(Failure::lost)?;
    let (ToInside::Filled(Place::Folder(folder)), _) = channel.receive().map_err(Failure::lost)? else {
        return Err(Failure::nonsense());
    };
    let leftover = Leftover::of_chroot(&folder)?;
    let mut furnished = Furnished::default();
    furnished.notes.push("the rootfs is entered by chroot alone: it has no /proc, and sees all processes".to_owned());
    if let Err(error) = devices(&folder.join("dev")) {
        furnished.notes.push(format!("/dev has no devices, not even /dev/null: {error}"));
    }
    if let Emulator::Registered { program, .. } | Emulator::Bound(program, _) = &orders.emulator {
        let inside = folder.join(emulator::INSIDE.trim_start_matches('/'));
        fs::copy(program, inside).map_err(|error| Failure::new("copy the emulator", error))?;
        furnished.notes.push(emulator::unregistered(program));
        furnished.emulator = Some(Path::new(emulator::INSIDE));
    }
    rustix::process::chroot(&folder)
        .and_then(|()| rustix::process::chdir("/"))
        .map_err(|error| Failure::new("chroot", error))?;
    mounts::resolv_conf(orders)?;
    Ok((furnished, leftover))
}

/// Makes the devices in `dev` and opens one: a file system mounted `nodev` has devices that cannot be opened
/// (mount(8)).
fn devices(dev: &Path) -> io::Result<()> {
    fs::create_dir_all(dev)?;
    for (name, major, minor) in DEVICES {
        let (path, mode) = (dev.join(name), Mode::from_raw_mode(0o666));
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, mode, rustix::fs::makedev(major, minor))?;
        // The umask may have removed bits of the mode.
        rustix::fs::chmod(&path, mode)?;
    }
    fs::File::options().write(true).open(dev.join("null")).map(drop)
}
