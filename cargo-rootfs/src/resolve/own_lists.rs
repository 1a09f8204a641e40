//! The search paths of an object itself: DT_RPATH and DT_RUNPATH, as lists of directories.

use super::Files;
use super::folders::{Folder, Folders, elements, musl_elements};
use super::loader::{Libc, Loader};
use super::tokens::Tokens;
use crate::elf::{Bytes, Object};
use crate::path::RootfsPath;

/// DT_RPATH and DT_RUNPATH of one object, independent of the object that loaded it.
pub(super) fn own_lists(
    files: &mut dyn Files,
    loader: &Loader,
    object: &Object,
    origin: &RootfsPath,
    current: Option<&RootfsPath>,
) -> (Folders, Folders) {
    let tokens = Tokens { origin: Some(origin.as_bytes()), ..loader.tokens() };
    let none = || Folders::from([]);
    let mut lists = |path: Option<&Bytes>| match path {
        Some(path) => loader.list(files, elements(path, b":", &tokens, current)),
        None => none(),
    };
    match loader.libc {
        // ld.so ignores DT_RPATH when DT_RUNPATH is present (ld.so(8)).
        Libc::Glibc if object.runpath.is_some() => (none(), lists(object.runpath.as_ref())),
        Libc::Glibc => (lists(object.rpath.as_ref()), none()),
        // musl inherits both; RUNPATH takes precedence (`decode_dyn`).
        Libc::Musl => (musl_list(object.runpath.as_ref().or(object.rpath.as_ref()), &tokens, current).into(), none()),
    }
}

/// `fixup_rpath` of musl's ldso/dynlink.c: only `$ORIGIN` is known, and any other token invalidates the path. The value
/// of the token may contain a separator.
fn musl_list(path: Option<&Bytes>, tokens: &Tokens<'_>, current: Option<&RootfsPath>) -> Vec<Folder> {
    let Some(path) = path else { return Vec::new() };
    let mut rest: &[u8] = path;
    let mut expanded = Vec::new();
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        expanded.extend_from_slice(&rest[..dollar]);
        let after = &rest[dollar..];
        let Some(after) = after.strip_prefix(b"$ORIGIN").or_else(|| after.strip_prefix(b"${ORIGIN}")) else {
            return Vec::new();
        };
        expanded.extend_from_slice(tokens.origin.unwrap_or_default());
        rest = after;
    }
    expanded.extend_from_slice(rest);
    musl_elements(&expanded, current)
}
