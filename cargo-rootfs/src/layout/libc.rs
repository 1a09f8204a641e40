//! Checks that tools are linked with the C library that the target names.
//!
//! Both work side by side, each with its own loader; but nobody who asks for musl expects glibc with a tool.

use super::Assembly;
use crate::error::{Error, Result};
use crate::target::Target;

/// Fails for a musl target where any of `tools` is loaded by another loader than musl's. It is for a sysroot that
/// nobody has named: one that was named is what was asked for.
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
        .detail("no sysroot was named, and this machine's tools are taken then")
        .help("name a root of musl's, such as an unpacked Alpine: --sysroot DIR; glibc comes along with --sysroot /"))
}
