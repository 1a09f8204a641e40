//! `rootfs.lock`: the packages of provisioned sysroots, with their versions and digests.
//!
//! It reads and writes text; [`super`] decides where the file is and when it may change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use super::suite::{Distribution, Suite};
use super::want::Want;
use crate::error::{Error, Result};
use crate::wording::toml_string;

/// The version of the format.
const VERSION: i64 = 1;

const HEAD: &str = "\
# Written by cargo rootfs, and not meant to be edited: the packages that its sysroots are made of.
# `cargo rootfs sysroot update` takes newer ones.
";

/// All sysroots of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) sections: Vec<Section>,
}

/// One sysroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) suite: Suite,
    /// Debian's name for the machine.
    pub(crate) architecture: String,
    /// True if `--sysroot auto` uses this one.
    pub(crate) is_auto: bool,
    /// The requests, each with the package that satisfies it; the name is empty for a recommended package that is not
    /// available.
    pub(crate) wants: BTreeMap<Want, String>,
    /// The packages of the requests, with all their dependencies.
    pub(crate) packages: Vec<Package>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SHA-256 digest of the .deb file, in hexadecimal.
    pub(crate) sha256: String,
}

impl Lock {
    /// Reads the file; a missing file is an empty lock.
    pub(super) fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let bad = |why: String| {
            Error::failed(format!("`{}` is not a lock that this version reads", path.display()))
                .detail(why)
                .help(format!("take it from version control, or start a new one: rm {}", path.display()))
        };
        if ["<<<<<<< ", "=======", ">>>>>>> "].iter().all(|mark| text.lines().any(|line| line.starts_with(mark))) {
            return Err(bad("it holds both sides of a merge that was not finished".to_owned())
                .help("keep one side of each conflict, then run `cargo rootfs sysroot update`"));
        }
        let malformed = |error: toml::de::Error| bad(error.message().to_owned());
        if toml::from_str::<Version>(text).map_err(malformed)?.version != Some(VERSION) {
            return Err(bad(format!("its version is not {VERSION}")));
        }
        let mut lock = Self::default();
        for section in toml::from_str::<Written>(text).map_err(malformed)?.sysroot {
            let section = section.checked().map_err(&bad)?;
            if lock.find(&section.suite, &section.architecture).is_some() {
                let (suite, arch) = (&section.suite, &section.architecture);
                return Err(bad(format!("it has {suite} for {arch} twice, and they may disagree")));
            }
            lock.sections.push(section);
        }
        for (index, section) in lock.sections.iter().enumerate().filter(|(_, section)| section.is_auto) {
            let arch = &section.architecture;
            let mut later = lock.sections[index + 1..].iter();
            if let Some(other) = later.find(|other| other.is_auto && other.architecture == *arch) {
                let why = format!("`--sysroot auto` is both {} and {} for {arch}", section.suite, other.suite);
                return Err(bad(why));
            }
        }
        Ok(lock)
    }

    pub(crate) fn find(&self, suite: &Suite, architecture: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.suite == *suite && section.architecture == architecture)
    }

    /// The suite that `--sysroot auto` uses for this architecture, if it has chosen one before.
    pub(crate) fn auto(&self, architecture: &str) -> Option<&Suite> {
        let auto = |section: &&Section| section.is_auto && section.architecture == architecture;
        self.sections.iter().find(auto).map(|section| &section.suite)
    }

    /// Adds a section; it replaces the section of the same suite and architecture.
    pub(super) fn put(&mut self, section: Section) {
        self.sections.retain(|known| known.suite != section.suite || known.architecture != section.architecture);
        self.sections.push(section);
        self.sections.sort_by(|a, b| (&a.suite, &a.architecture).cmp(&(&b.suite, &b.architecture)));
    }

    /// The text of the lock; equal locks have equal texts.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{HEAD}version = {VERSION}\n");
        for section in &self.sections {
            text.push('\n');
            text.push_str(&section.text());
        }
        text
    }
}

impl Section {
    /// A section without requests.
    pub(super) fn new(suite: Suite, architecture: &str) -> Self {
        let architecture = architecture.to_owned();
        Self { suite, architecture, is_auto: false, wants: BTreeMap::new(), packages: Vec::new() }
    }

    /// The packages of the requests, each once.
    pub(super) fn asked(&self) -> BTreeSet<&str> {
        self.wants.values().map(String::as_str).filter(|name| !name.is_empty()).collect()
    }

    pub(super) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The requests that the section does not satisfy.
    pub(super) fn lacking<'w>(&self, wants: &'w BTreeSet<Want>) -> Vec<&'w Want> {
        let has = |want: &&Want| {
            let package = self.wants.get(want);
            package.is_some_and(|name| self.package(name).is_some() || (want.is_recommended() && name.is_empty()))
        };
        wants.iter().filter(|want| !has(want)).collect()
    }

    /// The changes from `old`, one package a line.
    pub(crate) fn changes(&self, old: &Self) -> Vec<String> {
        let changed = self.packages.iter().filter_map(|new| match old.package(&new.name) {
            None => Some(format!("{} {}, new", new.name, new.version)),
            Some(old) if old != new => Some(format!("{} {} -> {}", new.name, old.version, new.version)),
            Some(_) => None,
        });
        let gone = old.packages.iter().filter(|old| self.package(&old.name).is_none());
        changed.chain(gone.map(|old| format!("{} {}, gone", old.name, old.version))).collect()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::from("[[sysroot]]\n");
        let _ = writeln!(text, "distribution = {}", toml_string(self.suite.distribution.id()));
        let _ = writeln!(text, "suite = {}", toml_string(&self.suite.name));
        let _ = writeln!(text, "architecture = {}", toml_string(&self.architecture));
        if self.is_auto {
            text.push_str("auto = true\n");
        }
        for kind in Want::KINDS {
            let mut of_kind = self.wants.iter().filter(|(want, _)| want.kind() == kind).peekable();
            if of_kind.peek().is_some() {
                let _ = writeln!(text, "\n[sysroot.{kind}]");
            }
            for (want, package) in of_kind {
                let _ = writeln!(text, "{} = {}", toml_string(want.name()), toml_string(package));
            }
        }
        for package in &self.packages {
            let _ = writeln!(text, "\n[[sysroot.package]]");
            let _ = writeln!(text, "name = {}", toml_string(&package.name));
            let _ = writeln!(text, "version = {}", toml_string(&package.version));
            let _ = writeln!(text, "sha256 = {}", toml_string(&package.sha256));
        }
        text
    }
}

/// The part that every version of the format has.
#[derive(Deserialize)]
struct Version {
    version: Option<i64>,
}

/// A lock as it is written in TOML.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    sysroot: Vec<WrittenSection>,
}

#[derive(Deserialize)]
struct WrittenSection {
    distribution: String,
    suite: String,
    architecture: String,
    #[serde(default)]
    auto: bool,
    #[serde(default)]
    tools: BTreeMap<String, String>,
    #[serde(default)]
    libraries: BTreeMap<String, String>,
    #[serde(default, rename = "with-packages")]
    with_packages: BTreeMap<String, String>,
    #[serde(default)]
    recommended: BTreeMap<String, String>,
    #[serde(default)]
    package: Vec<Package>,
}

impl WrittenSection {
    fn checked(self) -> std::result::Result<Section, String> {
        let id = &self.distribution;
        let distribution = Distribution::of_id(id).ok_or_else(|| format!("`{id}` is not a known distribution"))?;
        let suite = Suite::parse(&format!("{}:{}", distribution.id(), self.suite));
        let mut section = Section::new(suite.map_err(|error| error.message().to_owned())?, &self.architecture);
        section.is_auto = self.auto;
        let kinds = [self.tools, self.libraries, self.with_packages, self.recommended];
        for (kind, wants) in Want::KINDS.into_iter().zip(kinds) {
            for (name, package) in wants {
                let want = Want::of_kind(kind, &name);
                if !(want.is_recommended() && package.is_empty()) {
                    checked(&package)?;
                }
                section.wants.insert(want, package);
            }
        }
        for package in self.package {
            checked(&package.name)?;
            checked(&package.version)?;
            if package.sha256.len() != 64 || !package.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("the sha256 of {} is none", package.name));
            }
            if section.package(&package.name).is_some() {
                return Err(format!("{} has {} twice, and they may disagree", section.suite, package.name));
            }
            section.packages.push(package);
        }
        section.packages.sort();
        Ok(section)
    }
}

/// Checks a name or version before it becomes an argument of apt: it must have only the characters that Debian allows
/// (<https://www.debian.org/doc/debian-policy/ch-controlfields.html>).
fn checked(text: &str) -> std::result::Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:~".contains(&byte);
    let starts = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if starts && text.bytes().all(plain) { Ok(()) } else { Err(format!("`{text}` is not a package or a version")) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::provision) fn section(suite: &str, packages: &[(&str, &str)]) -> Section {
        let mut section = Section::new(Suite::parse(suite).unwrap(), "arm64");
        for (name, version) in packages {
            section.wants.insert(Want::Package((*name).to_owned()), (*name).to_owned());
            section.packages.push(Package {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                sha256: "0".repeat(64),
            });
        }
        section
    }

    fn parse(text: &str) -> Result<Lock> {
        Lock::parse(text, Path::new("rootfs.lock"))
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut one = section("debian:bookworm", &[("bash", "5.2.15-2+b7"), ("libattr1", "1:2.5.1-4")]);
        one.wants.insert(Want::Tool("[".to_owned()), "coreutils".to_owned());
        one.wants.insert(Want::Tool("/bin/a\"b\\c\u{1}".to_owned()), "bash".to_owned());
        one.wants.insert(Want::Library("libssl.so.3".to_owned()), "libssl3".to_owned());
        one.wants.insert(Want::Recommended("bash".to_owned()), "bash".to_owned());
        one.wants.insert(Want::Recommended("not-in-bookworm".to_owned()), String::new());
        one.is_auto = true;
        let mut lock = Lock::default();
        lock.put(section("debian:trixie", &[("bash", "5.2.37-2")]));
        lock.put(one);
        let text = lock.text();
        assert_eq!(parse(&text).unwrap(), lock, "{text}");
        assert_eq!(lock.sections[0].suite.to_string(), "debian:bookworm", "they are sorted");
        assert_eq!(lock.auto("arm64").unwrap().to_string(), "debian:bookworm");
        assert_eq!(lock.auto("armhf"), None);
    }

    #[test]
    fn changes_are_told() {
        let old = section("debian:bookworm", &[("bash", "1"), ("dash", "1"), ("gone", "1")]);
        let new = section("debian:bookworm", &[("bash", "2"), ("dash", "1"), ("new", "3")]);
        assert_eq!(new.changes(&old), ["bash 1 -> 2", "new 3, new", "gone 1, gone"]);
        assert!(new.changes(&new).is_empty());
    }

    #[test]
    fn locks_that_disagree_are_told_of() {
        let twice = [section("debian:bookworm", &[("bash", "1")]), section("debian:bookworm", &[("bash", "2")])];
        let text = Lock { sections: twice.to_vec() }.text();
        let error = parse(&text).unwrap_err();
        assert!(error.details()[0].contains("debian:bookworm for arm64 twice"), "{error}");

        let versions = section("debian:bookworm", &[("bash", "1"), ("bash", "2")]);
        let error = parse(&Lock { sections: vec![versions] }.text()).unwrap_err();
        assert!(error.details()[0].contains("has bash twice"), "{error}");

        let mut autos = [section("debian:bookworm", &[]), section("debian:trixie", &[])];
        autos.iter_mut().for_each(|section| section.is_auto = true);
        let error = parse(&Lock { sections: autos.to_vec() }.text()).unwrap_err();
        assert!(error.details()[0].contains("both debian:bookworm and debian:trixie"), "{error}");

        let error = parse("version = 1\n<<<<<<< ours\na = 1\n=======\na = 2\n>>>>>>> theirs\n").unwrap_err();
        assert!(error.details()[0].contains("merge"), "{error}");
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let package = |name: &str, version: &str, hash: &str| {
            format!(
                "version = 1\n[[sysroot]]\ndistribution = \"debian\"\nsuite = \"bookworm\"\narchitecture = \"arm64\"\n\
                 [[sysroot.package]]\nname = \"{name}\"\nversion = \"{version}\"\nsha256 = \"{hash}\"\n"
            )
        };
        let hash = "a".repeat(64);
        assert!(parse(&package("bash", "1:5~x+b1", &hash)).is_ok());
        for text in [
            "",
            "version = 2\n",
            "version = 1\nsysroot = [1]\n",
            "version = 1\n[[sysroot]]\ndistribution = \"x\"\n",
            &package("-oDir=/", "1", &hash),
            &package("bash", "$(x)", &hash),
            &package("bash", "1", "short"),
        ] {
            assert_eq!(parse(text).unwrap_err().exit_code(), 1, "{text}");
        }
    }
}
