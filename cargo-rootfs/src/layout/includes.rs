//! `--include`: files and directories of the project, with closures of the ELF files and scripts among them.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Include;
use super::place::{IfThere, Layout};
use super::root::Root;
use crate::error::{Error, Result, Warning};
use crate::host_files::{self, Found, Walk};
use crate::path::RootfsPath;
use crate::policy::{LONGEST_KEY, Policy, Secret};
use crate::resolve::{BadObject, Files};
use crate::rootfs::{Body, Entry, HostFile, Kind, Origin, Rootfs};
use crate::shortage::Fault;
use crate::sysroot::Sysroot;
use crate::target::Machine;
use crate::wording::and_more;
use goblin::elf::header::{ET_DYN, ET_EXEC};

/// One file, directory or link of an include.
pub(super) struct Item {
    pub(super) host: PathBuf,
    path: RootfsPath,
    kind: ItemKind,
    mode: u32,
    owner: (u32, u32),
    origin: Origin,
    /// The file's own owner, which decides about set-ID bits that the user did not request.
    own: (u32, u32),
    /// True if it came with a directory, and not by its own name.
    is_inside: bool,
}

enum ItemKind {
    Dir,
    File(Arc<HostFile>),
    Link(Arc<[u8]>),
}

/// Reads the includes. Reports all errors together.
///
/// Modes do not depend on the umask: a file or directory without a requested mode gets that of an installed one, except
/// for secrets.
pub(super) fn read(includes: &[Include], policy: &Policy, warnings: &mut Vec<Warning>) -> Result<Vec<Item>> {
    let mut errors = Vec::new();
    let mut reading = Reading { policy, items: Vec::new(), secrets: Vec::new() };
    for include in includes {
        if include.destination.components().any(|part| part == b"..") {
            let message = format!("the destination `{}` of --include has `..` in it", include.destination);
            errors.push(Error::usage(message));
            continue;
        }
        let source = include.source.as_std_path();
        match host_files::real(source).or_cannot("include") {
            Ok(source) => reading.all(include, &source, &mut errors),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)?;
    warnings.extend(reading.closed());
    Ok(reading.items)
}

/// The state while includes are read.
struct Reading<'p> {
    policy: &'p Policy,
    items: Vec<Item>,
    /// Secrets that keep their own modes: destination, mode, and kind.
    secrets: Vec<(RootfsPath, u32, Secret)>,
}

impl Reading<'_> {
    fn all(&mut self, include: &Include, source: &Path, errors: &mut Vec<Error>) {
        for found in Walk::of(source, "include") {
            let read = found.and_then(|found| {
                let below = found.path.strip_prefix(source).unwrap_or(&found.path);
                self.one(include, &found, &include.destination.join(below.as_os_str().as_bytes()))
            });
            errors.extend(read.err());
        }
    }

    fn one(&mut self, include: &Include, found: &Found, path: &RootfsPath) -> Result<()> {
        let Found { path: host, metadata } = found;
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
            is_inside: *path != include.destination,
        };
        if file_type.is_dir() {
            item.mode = match include.mode {
                // A user who may read the files may also enter the directories.
                Some(mode) => (mode | (mode & 0o444) >> 2) & 0o3777,
                None => self.mode(host, path, own_mode & 0o1777, 0o755),
            };
        } else if file_type.is_symlink() {
            let target = host_files::target(host).or_cannot("include")?;
            item.kind = ItemKind::Link(Arc::from(target.into_os_string().into_vec()));
            item.mode = 0o777;
        } else if file_type.is_file() {
            rustix::fs::access(host, rustix::fs::Access::READ_OK)
                .map_err(|error| Error::io("include", host, error.into()))?;
            item.kind = ItemKind::File(Arc::new(HostFile::new(host.to_owned(), metadata)));
            item.mode = match include.mode {
                Some(mode) => mode,
                None => self.mode(host, path, own_mode, if own_mode & 0o111 != 0 { 0o755 } else { 0o644 }),
            };
            if include.mode.is_some() {
                item.own = (0, 0);
            }
        } else {
            let message = format!("cannot include `{}`: it is a FIFO, a socket or a device", host.display());
            return Err(Error::failed(message));
        }
        self.items.push(item);
        Ok(())
    }

    /// The mode of an entry without a requested mode: `open`, independent of the umask. A secret that only its owner
    /// may read stays closed.
    fn mode(&mut self, host: &Path, path: &RootfsPath, own: u32, open: u32) -> u32 {
        if own & 0o077 == 0 {
            if let Some(secret) = self.secret(host, path) {
                self.secrets.push((path.clone(), own, secret));
                return own;
            }
        }
        (own & 0o7000) | open
    }

    fn secret(&self, host: &Path, path: &RootfsPath) -> Option<Secret> {
        let secrets = self.policy.secrets();
        let own_name = RootfsPath::root().join(host.file_name().unwrap_or_default().as_bytes());
        let by_path = secrets.is_private(path).or_else(|| secrets.is_private(&own_name));
        by_path.or_else(|| {
            let may_be = secrets.may_hold_key(path) || secrets.may_hold_key(&own_name);
            let file = host_files::open(host).ok().filter(|_| may_be && host.is_file())?;
            let mut head = Vec::new();
            file.take(LONGEST_KEY).read_to_end(&mut head).ok()?;
            secrets.is_key(&head).then_some(Secret::Key)
        })
    }

    /// The warning about secrets that stay closed.
    fn closed(&self) -> Option<Warning> {
        let (first, mode, _) = self.secrets.first()?;
        let all = self.secrets.iter().map(|(path, mode, secret)| format!("`{path}` ({secret}, {mode:04o})"));
        let message = format!("only root may read what keeps its own mode: {}", and_more(all, NAMED));
        let help = format!("for another user, give it a mode and an owner: SRC:{first}:{mode:04o}:UID:GID");
        Some(Warning::new(message).help(help))
    }
}

/// The number of named files in a warning; the others are counted.
const NAMED: usize = 6;

/// Directories and files that engines and programs fill when a container starts.
const FILLED_LATER: [&str; 8] =
    ["/proc", "/sys", "/dev", "/run", "/var/run", "/tmp", "/etc/resolv.conf", "/etc/hostname"];

/// The warning about symlinks of included directories that dangle in `rootfs`.
pub(super) fn dangling(items: &[Item], rootfs: &Rootfs) -> Option<Warning> {
    let later = FILLED_LATER.map(|path| RootfsPath::root().join(path.as_bytes()));
    let goal = |item: &Item| {
        let ItemKind::Link(target) = &item.kind else { return None };
        let directory = item.path.parent().unwrap_or_else(RootfsPath::root);
        let goal = RootfsPath::from_bytes(target).unwrap_or_else(|| directory.join(target)).normalized();
        let is_filled = later.iter().any(|path| goal.is_within(path));
        (rootfs.way(&item.path).is_empty() && !is_filled).then(|| (Arc::clone(target), goal))
    };
    let all: Vec<_> = items.iter().filter_map(|item| goal(item).map(|(target, goal)| (item, target, goal))).collect();
    let (first, target, goal) = all.first()?;
    let named = all.iter().map(|(item, target, _)| format!("`{}` -> `{}`", item.path, String::from_utf8_lossy(target)));
    let (links, lead) = if all.len() == 1 { ("a symlink", "leads") } else { ("symlinks", "lead") };
    let message = format!("{links} of --include {lead} nowhere in the rootfs: {}", and_more(named, NAMED));
    let there = first.host.parent().map(|directory| directory.join(OsStr::from_bytes(target)));
    Some(Warning::new(message).help(match there.and_then(|path| host_files::real(&path).ok()) {
        Some(there) => format!("include what it leads to: --include {}:{goal}", there.display()),
        None => "remove the symlink, or include what it leads to".to_owned(),
    }))
}

/// Adds the items to the view, so that searches find them. An item in place of a file that was requested by name is an
/// error.
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

/// The ELF files among the items that a loader would accept, and the executable scripts. All others are data; a warning
/// reports those that look like programs.
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
                "`{}` is for {}, not for {machine}; it is packed without its needs",
                item.host.display(),
                object.machine
            ))),
            Ok(_) => {
                roots.push(Root::of_project(item.path.to_string(), item.origin.clone(), item.path.clone()));
            }
            Err(BadObject::Malformed(malformed)) if !malformed.not_elf => warnings.push(Warning::new(format!(
                "`{}` begins like an ELF file, but is none: {}; it is packed unchanged",
                item.host.display(),
                malformed.reason
            ))),
            // An executable script is a program, any other one is data.
            Err(_) if item.mode & 0o111 != 0 && view.head(file, 2) == b"#!" => {
                let root = Root::of_project(item.path.to_string(), item.origin.clone(), item.path.clone());
                roots.push(Root { is_stray: item.is_inside, ..root });
            }
            Err(_) => {}
        }
    }
}

/// The destinations of the files.
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
            if is_file { layout.kept_mode(&item.path, item.mode, item.own.0, item.own.1) } else { item.mode & 0o3777 };
        let mut entry = Entry::new(kind, mode, item.origin.clone());
        (entry.uid, entry.gid) = item.owner;
        if is_file {
            entry.capability = layout.kept_capability(&item.path, mode, &item.host);
        }
        layout.put(&item.path, entry, IfThere::Fail)?;
    }
    Ok(())
}
