//! Globs over paths and names, as used in all data of this program, and the placeholders in their texts.
//!
//! They compare bytes. `Sysroot::expand` finds the matching files.
//!
//! `*` matches any part of a name, a leading dot included, `?` one byte, `**` any number of directories, `{a,b}` either
//! of both. A backslash escapes the next byte.

mod index;
mod placeholders;

use crate::path::RootfsPath;
pub(crate) use index::Index;
#[cfg(feature = "cli")]
pub(crate) use placeholders::fill;
pub(crate) use placeholders::{Bindings, bind, unknown_placeholder, unknown_variable};

/// The maximum number of alternatives of one pattern.
const MAX_ALTERNATIVES: usize = 256;

/// One pattern, without braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// True if it starts at the root; otherwise it is a name, or the end of a path.
    pub(crate) is_absolute: bool,
    pub(crate) parts: Vec<Part>,
}

/// The pattern between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// `**`: any number of components, also none.
    Any,
    /// A component without wildcards.
    Text(Box<[u8]>),
    /// A component with wildcards.
    Wild(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Text(Box<[u8]>),
    /// `*`: any bytes of a name, a leading dot included.
    Star,
    /// `?`: one byte.
    One,
}

/// The texts that each `*` and `**` of a pattern matched, in order.
pub type Captures = Vec<Box<[u8]>>;

impl Glob {
    /// Parses `text` and expands its braces. A backslash escapes the next byte.
    ///
    /// # Errors
    ///
    /// The error is a sentence about the fault.
    pub fn parse(text: &str) -> Result<Vec<Self>, &'static str> {
        if !text.contains(['{', '}']) {
            return Ok(vec![Self::one(text)?]);
        }
        let mut done = Vec::new();
        let mut left = vec![text.to_owned()];
        while let Some(text) = left.pop() {
            match braces(&text)? {
                Some((before, alternatives, after)) => {
                    left.extend(alternatives.iter().rev().map(|one| [before, one, after].concat()));
                }
                None => done.push(Self::one(&text)?),
            }
            if left.len() + done.len() > MAX_ALTERNATIVES {
                return Err("its braces stand for too many patterns");
            }
        }
        Ok(done)
    }

    fn one(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            match part {
                ".." => return Err("it has `..` in it"),
                "**" => parts.push(Part::Any),
                _ => parts.push(component(part.as_bytes())?),
            }
        }
        if parts.is_empty() {
            return Err("it names nothing");
        }
        Ok(Self { is_absolute: text.starts_with('/'), parts })
    }

    /// Returns whether it is a name without a slash.
    pub fn is_name(&self) -> bool {
        !self.is_absolute && self.parts.len() == 1
    }

    /// The literal text at the start of the last component.
    pub(crate) fn prefix(&self) -> &[u8] {
        match self.parts.last() {
            Some(Part::Text(name)) => name,
            Some(Part::Wild(tokens)) => match tokens.first() {
                Some(Token::Text(text)) => text,
                _ => b"",
            },
            _ => b"",
        }
    }

    /// Matches a whole path. A relative pattern may match from any of its components on.
    pub fn matches(&self, path: &RootfsPath) -> Option<Captures> {
        self.matches_components(&path.components().collect::<Vec<_>>())
    }

    /// The same for a path's components.
    pub(crate) fn matches_components(&self, components: &[&[u8]]) -> Option<Captures> {
        let mut stars = Vec::new();
        self.is_match(components, &mut stars).then(|| stars.iter().map(Star::text).collect())
    }

    fn is_match<'c>(&self, components: &'c [&'c [u8]], stars: &mut Vec<Star<'c>>) -> bool {
        let mut starts = match (self.is_absolute, self.parts.contains(&Part::Any)) {
            (true, _) => 0..1,
            (false, true) => 0..components.len() + 1,
            // Each part matches one component, the last part the last one.
            (false, false) => match components.len().checked_sub(self.parts.len()) {
                Some(start) => start..start + 1,
                None => 0..0,
            },
        };
        starts.any(|start| matches(&self.parts, &components[start..], stars))
    }

    /// Matches a path or one of its parent directories.
    pub(crate) fn contains(&self, components: &[&[u8]]) -> bool {
        (1..=components.len()).any(|end| self.is_match(&components[..end], &mut Vec::new()))
    }

    /// Matches a name against a pattern without a slash.
    pub fn matches_name(&self, name: &[u8]) -> Option<Captures> {
        if self.is_name() { self.matches_components(&[name]) } else { None }
    }
}

/// Returns whether one of `globs` matches a path.
pub(crate) fn any_matches(globs: &[Glob], path: &RootfsPath) -> bool {
    if globs.is_empty() {
        return false;
    }
    let components: Vec<&[u8]> = path.components().collect();
    globs.iter().any(|glob| glob.is_match(&components, &mut Vec::new()))
}

/// The text of a star in an attempt to match.
enum Star<'c> {
    Name(&'c [u8]),
    Components(&'c [&'c [u8]]),
}

impl Star<'_> {
    fn text(&self) -> Box<[u8]> {
        match self {
            Self::Name(text) => (*text).into(),
            Self::Components(parts) => parts.join(&b'/').into(),
        }
    }
}

impl Part {
    /// Returns whether it matches one component.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Text(text) => **text == *name,
            Self::Wild(tokens) => wild(tokens, name, &mut Vec::new()),
        }
    }
}

/// Escapes a value, so that none of its characters is special.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '{' | '}' | ',' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The text before the braces, the texts between their commas, and the text after them.
type Braces<'t> = (&'t str, Vec<&'t str>, &'t str);

/// The first braces of a text.
fn braces(text: &str) -> Result<Option<Braces<'_>>, &'static str> {
    let (mut open, mut depth, mut from) = (None, 0, 0);
    let mut alternatives = Vec::new();
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if std::mem::take(&mut is_escaped) => {}
            b'\\' => is_escaped = true,
            b'{' => {
                depth += 1;
                if open.is_none() {
                    (open, from) = (Some(at), at + 1);
                }
            }
            b',' if depth == 1 => {
                alternatives.push(&text[from..at]);
                from = at + 1;
            }
            b'}' if depth == 0 => return Err("a `}` closes nothing"),
            b'}' => {
                depth -= 1;
                if let Some(open) = open.filter(|_| depth == 0) {
                    alternatives.push(&text[from..at]);
                    return Ok(Some((&text[..open], alternatives, &text[at + 1..])));
                }
            }
            _ => {}
        }
    }
    if depth > 0 { Err("a `{` is not closed") } else { Ok(None) }
}

/// Parses the pattern of one component.
pub(crate) fn component(text: &[u8]) -> Result<Part, &'static str> {
    if !text.iter().any(|byte| matches!(byte, b'\\' | b'*' | b'?')) {
        return Ok(Part::Text(text.into()));
    }
    let mut tokens = Vec::new();
    let mut plain = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let token = match byte {
            b'\\' => {
                plain.push(bytes.next().ok_or("it ends in a backslash")?);
                continue;
            }
            b'*' if tokens.last() == Some(&Token::Star) && plain.is_empty() => return Err("`**` must stand alone"),
            b'*' => Token::Star,
            b'?' => Token::One,
            byte => {
                plain.push(byte);
                continue;
            }
        };
        if !plain.is_empty() {
            tokens.push(Token::Text(std::mem::take(&mut plain).into()));
        }
        tokens.push(token);
    }
    if tokens.is_empty() {
        return Ok(Part::Text(plain.into()));
    }
    if !plain.is_empty() {
        tokens.push(Token::Text(plain.into()));
    }
    Ok(Part::Wild(tokens))
}

fn matches<'c>(parts: &[Part], components: &'c [&'c [u8]], stars: &mut Vec<Star<'c>>) -> bool {
    let Some((part, rest)) = parts.split_first() else { return components.is_empty() };
    let before = stars.len();
    if matches!(part, Part::Any) {
        for taken in 0..=components.len() {
            stars.truncate(before);
            stars.push(Star::Components(&components[..taken]));
            if matches(rest, &components[taken..], stars) {
                return true;
            }
        }
        stars.truncate(before);
        return false;
    }
    let Some((name, below)) = components.split_first() else { return false };
    let is_match = match part {
        Part::Text(text) => **text == **name,
        Part::Wild(tokens) => wild(tokens, name, stars),
        Part::Any => unreachable!("told apart above"),
    };
    if is_match && matches(rest, below, stars) {
        return true;
    }
    stars.truncate(before);
    false
}

/// Each star matches as little as possible, in time linear in the product of both lengths: a pattern may come from a file
/// of the sysroot.
fn wild<'c>(tokens: &[Token], name: &'c [u8], stars: &mut Vec<Star<'c>>) -> bool {
    let before = stars.len();
    let (mut tokens, mut name) = (tokens, name);
    // The last star: the tokens after it, the name from it on, and the length of its text.
    let mut last: Option<(&[Token], &[u8], usize)> = None;
    loop {
        let next = match tokens.split_first() {
            None if name.is_empty() => return true,
            None => None,
            Some((Token::Text(text), rest)) => name.strip_prefix(&**text).map(|name| (rest, name)),
            Some((Token::One, rest)) => name.split_first().map(|(_, name)| (rest, name)),
            Some((Token::Star, rest)) => {
                let length = match rest {
                    [] => Some(name.len()),
                    // Most stars are followed by an ending.
                    [Token::Text(text)] => name.strip_suffix(&**text).map(<[u8]>::len),
                    _ => Some(0),
                };
                length.map(|length| {
                    stars.push(Star::Name(&name[..length]));
                    last = Some((rest, name, length));
                    (rest, &name[length..])
                })
            }
        };
        // Only the last star takes more: a text that an earlier one would take more, the last one can take too.
        (tokens, name) = match (next, &mut last) {
            (Some(next), _) => next,
            (None, Some((rest, from, length))) if *length < from.len() => {
                *length += 1;
                stars.pop();
                stars.push(Star::Name(&from[..*length]));
                (*rest, &from[*length..])
            }
            _ => {
                stars.truncate(before);
                return false;
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, path: &str) -> Option<String> {
        let path = RootfsPath::parse(path).unwrap();
        let globs = Glob::parse(pattern).unwrap();
        let captures = globs.iter().find_map(|glob| glob.matches(&path))?;
        Some(captures.iter().map(|it| String::from_utf8_lossy(it)).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn paths_and_what_the_stars_stood_for() {
        for (pattern, path, expected) in [
            ("/usr/bin/git", "/usr/bin/git", Some("")),
            ("/usr/bin/git", "/usr/bin/gitk", None),
            ("/usr/bin/python*", "/usr/bin/python3.11", Some("3.11")),
            ("/usr/bin/python*", "/usr/bin/python", Some("")),
            ("/usr/{bin,sbin}/x", "/usr/sbin/x", Some("")),
            ("/usr/{l{ib,ocal},}/x", "/usr/local/x", Some("")),
            ("/usr/{lib,}/x", "/usr/x", Some("")),
            ("/**/x", "/x", Some("")),
            ("/a/**/x", "/a/b/c/x", Some("b/c")),
            ("/a/**", "/a/b/c", Some("b/c")),
            ("*.a", "/usr/lib/libc.a", Some("libc")),
            ("**/__pycache__", "/usr/lib/__pycache__", Some("usr/lib")),
            ("cache/x?", "/usr/cache/x1", Some("")),
            ("cache/x?", "/usr/cache/x", None),
            ("/a/*", "/a/b/c", None),
            ("/a/*.so.*", "/a/lib.so.so.1", Some("lib so.1")),
            (r"/a\*", "/a*", Some("")),
            (r"/a\*", "/ab", None),
        ] {
            assert_eq!(captured(pattern, path).as_deref(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn names() {
        let glob = &Glob::parse("libcurl*.so.4").unwrap()[0];
        assert!(glob.is_name());
        assert_eq!(glob.matches_name(b"libcurl-gnutls.so.4"), Some(vec![Box::from(&b"-gnutls"[..])]));
        assert_eq!(glob.matches_name(b"libcurl.so.3"), None);
        assert_eq!(glob.prefix(), b"libcurl");
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for (pattern, why) in [
            ("", "it names nothing"),
            ("/", "it names nothing"),
            ("/a/../b", "it has `..` in it"),
            ("/a/b**", "`**` must stand alone"),
            ("/a{b", "a `{` is not closed"),
            ("/a}b", "a `}` closes nothing"),
            ("/a\\", "it ends in a backslash"),
            (&"{a,b}".repeat(9), "its braces stand for too many patterns"),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap_err(), why, "{pattern}");
        }
    }

    #[test]
    fn an_escaped_text_is_itself() {
        let text = "a*b{c,d}\\?";
        assert_eq!(captured(&format!("/{}", escape(text)), &format!("/{text}")).as_deref(), Some(""));
    }

    #[test]
    fn a_component_with_many_stars_needs_no_exponential_time() {
        for (pattern, name, is_match) in [
            ("*.conf", "a.config", false),
            ("a?c", "abc", true),
            ("*a*b*", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            (&*"*a".repeat(40), &*"a".repeat(39), false),
            (&*format!("{}*b", "*a".repeat(40)), &*"a".repeat(200), false),
        ] {
            assert_eq!(component(pattern.as_bytes()).unwrap().matches(name.as_bytes()), is_match, "{pattern} {name}");
        }
    }
}
