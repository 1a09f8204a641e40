//! Names in the image's environment that programs look up without an error: locales and time zones.

use std::collections::BTreeSet;

use crate::error::Warning;
use crate::image::ImageConfig;
use crate::path::RootfsPath;
use crate::resolve::{Closure, Libc};
use crate::rootfs::Rootfs;

/// Reports a locale and a time zone of the environment that the rootfs lacks: programs then use C and UTC.
pub(super) fn doubts(image: &ImageConfig, rootfs: &Rootfs, closures: &[(String, Closure)]) -> Vec<Warning> {
    let loaders = closures.iter().filter_map(|(_, closure)| closure.loader.as_ref());
    let has_glibc = loaders.into_iter().any(|loader| loader.libc == Libc::Glibc);
    let value = |variable: &'static str| Some((variable, image.env.get(variable)?.as_str()));
    let mut seen = BTreeSet::new();
    let locales = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(value);
    let locales = locales.filter(|(_, name)| has_glibc && seen.insert(*name) && !has_locale(rootfs, name));
    let mut warnings: Vec<Warning> = locales
        .map(|(variable, name)| missing(variable, "locale", name).help(format!("add it: --locale {name}")))
        .collect();
    let zone = value("TZ").filter(|(_, name)| !has_zone(rootfs, name.trim_start_matches(':')));
    warnings.extend(zone.map(|(variable, name)| {
        missing(variable, "time zone", name).help("add all time zones: --with-package tzdata")
    }));
    warnings
}

fn missing(variable: &str, what: &str, name: &str) -> Warning {
    Warning::new(format!("{variable} of the image names the {what} `{name}`, which is not in the rootfs"))
}

/// Codesets have several spellings: `de_DE.UTF-8` is in de_DE.utf8. The archive's names are not read.
pub(super) fn has_locale(rootfs: &Rootfs, name: &str) -> bool {
    let plain = |name: &[u8]| -> Vec<u8> {
        name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
    };
    let wanted = plain(name.as_bytes());
    let directory = RootfsPath::root().join(b"usr/lib/locale");
    let is_it = |path: &RootfsPath| path.file_name() == b"locale-archive" || plain(path.file_name()) == wanted;
    // glibc has these itself (setlocale(3)).
    matches!(&*wanted, b"" | b"c" | b"posix" | b"cutf8") || rootfs.below(&directory).any(|(path, _)| is_it(path))
}

/// Only names with a slash, such as `Europe/Berlin`, count: others may be rules, such as `EST5EDT` (tzset(3)).
fn has_zone(rootfs: &Rootfs, name: &str) -> bool {
    let zones = RootfsPath::root().join(b"usr/share/zoneinfo");
    !name.contains('/') || name.contains(',') || rootfs.get(&zones.join(name.as_bytes()).normalized()).is_some()
}
