//! A sysroot and a rootfs as sources of findings.
//!
//! Nothing here judges what is found in them.

use std::io::Read;

use super::{Execution, There, Trees};
use crate::path::RootfsPath;
use crate::policy::Policy;
use crate::resolve::{Files, Find};
use crate::rootfs::{Body, Kind, Rootfs};
use crate::sysroot::{End, Sysroot};

/// Both, as they are on this machine.
pub(crate) struct Real<'r> {
    pub(crate) sysroot: &'r mut Sysroot,
    pub(crate) rootfs: &'r Rootfs,
    pub(crate) policy: &'r Policy,
}

/// The greatest length of the line that names an interpreter (`BINPRM_BUF_SIZE`).
const LINE: u64 = 256;

impl Trees for Real<'_> {
    fn sysroot(&mut self, path: &RootfsPath) -> There {
        let walk = self.sysroot.walk(path);
        match walk.end {
            End::File(file) => {
                let may = self.sysroot.info(file).mode & 0o111 != 0;
                There::File(walk.path, if may { Execution::Allowed } else { Execution::Forbidden })
            }
            End::Dir(_) => There::Folder(walk.path),
            _ => There::Nothing,
        }
    }

    fn policy(&self) -> &Policy {
        self.policy
    }

    fn is_packed(&mut self, path: &RootfsPath) -> bool {
        !self.rootfs.way(path).is_empty()
    }

    fn interpreter(&mut self, path: &RootfsPath) -> Option<RootfsPath> {
        let way = self.rootfs.way(path);
        let mut head = Vec::new();
        match &way.last()?.1.kind {
            Kind::File(Body::Bytes(bytes)) => head.extend(bytes.iter().take(LINE as usize)),
            Kind::File(Body::Host(file)) => {
                file.open().ok()?.take(LINE).read_to_end(&mut head).ok()?;
            }
            _ => return None,
        }
        let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let word = line.trim_ascii_start().split(|byte| byte.is_ascii_whitespace()).next()?;
        RootfsPath::from_bytes(word)
    }

    fn count(&mut self, folder: &RootfsPath) -> usize {
        let names = self.sysroot.names(folder);
        let mut is_file = |name: &[u8]| matches!(self.sysroot.find(&folder.join(name)), Find::File { .. });
        names.iter().map(|name| &**name).filter(|name| is_file(name)).count()
    }
}
