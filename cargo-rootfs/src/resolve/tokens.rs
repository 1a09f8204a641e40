//! Dynamic string tokens: `$ORIGIN`, `$LIB`, `$PLATFORM`, with or without braces (ld.so(8)).

use crate::elf::Bytes;

/// The values of the tokens, for one object.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    /// The directory of the object; `None` if unknown.
    pub(super) origin: Option<&'a [u8]>,
    /// A value such as `lib`, `lib64` or `lib/x86_64-linux-gnu`.
    pub(super) lib: &'a [u8],
    /// Empty if unknown.
    pub(super) platform: &'a [u8],
}

/// Returns whether `text` contains a token (`_dl_dst_count`).
pub(super) fn has_token(text: &[u8]) -> bool {
    let mut afters = text.split(|byte| *byte == b'$').skip(1);
    afters.any(|after| matches!(token(after).0, b"ORIGIN" | b"LIB" | b"PLATFORM"))
}

/// Replaces the tokens of `text`; `None` if one is unknown, for which the loader drops the whole element
/// (`_dl_dst_substitute` in glibc's elf/dl-load.c). Text that only resembles a token stays.
pub(super) fn expand(text: &[u8], tokens: &Tokens<'_>) -> Option<Bytes> {
    if !text.contains(&b'$') {
        return Some(text.into());
    }
    let mut expanded = Vec::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        expanded.extend_from_slice(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let (name, length) = token(after);
        let value = match name {
            b"ORIGIN" => Some(tokens.origin?),
            b"LIB" => Some(tokens.lib),
            b"PLATFORM" if tokens.platform.is_empty() => return None,
            b"PLATFORM" => Some(tokens.platform),
            _ => None,
        };
        match value {
            Some(value) => {
                expanded.extend_from_slice(value);
                rest = &after[length..];
            }
            None => {
                expanded.push(b'$');
                rest = after;
            }
        }
    }
    expanded.extend_from_slice(rest);
    Some(expanded.into())
}

/// The name after a `$`, and its length in bytes with braces; empty if there is none.
fn token(after: &[u8]) -> (&[u8], usize) {
    let word = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if after.first() == Some(&b'{') {
        let length = word(&after[1..]);
        if after.get(length + 1) == Some(&b'}') {
            return (&after[1..=length], length + 2);
        }
        return (b"", 0);
    }
    let length = word(after);
    (&after[..length], length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_with_and_without_braces() {
        let tokens = Tokens { origin: Some(b"/opt/app"), lib: b"lib64", platform: b"x86_64" };
        for (text, expanded) in [
            ("$ORIGIN/../lib", "/opt/app/../lib"),
            ("${ORIGIN}lib", "/opt/applib"),
            ("/usr/$LIB/$PLATFORM", "/usr/lib64/x86_64"),
            ("/a/$ORIGINAL", "/a/$ORIGINAL"),
            ("/a/${ORIGIN", "/a/${ORIGIN"),
            ("$", "$"),
            ("a$$LIB", "a$lib64"),
        ] {
            assert_eq!(expand(text.as_bytes(), &tokens).as_deref(), Some(expanded.as_bytes()), "{text}");
        }
    }

    #[test]
    fn an_unknown_value_drops_the_element() {
        let tokens = Tokens { origin: None, lib: b"lib", platform: b"" };
        assert_eq!(expand(b"$ORIGIN/x", &tokens), None);
        assert_eq!(expand(b"/x/$PLATFORM", &tokens), None);
        assert_eq!(expand(b"/x/$LIB", &tokens).as_deref(), Some(&b"/x/lib"[..]));
    }
}
