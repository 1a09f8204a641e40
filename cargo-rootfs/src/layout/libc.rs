//! Checks that tools are linked with the target's C library.
//!
//! Both C libraries work side by side, each with its own loader, but a user of a musl target does not expect glibc.

use super::Assembly;
use crate::error::{Error, Result};
use crate::target::Target;

/// Fails for a musl target if any of `tools` uses another loader than musl's. The check applies only if the user has
/// not named the sysroot.
pub(crate) fn check_tools(target: &Target, tools: &[String], assembly: &Assembly) -> Result<()> {
    if !target.is_musl() {
        return Ok(());
    }
    let of_tools = assembly.closures.iter().filter(|(name, _)| tools.contains(name));
    let others: Vec<String> = of_tools
        .filter(|(_, closure)| {
            closure.interpreter.as_ref().is_some_and(|(path, _)| !path.to_string().contains("/ld-musl-"))
        })
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let (list, are) = (others.join(", "), if others.len() == 1 { "is" } else { "are" });
    Err(Error::failed(format!("{list} {are} linked with glibc, and {} is for musl", target.triple()))
        .detail("without --sysroot this machine's tools are packed")
        .help("name a root of musl's, such as an unpacked Alpine: --sysroot DIR; to pack tools of glibc: --sysroot /"))
}
