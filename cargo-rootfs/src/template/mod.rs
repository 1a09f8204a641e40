//! Templates: skeletons of root filesystems (users, nsswitch, certificates, ...), parsed into entries.
//!
//! It reads templates and the files beside them. [`crate::layout`] resolves entries through the links of the rootfs,
//! and takes the named files of the sysroot.
//!
//! A template is a directory. Built in are `none`, `base` and `web`; a name with a slash is a directory of the user.
//! Without a `template.toml`, its files are the complete skeleton. With one, only the listed entries are taken, and
//! their modes and owners come from the list and not from the disk:
//!
//! ```toml
//! extends = "base"               # optional: a built-in, or a directory beside this one (`../other`)
//!
//! [[entry]]
//! path = "/var/spool/app"
//! type = "dir"                   # default mode "0755"
//! mode = "0700"
//! uid = 65532                    # default uid and gid 0
//! gid = 65532
//!
//! [[entry]]
//! path = "/etc/app.conf"
//! type = "file"                  # default mode "0644"
//! source = "app.conf"            # in this directory; default `etc/app.conf`
//!
//! [[entry]]
//! path = "/etc/mtab"
//! type = "symlink"
//! target = "/proc/self/mounts"
//!
//! [[entry]]
//! type = "sysroot"               # a file or a whole directory of the sysroot, at the same path
//! first-of = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"]   # or path = "..."
//! also-at = ["/usr/lib/ssl/cert.pem"]   # symlinks to it at these paths, unless another entry is there
//! exclude = []                   # for a directory: relative paths that are left out
//! or-join = ["/usr/share/ca-certificates"]   # if all are missing: the files below these, joined, become the first
//! package = "ca-certificates"    # the package to install if the sysroot has none of them
//! required = true                # fail if missing, instead of a warning; or give contents: fallback = "ca.pem"
//! ```
//!
//! An entry replaces the entry at the same path in the extended template. Of a directory of the sysroot, secrets and
//! files of one machine are left out, unless an entry names them.
//!
//! Tables `[[rule]]` name files that belong with contents of the rootfs: see [`crate::runtime`]. `[[secret]]`,
//! `[[documentation]]` and `[[noise]]` add to [`crate::policy`]. A row replaces a row of the same name in the extended
//! template, or a built-in one.

mod built_in;
mod folder;
mod manifest;

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result, Warning};
use crate::host_files;
use crate::path::RootfsPath;
use crate::policy;
use crate::rootfs::Body;
use crate::runtime::Rule;
use crate::wording::{did_you_mean, nearest};
use built_in::BuiltIn;

/// The file that makes a directory a listed template.
const MANIFEST: &str = "template.toml";

/// A parsed and checked skeleton, merged with those that it extends.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// The requested name.
    pub name: String,
    /// The entries in byte order of their paths, each path once.
    pub entries: Vec<TemplateEntry>,
    /// The rules for the contents of the rootfs, in the order of their reading.
    pub rules: Vec<Rule>,
    /// Rows of policy, in the order of their reading.
    pub policy: Vec<policy::Row>,
    /// Host files and directories that were read: a build script must run again when they change.
    pub inputs: Vec<Utf8PathBuf>,
    /// Warnings for the user.
    pub warnings: Vec<Warning>,
}

/// One file, directory or link of a template.
#[derive(Debug, Clone)]
pub struct TemplateEntry {
    /// The path of the entry, without `..`; for [`TemplateKind::FromSysroot`] the first of the candidates.
    pub path: RootfsPath,
    /// The kind of entry.
    pub kind: TemplateKind,
    /// Permission bits, `0o7777`; for [`TemplateKind::FromSysroot`] those of the fallback.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// The template with the entry, which may be an extended one.
    pub template: Arc<str>,
}

/// The kind of a [`TemplateEntry`].
#[derive(Debug, Clone)]
pub enum TemplateKind {
    /// A directory, with only the contents of other entries.
    Dir,
    /// A regular file.
    File(Body),
    /// A symbolic link and its target.
    Symlink(Arc<[u8]>),
    /// A file or directory of the sysroot.
    FromSysroot(FromSysroot),
}

/// A file or a directory of the sysroot, with the same mode and path.
#[derive(Debug, Clone)]
pub struct FromSysroot {
    /// The candidates; the first existing one is taken: a file with the symlinks that lead to it, or a directory with
    /// all its contents. Never empty.
    pub candidates: Vec<RootfsPath>,
    /// Paths of symlinks to the taken candidate, unless another entry is there.
    pub also_at: Vec<RootfsPath>,
    /// For a directory: relative paths that are left out, with everything below them.
    pub exclude: Vec<String>,
    /// The replacement for missing candidates: the files below these directories, joined in the order of their paths,
    /// become the first candidate.
    pub or_join: Vec<RootfsPath>,
    /// The reaction if there are no files to join either.
    pub missing: IfMissing,
    /// The distribution package with the candidates.
    pub package: Option<String>,
}

/// The reaction if the sysroot has none of the candidates.
#[derive(Debug, Clone)]
pub enum IfMissing {
    /// Put these contents at the first candidate's path.
    Fallback(Body),
    /// Fail with [`FromSysroot::error`].
    Fail,
    /// Continue with [`FromSysroot::warning`].
    Warn,
}

impl FromSysroot {
    /// The error for missing candidates of which one is required.
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

    /// The warning for missing candidates of which none is required.
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
    /// `relative` in this location, for a message.
    fn show(&self, relative: &str) -> String {
        match self {
            Self::BuiltIn(template) => format!("templates/{}/{relative}", template.name),
            Self::Host(path) => path.join(relative).into_string(),
        }
    }
}

/// A template during its reading, with those that it extends.
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
        match host_files::metadata(&path).if_there("read template")? {
            Some(metadata) if metadata.is_dir() => {}
            Some(_) => return Err(Error::usage(format!("template `{path}` is not a directory"))),
            None => return Err(Error::usage(format!("there is no template directory `{path}`"))),
        }
        // Two names of one directory are one template; otherwise a cycle through a symlink would not end.
        let identity = host_files::real(&path).or_cannot("read template")?;
        self.enter(&identity.to_string_lossy(), name)?;

        let manifest = path.join(MANIFEST);
        match host_files::bytes(&manifest).if_there("read")? {
            Some(bytes) => {
                self.inputs.push(manifest.clone());
                let text = String::from_utf8(bytes)
                    .map_err(|error| Error::usage(format!("`{manifest}` is not UTF-8")).with_source(error))?;
                self.listed(name, &Folder::Host(path), &text)
            }
            None => self.as_it_stands(name, &path),
        }
    }

    /// Fails if `identity` is already being extended.
    fn enter(&mut self, identity: &str, name: &str) -> Result<()> {
        let cycle = self.chain.iter().any(|(known, _)| known == identity);
        self.chain.push((identity.to_owned(), name.to_owned()));
        if cycle {
            let names: Vec<&str> = self.chain.iter().map(|(_, name)| name.as_str()).collect();
            return Err(Error::usage(format!("templates extend each other: {}", names.join(" -> "))));
        }
        Ok(())
    }

    /// Reads a template with a list of its entries.
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

    /// Reads a directory without a list: all its contents.
    fn as_it_stands(&mut self, name: &str, path: &Utf8Path) -> Result<()> {
        // Cargo watches the contents of a directory too.
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
        error.help(did_you_mean(near))
    } else {
        error.help(format!("choose one of {}, or a directory with a slash in its name", known.join(", ")))
    }
}

/// Fails if a template has another entry below a file.
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
