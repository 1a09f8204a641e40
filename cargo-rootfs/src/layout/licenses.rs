//! Licences of packages: the text of each package, and the common licences to which it refers.
//!
//! Debian has the first in `/usr/share/doc/PACKAGE/copyright` (Debian policy, 12.5), Arch and Alpine in
//! `/usr/share/licenses/PACKAGE`.

use std::collections::BTreeSet;

use super::place::{IfThere, Layout};
use crate::error::Result;
use crate::path::RootfsPath;
use crate::resolve::{Files, Find};
use crate::rootfs::Origin;

/// The choice of packed licences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Licenses {
    /// None.
    #[default]
    None,
    /// Those of every package with a file in the rootfs.
    Auto,
}

/// The maximum size of a text that is searched for names of others: Debian's longest have 3 MB.
const LONGEST: usize = 8 << 20;

const COMMON: &str = "/usr/share/common-licenses/";

/// Adds the licences of `package`.
pub(super) fn lay_out(layout: &mut Layout<'_>, package: &str) -> Result<()> {
    let origin = Origin::Licence(package.into());
    let at = |path: &str| RootfsPath::root().join(path.as_bytes());
    let copyright = at(&format!("/usr/share/doc/{package}/copyright"));
    if let Find::File { file, .. } = layout.view.find(&copyright) {
        layout.copy(&copyright, &origin, IfThere::Keep)?;
        let text = layout.view.read(file, LONGEST).unwrap_or_default();
        for name in common(&text) {
            // A sentence may end after the name.
            let names = [&*name, name.trim_end_matches(['.', '-'])].map(|name| at(&format!("{COMMON}{name}")));
            if let Some(licence) = names.iter().find(|path| matches!(layout.view.find(path), Find::File { .. })) {
                layout.copy(licence, &origin, IfThere::Keep)?;
            }
        }
    }
    let folder = at(&format!("/usr/share/licenses/{package}"));
    for name in layout.view.names(&folder) {
        let licence = folder.child(&name);
        if matches!(layout.view.find(&licence), Find::File { .. }) {
            layout.copy(&licence, &origin, IfThere::Keep)?;
        }
    }
    Ok(())
}

/// The names of common licences in a text.
pub(super) fn common(text: &[u8]) -> BTreeSet<String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b".+-".contains(byte);
    let starts = memchr::memmem::find_iter(text, COMMON).map(|start| &text[start + COMMON.len()..]);
    let names = starts.map(|rest| rest.iter().copied().take_while(is_part).map(char::from).collect::<String>());
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn names_of_common_licences() {
        let text = b"see `/usr/share/common-licenses/GPL-2', or /usr/share/common-licenses/Apache-2.0. \
                     On /usr/share/common-licenses/ see /usr/share/common-licenses/GPL-2";
        assert_eq!(common(text).into_iter().collect::<Vec<_>>(), ["Apache-2.0.", "GPL-2"]);
    }
}
