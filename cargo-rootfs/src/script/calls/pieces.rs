//! Reads the words of a shell script: quotes, variables and substitutions. Commands in substitutions are scanned too.

use super::words::{Piece, Word, matching, next};
use super::{MAX_DEPTH, Scan};

impl Scan {
    /// Reads a word; returns it with the position after it. Commands in its substitutions are scanned too.
    pub(super) fn word(&mut self, text: &[u8], mut at: usize) -> (Word, usize) {
        let mut word = Word::default();
        while at < text.len() {
            match text[at] {
                b'\'' => {
                    let end = next(text, at + 1, b'\'');
                    word.push(&text[at + 1..end]);
                    at = end + 1;
                }
                b'"' => at = self.quoted(text, at + 1, &mut word),
                b'\\' => {
                    word.push(text.get(at + 1..at + 2).filter(|byte| byte != b"\n").unwrap_or_default());
                    at += 2;
                }
                // In `$'...'`, a backslash escapes the next byte.
                b'$' if text.get(at + 1) == Some(&b'\'') => {
                    word.pieces.push(Piece::Unknown);
                    at += 2;
                    while at < text.len() && text[at] != b'\'' {
                        at += if text[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                b'$' => at = self.dollar(text, at, &mut word),
                b'`' => at = self.backquotes(text, at, &mut word),
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'|' | b'&' | b'(' | b')' | b'<' | b'>' => break,
                _ => at = plain(text, at, &mut word, is_special),
            }
        }
        (word, at.min(text.len()))
    }

    /// Adds the contents of double quotes; returns the position after them.
    fn quoted(&mut self, text: &[u8], mut at: usize, word: &mut Word) -> usize {
        // An empty text is a text too.
        word.push(b"");
        while at < text.len() {
            match text[at] {
                b'"' => return at + 1,
                b'\\' => {
                    word.push(text.get(at + 1..at + 2).unwrap_or_default());
                    at += 2;
                }
                b'$' => at = self.dollar(text, at, word),
                b'`' => at = self.backquotes(text, at, word),
                _ => at = plain(text, at, word, |byte| matches!(byte, b'"' | b'\\' | b'$' | b'`')),
            }
        }
        // Without its end, the text is unknown.
        word.pieces.push(Piece::Unknown);
        text.len()
    }

    /// Scans the command in backquotes; returns the position after it. A backslash escapes a backquote of an inner one
    /// (POSIX, XCU 2.6.3).
    fn backquotes(&mut self, text: &[u8], mut at: usize, word: &mut Word) -> usize {
        let mut command = Vec::new();
        at += 1;
        while at < text.len() && text[at] != b'`' {
            at += usize::from(text[at] == b'\\' && matches!(text.get(at + 1), Some(b'`' | b'$' | b'\\')));
            command.push(text[at]);
            at += 1;
        }
        self.substitution(&command, word);
        at + 1
    }

    /// Adds the output of a command, and scans the command. Only that of `basename $0` is known.
    fn substitution(&mut self, command: &[u8], word: &mut Word) {
        let mut words = command.split(u8::is_ascii_whitespace).filter(|it| !it.is_empty()).map(unquoted);
        let is_own = (words.next(), words.next()) == (Some(b"basename"), Some(b"$0"));
        let (ending, rest) = (words.next().unwrap_or_default(), words.next());
        match is_own && rest.is_none() && !self.own.is_empty() {
            true => word.push(self.own.strip_suffix(ending).unwrap_or(&self.own)),
            false => word.pieces.push(Piece::Unknown),
        }
        self.text(command);
    }

    /// Adds `$name`, `${...}` or `$(...)`, and scans the last one; returns the position after it.
    fn dollar(&mut self, text: &[u8], at: usize, word: &mut Word) -> usize {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let name = |from: usize| text[from..].iter().take_while(|byte| is_name(byte)).count();
        match text.get(at + 1) {
            Some(b'(') => {
                let end = matching(text, at + 2, b'(', b')');
                match text[at + 2..].starts_with(b"(") {
                    true => word.pieces.push(Piece::Unknown),
                    false => self.substitution(&text[at + 2..end], word),
                }
                end + 1
            }
            Some(b'{') => {
                let end = matching(text, at + 2, b'{', b'}');
                let length = name(at + 2).min(end - at - 2);
                let (variable, rest) = text[at + 2..end].split_at(length);
                let index = if rest.starts_with(b"[") { next(rest, 0, b']') + 1 } else { 0 };
                let rest = rest.get(index..).unwrap_or_default();
                let op = rest.strip_prefix(b":").unwrap_or(rest);
                let default =
                    op.strip_prefix(b"-").or_else(|| op.strip_prefix(b"=")).filter(|_| self.depth < MAX_DEPTH);
                let is_plain = !variable.is_empty() && !variable[0].is_ascii_digit();
                match default {
                    Some(default) => {
                        let mut value = Word::default();
                        self.depth += 1;
                        let end = default.len();
                        let mut inside = 0;
                        while inside < end {
                            inside = match default[inside] {
                                b'"' => self.quoted(default, inside + 1, &mut value),
                                b'$' => self.dollar(default, inside, &mut value),
                                b'`' => self.backquotes(default, inside, &mut value),
                                // A single one is an apostrophe.
                                b'\'' if next(default, inside + 1, b'\'') < end => {
                                    let close = next(default, inside + 1, b'\'');
                                    value.push(&default[inside + 1..close]);
                                    close + 1
                                }
                                b'\'' => {
                                    value.push(b"'");
                                    inside + 1
                                }
                                _ => plain(default, inside, &mut value, |byte| {
                                    matches!(byte, b'"' | b'$' | b'`' | b'\'')
                                }),
                            };
                        }
                        self.depth -= 1;
                        if op.starts_with(b"=") {
                            self.assign(variable.to_vec(), value.clone());
                        }
                        word.pieces.push(Piece::Variable(variable.to_vec(), Some(Box::new(value))));
                    }
                    None if variable == b"0" && rest == b"##*/" && !self.own.is_empty() => word.push(&self.own),
                    None if is_plain && rest.is_empty() => {
                        word.pieces.push(Piece::Variable(variable.to_vec(), None));
                    }
                    None => word.pieces.push(Piece::Unknown),
                }
                end + 1
            }
            Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => {
                let length = name(at + 1);
                word.pieces.push(Piece::Variable(text[at + 1..at + 1 + length].to_vec(), None));
                at + 1 + length
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => {
                word.pieces.push(Piece::Unknown);
                at + 2
            }
            // Only a dollar sign.
            _ => {
                word.push(b"$");
                at + 1
            }
        }
    }
}

/// A word without its quotes.
fn unquoted(word: &[u8]) -> &[u8] {
    let quoted = |quote: &[u8]| word.strip_prefix(quote)?.strip_suffix(quote);
    quoted(b"\"").or_else(|| quoted(b"'")).unwrap_or(word)
}

/// Returns whether a byte ends the plain part of a word.
fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        b'\''
            | b'"'
            | b'\\'
            | b'$'
            | b'`'
            | b' '
            | b'\t'
            | b'\r'
            | b'\n'
            | b';'
            | b'|'
            | b'&'
            | b'('
            | b')'
            | b'<'
            | b'>'
    )
}

/// Adds the bytes from `at` up to a special one; gives that place.
fn plain(text: &[u8], at: usize, word: &mut Word, is_special: impl Fn(u8) -> bool) -> usize {
    let length = text[at..].iter().take_while(|byte| !is_special(**byte)).count();
    word.push(&text[at..at + length]);
    at + length
}
