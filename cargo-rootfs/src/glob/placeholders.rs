//! Placeholders in the texts of data: `{triplet}`, `{lib}`, `{prefix}`, `{dir}`, `{exec}`, `{1}` and `{}`.
//!
//! Values are parameters; a value never becomes a pattern.

use std::sync::Arc;

use super::escape;

/// The values of the variables.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bindings<'b> {
    pub(crate) triplet: &'b str,
    /// The directories of libraries, such as `/usr/lib64`.
    pub(crate) lib: &'b [String],
    /// The prefix of the matching tool, unless it is /usr.
    pub(crate) prefix: Option<&'b str>,
    /// The directory of the match.
    pub(crate) dir: Option<&'b str>,
    /// The texts that the stars of the match stand for.
    pub(crate) captures: &'b [String],
    /// The programs that the matching script executes in its own place.
    pub(crate) execs: &'b [Arc<str>],
    pub(crate) word: Option<&'b str>,
}

/// Returns whether a name between braces is a variable.
fn is_variable(name: &str) -> bool {
    matches!(name, "" | "triplet" | "lib" | "prefix" | "dir" | "exec") || matches!(name.as_bytes(), [b'1'..=b'9'])
}

/// All values of `text`: several if it contains `{lib}`, none if one of its variables has no value.
pub(crate) fn bind(text: &str, bindings: &Bindings<'_>) -> Vec<String> {
    let mut texts = vec![String::new()];
    let mut rest = text;
    while let Some((before, name, after)) = placeholder(rest, is_variable) {
        let values: Vec<String> = match name {
            "" => bindings.word.map(escape).into_iter().collect(),
            "triplet" => vec![escape(bindings.triplet)],
            "lib" => bindings.lib.iter().map(|folder| escape(folder)).collect(),
            "prefix" => vec![escape(bindings.prefix.unwrap_or("/usr"))],
            "dir" => bindings.dir.map(escape).into_iter().collect(),
            "exec" => bindings.execs.iter().map(|name| escape(name)).collect(),
            digit => {
                let index = usize::from(digit.as_bytes()[0] - b'1');
                bindings.captures.get(index).map(|text| escape(text)).into_iter().collect()
            }
        };
        let extended = texts.iter().flat_map(|text| values.iter().map(move |value| format!("{text}{before}{value}")));
        texts = extended.collect();
        rest = after;
    }
    texts.iter_mut().for_each(|text| text.push_str(rest));
    texts
}

/// Replaces each placeholder that `value` knows; others stay.
#[cfg(feature = "cli")]
pub(crate) fn fill<'v>(text: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = placeholder(rest, |name| value(name).is_some()) {
        filled.push_str(before);
        filled.push_str(value(name).unwrap_or_default());
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The first placeholder of a text for which `is_known` is true: the text before it, its name, the text after it.
fn placeholder(text: &str, is_known: impl Fn(&str) -> bool) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        from = open + 1;
        let is_escaped = text[..open].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        let Some(length) = text[from..].find(['{', '}', ',']).filter(|_| !is_escaped) else { continue };
        let name = &text[from..from + length];
        if text[from + length..].starts_with('}') && is_known(name) {
            return Some((&text[..open], name, &text[from + length + 1..]));
        }
    }
    None
}

/// A name between braces, without a comma, that is no variable of rules.
pub(crate) fn unknown_variable(text: &str) -> Option<&str> {
    unknown_placeholder(text, is_variable)
}

/// A name between braces, without a comma, that is unknown.
pub(crate) fn unknown_placeholder(text: &str, is_known: impl Fn(&str) -> bool) -> Option<&str> {
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        let end = rest.find(['{', '}', ','])?;
        if rest[end..].starts_with('}') && !is_known(&rest[..end]) && is_alone(text, rest, end) {
            return Some(&rest[..end]);
        }
    }
    None
}

/// Returns whether the braces that open at the start of `rest` contain one alternative.
fn is_alone(text: &str, rest: &str, end: usize) -> bool {
    let open = text.len() - rest.len();
    !text[..open - 1].ends_with('\\') && !rest[..end].contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_what_they_stand_for() {
        let lib = ["/usr/lib/x86_64-linux-gnu".to_owned(), "/usr/lib".to_owned()];
        let captures = ["3.1*".to_owned()];
        let bindings = Bindings {
            triplet: "x86_64-linux-gnu",
            lib: &lib,
            prefix: None,
            dir: Some("/opt/bin"),
            captures: &captures,
            execs: &["gzip".into(), "zstd".into()],
            word: None,
        };
        for (text, expected) in [
            ("/usr/{bin,sbin}/x", vec!["/usr/{bin,sbin}/x"]),
            ("{lib}/gconv", vec!["/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib/gconv"]),
            ("/usr/lib/python{1}/{a,{triplet}}", vec![r"/usr/lib/python3.1\*/{a,x86_64-linux-gnu}"]),
            ("{dir}/x", vec!["/opt/bin/x"]),
            ("{prefix}/x", vec!["/usr/x"]),
            ("{exec}", vec!["gzip", "zstd"]),
            ("/x/{2}", vec![]),
            ("libnss_{}.so.2", vec![]),
            (r"/x/\{dir}", vec![r"/x/\{dir}"]),
        ] {
            assert_eq!(bind(text, &bindings), expected, "{text}");
        }
        let bindings = Bindings { word: Some("dns"), ..bindings };
        assert_eq!(bind("libnss_{}.so.2", &bindings), ["libnss_dns.so.2"]);
    }

    #[test]
    fn braces_that_are_neither() {
        for (text, unknown) in
            [("/{tripel}/x", Some("tripel")), ("/{a,b}/{1}", None), ("/{a,{b}}", Some("b")), (r"/\{a}", None)]
        {
            assert_eq!(unknown_variable(text), unknown, "{text}");
        }
    }
}
