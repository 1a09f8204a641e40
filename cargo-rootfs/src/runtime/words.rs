//! The words of configuration files that mean plugins.
//!
//! The rule defines the meaning of a word.

use super::Form;

/// The maximum number of words of one file; an nsswitch.conf has twenty.
const MAX_WORDS: usize = 4096;

/// The words of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// Without duplicates, in order.
    pub(crate) words: Vec<String>,
    /// Files in the same directory that it includes, by name.
    pub(crate) includes: Vec<String>,
}

impl Form {
    /// Extracts the words of a file; a file that is not text has none.
    pub(crate) fn read(self, bytes: &[u8]) -> Read {
        let mut read = Read::default();
        let Ok(text) = std::str::from_utf8(bytes) else { return read };
        let text = text.replace("\\\n", " ");
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match self {
                Self::Lines => line.split_whitespace().for_each(|word| read.word(word)),
                Self::Nsswitch => {
                    let Some((_, services)) = line.split_once(':') else { continue };
                    without_brackets(services).split_whitespace().for_each(|word| read.word(word));
                }
                Self::Pam => pam(line, &mut read),
                Self::Libraries => libraries(line, &mut read),
            }
        }
        read
    }
}

/// `[NOTFOUND=return]` may appear between services, and may contain blanks.
fn without_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    let kept = text.chars().map(|character| match character {
        '[' => {
            depth += 1;
            ' '
        }
        ']' => {
            depth = depth.saturating_sub(1);
            ' '
        }
        _ if depth > 0 => ' ',
        other => other,
    });
    kept.collect()
}

/// `type control module arguments`, or Debian's `@include file`.
fn pam(line: &str, read: &mut Read) {
    if let Some(file) = line.strip_prefix("@include") {
        return read.include(file.trim());
    }
    let Some((_, rest)) = line.split_once(char::is_whitespace) else { return };
    let rest = rest.trim_start();
    let (control, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => ("", rest),
        None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
    };
    let Some(module) = rest.split_whitespace().next() else { return };
    if matches!(control, "include" | "substack") { read.include(module) } else { read.word(module) }
}

/// Finds all names of shared libraries, in any context: ini, JSON, a single name. `;` begins a comment.
fn libraries(line: &str, read: &mut Read) {
    let line = line.split(';').next().unwrap_or_default();
    for word in line.split(|c: char| c.is_whitespace() || "=:,\"'[]{}()".contains(c)) {
        let name = word.rsplit('/').next().unwrap_or_default();
        if name.ends_with(".so") || name.contains(".so.") {
            read.word(word);
        }
    }
}

impl Read {
    fn word(&mut self, word: &str) {
        if is_sane(word) && self.words.len() < MAX_WORDS && !self.words.iter().any(|known| known == word) {
            self.words.push(word.to_owned());
        }
    }

    fn include(&mut self, name: &str) {
        let name = name.strip_prefix("/etc/pam.d/").unwrap_or(name);
        if is_sane(name) && !name.contains('/') && !self.includes.iter().any(|known| known == name) {
            self.includes.push(name.to_owned());
        }
    }
}

/// Returns whether the word is plausible as a part of a file name, or as its path.
fn is_sane(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/');
    !word.is_empty() && word.len() <= 255 && word.bytes().all(is_plain) && !word.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_nsswitch() {
        let text =
            "# comment\npasswd: files systemd\nhosts:  files mymachines [!UNAVAIL = return] dns # myhostname\nx\n";
        let read = Form::Nsswitch.read(text.as_bytes());
        assert_eq!(read.words, ["files", "systemd", "mymachines", "dns"]);
    }

    #[test]
    fn modules_of_pam() {
        let text = "auth [success=1 default=ignore]\tpam_unix.so nullok\n@include common-auth\n-session optional \\\n \
                    pam_systemd.so\nauth include system-auth\naccount substack other\nauth required /opt/x.so a=b\n";
        let read = Form::Pam.read(text.as_bytes());
        assert_eq!(read.words, ["pam_unix.so", "pam_systemd.so", "/opt/x.so"]);
        assert_eq!(read.includes, ["common-auth", "system-auth", "other"]);
    }

    #[test]
    fn libraries_of_any_format() {
        let text = "[SQLite3]\nDriver=libsqlite3odbc.so\n; Setup=libold.so\n# x.so\n{\"library_path\": \"/usr/lib/libvk.so.1\"}\na.so.conf x.song\n";
        assert_eq!(
            Form::Libraries.read(text.as_bytes()).words,
            ["libsqlite3odbc.so", "/usr/lib/libvk.so.1", "a.so.conf"]
        );
    }

    #[test]
    fn words_of_lines_that_can_be_names() {
        let read = Form::Lines.read(b"a b a # c\n../d $e /f/g\n");
        assert_eq!(read.words, ["a", "b", "/f/g"]);
        assert_eq!(Form::Lines.read(b"\xff").words, [""; 0]);
    }
}
