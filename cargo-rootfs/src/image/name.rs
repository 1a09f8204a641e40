//! Names of images in the syntax of engines: `[HOST[:PORT]/]PATH[:TAG]`.
//!
//! The grammar is that of distribution/reference; no registry is contacted.

use std::fmt;

use crate::error::{Error, Result};

/// A name with its tag. Its [`Display`](fmt::Display) is the engines' syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName {
    repository: String,
    tag: String,
}

impl ImageName {
    /// Parses `NAME[:TAG]`; the default tag is `latest`. Anything else is a usage error.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| Error::usage(format!("`{text}` is not a name for an image: {why}"));
        if text.contains('@') {
            return Err(refused("a digest cannot be chosen"));
        }
        // A colon before a slash begins a port.
        let (repository, tag) = match text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (text, "latest"),
        };
        let (host, path) = match repository.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
            _ => (None, repository),
        };
        if host.is_some_and(|host| !is_host(host)) {
            return Err(refused("its host is malformed"));
        }
        let misspelled = |why: &str| {
            let repaired = repaired(host, path, tag);
            // An unrepaired name is unchanged and not parsed again.
            match repaired != format!("{repository}:{tag}") && Self::parse(&repaired).is_ok() {
                true => refused(why).help(repaired),
                false => refused(why),
            }
        };
        if path.chars().any(|letter| letter.is_ascii_uppercase()) {
            return Err(misspelled("it must be lower-case"));
        }
        if !path.split('/').all(is_component) {
            return Err(misspelled("it must be of a-z and 0-9, with one of `.` `_` `-` between them"));
        }
        if repository.len() > 255 {
            return Err(refused("it is longer than 255 bytes"));
        }
        if repository.len() == 64 && repository.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refused("it would be taken for an id"));
        }
        if !is_tag(tag) {
            return Err(refused(
                "its tag must be at most 128 of A-Z, a-z, 0-9, `_`, `.` and `-`, and not begin with the last two",
            ));
        }
        Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

impl ImageName {
    /// The name with `-` and `suffix` at the end of its tag. Fails if the tag becomes too long.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Result<Self> {
        Self::parse(&format!("{self}-{suffix}"))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// A valid name from the words of `path`, in lower case, with valid separators between them.
fn repaired(host: Option<&str>, path: &str, tag: &str) -> String {
    let is_word = |letter: &char| letter.is_ascii_alphanumeric();
    let component = |component: &str| {
        let letters: Vec<char> = component.trim_matches(|letter| !is_word(&letter)).chars().collect();
        let runs = letters.chunk_by(|a, b| is_word(a) == is_word(b));
        let spelled = |run: &[char]| match run {
            [first, ..] if is_word(first) => String::from_iter(run).to_ascii_lowercase(),
            ['.' | '_'] => String::from_iter(run),
            _ => "-".to_owned(),
        };
        runs.map(spelled).collect::<String>()
    };
    let components = path.split('/').map(component).filter(|component| !component.is_empty());
    let path: Vec<String> = host.map(str::to_owned).into_iter().chain(components).collect();
    format!("{}:{tag}", path.join("/"))
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(is_label) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let words_and_separators = component.as_bytes().chunk_by(|a, b| is_word(*a) == is_word(*b));
    let separators_are_known = words_and_separators
        .filter(|run| !is_word(run[0]))
        .all(|separator| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-'));
    let ends_are_words = component.bytes().next().is_some_and(is_word) && component.bytes().last().is_some_and(is_word);
    ends_are_words && separators_are_known
}

/// Matches `[\w][\w.-]{0,127}`.
fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !tag.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_a_tag() {
        for (typed, name) in [
            ("app", "app:latest"),
            ("app:1.0-rc_1", "app:1.0-rc_1"),
            ("me/app", "me/app:latest"),
            ("localhost/app:x", "localhost/app:x"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("Registry.Example.com:5000/a/b__c/d--e.f:V1", "Registry.Example.com:5000/a/b__c/d--e.f:V1"),
        ] {
            assert_eq!(ImageName::parse(typed).unwrap().to_string(), name);
        }
    }

    #[test]
    fn malformed_names_are_usage_errors() {
        let long = "a".repeat(256);
        let hex = "a1".repeat(32);
        let long_tag = format!("app:{}", "t".repeat(129));
        for typed in [
            "",
            "App",
            "app:",
            ":x",
            "a b",
            "app:.x",
            "app:-x",
            "-app",
            "app-",
            "a..b",
            "a.-b",
            "a___b",
            "a//b",
            "/a",
            "a/",
            "app@sha256:0",
            "ex_ample.com/app",
            "host:port/app",
            "app:a/b:c!",
            "{package}",
            "ü",
            &long,
            &hex,
            &long_tag,
        ] {
            assert_eq!(ImageName::parse(typed).expect_err(typed).exit_code(), 2, "{typed}");
        }
        assert_eq!(ImageName::parse("MyApp:V1").unwrap_err().help_line(), Some("myapp:V1"));
    }

    /// A pasted suggestion is a valid name.
    #[test]
    fn what_is_suggested_is_a_name() {
        for (typed, suggested) in [
            ("Bad Name", Some("bad-name:latest")),
            ("MyApp:V1", Some("myapp:V1")),
            ("my app", Some("my-app:latest")),
            ("Reg.io:5000/Me/My__App-", Some("Reg.io:5000/me/my-app:latest")),
            ("-A.b_c.", Some("a.b_c:latest")),
            ("a//B", Some("a/b:latest")),
            ("Ünïcode App", Some("n-code-app:latest")),
            ("A:.x", None),
            ("Ü", None),
            ("a/", Some("a:latest")),
            ("App@sha256:0", None),
            ("", None),
        ] {
            let error = ImageName::parse(typed).expect_err(typed);
            assert_eq!(error.help_line(), suggested, "{typed}");
            assert!(suggested.is_none_or(|name| ImageName::parse(name).is_ok()), "{typed}");
        }
    }
}
