//! An index of many patterns, which finds those that match a path or a name.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::{Captures, Glob};

/// Patterns by the beginning of their last component.
///
/// A pattern is parsed when a name has its beginning: of hundreds of patterns only few are needed.
#[derive(Debug, Default)]
pub(crate) struct Index {
    patterns: Vec<Pattern>,
    /// By the first byte, each with its complete beginning.
    begin: FxHashMap<u8, Vec<Beginning>>,
    /// Patterns whose last component has no fixed beginning.
    any: Vec<usize>,
}

/// The beginning of a last component, and the index of its pattern.
type Beginning = (Box<[u8]>, usize);

#[derive(Debug)]
struct Pattern {
    number: usize,
    /// The text with its variables bound.
    text: String,
    globs: OnceLock<Vec<Glob>>,
}

impl Index {
    /// Adds a pattern without variables, under a number of the caller.
    pub(crate) fn add(&mut self, number: usize, text: String) {
        let pattern = self.patterns.len();
        match beginnings(&text) {
            Some(beginnings) => {
                for begin in beginnings {
                    self.begin.entry(begin[0]).or_default().push((begin.into(), pattern));
                }
            }
            None => self.any.push(pattern),
        }
        self.patterns.push(Pattern { number, text, globs: OnceLock::new() });
    }

    /// Calls `found` with the number of each pattern that may end in `name` and for which `matches` is true, in the
    /// order of [`Index::add`].
    pub(crate) fn look_up(
        &self,
        name: &[u8],
        matches: impl Fn(&Glob) -> Option<Captures>,
        mut found: impl FnMut(usize, Captures),
    ) {
        let begin = name.first().and_then(|byte| self.begin.get(byte)).into_iter().flatten();
        let begin = begin.filter(|(begin, _)| name.starts_with(begin)).map(|(_, pattern)| *pattern);
        // Both are sorted.
        let (mut begin, mut any) = (begin.peekable(), self.any.iter().copied().peekable());
        let mut last = None;
        while let Some(next) = match (begin.peek(), any.peek()) {
            (Some(one), Some(other)) if other < one => any.next(),
            (None, _) => any.next(),
            _ => begin.next(),
        } {
            if last.replace(next) == Some(next) {
                continue;
            }
            let pattern = &self.patterns[next];
            let globs = pattern.globs.get_or_init(|| Glob::parse(&pattern.text).unwrap_or_default());
            let captures = globs.iter().filter(|glob| name.starts_with(glob.prefix())).find_map(&matches);
            if let Some(captures) = captures {
                found(pattern.number, captures);
            }
        }
    }
}

impl Index {
    /// Calls `found` with the number of each pattern that matches a path, given by its components, or one of its parent
    /// directories.
    pub(crate) fn containing(&self, components: &[&[u8]], mut found: impl FnMut(usize)) {
        for end in 1..=components.len() {
            let matches = |glob: &Glob| glob.matches_components(&components[..end]);
            self.look_up(components[end - 1], matches, |number, _| found(number));
        }
    }
}

/// The possible beginnings of a pattern's last component, none of them empty; `None` if only parsing reveals them.
fn beginnings(text: &str) -> Option<Vec<&[u8]>> {
    const SPECIAL: [char; 6] = ['*', '?', '{', '}', ',', '\\'];
    let plain = |text: &str| text.find(SPECIAL).unwrap_or(text.len());
    let last = text.rfind('/').map_or(text, |at| &text[at + 1..]);
    // A slash among alternatives would have been mistaken for the last one of the path.
    if last.matches('{').count() != last.matches('}').count() || last.contains('\\') {
        return None;
    }
    let starts = match last.strip_prefix('{') {
        None => vec![last],
        Some(rest) => {
            let alternatives = &rest[..rest.find('}')?];
            if alternatives.contains('{') {
                return None;
            }
            alternatives.split(',').collect()
        }
    };
    let starts: Vec<&[u8]> = starts.into_iter().map(|start| &start.as_bytes()[..plain(start)]).collect();
    (!starts.iter().any(|start| start.is_empty())).then_some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_last_components_begin_with() {
        for (text, expected) in [
            ("/usr/bin/git", Some("git")),
            ("/usr/bin/python*", Some("python")),
            ("/usr/bin/{git,hg*}", Some("git hg")),
            ("/usr/bin/{z,xz}{e,f}grep", Some("z xz")),
            ("libx*.so.1", Some("libx")),
            ("/usr/{bin/a,lib/b}", None),
            ("/usr/bin/{a,{b,c}}", None),
            ("/usr/bin/{a,}x", None),
            ("/usr/bin/*x", None),
            ("/usr/**", None),
            ("/usr/bin/\\*x", None),
        ] {
            let found = beginnings(text)
                .map(|it| it.iter().map(|it| String::from_utf8_lossy(it)).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
