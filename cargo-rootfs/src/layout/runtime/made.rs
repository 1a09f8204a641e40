//! Files that rules make, in the rootfs.

use std::sync::Arc;

use super::super::accounts::Accounts;
use super::super::place::{IfThere, Layout};
use super::Runtime;
use crate::error::Result;
use crate::path::RootfsPath;
use crate::rootfs::{Body, Entry, Kind};
use crate::runtime::NewBody;

impl Runtime<'_> {
    /// Puts the taken and made files into the rootfs, unless their paths are taken.
    pub(in super::super) fn lay_out(&self, layout: &mut Layout<'_>, accounts: &Accounts) -> Result<()> {
        self.taken.lay_out(layout)?;
        for (path, body, mode, origin) in &self.made {
            let (mut uid, mut gid) = (0, 0);
            let (kind, mode) = match body {
                NewBody::Text(text) => (Kind::File(Body::Bytes(Arc::from(text.as_bytes()))), mode.unwrap_or(0o644)),
                NewBody::Link(target) => (Kind::Symlink(Arc::from(target.as_bytes())), 0o777),
                NewBody::Dir => (Kind::Dir, 0o755),
                NewBody::DirOf(owner) => {
                    let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
                    (uid, gid) = accounts.owner(user, group);
                    (Kind::Dir, mode.unwrap_or(0o755))
                }
                NewBody::Join(_) if layout.has(path) => continue,
                NewBody::Join(directories) => {
                    let directories = directories.iter().map(|path| RootfsPath::parse(path));
                    match layout.joined(&directories.collect::<Result<Vec<_>>>()?)? {
                        Some(bytes) => (Kind::File(Body::Bytes(bytes)), 0o644),
                        None => continue,
                    }
                }
                NewBody::Line(line) => {
                    layout.add_line(path, line, origin)?;
                    continue;
                }
            };
            let entry = Entry { uid, gid, ..Entry::new(kind, mode, origin.clone()) };
            layout.put(path, entry, IfThere::Keep)?;
        }
        Ok(())
    }
}
