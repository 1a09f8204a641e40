//! Scripts: the interpreter in the first line, by the rules of Linux.
//!
//! Its input is bytes and its output is names; [`crate::layout`] and [`crate::proof`] look them up.

pub(crate) mod calls;
mod data;
mod env;
pub(crate) mod languages;

pub(crate) use env::{Program, program_of_env};

use std::fmt;

/// The number of bytes that the kernel reads of a file to identify it (BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h).
pub(crate) const HEAD: usize = 256;

/// The maximum chain of scripts as interpreters of scripts (`exec_binprm`, fs/exec.c).
pub(crate) const MAX_SCRIPTS: usize = 5;

/// The first line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shebang {
    pub(crate) interpreter: Box<[u8]>,
    /// The rest of the line, as one argument.
    pub(crate) argument: Option<Box<[u8]>>,
}

/// The reason why a first line has no usable interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    Empty,
    TooLong,
    CarriageReturn,
    Relative,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it names no interpreter",
            Self::TooLong => "the interpreter's name does not end within the 256 bytes that Linux reads",
            Self::CarriageReturn => "it ends in a carriage return, which Linux takes for a part of the name",
            Self::Relative => "the interpreter is no absolute path, and would be looked for in the current directory",
        })
    }
}

/// Parses the beginning of a file, of which [`HEAD`] bytes count; `None` if it is no script.
///
/// By the rules of `load_script` (fs/binfmt_script.c): blanks around both parts are dropped, and an argument is cut off
/// at the end of the buffer.
pub(crate) fn read(head: &[u8]) -> Option<Result<Shebang, Bad>> {
    let head = &head[..head.len().min(HEAD)];
    let rest = head.strip_prefix(b"#!")?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    // The kernel pads a shorter file with zeros.
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | 0));
    let is_whole = end.is_some() || head.len() < HEAD;
    let line = &rest[..end.unwrap_or(rest.len())];
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let line = &line[start..];
    let stop = line.iter().position(is_blank);
    let Some(name) = Some(&line[..stop.unwrap_or(line.len())]).filter(|name| !name.is_empty()) else {
        return Some(Err(Bad::Empty));
    };
    if stop.is_none() && !is_whole {
        return Some(Err(Bad::TooLong));
    }
    if name.ends_with(b"\r") {
        return Some(Err(Bad::CarriageReturn));
    }
    if !name.starts_with(b"/") {
        return Some(Err(Bad::Relative));
    }
    let argument = trim(&line[name.len()..]);
    let argument = (!argument.is_empty()).then(|| Box::from(argument));
    Some(Ok(Shebang { interpreter: name.into(), argument }))
}

fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// The first line, for a message.
pub(crate) fn line(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(HEAD)]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(head: &[u8]) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match read(head) {
            None => "none".to_owned(),
            Some(Err(bad)) => format!("{bad:?}"),
            Some(Ok(it)) => format!("{}|{}", text(&it.interpreter), it.argument.map_or("-".to_owned(), |it| text(&it))),
        }
    }

    #[test]
    fn first_lines_as_linux_reads_them() {
        for (head, expected) in [
            ("#!/bin/sh\necho\n", "/bin/sh|-"),
            ("#!/bin/sh", "/bin/sh|-"),
            ("#! \t/bin/sh -e \t-u \t\n", "/bin/sh|-e \t-u"),
            ("#!/usr/bin/env python3\n", "/usr/bin/env|python3"),
            ("#!/bin/sh\0garbage", "/bin/sh|-"),
            ("#!\n", "Empty"),
            ("#!", "Empty"),
            ("#!  \nx", "Empty"),
            ("#!/bin/sh\r\n", "CarriageReturn"),
            // The shell gets it as its argument, and fails.
            ("#!/bin/sh -e\r\n", "/bin/sh|-e\r"),
            ("#!bin/sh\n", "Relative"),
            ("#/bin/sh\n", "none"),
            ("", "none"),
        ] {
            assert_eq!(said(head.as_bytes()), expected, "{head:?}");
        }
    }

    #[test]
    fn what_does_not_fit_into_the_buffer() {
        let name = |length: usize| format!("#!/{}", "x".repeat(length));
        assert_eq!(said(format!("{}\n", name(252)).as_bytes()), format!("/{}|-", "x".repeat(252)));
        assert_eq!(said(format!("{}\n", name(253)).as_bytes()), "TooLong");
        assert_eq!(said(name(253).as_bytes()), "TooLong");
        assert_eq!(said(name(100).as_bytes()), format!("/{}|-", "x".repeat(100)));
        let cut = said(format!("#!/bin/sh {}\n", "y".repeat(300)).as_bytes());
        assert_eq!(cut, format!("/bin/sh|{}", "y".repeat(246)));
    }
}
