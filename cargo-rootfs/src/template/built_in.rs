//! The built-in templates, embedded.
//!
//! [`super::manifest`] interprets their files.

/// A template of the directory `templates/`.
pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    pub(super) manifest: &'static str,
    /// File contents by their paths in the template's directory.
    pub(super) files: &'static [(&'static str, &'static [u8])],
}

macro_rules! built_in {
    ($name:literal: $($file:literal),*) => {
        BuiltIn {
            name: $name,
            manifest: include_str!(concat!("../../templates/", $name, "/template.toml")),
            files: &[$(($file, include_bytes!(concat!("../../templates/", $name, "/", $file)))),*],
        }
    };
}

/// All built-in templates; a test compares them with the directory.
pub(super) static ALL: &[BuiltIn] = &[
    built_in!("none":),
    built_in!("base": "etc/group", "etc/hosts", "etc/nsswitch.conf", "etc/os-release", "etc/passwd"),
    built_in!("web":),
];

pub(super) fn find(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|template| template.name == name)
}
