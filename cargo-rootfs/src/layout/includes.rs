//! `--include`: files and folders of the project, as they stand, with closures for the ELF files and scripts among them.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Include;
use super::place::{IfThere, Layout};
use super::root::Root;
use crate::error::{Error, Result, Warning};
use crate::path::RootfsPath;
use crate::resolve::{BadObject, Files};
use crate::rootfs::{Body, Entry, HostFile, Kind, Origin};
use crate::shortage::Fault;
use crate::sysroot::Sysroot;
use crate::target::Machine;
use goblin::elf::header::{ET_DYN, ET_EXEC};

/// One file, folder or link of an include.
pub(super) struct Item {
    pub(super) host: PathBuf,
    path: RootfsPath,
    kind: ItemKind,
    mode: u32,
    owner: (u32, u32),
    origin: Origin,
    /// The file's own owner, which decides over set-ID bits that were not asked for.
    own: (u32, u32),
}

enum ItemKind {
    Dir,
    File(Arc<HostFile>),
    Link(Arc<[u8]>),
}

/// Reads what the includes name. Everything that is wrong is reported at once.
pub(super) fn read(includes: &[Include]) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut errors = Vec::new();
    for include in includes {
        if include.destination.components().any(|part| part == b"..") {
            let message = format!("the destination `{}` of --include has `..` in it", include.destination);
            errors.push(Error::usage(message));
            continue;
        }
        let source = include.source.as_std_path();
        match source.canonicalize() {
            Ok(source) => one(include, &source, &include.destination, &mut items, &mut errors),
            Err(error) => errors.push(Error::io("include", source, error)),
        }
    }
    Error::all(errors)?;
    Ok(items)
}

fn one(include: &Include, host: &Path, path: &RootfsPath, items: &mut Vec<Item>, errors: &mut Vec<Error>) {
    let metadata = match host.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) => return errors.push(Error::io("include", host, error)),
    };
    let file_type = metadata.file_type();
    let own_mode = metadata.mode() & 0o7777;
    let mut item = Item {
        host: host.to_owned(),
        path: path.clone(),
        kind: ItemKind::Dir,
        mode: own_mode,
        owner: include.owner.unwrap_or((0, 0)),
        origin: Origin::Include(include.source.to_string()),
        own: (metadata.uid(), metadata.gid()),
    };
    if file_type.is_dir() {
        // A mode for files lets whoever may read them into the folders.
        item.mode = include.mode.map_or(own_mode, |mode| (mode | (mode & 0o444) >> 2) & 0o1777);
        items.push(item);
        let entries = std::fs::read_dir(host).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let mut names: Vec<_> = match entries {
            Ok(entries) => entries.into_iter().map(|entry| entry.file_name()).collect(),
            Err(error) => return errors.push(Error::io("include", host, error)),
        };
        names.sort_unstable();
        for name in names {
            one(include, &host.join(&name), &path.join(name.as_bytes()), items, errors);
        }
    } else if file_type.is_symlink() {
        match std::fs::read_link(host) {
            Ok(target) => item.kind = ItemKind::Link(Arc::from(target.into_os_string().into_vec())),
            Err(error) => return errors.push(Error::io("include", host, error)),
        }
        item.mode = 0o777;
        items.push(item);
    } else if file_type.is_file() {
        if let Err(error) = rustix::fs::access(host, rustix::fs::Access::READ_OK) {
            return errors.push(Error::io("include", host, error.into()));
        }
        item.kind = ItemKind::File(Arc::new(HostFile::new(host.to_owned(), &metadata)));
        item.mode = include.mode.unwrap_or(own_mode);
        if include.mode.is_some() {
            item.own = (0, 0);
        }
        items.push(item);
    } else {
        let message = format!("cannot include `{}`: it is a FIFO, a socket or a device", host.display());
        errors.push(Error::failed(message));
    }
}

/// Shows the items at their places, so that what is among them is found there. One in the place of
/// what was asked for by name is an error.
pub(super) fn plant(view: &mut Sysroot, items: &[Item], roots: &[Root], faults: &mut Vec<Fault>) -> Result<()> {
    let taken: Vec<_> = roots.iter().map(|root| (view.walk(&root.path).path, root.origin.clone())).collect();
    for item in items {
        let place = view.place(&item.path).path;
        if let Some((path, origin)) = taken.iter().find(|(path, _)| *path == place) {
            let error = Error::failed(format!("two sources for `{path}`"))
                .detail(format!("{origin} and {}", item.origin))
                .help("give one of them another place");
            faults.push(error.into());
            continue;
        }
        match &item.kind {
            ItemKind::Dir => {}
            ItemKind::File(_) => {
                view.plant(&item.path, &item.host)?;
            }
            ItemKind::Link(target) => view.plant_link(&item.path, Arc::clone(target)),
        }
    }
    Ok(())
}

/// The ELF files among the items that a loader would take, and the scripts that may be executed. The rest is data; where
/// it looks as if it were meant to run, that is said.
pub(super) fn roots(
    view: &mut Sysroot,
    items: &[Item],
    machine: Machine,
    roots: &mut Vec<Root>,
    warnings: &mut Vec<Warning>,
) {
    for item in items {
        let ItemKind::File(host) = &item.kind else { continue };
        let Some(file) = view.by_inode(host.inode) else { continue };
        match view.object(file) {
            Ok(object) if !matches!(object.e_type, ET_DYN | ET_EXEC) => {}
            Ok(object) if object.machine != machine => warnings.push(Warning::new(format!(
                "`{}` is for {}, not for {machine}; it is packed without what it needs",
                item.host.display(),
                object.machine
            ))),
            Ok(_) => {
                roots.push(Root::of_project(item.path.to_string(), item.origin.clone(), item.path.clone()));
            }
            Err(BadObject::Malformed(malformed)) if !malformed.not_elf => warnings.push(Warning::new(format!(
                "`{}` begins as an ELF file and is none: {}; it is packed as it is",
                item.host.display(),
                malformed.reason
            ))),
            // A script that is to be run; another is data.
            Err(_) if item.mode & 0o111 != 0 && view.head(file, 2) == b"#!" => {
                roots.push(Root::of_project(item.path.to_string(), item.origin.clone(), item.path.clone()));
            }
            Err(_) => {}
        }
    }
}

/// Where the files go.
pub(super) fn files(items: &[Item]) -> Vec<RootfsPath> {
    items.iter().filter(|item| matches!(item.kind, ItemKind::File(_))).map(|item| item.path.clone()).collect()
}

/// Puts the items into the rootfs.
pub(super) fn lay_out(layout: &mut Layout<'_>, items: &[Item]) -> Result<()> {
    for item in items {
        let kind = match &item.kind {
            ItemKind::Dir => Kind::Dir,
            ItemKind::File(host) => Kind::File(Body::Host(Arc::clone(host))),
            ItemKind::Link(target) => Kind::Symlink(Arc::clone(target)),
        };
        let is_file = matches!(kind, Kind::File(_));
        let mode =
            if is_file { layout.kept_mode(&item.path, item.mode, item.own.0, item.own.1) } else { item.mode & 0o1777 };
        let mut entry = Entry::new(kind, mode, item.origin.clone());
        (entry.uid, entry.gid) = item.owner;
        if is_file {
            entry.capability = layout.kept_capability(&item.path, mode, &item.host);
        }
        layout.put(&item.path, entry, IfThere::Fail)?;
    }
    Ok(())
}
