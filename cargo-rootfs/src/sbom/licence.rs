//! Licences: from the texts of crates and packages to expressions of SPDX (annex D of SPDX 2.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::sha256;

/// A valid expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Licence {
    expression: String,
    /// Ids in it that SPDX's list does not have, with their names.
    references: BTreeMap<String, String>,
    /// The texts of these, if known.
    texts: BTreeMap<String, String>,
    /// True for a single licence.
    is_single: bool,
}

#[derive(Debug, Deserialize)]
struct Table {
    ids: Vec<String>,
    exceptions: Vec<String>,
    debian: BTreeMap<String, String>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        toml::from_str(include_str!("../../templates/licences.toml")).expect("the built-in table of licences is TOML")
    })
}

impl Licence {
    /// The licence of a crate from its Cargo.toml: an expression, with slashes in old ones
    /// (<https://doc.rust-lang.org/cargo/reference/manifest.html#the-license-and-license-file-fields>).
    pub(super) fn of_crate(text: &str) -> Self {
        Self::parse(&text.replace('/', " OR ")).unwrap_or_else(|| Self::named(text))
    }

    /// The licences of a package, which all apply; `None` without any.
    pub(super) fn of_package(licences: &[String]) -> Option<Self> {
        let mut parts: BTreeSet<String> = BTreeSet::new();
        let mut references = BTreeMap::new();
        for text in licences {
            let Self { expression, references: named, .. } = Self::parse(text).unwrap_or_else(|| Self::named(text));
            references.extend(named);
            match expression.contains(" OR ") {
                true => drop(parts.insert(format!("({expression})"))),
                // Without alternatives, the parts in parentheses apply like the others.
                false => parts.extend(expression.replace(['(', ')'], "").split(" AND ").map(str::to_owned)),
            }
        }
        let is_single = parts.len() == 1 && !parts.iter().any(|part| part.contains(' '));
        let expression = parts.into_iter().collect::<Vec<_>>().join(" AND ");
        (!expression.is_empty()).then_some(Self { expression, references, texts: BTreeMap::new(), is_single })
    }

    /// Adds the texts of licences, by their names. The id of a text ends with the beginning of its digest: packages
    /// with the same text share it, and two texts with the same name have different ids.
    pub(super) fn with_texts(mut self, texts: &BTreeMap<String, String>) -> Self {
        for (id, name) in std::mem::take(&mut self.references) {
            let Some(text) = texts.get(&name) else {
                self.references.insert(id, name);
                continue;
            };
            let full = format!("{id}-{}", &sha256(text)[..8]);
            let parts = self.expression.split_inclusive([' ', '(', ')']).map(|part| match part.strip_prefix(&*id) {
                Some(end @ ("" | " " | ")")) => format!("{full}{end}"),
                _ => part.to_owned(),
            });
            self.expression = parts.collect();
            self.texts.insert(full.clone(), text.clone());
            self.references.insert(full, name);
        }
        self
    }

    pub(super) fn expression(&self) -> &str {
        &self.expression
    }

    /// The ids and names of licences that SPDX's list does not have.
    pub(super) fn references(&self) -> impl Iterator<Item = (String, &str)> {
        self.references.iter().map(|(id, name)| (id.clone(), name.as_str()))
    }

    /// The text of a licence that SPDX's list does not have.
    pub(super) fn text(&self, id: &str) -> Option<&str> {
        self.texts.get(id).map(String::as_str)
    }

    /// The id of a single licence.
    pub(super) fn single(&self) -> Option<&str> {
        self.is_single.then_some(self.expression.as_str())
    }

    /// A licence that is known only by its name.
    fn named(text: &str) -> Self {
        let id = reference(text);
        Self {
            expression: id.clone(),
            references: BTreeMap::from([(id, text.to_owned())]),
            texts: BTreeMap::new(),
            is_single: true,
        }
    }

    /// Parses an expression; unknown names become references. `None` if it is no expression.
    fn parse(text: &str) -> Option<Self> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace(',', " ");
        let mut tokens = spaced.split_whitespace().peekable();
        let (mut words, mut references, mut depth, mut ids) = (Vec::new(), BTreeMap::new(), 0_usize, 0);
        // Next comes an operand or an opening parenthesis, or else an operator or a closing one.
        let (mut wants_operand, mut operand) = (true, "");
        while let Some(token) = tokens.next() {
            match (token, wants_operand) {
                ("(", true) => {
                    depth += 1;
                    words.push("(".to_owned());
                }
                (")", false) => {
                    depth = depth.checked_sub(1)?;
                    words.push(")".to_owned());
                }
                (operator, false) if ["and", "or"].iter().any(|it| operator.eq_ignore_ascii_case(it)) => {
                    words.push(operator.to_ascii_uppercase());
                    wants_operand = true;
                }
                (with, false) if with.eq_ignore_ascii_case("with") => {
                    let exception = tokens.next()?;
                    if let Some(known) = table().exceptions.iter().find(|it| it.eq_ignore_ascii_case(exception)) {
                        words.extend(["WITH".to_owned(), known.clone()]);
                        continue;
                    }
                    // Debian writes `GPL-2+ with OpenSSL exception`: a licence of that name.
                    let mut name = format!("{operand} {with} {exception}");
                    while !name.to_ascii_lowercase().ends_with("exception") {
                        name = format!("{name} {}", tokens.next()?);
                    }
                    words.pop();
                    words.push(reference(&name));
                    references.insert(reference(&name), name);
                }
                (id, true) if !id.eq_ignore_ascii_case("or") && !id.eq_ignore_ascii_case("and") => {
                    words.push(known(id).unwrap_or_else(|| {
                        let reference = reference(id);
                        references.insert(reference.clone(), id.to_owned());
                        reference
                    }));
                    ids += 1;
                    wants_operand = false;
                    operand = id;
                }
                _ => return None,
            }
        }
        if wants_operand || depth > 0 {
            return None;
        }
        references.retain(|reference, _| words.contains(reference));
        let expression = words.join(" ").replace("( ", "(").replace(" )", ")");
        let is_single = ids == 1 && !expression.contains([' ', '(']);
        Some(Self { expression, references, texts: BTreeMap::new(), is_single })
    }
}

/// The id of a licence in SPDX's list, from the id or Debian's name.
fn known(name: &str) -> Option<String> {
    let table = table();
    let of_list = table.ids.iter().find(|id| id.eq_ignore_ascii_case(name));
    let of_debian = || table.debian.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, id)| id);
    of_list.or_else(of_debian).cloned()
}

/// An id for a licence that is not on the list (annex D.2).
fn reference(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let id: String = text.replace('+', "-or-later").chars().map(plain).collect();
    format!("LicenseRef-{}", id.trim_matches('-'))
}

/// The name of the licence of a package without a machine-readable copyright file. Its text is that file.
pub(crate) const COPYRIGHT: &str = "copyright file";

/// The licences of a Debian copyright file: their names, and the texts by name. A file that is not machine-readable is
/// itself the one licence, with its whole text.
pub(crate) fn terms(copyright: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let names = of_copyright(copyright);
    if names.is_empty() {
        let name = COPYRIGHT.to_owned();
        return (vec![name.clone()], BTreeMap::from([(name, copyright.to_owned())]));
    }
    (names, texts(copyright))
}

fn is_for_machines(copyright: &str) -> bool {
    let format = copyright.lines().take(3).find(|line| line.starts_with("Format"));
    // The drafts of the format had other URLs.
    format.is_some_and(|line| ["copyright-format", "dep5", "dep/web/deps"].iter().any(|it| line.contains(it)))
}

/// The text below each `License:` that has one.
fn texts(copyright: &str) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut lines = copyright.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("License:").map(str::trim) else { continue };
        let mut text = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
            // A dot is an empty line.
            let line = line.get(1..).unwrap_or_default();
            text.push_str(if line.trim() == "." { "" } else { line });
            text.push('\n');
        }
        if !text.is_empty() {
            texts.entry(name.to_owned()).or_insert(text);
        }
    }
    texts
}

/// The licences in a machine-readable copyright file of Debian
/// (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).
pub(crate) fn of_copyright(text: &str) -> Vec<String> {
    if !is_for_machines(text) {
        return Vec::new();
    }
    let mut names: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some(name) = line.strip_prefix("License:").map(str::trim) else { continue };
        if !name.is_empty() && name.len() < 100 && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_have_expressions() {
        for (text, expected) in [
            ("MIT", "MIT"),
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
            ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", "(MIT OR Apache-2.0) AND Unicode-3.0"),
            ("Apache-2.0 WITH LLVM-exception OR MIT", "Apache-2.0 WITH LLVM-exception OR MIT"),
            ("mit", "MIT"),
            ("LicenseRef-x", "LicenseRef-LicenseRef-x"),
            ("My own, of course", "LicenseRef-My-own--of-course"),
            ("MIT AND", "LicenseRef-MIT-AND"),
        ] {
            assert_eq!(Licence::of_crate(text).expression(), expected, "{text}");
        }
        assert_eq!(Licence::of_crate("MIT").single(), Some("MIT"));
        assert_eq!(Licence::of_crate("MIT OR Zlib").single(), None);
    }

    #[test]
    fn packages_have_several() {
        let of = |texts: &[&str]| Licence::of_package(&texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        let licence = of(&["GPL-2+", "Expat or BSD-3-clause", "public-domain", "GPL-2+"]).unwrap();
        assert_eq!(licence.expression(), "(MIT OR BSD-3-Clause) AND GPL-2.0-or-later AND LicenseRef-public-domain");
        assert_eq!(
            licence.references().collect::<Vec<_>>(),
            [("LicenseRef-public-domain".to_owned(), "public-domain")]
        );
        let licence = of(&["GPL-2+ with OpenSSL exception"]).unwrap();
        assert_eq!(licence.expression(), "LicenseRef-GPL-2-or-later-with-OpenSSL-exception");
    }

    #[test]
    fn exceptions_are_part_of_a_name_and_case_is_not() {
        for (text, expected) in [
            ("GPL-2+ with Autoconf exception and EXPAT", "LicenseRef-GPL-2-or-later-with-Autoconf-exception AND MIT"),
            ("Apache-2.0 with LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
            ("GFDL-NIV-1.3+ or own", "(GFDL-1.3-no-invariants-or-later OR LicenseRef-own)"),
            ("GPL-2+ with", "LicenseRef-GPL-2-or-later-with"),
        ] {
            let licence = Licence::of_package(&[text.to_owned()]).unwrap();
            assert_eq!(licence.expression(), expected, "{text}");
            assert!(licence.references().all(|(id, _)| expected.contains(&id)), "{text}: {licence:?}");
        }
    }

    #[test]
    fn texts_are_told_apart_and_shared() {
        let of = |name: &str, text: &str| {
            let texts = BTreeMap::from([("own".to_owned(), text.to_owned())]);
            Licence::of_package(&[name.to_owned()]).unwrap().with_texts(&texts)
        };
        let (one, other) = (of("MIT and (own or own-2)", "a\n"), of("own", "b\n"));
        assert_eq!(one.expression(), "(MIT AND (LicenseRef-own-87428fc5 OR LicenseRef-own-2))");
        assert_eq!((other.expression(), other.single()), ("LicenseRef-own-02638299", Some("LicenseRef-own-02638299")));
        assert_eq!(one.text("LicenseRef-own-87428fc5"), Some("a\n"));
        assert_eq!(one.text("LicenseRef-own-2"), None);
        assert_eq!(of("own", "a\n").references().next(), one.references().nth(1));
    }

    #[test]
    fn terms_of_copyright_files() {
        let text = "Format: http://dep.debian.net/deps/dep5\n\nFiles: *\nLicense: own\n\nLicense: own\n one\n .\n  two\n\nFiles: x\n";
        let own = |text: &str| BTreeMap::from([("own".to_owned(), text.to_owned())]);
        assert_eq!(terms(text), (vec!["own".to_owned()], own("one\n\n two\n")));
        let free = "This is free.\nLicense: MIT\n";
        assert_eq!(
            terms(free),
            (vec![COPYRIGHT.to_owned()], BTreeMap::from([(COPYRIGHT.to_owned(), free.to_owned())]))
        );
        let licence = Licence::of_package(&terms(free).0).unwrap().with_texts(&terms(free).1);
        let id = licence.single().unwrap();
        assert!(id.starts_with("LicenseRef-copyright-file-"), "{id}");
        assert_eq!(licence.text(id), Some(free));
    }

    #[test]
    fn copyright_files_for_machines() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: MIT\n\
                    \nFiles: x\nLicense: GPL-2+\n text\n\nLicense: MIT\n";
        assert_eq!(of_copyright(text), ["MIT", "GPL-2+"]);
        assert_eq!(of_copyright("This is free.\nLicense: MIT\n"), [""; 0]);
    }
}
