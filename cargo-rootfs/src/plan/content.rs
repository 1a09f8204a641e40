//! CONTENT: where libraries and tools come from, and what is taken.

use camino::Utf8PathBuf;

use crate::cli::options::ContentArgs;
use crate::error::{Error, Result};
use crate::layout::Content;
use crate::proposal;
use crate::target::{Machine, Target};

/// With defaults in the place of what was not given.
pub(super) fn content(args: ContentArgs) -> Content {
    // An empty text is no path; an empty element of one is the current folder (ld.so(8)).
    let texts = args.library_path.unwrap_or_default().into_iter().filter(|text| !text.is_empty());
    let elements = texts.flat_map(|text| {
        let folder = |element: &str| if element.is_empty() { "." } else { element }.into();
        text.split([':', ';']).map(folder).collect::<Vec<Utf8PathBuf>>()
    });
    let default = Content::default();
    Content {
        tools: args.with.unwrap_or_default(),
        libraries: args.with_lib.unwrap_or_default(),
        dlopen: args.dlopen.unwrap_or_default(),
        hwcaps: args.hwcaps.unwrap_or_default(),
        runtime: args.runtime.unwrap_or_default(),
        rules: args.rules.unwrap_or_default(),
        includes: args.include.unwrap_or_default(),
        template: args.template.unwrap_or(default.template),
        library_path: elements.collect(),
        install_dir: args.install_dir.unwrap_or(default.install_dir),
    }
}

/// The sysroot's folder: the one given, or `/` for the host's machine.
pub(super) fn sysroot(given: Option<&str>, target: &Target, tools: &[String]) -> Result<Utf8PathBuf> {
    match given {
        None if target.machine() == Machine::host() => Ok("/".into()),
        None => {
            let message = format!("no sysroot for {}", target.triple());
            let why = format!("this machine's own libraries and tools are for {}", Machine::host());
            Err(proposed(Error::failed(message).detail(why), target, proposal::SUITE, tools))
        }
        Some("auto") => {
            Err(proposed(Error::failed("`--sysroot auto` is not supported yet"), target, proposal::SUITE, tools))
        }
        // `.` and `..` are folders in every shell.
        Some(folder) if folder.contains('/') || folder == "." || folder == ".." => Ok(folder.into()),
        Some(word) => match word.split_once(':') {
            Some((_, suite)) => {
                let error = Error::failed(format!("`--sysroot {word}` is not supported yet"));
                Err(proposed(error, target, suite, tools))
            }
            None => Err(Error::usage(format!("`{word}` is not a sysroot: a folder is written with a slash"))
                .help(format!("--sysroot ./{word}"))),
        },
    }
}

/// With the command that makes a sysroot, where Debian has the machine.
fn proposed(error: Error, target: &Target, suite: &str, tools: &[String]) -> Error {
    match proposal::sysroot(target.machine(), suite, tools.iter().map(String::as_str)) {
        Some(command) => error.help(format!("make one with {command}")),
        None => error,
    }
}
