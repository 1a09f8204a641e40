//! One closure as one line of JSON, by the contract of `tree --message-format json`.
//!
//! Fields may be added, never changed.

use std::io::{self, Write};

use super::tree::skipped_text;
use crate::resolve::{Closure, Skipped};

/// Writes the object for `file` (as typed) and a newline.
pub fn closure_json(out: &mut dyn Write, file: &str, closure: &Result<Closure, Skipped>) -> io::Result<()> {
    out.write_all(b"{\"reason\":\"closure\",\"file\":")?;
    string(out, file.as_bytes())?;
    match closure {
        Err(skipped) => {
            out.write_all(b",\"interpreter\":null,\"objects\":[],\"missing\":[],\"error\":")?;
            string(out, skipped_text(skipped).as_bytes())?;
        }
        Ok(closure) => {
            out.write_all(b",\"interpreter\":")?;
            match &closure.interpreter {
                Some((path, _)) => string(out, path.as_bytes())?,
                None => out.write_all(b"null")?,
            }
            out.write_all(b",\"objects\":[")?;
            for (index, object) in closure.objects.iter().enumerate() {
                out.write_all(if index == 0 { b"{\"needed\":" } else { b",{\"needed\":" })?;
                string(out, &object.needed)?;
                out.write_all(b",\"path\":")?;
                string(out, object.path.as_bytes())?;
                out.write_all(b",\"realpath\":")?;
                string(out, object.realpath.as_bytes())?;
                write!(out, ",\"found_by\":\"{}\"}}", object.found_by)?;
            }
            out.write_all(b"],\"missing\":[")?;
            for (index, missing) in closure.missing.iter().enumerate() {
                out.write_all(if index == 0 { b"{\"needed\":" } else { b",{\"needed\":" })?;
                string(out, &missing.needed)?;
                out.write_all(b",\"needed_by\":")?;
                string(out, missing.needed_by.as_bytes())?;
                if let Some((path, why)) = &missing.bad {
                    out.write_all(b",\"path\":")?;
                    string(out, path.as_bytes())?;
                    out.write_all(b",\"error\":")?;
                    string(out, why.as_bytes())?;
                }
                out.write_all(b"}")?;
            }
            out.write_all(b"]")?;
        }
    }
    out.write_all(b"}\n")
}

/// A JSON string (RFC 8259, section 7); bytes that are not UTF-8 become U+FFFD, for JSON has no others.
fn string(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(b"\"")?;
    let text = String::from_utf8_lossy(bytes);
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.write_all(&text.as_bytes()[plain..at])?;
        match byte {
            b'"' | b'\\' => out.write_all(&[b'\\', byte])?,
            _ => write!(out, "\\u{byte:04x}")?,
        }
        plain = at + 1;
    }
    out.write_all(&text.as_bytes()[plain..])?;
    out.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut out = Vec::new();
        string(&mut out, b"a\"b\\c\n\xff\xc3\xa9").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\u000a\u{fffd}\u{e9}\"");
    }
}
