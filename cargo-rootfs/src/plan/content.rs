//! CONTENT: the source of libraries and tools, and the requested contents.

use camino::Utf8PathBuf;

use super::SysrootPlan;
use crate::error::Result;
use crate::layout::{Content, Licenses, Records};
use crate::options::ContentArgs;
use crate::provision::Suite;
use crate::target::{Machine, Target};

/// The content, with defaults for missing options.
pub(super) fn content(args: ContentArgs) -> Content {
    // An empty text is no path; an empty element of a path is the current directory (ld.so(8)).
    let texts = args.library_path.unwrap_or_default().into_iter().filter(|text| !text.is_empty());
    let elements = texts.flat_map(|text| {
        let folder = |element: &str| if element.is_empty() { "." } else { element }.into();
        text.split([':', ';']).map(folder).collect::<Vec<Utf8PathBuf>>()
    });
    let default = Content::default();
    Content {
        tools: args.with.unwrap_or_default(),
        packages: args.with_package.unwrap_or_default(),
        libraries: args.with_lib.unwrap_or_default(),
        allow_missing: args.allow_missing.unwrap_or_default(),
        dlopen: args.dlopen.unwrap_or_default(),
        hwcaps: args.hwcaps.unwrap_or_default(),
        runtime: args.runtime.unwrap_or_default(),
        records: args.records.unwrap_or(Records::Auto),
        licenses: args.licenses.unwrap_or(Licenses::Auto),
        locales: args.locale.unwrap_or_default(),
        rules: args.rules.unwrap_or_default(),
        policy: args.policy,
        includes: args.include.unwrap_or_default(),
        template: args.template.unwrap_or(default.template),
        library_path: elements.collect(),
        install_dir: args.install_dir.unwrap_or(default.install_dir),
    }
}

/// The given sysroot; else `/` for the host's machine, and for another one the environment's value, or `auto`.
pub(super) fn sysroot(args: &ContentArgs, target: &Target, foreign: Option<&str>) -> Result<SysrootPlan> {
    let is_host = target.machine() == Machine::host();
    match named_sysroot(args, target, foreign).unwrap_or("auto") {
        // Programs for musl are static by default, and need no file of a sysroot except the template's.
        "auto" if target.is_musl() && takes_nothing(args) => Ok(SysrootPlan::Folder("/".into())),
        "auto" if is_host => Ok(SysrootPlan::Folder("/".into())),
        "auto" => Ok(SysrootPlan::Auto),
        // `.` and `..` are directories in every shell.
        folder if folder.contains('/') || folder == "." || folder == ".." => Ok(SysrootPlan::Folder(folder.into())),
        word => Suite::parse(word).map(SysrootPlan::Suite),
    }
}

/// The sysroot that the user named, in the options or in the environment.
pub(super) fn named_sysroot<'a>(args: &'a ContentArgs, target: &Target, foreign: Option<&'a str>) -> Option<&'a str> {
    args.sysroot.as_deref().or(foreign.filter(|_| target.machine() != Machine::host()))
}

/// Returns whether no tool, library or package is requested.
fn takes_nothing(args: &ContentArgs) -> bool {
    [&args.with, &args.with_lib, &args.with_package].iter().all(|list| list.as_ref().is_none_or(Vec::is_empty))
}
