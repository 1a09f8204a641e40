//! The machine of one job: a writable Debian root over the one that `setup` made, without this process's environment.
//!
//! Each command enters it in a new mount namespace, which ends with the command; its files stay in a layer of the
//! scenario.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::workflow::Names;
use crate::e2e::lab::Lab;
use crate::process::{Command, command};
use crate::stage::cannot;
use crate::{host, made};

/// The account that runs steps, and its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// As on GitHub's runners: a user with sudo.
    Runner,
    /// As in GitLab's containers.
    Root,
}

/// The paths of cargo and the compiler in a machine.
pub(super) const CARGO: &str = "/opt/cargo/bin/cargo";
pub(super) const RUSTC: &str = "/opt/rust/usr/bin/rustc";

impl User {
    pub(super) fn home(self) -> &'static str {
        if self == User::Runner { "/home/runner" } else { "/root" }
    }

    /// For chown(1) and chroot(8).
    pub(super) fn ids(self) -> &'static str {
        if self == User::Runner { "1001:1001" } else { "0:0" }
    }
}

/// Arguments: the lower root, the machine's directory, the account, pairs of FROM and TO, `--`, a command.
const ENTER: &str = r#"
lower=$1 dir=$2 user=$3; shift 3
mkdir -p "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$dir/root$2"; else : >> "$dir/root$2"; fi
    mount --rbind "$1" "$dir/root$2"
    shift 2
done
shift
exec chroot --userspec="$user" "$dir/root" /usr/bin/env -i "$@"
"#;

/// The machine of one job.
pub(super) struct Machine {
    dir: Utf8PathBuf,
    pub(super) user: User,
    binds: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

impl Machine {
    /// Makes a machine; `cache` is the path of the product's cache in it, which outlives the scenario.
    pub(super) fn new(lab: &Lab, name: &str, user: User, cache: &Utf8Path) -> Result<Machine> {
        if !host::is_root() {
            return cannot("only root can mount the root of a runner");
        }
        let kept = host::cache_dir().join(format!("runner-cache-{}", user.ids().replace(':', "-")));
        fs::create_dir_all(&kept)?;
        command(["chown", user.ids(), kept.as_str()]).run()?;
        let cargo = Utf8PathBuf::from(host::cargo());
        let toolchain = cargo.parent().and_then(Utf8Path::parent).context("cargo is in a tool chain")?;
        let same = |path: &Utf8Path| (path.to_owned(), path.to_owned());
        let mut binds = vec![
            (made::rust()?, "/opt/rust".into()),
            (toolchain.to_owned(), "/opt/cargo".into()),
            same(&lab.path("")),
            (kept, cache.to_owned()),
        ];
        binds.extend(["/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hosts"].map(|path| same(path.into())));
        Ok(Machine { dir: lab.folder(&format!("machines/{name}"))?, user, binds })
    }

    /// A command in it, with only these variables.
    pub(super) fn command(&self, cwd: &Utf8Path, env: &Names, argv: &[&str]) -> Result<Command> {
        let lower = made::runner()?;
        let mut words = vec!["unshare", "--mount", "--propagation", "private", "sh", "-euc", ENTER, "sh"];
        words.extend([lower.as_str(), self.dir.as_str(), self.user.ids()]);
        words.extend(self.binds.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]));
        let enter = command(words).arg("--").args(env.iter().map(|(name, value)| format!("{name}={value}")));
        let cd = ["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", cwd.as_str()];
        Ok(enter.args(cd).args(argv.iter().copied()).shown(argv.join(" ")))
    }

    /// Writes a file that only its account may read.
    pub(super) fn secret(&self, path: &str, text: &str) -> Result<()> {
        let file = self.dir.join("upper").join(path.trim_start_matches('/'));
        let parent = file.parent().context("a file is in a directory")?;
        fs::create_dir_all(parent)?;
        fs::write(&file, text)?;
        fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        // New parent directories in this layer belong to the account too.
        let home = self.dir.join("upper").join(self.user.home().trim_start_matches('/'));
        command(["chown", "--recursive", self.user.ids(), home.as_str()]).run().map(drop)
    }
}
