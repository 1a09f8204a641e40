//! Runtime knowledge as data: the files that belong with a tool or a library beyond its closure, and the reasons.
//!
//! This module parses, matches and binds rules, and reads no disk. [`crate::layout`] finds the named files in a sysroot
//! and puts them into the rootfs.
//!
//! Built in are the files of `templates/runtime/`. A `template.toml` and `[package.metadata.rootfs]` may contain more,
//! each as a `[[rule]]`; a rule replaces an earlier one of the same name. `--runtime none` disables all of them.
//!
//! ```toml
//! [[rule]]
//! name = "git-exec-path"       # unique; `why` shows it
//! why = "git runs its subcommands from its exec path"
//! when = ["/usr/bin/git"]      # fires if the rootfs has any of these
//! calls = ["system", "popen"]  # or if a file in a closure imports one of these functions; `project:system`: only if
//!                              # a program or library of the project itself does, or a tool of the C library's source
//! mentions = ["/etc/git"]      # or if a constant of such a file begins with one of these paths; `project:` as above
//! unless = []                  # but not if the rootfs has any of these
//! before-glibc = "2.34"        # and only if the sysroot's glibc is older
//!
//! take = ["/usr/lib/git-core"] # every existing file and whole directory of the sysroot
//! first-of = [["/usr/share/terminfo", "/lib/terminfo"]]   # of each list, the first pattern with a match
//! modules = ["/usr/lib/python3/dist-packages/**"]   # packages with such files, see below
//! exclude = ["*.a", "**/__pycache__", "/usr/share/doc/**"]   # left out of all these
//! tools = ["sh", "/usr/lib/git-core/git"]   # looked up like those of `--with`
//! called = ["sed", "cat"]      # tools that are packed if the matching shell script seems to call them
//! libraries = ["libnss_dns.so.2"]   # looked up as dlopen(3) does
//! suggest = ["ssh", "gpg"]     # tools that are suggested and not packed
//! words-of = [
//!     { file = "/etc/nsswitch.conf", form = "nsswitch", except = ["files"], libraries = ["libnss_{}.so.2"] },
//! ]
//! files = [                    # made unless the path is taken
//!     { path = "/etc/x.conf", text = "...", mode = "0440" },
//!     { path = "/usr/bin/y", link = "x" },
//!     { path = "/run/x", dir = true },
//!     { path = "/var/spool/x", dir-of = "x:mail", mode = "0700" },   # of this user and group, or root's
//!     { path = "/etc/x.pem", join = ["/usr/share/x"] },   # all files below these directories, joined
//!     { path = "/etc/passwd", line = "x:x:99:99::/:/bin/false" },   # added to a template's file, unless it has x
//! ]
//!
//! partial = true               # the matching file is not covered, see below
//! required = true              # it is an error if `take` and `first-of` find nothing
//! packages = ["git"]           # Debian's packages with these files: sysroots made of packages get them
//! learned-from = ["debian", "fedora", "alpine", "arch"]   # the distributions with these paths; for readers
//! ```
//!
//! # When
//!
//! A pattern of `when` and `unless` with a slash is a glob on the paths of files in the rootfs, by any of their names;
//! `/usr/bin/x` also matches `/bin/x`. A pattern without a slash is a glob on the names of ELF files in closures: the
//! needed soname, or the file name (`libcurl*.so.4`, `git`). Files that a rule takes may fire other rules.
//!
//! Only in `when`, `#!` and a glob on a name matches scripts that are tools or included, by their interpreter:
//! `#!python3*`. `package:` and a glob on a name matches files of a package, which is looked up only if no other rule
//! covers them: `package:openssh-client`.
//!
//! A pattern of `/usr/bin` also matches the same tool below another prefix, such as /usr/local/bin/git or
//! /opt/git/bin/git. Then `/usr`, `/etc` and `{lib}` in the rule's files mean that prefix.
//!
//! # Coverage
//!
//! A rule covers the matching file: no other evidence is used for it (`--runtime auto`). A `partial` rule covers no
//! file, because it is about data of others, such as time zones. A match by `calls` or `mentions` covers no file
//! either.
//!
//! # Globs
//!
//! `*` matches any part of a name, a leading dot included, `?` one byte, `**` any number of directories, `{a,b}` either
//! of both. A backslash escapes the next byte. An entry of `exclude` without a slash is a name in any directory; one
//! that does not begin with a slash is the end of a path. Everything below an excluded directory is excluded.
//!
//! # Variables
//!
//! | | |
//! | --- | --- |
//! | `{triplet}` | Debian's name for the target, such as `x86_64-linux-gnu` |
//! | `{lib}` | each directory of libraries: `/usr/lib/{triplet}`, `/usr/lib64`, `/usr/lib`, and the same without `/usr` |
//! | `{1}`, `{2}` ... | the text of the first, second ... `*` or `**` of the matching `when` |
//! | `{prefix}` | `/usr`, or the prefix of the matching tool |
//! | `{dir}` | the directory of the matching file, without symlinks |
//! | `{exec}` | each program that replaces the matching shell script, by `exec` |
//! | `{}` | in `words-of`: the word |
//!
//! `when` and `unless` may use the first two.
//!
//! # Words
//!
//! `words-of` reads a file that the image will have, from an include, a template or another rule, and takes the files
//! of its words. Without the file it has no effect. `form` defines the words, and `except` lists words to skip:
//!
//! | form | words |
//! | --- | --- |
//! | `lines` (the default) | all texts between blanks, without comments from `#` to the end of the line |
//! | `nsswitch` | the services after each colon, without `[actions]` (nsswitch.conf(5)) |
//! | `libraries` | the names and paths of shared libraries, in any context: `Driver=libx.so` |
//! | `pam` | the modules (pam.d(5)); included files are taken and read too |
//!
//! Each word is filled into `libraries`, `tools` and `take`. A word that begins with a slash is itself the file if `{}`
//! is the end of a text in `take`.
//!
//! # Modules
//!
//! The modules that a script imports cannot be found from the script itself, but its package depends on theirs. With
//! `modules`, the package of the matching file is looked up in the sysroot's database, and all its files are taken,
//! except documentation and `exclude`. The same applies to its dependencies, and so on, if such a package has a file
//! that matches one of the globs, or has the same source as the package that depends on it. A direct dependency with
//! programs is not taken, but its dependencies are checked too. Without a database, or if no package has the file, no
//! file is taken.
//!
//! # Taken files
//!
//! ELF files and scripts among them get closures of their own; one that cannot work is left out with a warning.
//! Symlinks are kept, devices and sockets are skipped, and no file of an include or a template is replaced.

mod built_in;
mod matching;
mod read;
mod words;

use std::sync::Arc;

pub use crate::glob::{Captures, Glob};
pub(crate) use matching::{Rules, Triggered};
#[cfg(feature = "cli")]
pub(crate) use read::from_json;
pub(crate) use read::from_toml;

/// The source of files that belong with tools and libraries (`--runtime`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Runtime {
    /// Closures only.
    None,
    /// Files by rules, and for files without a rule by evidence: paths among constants, and packages.
    #[default]
    Auto,
    /// Files by the rules.
    Rules,
    /// Files by rules, and the other files of the tools' packages, without documentation.
    Packages,
}

impl Runtime {
    /// The value of the command line option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Auto => "auto",
            Self::Rules => "rules",
            Self::Packages => "packages",
        }
    }

    /// Parses the word of the option.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::None, Self::Auto, Self::Rules, Self::Packages].into_iter().find(|runtime| runtime.as_str() == word)
    }
}

/// A rule about the files that belong with a tool or a library. The documentation of the module explains each field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// The reason, in readable form.
    pub why: Arc<str>,
    /// Any of these must be present.
    pub when: Vec<String>,
    /// Alternatively, a file imports one of these functions.
    pub calls: Vec<String>,
    /// Alternatively, a constant of a file begins with one of these paths.
    pub mentions: Vec<String>,
    /// True if the rule does not cover the matching file.
    pub partial: bool,
    /// None of these may be present.
    pub unless: Vec<String>,
    /// The glibc of the sysroot must be older.
    pub before_glibc: Option<(u32, u32)>,
    /// Files and directories.
    pub take: Vec<String>,
    /// The same, but of each list only the first with a match.
    pub first_of: Vec<Vec<String>>,
    /// Globs of files by which a package counts as a package of modules.
    pub modules: Vec<String>,
    /// The files that are left out of all these.
    pub exclude: Vec<String>,
    /// Tools that are packed.
    pub tools: Vec<String>,
    /// Tools that are packed if a shell script calls them.
    pub called: Vec<String>,
    /// Libraries, by the names with which they are opened.
    pub libraries: Vec<String>,
    /// Tools that are suggested.
    pub suggest: Vec<String>,
    /// The names in files of the image.
    pub words_of: Vec<WordsOf>,
    /// Files and symlinks that are made.
    pub files: Vec<NewFile>,
    /// True if at least one file must be found.
    pub required: bool,
    /// The packages with the named files; a sysroot made of packages gets the available ones.
    pub packages: Vec<String>,
    /// The distributions with these paths.
    pub learned_from: Vec<String>,
}

/// Words in a file of the image, and the files for each word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordsOf {
    /// The file.
    pub file: String,
    /// The form of a word in it.
    pub form: Form,
    /// The words that are skipped.
    pub except: Vec<String>,
    /// Libraries, with `{}` for the word.
    pub libraries: Vec<String>,
    /// Tools, with `{}` for the word.
    pub tools: Vec<String>,
    /// Files and directories, with `{}` for the word.
    pub take: Vec<String>,
}

/// The form of a word in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// All texts between blanks.
    #[default]
    Lines,
    /// The services of nsswitch.conf(5).
    Nsswitch,
    /// The modules of pam.d(5).
    Pam,
    /// The names and paths of shared libraries, in any format.
    Libraries,
}

/// A file that a rule makes, unless the path is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// The path.
    pub path: String,
    /// The contents.
    pub body: NewBody,
    /// Permission bits of a text or of a user's directory; `None` means 0644 and 0755.
    pub mode: Option<u32>,
}

/// The contents of a file that a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewBody {
    /// A regular file with this text, mode 0644.
    Text(String),
    /// A symbolic link to this target.
    Link(String),
    /// A directory.
    Dir,
    /// A directory of the user, or the user and the group, of this name: `postfix:postdrop`.
    DirOf(String),
    /// A regular file made of all files of the sysroot below these directories, in the order of their paths.
    Join(Vec<String>),
    /// A line that is added to a template's file, unless a line has the same beginning up to the first colon.
    Line(String),
}

#[cfg(test)]
mod tests;
