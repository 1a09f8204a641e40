//! Requests of a sysroot, and the packages that may satisfy them.
//!
//! It queries no package index: it returns candidates, the likeliest first, and [`super::apt`] knows which exist. It
//! parses given lines of the index of all files.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use super::repair::Recipe;
use crate::packages::{self, known_owner};
use crate::path::{is_program_directory, program_directories};
use crate::target::Machine;

/// One requested thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Want {
    /// A tool, by name or absolute path.
    Tool(String),
    /// A library, by soname.
    Library(String),
    /// A package, by name.
    Package(String),
    /// A package that a rule of `--runtime` recommends; it is added if the suite has it.
    Recommended(String),
}

impl Want {
    /// The names of the tables in a lock.
    pub(super) const KINDS: [&'static str; 4] = ["tools", "libraries", "with-packages", "recommended"];

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Tool(_) => Self::KINDS[0],
            Self::Library(_) => Self::KINDS[1],
            Self::Package(_) => Self::KINDS[2],
            Self::Recommended(_) => Self::KINDS[3],
        }
    }

    pub(super) fn of_kind(kind: &str, name: &str) -> Self {
        let name = name.to_owned();
        match kind {
            "tools" => Self::Tool(name),
            "libraries" => Self::Library(name),
            "recommended" => Self::Recommended(name),
            _ => Self::Package(name),
        }
    }

    /// Returns whether it is optional.
    pub(crate) fn is_recommended(&self) -> bool {
        matches!(self, Self::Recommended(_))
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Tool(name) | Self::Library(name) | Self::Package(name) | Self::Recommended(name) => name,
        }
    }

    /// The paths at which a package may have it.
    pub(super) fn places<'w>(&'w self, recipe: &Recipe) -> Places<'w> {
        let choices = match self {
            Self::Tool(tool) if tool.starts_with('/') => recipe.choices(tool),
            Self::Tool(tool) => {
                program_directories().flat_map(|folder| recipe.choices(&format!("{folder}/{tool}"))).collect()
            }
            Self::Library(_) | Self::Package(_) | Self::Recommended(_) => Vec::new(),
        };
        let name = self.name().rsplit('/').next().unwrap_or_default();
        let finders = std::iter::once(name).chain(choices.iter().map(|choice| file_name(choice)));
        let finders = finders.map(|name| memchr::memmem::Finder::new(&format!("/{name}")).into_owned()).collect();
        Places { want: self, choices, finders }
    }

    /// Returns whether a file with this path, without a leading slash, satisfies the request.
    fn is_at(&self, path: &str) -> bool {
        let Some((folder, file)) = path.rsplit_once('/') else { return false };
        let merged = folder.strip_prefix("usr/").unwrap_or(folder);
        match self {
            Self::Package(_) | Self::Recommended(_) => false,
            Self::Tool(tool) if tool.starts_with('/') => is_same(path, tool),
            Self::Tool(tool) => file == tool && matches!(merged, "bin" | "sbin"),
            // Plugins with the same name are in subdirectories.
            Self::Library(soname) => {
                let multiarch =
                    merged.strip_prefix("lib/").is_some_and(|arch| !arch.contains('/') && arch.contains("-linux-"));
                file == soname && (merged == "lib" || multiarch)
            }
        }
    }

    /// The host's package with the tool. It is the last guess: another release may have the tool in another package.
    pub(super) fn host_owner(&self, machine: Machine) -> Option<String> {
        let Self::Tool(tool) = self else { return None };
        packages::of_tool(file_name(tool), machine).map(|owner| without_architecture(&owner))
    }

    /// Packages that may satisfy it, the likeliest first. A guess for a tool is checked once the package's files are
    /// present.
    pub(super) fn candidates(&self, machine: Machine) -> Vec<String> {
        let mut names = match self {
            Self::Package(name) | Self::Recommended(name) => vec![name.clone()],
            Self::Tool(tool) => {
                let name = file_name(tool);
                let known = known_owner("tools", name).map(str::to_owned);
                known.into_iter().chain([name.to_ascii_lowercase()]).collect()
            }
            Self::Library(soname) => {
                let owner = packages::of_library(Path::new("/"), soname.as_bytes(), machine);
                owner.map(|owner| without_architecture(&owner)).into_iter().chain(by_policy(soname)).collect()
            }
        };
        // The 64-bit time transition renamed packages of libraries (Debian 13, Ubuntu 24.04).
        if matches!(self, Self::Library(_)) {
            let renamed: Vec<String> = names.iter().map(|name| format!("{name}t64")).collect();
            names.extend(renamed);
        }
        names.retain(|name| is_package_name(name));
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

/// The answer of the index of all files to a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    /// Packages with the file, the best first.
    pub(super) packages: BTreeSet<Owner>,
    /// Other files with a similar name, each with its package, such as `ctags.emacs`.
    pub(super) like: BTreeSet<(String, String)>,
}

/// A package with the file, in the order of preference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    /// 0 for the file itself, else the position among the choices of its alternatives.
    choice: usize,
    /// Prefers a package name that begins like the tool: `golang-go` before `gccgo-go` for `go`.
    begins_otherwise: bool,
    /// Prefers the least special package: `postfix` before `postfix-ldap`.
    length: usize,
    pub(super) package: String,
}

impl Owner {
    fn new(choice: usize, tool: &str, package: String) -> Self {
        let begin = tool.get(..2).unwrap_or(tool);
        Self { choice, begins_otherwise: !package.starts_with(begin), length: package.len(), package }
    }
}

/// The paths at which a package may have the request: its own, or the targets of an alternative.
pub(super) struct Places<'w> {
    want: &'w Want,
    choices: Vec<String>,
    finders: Vec<memchr::memmem::Finder<'static>>,
}

impl Places<'_> {
    /// Returns whether a line of an index of files is worth parsing.
    pub(super) fn may_be_in(&self, line: &[u8]) -> bool {
        self.finders.iter().any(|finder| finder.find(line).is_some())
    }

    /// Records the contents of a line: `usr/bin/rg   utils/ripgrep,universe/utils/other`.
    pub(super) fn note(&self, line: &str, owners: &mut Owners) {
        let Some((path, packages)) = line.trim_end().rsplit_once([' ', '\t']) else { return };
        let path = path.trim_end();
        let packages = packages.split(',').filter_map(|package| package.rsplit('/').next()).map(str::to_owned);
        let chosen = || self.choices.iter().position(|choice| is_same(path, choice)).map(|at| at + 1);
        if let Some(rank) = if self.want.is_at(path) { Some(0) } else { chosen() } {
            let name = file_name(self.want.name());
            owners.packages.extend(packages.map(|package| Owner::new(rank, name, package)));
        } else if self.is_like(path) {
            owners.like.extend(packages.map(|package| (file_name(path).to_owned(), package)));
        }
    }

    /// True for a tool whose name begins with the requested one: `ctags.emacs`, `uwsgi-core`, `lastlog2`.
    fn is_like(&self, path: &str) -> bool {
        let Want::Tool(tool) = self.want else { return false };
        let (Some((folder, file)), name) = (path.rsplit_once('/'), file_name(tool)) else { return false };
        let goes_on = |rest: &str| {
            rest.starts_with(['.', '-']) || !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
        };
        file.strip_prefix(name).is_some_and(goes_on) && is_program_directory(format!("/{folder}").as_bytes())
    }
}

/// Returns whether `listed`, a path of an index without a leading slash, is `path` in a merged /usr.
fn is_same(listed: &str, path: &str) -> bool {
    let merged = |path: &str| path.strip_prefix("usr/").unwrap_or(path).to_owned();
    merged(listed) == merged(path.trim_start_matches('/'))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name) => write!(f, "tool `{name}`"),
            Self::Library(name) => write!(f, "library `{name}`"),
            Self::Package(name) | Self::Recommended(name) => write!(f, "package `{name}`"),
        }
    }
}

/// The possible names of a library's package, from its soname: `libssl.so.3` is in `libssl3`, `libgtk-3.so.0` in
/// `libgtk-3-0`, `libbfd-2.40.so` in `libbfd-2.40` (<https://www.debian.org/doc/debian-policy/ch-sharedlibs.html>).
fn by_policy(soname: &str) -> Vec<String> {
    if let Some(known) = known_owner("libraries", soname) {
        return vec![known.to_owned()];
    }
    let name = match soname.split_once(".so.") {
        Some((name, version)) if name.ends_with(|last: char| last.is_ascii_digit()) => format!("{name}-{version}"),
        Some((name, version)) => format!("{name}{version}"),
        None => soname.trim_end_matches(".so").to_owned(),
    };
    vec![name.to_ascii_lowercase().replace('_', "-")]
}

fn without_architecture(package: &str) -> String {
    package.split(':').next().unwrap_or(package).to_owned()
}

/// Returns whether Debian allows this name; it becomes an argument of apt.
pub(super) fn is_package_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    name.len() > 1 && name.as_bytes()[0].is_ascii_alphanumeric() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_libraries_by_policy() {
        for (soname, package) in [
            ("libssl.so.3", "libssl3"),
            ("libgtk-3.so.0", "libgtk-3-0"),
            ("libpcre2-8.so.0", "libpcre2-8-0"),
            ("libbfd-2.40-system.so", "libbfd-2.40-system"),
            ("libX11.so.6", "libx11-6"),
            ("libnss_files.so.2", "libc6"),
            ("ld-linux-aarch64.so.1", "libc6"),
            ("libgcc_s.so.1", "libgcc-s1"),
        ] {
            assert_eq!(by_policy(soname), [package], "{soname}");
        }
    }

    #[test]
    fn files_of_an_index_are_what_is_wanted() {
        let (tool, path, library) =
            (Want::Tool("rg".into()), Want::Tool("/bin/rg".into()), Want::Library("libz.so.1".into()));
        for (file, is) in [("usr/bin/rg", true), ("sbin/rg", true), ("usr/share/rg", false), ("rg", false)] {
            assert_eq!(tool.is_at(file), is, "{file}");
        }
        assert!(path.is_at("usr/bin/rg") && path.is_at("bin/rg") && !path.is_at("usr/sbin/rg"));
        for (file, is) in [
            ("usr/lib/aarch64-linux-gnu/libz.so.1", true),
            ("lib/libz.so.1", true),
            ("usr/lib/aarch64-linux-gnu/x/libz.so.1", false),
            ("usr/lib/app/libz.so.1", false),
        ] {
            assert_eq!(library.is_at(file), is, "{file}");
        }
    }

    #[test]
    fn an_index_of_files_tells_who_has_a_tool() {
        let (recipe, want) = (Recipe::debian(), Want::Tool("ctags".into()));
        let places = want.places(recipe);
        let mut owners = Owners::default();
        for line in [
            "usr/bin/ctags-universal                 devel/universal-ctags\n",
            "usr/bin/ctags.emacs\t\teditors/emacs-bin-common,universe/editors/other\n",
            "usr/share/ctags-x/y devel/no\n",
            "usr/bin/ctagsd devel/no\n",
            "no-path\n",
        ] {
            if places.may_be_in(line.as_bytes()) {
                places.note(line, &mut owners);
            }
        }
        let packages: Vec<_> = owners.packages.iter().map(|owner| (owner.choice, owner.package.as_str())).collect();
        assert_eq!(packages, [(1, "universal-ctags")]);
        let like: Vec<_> = owners.like.iter().map(|(file, package)| (file.as_str(), package.as_str())).collect();
        assert_eq!(like, [("ctags.emacs", "emacs-bin-common"), ("ctags.emacs", "other")]);
    }

    #[test]
    fn tools_have_candidates_that_can_be_arguments() {
        let machine = Machine::host();
        assert_eq!(Want::Tool("ls".into()).candidates(machine)[0], "coreutils");
        assert_eq!(Want::Tool("/usr/bin/awk".into()).candidates(machine)[0], "mawk");
        assert!(Want::Tool("no-such-tool".into()).candidates(machine).contains(&"no-such-tool".to_owned()));
        assert!(Want::Package("-o=x".into()).candidates(machine).is_empty());
        assert!(Want::Tool("[".into()).candidates(machine).contains(&"coreutils".to_owned()));
        let ssl = Want::Library("libssl.so.3".into()).candidates(machine);
        assert!(ssl.contains(&"libssl3".to_owned()) && ssl.contains(&"libssl3t64".to_owned()), "{ssl:?}");
    }
}
