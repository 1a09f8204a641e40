//! Templates: skeletons of root filesystems (users, nsswitch, certificates, ...), read into entries.
//!
//! It reads what a template says and the bodies beside it. Where an entry lies behind the links
//! of the rootfs, and what the sysroot has of the files that it names, is for [`crate::layout`].
//!
//! A template is a directory. Built in are `none`, `base` and `web`; a name with a slash is a directory of
//! the user's. Without a `template.toml` its files are the skeleton as they stand. With one, only
//! what that lists is taken, and modes and owners are what it says, not what the disk has:
//!
//! ```toml
//! extends = "base"               # optional: a built-in, or a directory beside this one (`../other`)
//!
//! [[entry]]
//! path = "/var/spool/app"
//! type = "dir"                   # mode "0755" unless given
//! mode = "0700"
//! uid = 65532                    # uid and gid are 0 unless given
//! gid = 65532
//!
//! [[entry]]
//! path = "/etc/app.conf"
//! type = "file"                  # mode "0644" unless given
//! source = "app.conf"            # in this directory; `etc/app.conf` unless given
//!
//! [[entry]]
//! path = "/etc/mtab"
//! type = "symlink"
//! target = "/proc/self/mounts"
//!
//! [[entry]]
//! type = "sysroot"               # a file or a whole directory of the sysroot, at the path it has there
//! first-of = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"]   # or path = "..."
//! also-at = ["/usr/lib/ssl/cert.pem"]   # these become links to it, where nothing else stands
//! exclude = []                   # of a directory: paths in it that are left out
//! or-join = ["/usr/share/ca-certificates"]   # without any: the files below these, joined, make the first
//! package = "ca-certificates"    # what to install where the sysroot has none of them
//! required = true                # and then fail, instead of warning; or give a body: fallback = "ca.pem"
//! ```
//!
//! An entry takes the place of one at the same path in what is extended. Of a directory of the sysroot, secrets
//! and what is the machine's own are left out; each is taken where an entry names it.
//!
//! Tables `[[rule]]` say what belongs with what is in the rootfs: see [`crate::runtime`]. `[[secret]]`,
//! `[[documentation]]` and `[[noise]]` add to [`crate::policy`]. A row takes the place of one of the same name in what
//! is extended, or of a built-in one.

mod built_in;
mod folder;
mod manifest;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result, Warning};
use crate::path::RootfsPath;
use crate::policy;
use crate::rootfs::Body;
use crate::runtime::Rule;
use crate::wording::nearest;
use built_in::BuiltIn;

/// The file that makes a directory a listed template.
const MANIFEST: &str = "template.toml";

/// A skeleton, read and checked, with those that it extends merged in.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// As it was asked for.
    pub name: String,
    /// In byte order of their paths, each path once.
    pub entries: Vec<TemplateEntry>,
    /// The rules for the contents of the rootfs, in the order in which they were read.
    pub rules: Vec<Rule>,
    /// Rows of policy, in the order in which they were read.
    pub policy: Vec<policy::Row>,
    /// Files and directories of the host that were read: a build script must run again when they change.
    pub inputs: Vec<Utf8PathBuf>,
    /// Warnings for the user.
    pub warnings: Vec<Warning>,
}

/// One file, directory or link that a template asks for.
#[derive(Debug, Clone)]
pub struct TemplateEntry {
    /// The path of the entry, free of `..`; for [`TemplateKind::FromSysroot`] the first of the candidates.
    pub path: RootfsPath,
    /// The kind of entry.
    pub kind: TemplateKind,
    /// Permission bits, `0o7777`; for [`TemplateKind::FromSysroot`] those of the fallback.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// The template that it stands in, which may be one that the asked-for one extends.
    pub template: Arc<str>,
}

/// The kind of a [`TemplateEntry`].
#[derive(Debug, Clone)]
pub enum TemplateKind {
    /// A directory, empty but for what other entries put there.
    Dir,
    /// A regular file.
    File(Body),
    /// A symbolic link and its target.
    Symlink(Arc<[u8]>),
    /// A file or directory of the sysroot.
    FromSysroot(FromSysroot),
}

/// A file or a directory that is taken from the sysroot, with the mode, and at the path, that it has there.
#[derive(Debug, Clone)]
pub struct FromSysroot {
    /// The first of these that exists is taken: a file with the links that lead to it, or a directory
    /// with all that is in it. Never empty.
    pub candidates: Vec<RootfsPath>,
    /// Made links to the candidate that was taken, except where something stands already.
    pub also_at: Vec<RootfsPath>,
    /// Of a directory: the paths in it, relative, that are left out with all below them.
    pub exclude: Vec<String>,
    /// The replacement for missing candidates: the files below these directories, joined in the order of their paths,
    /// become the first candidate.
    pub or_join: Vec<RootfsPath>,
    /// The reaction if there is nothing to join either.
    pub missing: IfMissing,
    /// The distribution package that has it.
    pub package: Option<String>,
}

/// The reaction if the sysroot has none of the candidates.
#[derive(Debug, Clone)]
pub enum IfMissing {
    /// Put this at the first candidate's path.
    Fallback(Body),
    /// Stop, with [`FromSysroot::error`].
    Fail,
    /// Go on, with [`FromSysroot::warning`].
    Warn,
}

impl FromSysroot {
    /// The error if the sysroot has none of the candidates and one is required.
    pub fn error(&self, template: &str) -> Error {
        let mut error = Error::failed(self.message(template));
        for candidate in &self.candidates {
            error = error.detail(format!("tried  {candidate}"));
        }
        for folder in &self.or_join {
            error = error.detail(format!("tried  the files below {folder}"));
        }
        match &self.package {
            Some(package) => {
                error.help(format!("install {package} in the sysroot, or choose another --template than {template}"))
            }
            None => error,
        }
    }

    /// The warning if the sysroot has none of the candidates and none is required.
    pub fn warning(&self, template: &str) -> Warning {
        let warning = Warning::new(self.message(template));
        match &self.package {
            Some(package) => warning.help(format!("install {package} in the sysroot")),
            None => warning,
        }
    }

    fn message(&self, template: &str) -> String {
        let first = &self.candidates[0];
        match (&self.package, self.candidates.len()) {
            (Some(package), _) => {
                format!("template `{template}` found nothing of {package} in the sysroot (`{first}`)")
            }
            (None, 1) => format!("template `{template}` found no `{first}` in the sysroot"),
            (None, count) => {
                format!("template `{template}` found none of `{first}` and {} more in the sysroot", count - 1)
            }
        }
    }
}

impl Template {
    /// Reads a built-in by its name, or the directory `name` (anything with a slash), relative to `base`.
    ///
    /// ```
    /// use cargo_rootfs::template::Template;
    /// let template = Template::load("base", ".".into())?;
    /// assert!(template.entries.iter().any(|entry| entry.path.to_string() == "/etc/passwd"));
    /// # Ok::<(), cargo_rootfs::Error>(())
    /// ```
    pub fn load(name: &str, base: &Utf8Path) -> Result<Self> {
        let mut loading = Loading::default();
        loading.load(name, base)?;
        let entries: Vec<TemplateEntry> = std::mem::take(&mut loading.entries).into_values().collect();
        parents_are_folders(name, &entries)?;
        let Loading { rules, policy, inputs, warnings, .. } = loading;
        Ok(Self { name: name.to_owned(), entries, rules, policy, inputs, warnings })
    }

    /// The names of the built-in templates.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        built_in::ALL.iter().map(|template| template.name)
    }
}

/// The location of the files of a listed template.
enum Folder {
    BuiltIn(&'static BuiltIn),
    Host(Utf8PathBuf),
}

impl Folder {
    /// `relative` in it, for a message.
    fn show(&self, relative: &str) -> String {
        match self {
            Self::BuiltIn(template) => format!("templates/{}/{relative}", template.name),
            Self::Host(path) => path.join(relative).into_string(),
        }
    }
}

/// A template while it is read, together with those that it extends.
#[derive(Default)]
struct Loading {
    entries: BTreeMap<RootfsPath, TemplateEntry>,
    rules: Vec<Rule>,
    policy: Vec<policy::Row>,
    inputs: Vec<Utf8PathBuf>,
    warnings: Vec<Warning>,
    /// The templates being extended: identity, and name for a message.
    chain: Vec<(String, String)>,
}

impl Loading {
    fn load(&mut self, name: &str, base: &Utf8Path) -> Result<()> {
        if !name.contains('/') {
            let template = built_in::find(name).ok_or_else(|| unknown_name(name, base))?;
            self.enter(name, name)?;
            return self.listed(name, &Folder::BuiltIn(template), template.manifest);
        }
        let path: Utf8PathBuf = base.join(name).components().collect();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(Error::usage(format!("template `{path}` is not a directory"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::usage(format!("there is no template directory `{path}`")));
            }
            Err(error) => return Err(Error::io("read template", &path, error)),
        }
        // Two names of one directory are one template, or a cycle through a link would not end.
        let identity = path.canonicalize_utf8().map_err(|error| Error::io("read template", &path, error))?;
        self.enter(identity.as_str(), name)?;

        let manifest = path.join(MANIFEST);
        match fs::read(&manifest) {
            Ok(bytes) => {
                self.inputs.push(manifest.clone());
                let text = String::from_utf8(bytes)
                    .map_err(|error| Error::usage(format!("`{manifest}` is not UTF-8")).with_source(error))?;
                self.listed(name, &Folder::Host(path), &text)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.as_it_stands(name, &path),
            Err(error) => Err(Error::io("read", &manifest, error)),
        }
    }

    /// Fails where `identity` is already being extended.
    fn enter(&mut self, identity: &str, name: &str) -> Result<()> {
        let cycle = self.chain.iter().any(|(known, _)| known == identity);
        self.chain.push((identity.to_owned(), name.to_owned()));
        if cycle {
            let names: Vec<&str> = self.chain.iter().map(|(_, name)| name.as_str()).collect();
            return Err(Error::usage(format!("templates extend each other: {}", names.join(" -> "))));
        }
        Ok(())
    }

    /// A template with a list of its entries.
    fn listed(&mut self, name: &str, folder: &Folder, text: &str) -> Result<()> {
        let manifest = manifest::read(name, folder, text, &mut self.inputs)?;
        if let Some(extended) = &manifest.extends {
            let base = match folder {
                Folder::BuiltIn(_) => Utf8Path::new(""),
                Folder::Host(path) => path,
            };
            self.load(extended, base)
                .map_err(|error| error.detail(format!("extended by `{}`", folder.show(MANIFEST))))?;
        }
        self.rules.extend(manifest.rules);
        self.policy.extend(manifest.policy);
        self.entries.extend(manifest.entries.into_iter().map(|entry| (entry.path.clone(), entry)));
        Ok(())
    }

    /// A directory without a list: all that is in it.
    fn as_it_stands(&mut self, name: &str, path: &Utf8Path) -> Result<()> {
        // Cargo looks into a directory that it is told to watch.
        self.inputs.push(path.to_owned());
        for entry in folder::read(name, path, &mut self.warnings)? {
            self.entries.insert(entry.path.clone(), entry);
        }
        Ok(())
    }
}

fn unknown_name(name: &str, base: &Utf8Path) -> Error {
    let error = Error::usage(format!("there is no template `{name}`"));
    let known: Vec<&str> = Template::built_in_names().collect();
    if base.join(name).is_dir() {
        error.help(format!("a directory is named with a slash: `./{name}`"))
    } else if let Some(near) = nearest(name, known.iter().copied()) {
        error.help(format!("did you mean `{near}`?"))
    } else {
        error.help(format!("choose one of {}, or a directory with a slash in its name", known.join(", ")))
    }
}

/// Fails where a file that comes from a template has another entry below it.
fn parents_are_folders(name: &str, entries: &[TemplateEntry]) -> Result<()> {
    let files: BTreeMap<&RootfsPath, &TemplateEntry> =
        entries.iter().filter(|entry| matches!(entry.kind, TemplateKind::File(_))).map(|e| (&e.path, e)).collect();
    for entry in entries {
        let mut path = entry.path.parent();
        while let Some(folder) = path {
            if files.contains_key(&folder) {
                let (below, file) = (&entry.path, &folder);
                return Err(Error::usage(format!("template `{name}` puts `{below}` below `{file}`, which is a file")));
            }
            path = folder.parent();
        }
    }
    Ok(())
}

#[cfg(test)]
mod distribution_tests;
#[cfg(test)]
mod tests;
