//! The script's variables: assignments, and the possible values of a word.

use super::words::{Piece, Word, matching};
use super::{Calls, Scan, Use};

/// The maximum number of values of one variable, and of all words together.
const MAX_VALUES: usize = 64;
const MAX_SPENT: usize = 1 << 16;

impl Scan {
    /// Handles `NAME=VALUE` or `NAME=(...)`; returns the position after it.
    pub(super) fn assignment(&mut self, word: Word, text: &[u8], at: usize) -> usize {
        let Some((name, value)) = word.split_assignment() else { return at };
        if value.pieces.is_empty() && text.get(at) == Some(&b'(') {
            // An array; its first element is a command if the array is called.
            let end = matching(text, at + 1, b'(', b')');
            let mut inside = at + 1;
            while inside < end && matches!(text[inside], b' ' | b'\t' | b'\n') {
                inside += 1;
            }
            if inside < end {
                let (first, _) = self.word(&text[..end], inside);
                self.assign(name, first);
            }
            return (end + 1).min(text.len());
        }
        self.assign(name, value);
        at
    }

    pub(super) fn assign(&mut self, name: Vec<u8>, value: Word) {
        let values = self.values.entry(name).or_default();
        if values.len() < MAX_VALUES && !value.pieces.is_empty() && !values.contains(&value) {
            values.push(value);
        }
    }

    /// Keeps a text of `eval` until all assignments are known.
    pub(super) fn evaluate_later(&mut self, word: Word) {
        if self.evaluated.len() < MAX_VALUES {
            self.evaluated.push(word);
        }
    }

    /// Reads the texts of `eval`, with their variables verbatim, and all values of these variables.
    fn evaluate(&mut self) {
        for word in std::mem::take(&mut self.evaluated) {
            let mut text = Vec::new();
            for piece in &word.pieces {
                match piece {
                    Piece::Text(known) => text.extend(known),
                    Piece::Variable(name, _) => {
                        text.extend([b"${", &name[..], b"}"].concat());
                        let values = self.values.get(name).into_iter().flatten().filter_map(Word::literal);
                        values.collect::<Vec<_>>().iter().for_each(|value| self.text(value));
                    }
                    Piece::Unknown => text.extend(b"${_}"),
                }
            }
            self.text(&text);
        }
        self.evaluated.clear();
    }

    /// Expands variables, with all values that are assigned to them anywhere.
    pub(super) fn finish(mut self) -> Calls {
        self.evaluate();
        for (word, how) in std::mem::take(&mut self.computed) {
            for value in self.expand(&word, 0) {
                match value {
                    // A value may contain arguments.
                    Ok(text) => {
                        let first = text.split(u8::is_ascii_whitespace).find(|part| !part.is_empty());
                        let whole = if how == Use::Source { Some(&text[..]) } else { first };
                        whole.into_iter().for_each(|word| self.command(word, how));
                    }
                    Err(end) => {
                        let end = String::from_utf8_lossy(&end).into_owned();
                        let name = end.rsplit('/').next().unwrap_or_default().to_owned();
                        if how != Use::Source && end.starts_with('/') {
                            self.command(name.as_bytes(), how);
                        }
                        if !name.is_empty() {
                            self.calls.ends.insert(end.trim_start_matches('/').to_owned());
                        }
                    }
                }
            }
        }
        let Self { mut calls, functions, started, .. } = self;
        calls.all.retain(|name| !functions.contains(name) || started.contains(name));
        // exec does not call functions: it searches PATH.
        calls
    }

    /// The possible texts of a word; an error is the known end of a text with an unknown beginning.
    pub(super) fn expand(&self, word: &Word, depth: usize) -> Vec<Result<Vec<u8>, Vec<u8>>> {
        let mut texts: Vec<Result<Vec<u8>, Vec<u8>>> = vec![Ok(Vec::new())];
        for piece in &word.pieces {
            let values: Vec<Result<Vec<u8>, Vec<u8>>> = match piece {
                Piece::Text(text) => vec![Ok(text.clone())],
                Piece::Unknown => vec![Err(Vec::new())],
                Piece::Variable(..) if depth == 4 || self.spent.get() > MAX_SPENT => vec![Err(Vec::new())],
                Piece::Variable(name, default) => {
                    let known = self.values.get(name).into_iter().flatten().chain(default.as_deref());
                    let known: Vec<_> = known.flat_map(|value| self.expand(value, depth + 1)).collect();
                    if known.is_empty() { vec![Err(Vec::new())] } else { known }
                }
            };
            let mut grown = Vec::new();
            for text in &texts {
                for value in values.iter().take(MAX_VALUES) {
                    grown.push(match (text, value) {
                        (Ok(text), Ok(value)) => Ok([&text[..], value].concat()),
                        // Only an end that begins with a slash is useful.
                        (Ok(_), Err(end)) => Err(end.clone()),
                        (Err(end), Ok(value)) => Err([&end[..], value].concat()),
                        (Err(_), Err(end)) => Err(end.clone()),
                    });
                }
            }
            grown.truncate(MAX_VALUES);
            self.spent.set(self.spent.get() + grown.len());
            texts = grown;
        }
        // The name of a program may follow a directory with its slash, as in `"${dir}"name`.
        let is_end = |end: &Vec<u8>| end.starts_with(b"/") || depth == 0 && is_program_name(end);
        texts.retain(|text| text.as_ref().map_or_else(is_end, |text| !text.is_empty()));
        texts
    }
}

fn is_program_name(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(byte);
    text.len() > 1 && text[0].is_ascii_alphabetic() && text.iter().all(is_part)
}
