//! Runtime knowledge as data: what belongs with a tool or a library beyond its closure, and why.
//!
//! Rules are read, matched and bound here; no disk is looked at. What a sysroot has of what they name, and where it
//! goes, is for [`crate::layout`].
//!
//! Built in are the files of `templates/runtime/`. A `template.toml` and `[package.metadata.rootfs]` may hold more,
//! each a `[[rule]]`; one with the name of another takes its place. `--runtime none` uses none of them.
//!
//! ```toml
//! [[rule]]
//! name = "git-exec-path"       # names it in `why`, and is there once
//! why = "git runs its subcommands from its exec path"
//! when = ["/usr/bin/git"]      # any of these is in the rootfs
//! calls = ["system", "popen"]  # or a file in a closure imports one of these functions
//! mentions = ["/etc/git"]      # or one of its constants begins with one of these paths
//! unless = []                  # and none of these
//! before-glibc = "2.34"        # and the glibc of the sysroot is older
//!
//! take = ["/usr/lib/git-core"] # each file and whole directory of the sysroot that there is first-of =
//! [["/usr/share/terminfo", "/lib/terminfo"]]   # of each list, what the first pattern that leads anywhere leads to
//! modules = ["/usr/lib/python3/dist-packages/**"]   # what packages hold with files like these, see below exclude =
//! ["*.a", "**/__pycache__", "/usr/share/doc/**"]   # of all these tools = ["sh", "/usr/lib/git-core/git"]   # as
//! `--with` looks them up called = ["sed", "cat"]      # tools that are packed where the shell script that matched
//! seems to call them libraries = ["libnss_dns.so.2"]   # as dlopen(3) looks them up suggest = ["ssh", "gpg"]     #
//! tools that are offered, not packed words-of = [{ file = "/etc/nsswitch.conf", form = "nsswitch", except = ["files"],
//! libraries = ["libnss_{}.so.2"] }] files = [{ path = "/etc/x.conf", text = "...", mode = "0440" }, { path =
//! "/usr/bin/y", link = "x" },   # where nothing else stands
//!          { path = "/run/x", dir = true }, { path = "/etc/x.pem", join = ["/usr/share/x"] },   # all files below, as one
//!          { path = "/etc/passwd", line = "x:x:99:99::/:/bin/false" }]   # at the end of a template's, if none begins so
//!
//! partial = true               # other files of the package of what matched are still to be found, see below
//! required = true              # where nothing of `take` and `first-of` is there, that is an error
//! packages = ["git"]           # what has that, as Debian names it: sysroots that are made of packages get these
//! learned-from = ["debian", "fedora", "alpine", "arch"]   # whose layouts the paths are of; for people
//! ```
//!
//! # When
//!
//! A pattern of `when` and `unless` with a slash is a glob on the paths of files in the rootfs, by whatever name leads
//! to them, and `/usr/bin/x` is one of `/bin/x` as well. One without a slash is a glob on the names of ELF files that
//! are in some closure: the soname that is needed, or the name of the file (`libcurl*.so.4`, `git`). What rules take
//! may be what others wait for.
//!
//! In `when` alone, `#!` and a glob on a name is for scripts that are tools or included, by what runs them:
//! `#!python3*`; `package:` and a glob on a name is for files of a package, which are only looked up where no other
//! rule covers them: `package:openssh-client`.
//!
//! A pattern of `/usr/bin` holds for the same tool below another prefix as well, as /usr/local/bin/git or
//! /opt/git/bin/git: `/usr`, `/etc` and `{lib}` in what the rule takes stand for that prefix then.
//!
//! # Coverage
//!
//! A rule covers the file that matched: nothing else is looked for (`--runtime auto`). One that is `partial` covers
//! none: it is about data of others, such as time zones. Neither does one that matched by `calls` or `mentions`.
//!
//! # Globs
//!
//! `*` is any part of a name, a leading dot included, `?` one byte, `**` any number of directories, `{a,b}` one of
//! both. A backslash takes the meaning of what follows it. An entry of `exclude` without a slash is a name anywhere,
//! one that does not begin with a slash the end of a path; what is below an excluded directory is excluded.
//!
//! # Variables
//!
//! | | |
//! | --- | --- |
//! | `{triplet}` | Debian's name for the target, as `x86_64-linux-gnu` |
//! | `{lib}` | each directory that holds libraries: `/usr/lib/{triplet}`, `/usr/lib64`, `/usr/lib`, and the same without `/usr` |
//! | `{1}`, `{2}` ... | what the first, second ... `*` or `**` of the `when` that matched stood for |
//! | `{prefix}` | `/usr`, or the prefix of the tool that matched |
//! | `{dir}` | the directory of the file that matched, links resolved |
//! | `{exec}` | each program that the shell script that matched becomes, by `exec` |
//! | `{}` | in `words-of`: the word |
//!
//! `when` and `unless` may use the first two.
//!
//! # Words
//!
//! `words-of` reads a file as the image has it, from an include, a template or another rule, and takes what its words
//! stand for. Without the file it does nothing. `form` says what a word is, and a word that is in `except` is none:
//!
//! | form | words |
//! | --- | --- |
//! | `lines` (unless given) | all that is between blanks, from `#` on to the end of the line left out |
//! | `nsswitch` | the services behind each colon, without `[actions]` (nsswitch.conf(5)) |
//! | `libraries` | the names and paths of shared libraries, whatever stands around them: `Driver=libx.so` |
//! | `pam` | the modules (pam.d(5)); the files that it includes are taken and read as well |
//!
//! Each word stands for `libraries`, `tools` and `take`. A word with a slash at its beginning stands for that file
//! where `{}` is the end of what is taken.
//!
//! # Modules
//!
//! A program that an interpreter runs imports modules that nothing in it leads to, but its package depends on theirs.
//! With `modules`, the package that has the file that matched is looked up in the sysroot's database, and all that it
//! holds is taken, but documentation and what `exclude` names; likewise of what it depends on, and so on, as far as
//! packages hold a file that matches one of the globs, or were made of the same source as what depends on them. A
//! package of programs that it depends on itself is not taken, but what that depends on is looked at as well. Where
//! there is no database, or no package has the file, nothing is.
//!
//! # What is taken
//!
//! ELF files and scripts among it get closures of their own; one that cannot work is left out, and it is said why.
//! Links are kept, devices and sockets passed over, and nothing takes the place of what an include or a template puts
//! there.

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
    /// Nothing but closures.
    None,
    /// Files by the rules and, where no rule speaks, by evidence: paths among constants, and packages.
    #[default]
    Auto,
    /// Files by the rules.
    Rules,
    /// Files by the rules, and the files of the tools' packages without documentation.
    Packages,
}

impl Runtime {
    /// The word of the command line.
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

/// A rule on the files that belong with a tool or a library. The documentation of the module has the meaning of each
/// field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// The reason, for people.
    pub why: Arc<str>,
    /// Any of these must be there.
    pub when: Vec<String>,
    /// Or a file imports one of these functions.
    pub calls: Vec<String>,
    /// Or a constant of a file begins with one of these paths.
    pub mentions: Vec<String>,
    /// True if the rule does not cover the object that it matched.
    pub partial: bool,
    /// None of these may be there.
    pub unless: Vec<String>,
    /// The glibc of the sysroot must be older.
    pub before_glibc: Option<(u32, u32)>,
    /// Files and directories.
    pub take: Vec<String>,
    /// The same, of each list the first that leads anywhere.
    pub first_of: Vec<Vec<String>>,
    /// Files by which a package is known to be one of modules.
    pub modules: Vec<String>,
    /// The files that are left out of all these.
    pub exclude: Vec<String>,
    /// Tools that are packed.
    pub tools: Vec<String>,
    /// Tools that are packed where a shell script calls them.
    pub called: Vec<String>,
    /// Libraries by the names that they are opened by.
    pub libraries: Vec<String>,
    /// Tools that are offered.
    pub suggest: Vec<String>,
    /// The names in files of the image.
    pub words_of: Vec<WordsOf>,
    /// Files and links that are made.
    pub files: Vec<NewFile>,
    /// True if at least one file must be found.
    pub required: bool,
    /// The packages that have what is named, of which a sysroot that is made of packages gets those that there are.
    pub packages: Vec<String>,
    /// Whose layout the paths are of.
    pub learned_from: Vec<String>,
}

/// Names in a file of the image, and what they stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordsOf {
    /// The file.
    pub file: String,
    /// The form of a word in it.
    pub form: Form,
    /// The words that are none.
    pub except: Vec<String>,
    /// Libraries, with `{}` for the word.
    pub libraries: Vec<String>,
    /// Tools, likewise.
    pub tools: Vec<String>,
    /// Files and directories, likewise.
    pub take: Vec<String>,
}

/// The form of a word in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// All that is between blanks.
    #[default]
    Lines,
    /// The services of nsswitch.conf(5).
    Nsswitch,
    /// The modules of pam.d(5).
    Pam,
    /// The names and paths of shared libraries, in any format.
    Libraries,
}

/// A file that a rule makes, where nothing else stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// The path.
    pub path: String,
    /// The contents.
    pub body: NewBody,
    /// Permission bits of a text; 0644 where none are given.
    pub mode: Option<u32>,
}

/// The contents of a file that a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewBody {
    /// A regular file with this text, mode 0644.
    Text(String),
    /// A symbolic link to this.
    Link(String),
    /// A directory.
    Dir,
    /// A regular file of all files of the sysroot below these directories, in the order of their paths.
    Join(Vec<String>),
    /// A line more of a file that a template made, unless one begins like it up to the first colon.
    Line(String),
}

#[cfg(test)]
mod tests;
