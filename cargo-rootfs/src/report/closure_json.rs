//! One closure as one line of JSON, by the contract of `tree --message-format json`.
//!
//! Fields may be added, never changed. Added since: `glibc` and `kernel`, each null or
//! `{"lowest":"2.34","needed_by":"/usr/bin/ls"}`, where there is no `error`.

use super::runs_on;
use super::tree::{skipped_text, text};
use crate::resolve::{Closure, Skipped};

/// Writes the object for `file` (as typed) and a newline.
pub fn closure_json(out: &mut Vec<u8>, file: &str, closure: &Result<Closure, Skipped>) {
    out.extend_from_slice(b"{\"reason\":\"closure\"");
    field(out, b",\"file\":", file.as_bytes());
    match closure {
        Err(skipped) => {
            out.extend_from_slice(b",\"interpreter\":null,\"objects\":[],\"missing\":[]");
            field(out, b",\"error\":", skipped_text(skipped).as_bytes());
        }
        Ok(closure) => {
            match &closure.interpreter {
                Some((path, _)) => field(out, b",\"interpreter\":", path.as_bytes()),
                None => out.extend_from_slice(b",\"interpreter\":null"),
            }
            out.extend_from_slice(b",\"objects\":[");
            for (index, object) in closure.objects.iter().enumerate() {
                field(out, if index == 0 { b"{\"needed\":" } else { b",{\"needed\":" }, &object.needed);
                field(out, b",\"path\":", object.path.as_bytes());
                field(out, b",\"realpath\":", object.realpath.as_bytes());
                field(out, b",\"found_by\":", object.found_by.as_str().as_bytes());
                out.push(b'}');
            }
            out.extend_from_slice(b"],\"missing\":[");
            for (index, missing) in closure.missing.iter().enumerate() {
                field(out, if index == 0 { b"{\"needed\":" } else { b",{\"needed\":" }, &missing.needed);
                field(out, b",\"needed_by\":", missing.needed_by.as_bytes());
                if let Some((path, why)) = &missing.bad {
                    field(out, b",\"path\":", path.as_bytes());
                    field(out, b",\"error\":", why.as_bytes());
                }
                out.push(b'}');
            }
            out.push(b']');
            runs_on::members(out, closure);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// A key, with the punctuation around it, and its string.
pub(super) fn field(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(key);
    string(out, value);
}

/// A JSON string (RFC 8259, section 7); bytes that are not UTF-8 become U+FFFD, for JSON has no others.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let text = text(bytes);
    // Nearly every string is plain; looking at all of its bytes at once is faster than at one after the other.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if is_plain(byte) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        plain = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

fn is_plain(byte: u8) -> bool {
    (byte >= 0x20) & (byte != b'"') & (byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut out = Vec::new();
        string(&mut out, b"a\"b\\c\n\xff\xc3\xa9");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\u000a\u{fffd}\u{e9}\"");
    }
}
