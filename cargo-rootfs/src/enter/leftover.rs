//! Remains of a command that ended, or whose host side is gone: processes, and a directory on a disk.
//!
//! The kernel removes namespaces when init ends. This module removes the directory, and the processes of a chroot.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitOptions};

use super::message::{Failure, Place};
use crate::write::dir;

/// The processes and the directory that must not outlive init.
pub(super) struct Leftover {
    processes: Processes,
    /// The parent of the directory, and its name there.
    folder: Option<(OwnedFd, CString)>,
}

enum Processes {
    /// All processes but init.
    OfNamespace,
    /// Init's children, from the kernel's list (proc(5), CONFIG_PROC_CHILDREN); `None` without that list.
    Children(Option<File>),
}

impl Leftover {
    /// Records the leftovers of a rootfs mounted from `place`. Call it while the paths of the host are those of
    /// `mounts`.
    pub(super) fn of_namespaces(place: &Place) -> Result<Self, Failure> {
        let folder = match place {
            Place::Folder(folder) => Some(named(&super::mounts::on_host(folder))?),
            _ => None,
        };
        Ok(Self { processes: Processes::OfNamespace, folder })
    }

    /// Records the leftovers of a chroot to `folder`. Call it before the chroot.
    pub(super) fn of_chroot(folder: &Path) -> Result<Self, Failure> {
        // Orphans become children of this process.
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|error| Failure::new("look after the processes in the rootfs", error))?;
        let list = PathBuf::from(format!("/proc/self/task/{}/children", nix::unistd::gettid()));
        Ok(Self { processes: Processes::Children(File::open(list).ok()), folder: Some(named(folder)?) })
    }

    /// Ends the processes after the command. If `host_is_gone`, it also removes the directory.
    pub(super) fn end(mut self, host_is_gone: bool) {
        match &mut self.processes {
            // -1 means every process on the machine unless init is PID 1.
            Processes::OfNamespace if host_is_gone && rustix::process::getpid().is_init() => {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix::sys::signal::SIGKILL);
                while rustix::process::wait(WaitOptions::empty()).is_ok() {}
            }
            Processes::OfNamespace => {}
            Processes::Children(list) => {
                // Each round kills the orphans of the previous round.
                while let Some(children) = list.as_mut().and_then(children).filter(|children| !children.is_empty()) {
                    for child in children {
                        let _ = rustix::process::kill_process(child, Signal::KILL);
                        let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
                    }
                }
            }
        }
        if let Some((parent, name)) = self.folder.filter(|_| host_is_gone) {
            if matches!(self.processes, Processes::OfNamespace) {
                super::mounts::detach_all();
            }
            let _ = dir::remove_in(&parent, &name);
        }
    }
}

fn children(list: &mut File) -> Option<Vec<Pid>> {
    let mut text = String::new();
    list.rewind().ok()?;
    list.read_to_string(&mut text).ok()?;
    Some(text.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw).collect())
}

fn named(folder: &Path) -> Result<(OwnedFd, CString), Failure> {
    let failed = |error| Failure::new(format!("open the directory `{}` is in", folder.display()), error);
    let nothing = || failed(rustix::io::Errno::INVAL);
    let (parent, name) = (folder.parent().ok_or_else(nothing)?, folder.file_name().ok_or_else(nothing)?);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty()).map_err(failed)?;
    Ok((parent, CString::new(name.as_bytes()).map_err(|_| nothing())?))
}
