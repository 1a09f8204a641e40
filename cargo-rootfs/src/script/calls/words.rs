//! Words of a shell script with their known texts, and the ends of longer constructs.

use crate::path::is_program_directory;

/// A word as a list of pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Vec<u8>),
    /// A variable by its name, and the default value if it is unset.
    Variable(Vec<u8>, Option<Box<Word>>),
    /// A computed text.
    Unknown,
}

impl Word {
    pub(super) fn push(&mut self, text: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Text(known)) => known.extend(text),
            _ => self.pieces.push(Piece::Text(text.to_vec())),
        }
    }

    /// The text of a completely known word.
    pub(super) fn literal(&self) -> Option<Vec<u8>> {
        match &self.pieces[..] {
            [] => Some(Vec::new()),
            [Piece::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }

    /// Name and value of `NAME=VALUE` or `NAME+=VALUE`.
    pub(super) fn split_assignment(mut self) -> Option<(Vec<u8>, Self)> {
        let Some(Piece::Text(first)) = self.pieces.first_mut() else { return None };
        let at = first.iter().position(|byte| *byte == b'=')?;
        let name = first[..at].strip_suffix(b"+").unwrap_or(&first[..at]).to_vec();
        let value = first.split_off(at + 1);
        if value.is_empty() {
            self.pieces.remove(0);
        } else {
            *first = value;
        }
        Some((name, self))
    }
}

pub(super) fn is_assignment(word: &Word) -> bool {
    let Some(Piece::Text(word)) = word.pieces.first() else { return false };
    let Some(at) = word.iter().position(|byte| *byte == b'=') else { return false };
    let name = word[..at].strip_suffix(b"+").unwrap_or(&word[..at]);
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The name of a program whose path is in a directory of PATH.
pub(super) fn in_program_directory(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    is_program_directory(directory.as_bytes()).then_some(name)
}

/// The position of the bracket that closes the one before `at`, by counting, with quotes taken into account.
pub(super) fn matching(text: &[u8], mut at: usize, open: u8, close: u8) -> usize {
    let mut depth = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'\'' if open == b'(' => at = next(text, at + 1, b'\''),
            byte if byte == open => depth += 1,
            byte if byte == close => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The position after `((...))`; `at` is inside.
pub(super) fn behind_sum(text: &[u8], at: usize) -> usize {
    let end = matching(text, at, b'(', b')');
    (end + 2).min(text.len())
}

/// The position of `byte` from `at` on, or the end.
pub(super) fn next(text: &[u8], at: usize, byte: u8) -> usize {
    text.get(at..).and_then(|rest| memchr::memchr(byte, rest)).map_or(text.len(), |found| at + found)
}

/// The word that ends the here-document of the `<<` at `at`, and the position after it in the line.
pub(super) fn here_document(text: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let rest = text[at..].strip_prefix(b"<<").filter(|rest| !rest.starts_with(b"<"))?;
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let length = rest[blanks..].iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b';').count();
    let word: Vec<u8> =
        rest[blanks..blanks + length].iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'' | b'\\')).collect();
    let behind = text.len() - rest.len() + blanks + length;
    (!word.is_empty()).then_some((word, behind))
}

/// The position of the line after the line `end`, which may begin with tabs.
pub(super) fn behind_document(text: &[u8], mut at: usize, end: &[u8]) -> usize {
    while at < text.len() {
        let stop = next(text, at, b'\n');
        let line = &text[at..stop];
        at = (stop + 1).min(text.len());
        if line.trim_ascii() == end {
            break;
        }
    }
    at
}
