//! Values of single options: parsers, and lists of known words.
//!
//! Parsing reads no file and no environment.

use camino::Utf8PathBuf;
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::enter::{Access, Network};
use crate::error::Error;
use crate::layers::Layered;
use crate::layout::{Include, Licenses, Records, Variants};
use crate::output::Engine;
use crate::path::RootfsPath;
use crate::resolve::Priority;
use crate::runtime::Runtime;
use crate::sbom::Format;
use crate::write::compress::Compression;

/// `SRC[:DST[:ro]]`, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindArg {
    pub(crate) source: Utf8PathBuf,
    /// `None` means the source's own path, made absolute.
    pub(crate) destination: Option<RootfsPath>,
    pub(crate) access: Access,
}

/// `NAME=VALUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// `SRC:DST[:MODE[:UID:GID]]`
pub(crate) fn parse_include(text: &str) -> Result<Include, Error> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode, owner) = match parts[..] {
        [source, destination] => (source, destination, None, None),
        [source, destination, mode] => (source, destination, Some(mode), None),
        [source, destination, mode, uid, gid] => (source, destination, Some(mode), Some((uid, gid))),
        _ => return Err(Error::usage(format!("`{text}` is not SRC:DST[:MODE[:UID:GID]]"))),
    };
    if source.is_empty() {
        return Err(Error::usage(format!("`{text}` has no SRC")));
    }
    let source = Utf8PathBuf::from(source);
    let folder = parse_folder(destination)?;
    let destination = if destination.ends_with('/') {
        let name =
            source.file_name().ok_or_else(|| Error::usage(format!("`{source}` has no name to keep in `{folder}`")))?;
        folder.join(name.as_bytes())
    } else {
        folder
    };
    // With an empty MODE, each file keeps its own, and only the owner is set.
    let mode = mode.filter(|mode| !mode.is_empty()).map(parse_mode).transpose()?;
    let owner = owner.map(|(uid, gid)| Ok::<_, Error>((parse_id(uid)?, parse_id(gid)?))).transpose()?;
    Ok(Include { source, destination, mode, owner })
}

/// `SRC[:DST[:ro]]`
pub(super) fn parse_bind(text: &str) -> Result<BindArg, Error> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, access) = match parts[..] {
        [source] => (source, None, Access::ReadWrite),
        [source, destination] | [source, destination, "rw"] => (source, Some(destination), Access::ReadWrite),
        [source, destination, "ro"] => (source, Some(destination), Access::ReadOnly),
        _ => return Err(Error::usage(format!("`{text}` is not SRC[:DST[:ro]]"))),
    };
    if source.is_empty() {
        return Err(Error::usage(format!("`{text}` has no SRC")));
    }
    // Accepts `--bind data::ro`.
    let destination = destination.filter(|text| !text.is_empty()).map(parse_folder).transpose()?;
    if destination.as_ref().is_some_and(|path| path.parent().is_none()) {
        return Err(Error::usage(format!("`{text}` would hide the whole rootfs")));
    }
    Ok(BindArg { source: source.into(), destination, access })
}

fn parse_mode(text: &str) -> Result<u32, Error> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(mode),
        _ => Err(Error::usage(format!("`{text}` is not a mode, as 644 or 0755"))),
    }
}

fn parse_id(text: &str) -> Result<u32, Error> {
    // The highest one is (uid_t) -1, which means "no change" in chown(2).
    match text.parse() {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(Error::usage(format!("`{text}` is not a user's or group's number"))),
    }
}

/// Parses a path that stays inside the image.
pub(crate) fn parse_folder(text: &str) -> Result<RootfsPath, Error> {
    let path = RootfsPath::parse(text)?;
    if path.components().any(|part| part == b"..") {
        return Err(Error::usage(format!("`{text}` holds `..`, which may lead out of the rootfs")));
    }
    Ok(path)
}

/// `NAME=VALUE`
pub(crate) fn parse_pair(text: &str) -> Result<Pair, Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Pair { name: name.to_owned(), value: value.to_owned() }),
        // docker would take the value from the environment; then the image would depend on the environment.
        _ => Err(Error::usage(format!("`{text}` is not NAME=VALUE"))),
    }
}

/// A forge that runs pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Forge {
    /// GitHub Actions: .github/workflows/release.yml
    Github,
    /// GitLab CI: .gitlab-ci.yml
    Gitlab,
}

/// The tool that compiles and links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum BuildWith {
    /// `cargo build`
    #[default]
    Cargo,
    /// `cargo zigbuild`, which uses zig as the linker and C compiler for every target.
    Zigbuild,
}

impl BuildWith {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Zigbuild => "zigbuild",
        }
    }

    /// Cargo's command.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Cargo => "build",
            Self::Zigbuild => "zigbuild",
        }
    }
}

/// The setting for cargo-auditable, which embeds the list of crates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Auditable {
    /// With cargo-auditable, if it is installed.
    #[default]
    Auto,
    Always,
    Never,
}

/// `FORMAT[=FILE]` of `--sbom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SbomArg {
    pub(crate) format: Format,
    /// `None` means beside the first output.
    pub(crate) file: Option<String>,
}

/// Parses `FORMAT[=FILE]`.
pub(crate) fn parse_sbom(text: &str) -> Result<SbomArg, Error> {
    let (word, file) = text.split_once('=').map_or((text, None), |(word, file)| (word, Some(file)));
    let format = Format::ALL.into_iter().find(|format| format.as_str() == word);
    match (format, file) {
        (Some(_), Some("")) => Err(Error::usage(format!("`{text}` names no file"))),
        (Some(format), file) => Ok(SbomArg { format, file: file.map(str::to_owned) }),
        (None, _) => Err(Error::usage(format!("`{word}` is no format of bills of materials: spdx or cyclonedx"))),
    }
}

/// Options with a few words: the values of each, and the function with their words.
macro_rules! words {
    ($($kind:ident [$($value:ident),+] $word:expr;)+) => {$(
        impl ValueEnum for $kind {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$value),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                let word: fn(&Self) -> &'static str = $word;
                Some(PossibleValue::new(word(self)))
            }
        }
    )+};
}

words! {
    Network [Host, None] |it| if *it == Self::Host { "host" } else { "none" };
    Engine [Docker, Podman] |it| it.program();
    Compression [Gzip, Zstd, None] |it| it.as_str();
    Layered [Split, Single] |it| it.as_str();
    Auditable [Auto, Always, Never] |it| match it {
        Self::Auto => "auto",
        Self::Always => "always",
        Self::Never => "never",
    };
    BuildWith [Cargo, Zigbuild] |it| it.as_str();
    Priority [Required, Recommended, Suggested] |it| it.as_str();
    Runtime [Auto, Rules, Packages, None] |it| it.as_str();
    Records [Auto, None] |it| if *it == Self::Auto { "auto" } else { "none" };
    Licenses [Auto, None] |it| if *it == Self::Auto { "auto" } else { "none" };
    Variants [None, All] |it| it.as_str();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes() {
        let include = |source: &str, destination: &str, mode, owner| Include {
            source: source.into(),
            destination: RootfsPath::parse(destination).unwrap(),
            mode,
            owner,
        };
        for (typed, meant) in [
            ("a:/b", include("a", "/b", None, None)),
            ("a/x.conf:/etc/", include("a/x.conf", "/etc/x.conf", None, None)),
            ("a:/b:0640", include("a", "/b", Some(0o640), None)),
            ("a:/b:4755:0:65532", include("a", "/b", Some(0o4755), Some((0, 65532)))),
            ("a:/b::1:2", include("a", "/b", None, Some((1, 2)))),
        ] {
            assert_eq!(parse_include(typed).unwrap(), meant, "{typed}");
        }
        for typed in
            ["a", ":/b", "a:b", "a:/../b", "a:/b:8", "a:/b:10000", "a:/b:644:0", "a:/b:644:x:0", "..:/b/", "a:"]
        {
            assert_eq!(parse_include(typed).unwrap_err().exit_code(), 2, "{typed}");
        }
    }

    #[test]
    fn binds() {
        let bind = |source: &str, destination: Option<&str>, access| BindArg {
            source: source.into(),
            destination: destination.map(|path| RootfsPath::parse(path).unwrap()),
            access,
        };
        for (typed, meant) in [
            ("data", bind("data", None, Access::ReadWrite)),
            ("/a:/b/", bind("/a", Some("/b"), Access::ReadWrite)),
            ("/a:/b:rw", bind("/a", Some("/b"), Access::ReadWrite)),
            ("./a:/b:ro", bind("./a", Some("/b"), Access::ReadOnly)),
            ("data::ro", bind("data", None, Access::ReadOnly)),
        ] {
            assert_eq!(parse_bind(typed).unwrap(), meant, "{typed}");
        }
        for typed in ["", ":/b", "a:b", "a:/../b", "a:/b:x", "a:/b:ro:x", "a:/", "a:ro"] {
            assert_eq!(parse_bind(typed).unwrap_err().exit_code(), 2, "{typed}");
        }
    }

    #[test]
    fn bills_of_materials() {
        let sbom = |format, file: Option<&str>| SbomArg { format, file: file.map(str::to_owned) };
        assert_eq!(parse_sbom("spdx").unwrap(), sbom(Format::Spdx, None));
        assert_eq!(parse_sbom("cyclonedx=a=b").unwrap(), sbom(Format::CycloneDx, Some("a=b")));
        for typed in ["", "spdx=", "cdx", "=x"] {
            assert_eq!(parse_sbom(typed).unwrap_err().exit_code(), 2, "{typed}");
        }
    }

    #[test]
    fn pairs() {
        assert_eq!(parse_pair("A=b=c").unwrap(), Pair { name: "A".to_owned(), value: "b=c".to_owned() });
        assert!(parse_pair("A").is_err());
        assert!(parse_pair("=b").is_err());
    }
}
