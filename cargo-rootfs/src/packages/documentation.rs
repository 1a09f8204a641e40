//! What of a package is for people to read, or for a shell to complete, and no program needs to do its job.
//!
//! By paths alone, as distributions have them (Filesystem Hierarchy Standard 3.0, sec. 4.11).

use crate::path::RootfsPath;

/// Folders in a `share` folder (and of one, in `lib`), whatever is below them.
#[rustfmt::skip]
const SHARED: [&str; 24] = [
    "doc", "doc-base", "man", "info", "help", "omf", "gnome/help", "gtk-doc", "devhelp", "javadoc",
    // What packagers and reporters of bugs read.
    "lintian", "linda", "bug", "reportbug", "apport", "metainfo", "appdata",
    // Translations of messages, each language apart. What C libraries need of a locale is in /usr/lib/locale.
    "locale", "locale-langpack",
    "calendar", "common-licenses", "licenses", "debhelper", "menu",
];

/// What a shell reads to complete the arguments of other programs, and the package that reads it.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash-completion/completions", "bash-completion"),
    ("zsh/vendor-completions", "zsh"),
    ("zsh/site-functions", "zsh"),
    ("fish/vendor_completions.d", "fish"),
    ("fish/completions", "fish"),
];

/// Whether the file at `path`, which belongs to `package`, is left out where a package is taken.
pub(crate) fn is_documentation(package: &str, path: &RootfsPath) -> bool {
    let text = path.as_bytes();
    // `/usr/share`, `/usr/local/share`, `/opt/x/share`: the first is meant, a program may have such names below its own.
    let Some(at) = memchr::memmem::find(text, b"/share/") else {
        return is_below(text, b"/etc/bash_completion.d") && package != "bash-completion";
    };
    let below = &text[at + b"/share/".len()..];
    // What lists the names of locales for C libraries is no translation.
    if below == b"locale/locale.alias" {
        return false;
    }
    // What is in a folder of the package's own name is what it works with, as lintian's.
    let is_shared = SHARED.iter().any(|folder| *folder != package && is_below(below, folder.as_bytes()));
    let completes = |(folder, reader): &(&str, &str)| {
        is_below(below, folder.as_bytes())
            && package.split('-').next() != Some(reader.split('-').next().unwrap_or(reader))
    };
    is_shared || COMPLETIONS.iter().any(completes)
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(is_documentation(package, &RootfsPath::parse(text).unwrap()), expected, "{text}");
        }
    }
}
