//! Documentation: files of a package that no program needs for its work.

use super::row::Row;
use super::table::{Table, below_share};
use crate::glob::Glob;
use crate::path::RootfsPath;

pub(super) fn is_documentation(table: &Table, package: &str, path: &RootfsPath) -> bool {
    let is_meant = |row: &Row| !(excepts(row, package) || row.except_own && is_own(package, path));
    table.first(path, is_meant).is_some()
}

/// Returns whether the file is in the directory of `share` with the package's name.
fn is_own(package: &str, path: &RootfsPath) -> bool {
    let components: Vec<&[u8]> = path.components().collect();
    below_share(&components).first().is_some_and(|name| *name == package.as_bytes())
}

fn excepts(row: &Row, package: &str) -> bool {
    let mut globs = row.except_packages.iter().flat_map(|text| Glob::parse(text).unwrap_or_default());
    globs.any(|glob| glob.matches_name(package.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use crate::path::RootfsPath;
    use crate::policy::Policy;

    #[test]
    fn what_no_program_reads() {
        for (package, text, expected) in [
            ("git", "/usr/share/doc/git/README", true),
            ("git", "/usr/share/lintian/overrides/git", true),
            ("lintian", "/usr/share/lintian/lib/Lintian.pm", false),
            ("git", "/usr/share/man/man1/git.1.gz", true),
            ("git", "/usr/local/share/man/man1/git.1", true),
            ("git", "/usr/share/locale/de/LC_MESSAGES/git.mo", true),
            ("git", "/usr/share/git-core/templates/info/exclude", false),
            ("git", "/usr/lib/git-core/git", false),
            ("git", "/usr/share/bash-completion/completions/git", true),
            ("git", "/etc/bash_completion.d/git-prompt", true),
            ("bash-completion", "/usr/share/bash-completion/completions/ls", false),
            ("bash-completion", "/etc/bash_completion.d/x", false),
            ("zsh-common", "/usr/share/zsh/functions/Completion/Unix/_ls", false),
            ("libc-bin", "/usr/lib/locale/C.utf8/LC_CTYPE", false),
            ("libc-bin", "/usr/share/locale/locale.alias", false),
            ("file", "/usr/share/misc/magic.mgc", false),
            ("x", "/usr/share/documents/x", false),
            ("base-files", "/usr/share/common-licenses/GPL-3", true),
            ("python3", "/usr/lib/python3/dist-packages/x/share/doc/y", true),
        ] {
            assert_eq!(
                Policy::built_in().is_documentation(package, &RootfsPath::parse(text).unwrap()),
                expected,
                "{text}"
            );
        }
    }
}
