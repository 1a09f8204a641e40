//! Runs programs in an unpacked root, without the host's environment. Without root's rights it uses a user namespace.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::host;
use crate::process::{Command, Done, command};
use crate::stage::cannot;

/// A root that programs can be run in.
pub(crate) struct Chroot {
    dir: Utf8PathBuf,
    enter: &'static [&'static str],
}

impl Chroot {
    pub(crate) fn new(dir: impl Into<Utf8PathBuf>) -> Result<Chroot> {
        let dir = dir.into();
        if host::is_root() {
            return Ok(Chroot { dir, enter: &[] });
        }
        let namespace = duct::cmd!("unshare", "--map-root-user", "true").stderr_null().unchecked().run();
        if namespace.is_ok_and(|output| output.status.success()) {
            return Ok(Chroot { dir, enter: &["unshare", "--map-root-user"] });
        }
        cannot("chroot needs root, or user namespaces that anyone may make")
    }

    /// A command in the root.
    pub(crate) fn command(&self, argv: &[&str]) -> Command {
        self.with(&[], argv)
    }

    /// The same with variables, as `NAME=VALUE`.
    pub(crate) fn with(&self, variables: &[&str], argv: &[&str]) -> Command {
        let clean = ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"].into_iter();
        let chroot = clean.chain(variables.iter().copied()).chain(["/usr/sbin/chroot", self.dir.as_str()]);
        command(self.enter.iter().copied().chain(chroot).chain(argv.iter().copied()))
    }

    /// Runs it, successfully.
    pub(crate) fn run(&self, argv: &[&str]) -> Result<Done> {
        self.command(argv).run()
    }

    /// The directory on the host.
    pub(crate) fn dir(&self) -> &Utf8Path {
        &self.dir
    }
}
