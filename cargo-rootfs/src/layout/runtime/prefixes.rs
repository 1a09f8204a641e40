//! Tools below other prefixes than /usr: rules for /usr/bin/git also apply to /usr/local/bin/git.

use super::{Call, Runtime, is_mergeable};
use crate::path::RootfsPath;
use crate::sysroot::Sysroot;

/// The maximum size of a pyvenv.cfg.
const LONGEST_CONFIGURATION: usize = 1 << 14;

impl Runtime<'_> {
    /// Matches a tool by the name that it would have below /usr. A program of the project does not count, whatever its
    /// name. The Python of a virtual environment, which may be a copy, counts as the one that it was made with.
    pub(super) fn meet_prefixed(
        &mut self,
        view: &mut Sysroot,
        path: &RootfsPath,
        realpath: &RootfsPath,
        calls: &mut Vec<Call>,
    ) {
        if view.is_outside(realpath) {
            return;
        }
        let is_python = realpath.file_name().starts_with(b"python");
        let made_with = prefix_of(realpath).filter(|_| is_python).and_then(|prefix| python_of(view, &prefix));
        let made_with = made_with.map(|prefix| view.walk(&prefix.join(b"bin/python3")).path);
        for at in [Some(path), Some(realpath), made_with.as_ref()].into_iter().flatten() {
            let Some(prefix) = prefix_of(at).filter(|_| !is_mergeable(at)) else { continue };
            let prefix = Some(prefix).filter(|prefix| prefix.as_bytes() != b"/usr");
            if prefix.is_none() && made_with.as_ref() != Some(at) {
                continue;
            }
            let Some(folder) = at.parent() else { continue };
            let in_usr = RootfsPath::root().join(b"usr").join(folder.file_name()).child(at.file_name());
            if !self.prefixed.insert((in_usr.clone(), prefix.clone())) {
                continue;
            }
            let mut triggered = Vec::new();
            self.rules.of_path(&in_usr, &mut triggered);
            let call = |triggered| Call { prefix: prefix.clone(), ..Call::new(triggered, realpath) };
            calls.extend(triggered.into_iter().map(call));
        }
    }
}

/// The prefix of an installed program: /usr/local of /usr/local/bin/git. `None` if it is in no bin or sbin.
pub(super) fn prefix_of(program: &RootfsPath) -> Option<RootfsPath> {
    let folder = program.parent()?;
    matches!(folder.file_name(), b"bin" | b"sbin").then(|| folder.parent())?.filter(|prefix| prefix.parent().is_some())
}

/// The prefix of the Python that a virtual environment at `prefix` was made with: `home` in its pyvenv.cfg (PEP 405).
pub(super) fn python_of(view: &mut Sysroot, prefix: &RootfsPath) -> Option<RootfsPath> {
    let text = view.read_small(&prefix.child(b"pyvenv.cfg"), LONGEST_CONFIGURATION)?;
    let mut lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = memchr::memchr(b'=', line)?;
        Some((line[..at].trim_ascii(), line[at + 1..].trim_ascii()))
    });
    let (_, home) = lines.find(|(key, _)| key.eq_ignore_ascii_case(b"home"))?;
    prefix_of(&RootfsPath::from_bytes(home)?.child(b"python"))
}

/// A path of a rule, which is a distribution's path, moved below a prefix.
pub(super) fn below(text: &str, prefix: Option<&str>) -> String {
    let Some(prefix) = prefix else { return text.to_owned() };
    match text.strip_prefix("/usr/") {
        Some(rest) => format!("{prefix}/{rest}"),
        None if text.starts_with("/etc/") => format!("{prefix}{text}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_distributions_hold_below_a_prefix() {
        let prefix = |text| prefix_of(&RootfsPath::parse(text).unwrap()).map(|it| it.to_string());
        assert_eq!(prefix("/usr/local/bin/git").as_deref(), Some("/usr/local"));
        assert_eq!(prefix("/opt/git/sbin/git").as_deref(), Some("/opt/git"));
        assert_eq!(prefix("/usr/bin/git").as_deref(), Some("/usr"));
        assert_eq!([prefix("/bin/git"), prefix("/usr/lib/git")], [None, None]);
        for (text, expected) in [
            ("/usr/libexec/git-core", "/opt/git/libexec/git-core"),
            ("/etc/gitconfig", "/opt/git/etc/gitconfig"),
            ("/lib/x", "/lib/x"),
        ] {
            assert_eq!(below(text, Some("/opt/git")), expected);
            assert_eq!(below(text, None), text);
        }
    }
}
