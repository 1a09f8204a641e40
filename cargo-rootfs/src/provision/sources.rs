//! The mirrors of a suite: the host's mirrors of the distribution, or the public ones.
//!
//! It transforms the text of sources.list(5) files; [`super::apt`] reads the files.

use std::fmt::Write as _;

use super::suite::{Distribution, Suite, is_rolling};
use crate::target::Machine;

/// One entry of sources.list(5), in either format.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    /// Fields in the spelling of deb822, such as `Signed-By`; a value may have several lines.
    options: Vec<(String, String)>,
}

/// The kept options: those that decide whether and how apt trusts a mirror and sends requests to it. The host's choice
/// of architectures and languages does not apply here.
const KEPT: [&str; 6] = ["Signed-By", "Trusted", "Check-Valid-Until", "Valid-Until-Max", "Check-Date", "By-Hash"];

/// The sources of `suite` for `machine`, as one deb822 text. `files` are the host's, each with its name; `host` is the
/// host's suite; `keyring` is the distribution's, if installed.
pub(super) fn sources(
    suite: &Suite,
    machine: Machine,
    host: Option<&Suite>,
    files: &[(String, String)],
    keyring: Option<&str>,
) -> String {
    let entries =
        files.iter().flat_map(|(name, text)| if name.ends_with(".sources") { deb822(text) } else { one_line(text) });
    let is_own = host.is_some_and(|host| host == suite);
    let mut chosen: Vec<Entry> = Vec::new();
    for entry in entries {
        let Some(mut entry) = of_distribution(entry, suite, host) else { continue };
        for uri in &mut entry.uris {
            if let Some(other) = suite.distribution.mirror_for(uri, machine) {
                *uri = other.to_owned();
            }
        }
        // Another suite may be signed with keys that the host's own suite does not need.
        if let Some(keyring) = keyring.filter(|_| !is_own) {
            entry.options.retain(|(key, _)| key != "Signed-By");
            entry.options.push(("Signed-By".to_owned(), keyring.to_owned()));
        }
        if !chosen.contains(&entry) {
            chosen.push(entry);
        }
    }
    if chosen.is_empty() {
        chosen = public(suite, machine, keyring);
    }
    chosen.iter().map(written).collect::<Vec<_>>().join("\n")
}

/// The entry for `suite`, if it belongs to the distribution's own archives.
fn of_distribution(mut entry: Entry, suite: &Suite, host: Option<&Suite>) -> Option<Entry> {
    let Suite { distribution, name } = suite;
    let host = host.filter(|host| host.distribution == *distribution)?;
    let own = entry.components.iter().all(|component| distribution.components().contains(&component.as_str()));
    if !own || entry.components.is_empty() || entry.uris.iter().any(|uri| uri.starts_with("cdrom:")) {
        return None;
    }
    let mut suites: Vec<String> = Vec::new();
    for text in &entry.suites {
        let Some(pocket) = pocket(text, *distribution, &host.name) else { continue };
        let wanted = match pocket {
            "" => name.clone(),
            // The spelling before Debian 11.
            "/updates" => format!("{name}-security"),
            "-updates" | "-security" if !is_rolling(name) => format!("{name}{pocket}"),
            // Proposed updates and backports are opt-in, so they are left out.
            _ => continue,
        };
        if !suites.contains(&wanted) {
            suites.push(wanted);
        }
    }
    entry.suites = suites;
    entry.options.retain(|(key, _)| KEPT.contains(&key.as_str()));
    (!entry.suites.is_empty()).then_some(entry)
}

/// The suffix of a suite's name after the host's suite name.
fn pocket<'t>(text: &'t str, distribution: Distribution, host: &str) -> Option<&'t str> {
    let text = text.trim_end_matches('/');
    let names = std::iter::once(host).chain(distribution.aliases()).chain(["sid"]);
    let rest = |name: &str| text.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(['-', '/']));
    names.filter_map(rest).next()
}

fn public(suite: &Suite, machine: Machine, keyring: Option<&str>) -> Vec<Entry> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let sources = suite.distribution.default_sources(&suite.name, machine);
    let entry = |source: &super::suite::DefaultSource| Entry {
        uris: vec![source.mirror.to_owned()],
        suites: source.pockets.iter().map(|pocket| format!("{}{pocket}", suite.name)).collect(),
        components: words(&suite.distribution.free_components()),
        options: keyring.map(|keyring| ("Signed-By".to_owned(), keyring.to_owned())).into_iter().collect(),
    };
    sources.iter().map(entry).collect()
}

/// `deb [option=value ...] uri suite component ...`, one entry a line.
fn one_line(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '['])) else { continue };
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((options, rest)) => (options, rest),
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else { continue };
        let options = options.split_whitespace().filter_map(|option| option.split_once('='));
        entries.push(Entry {
            uris: vec![uri],
            suites: vec![suite],
            components: words.collect(),
            options: options.map(|(key, value)| (spelled(key), value.replace(',', " "))).collect(),
        });
    }
    entries
}

/// Stanzas of fields.
fn deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    // An empty line ends a stanza, and so does the end of the text.
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            entries.extend(stanza(std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((spelled(key.trim()), value.trim().to_owned()));
        }
    }
    entries
}

fn stanza(fields: Vec<(String, String)>) -> Option<Entry> {
    let value = |key: &str| fields.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let words = |key| value(key).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let is_off = value("Enabled").is_some_and(|value| matches!(value, "no" | "false" | "0" | "off"));
    if is_off || !words("Types").iter().any(|kind| kind == "deb") {
        return None;
    }
    let (uris, suites, components) = (words("Uris"), words("Suites"), words("Components"));
    (!uris.is_empty()).then_some(Entry { uris, suites, components, options: fields })
}

/// Field names are case-insensitive: `signed-by` and `Signed-By` are the same.
fn spelled(key: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters.map(|letter| letter.to_ascii_lowercase())).collect::<String>()
    };
    key.split('-').map(word).collect::<Vec<_>>().join("-")
}

fn written(entry: &Entry) -> String {
    let mut text = format!(
        "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n",
        entry.uris.join(" "),
        entry.suites.join(" "),
        entry.components.join(" ")
    );
    for (key, value) in &entry.options {
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    const RING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

    fn sources_of(suite: &str, triple: &str, host: &str, files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let (suite, host) = (Suite::parse(suite).unwrap(), Suite::parse(host).unwrap());
        let machine = Target::parse(triple).unwrap().machine();
        sources(&suite, machine, Some(&host), &files, Some(RING))
    }

    const ARM: &str = "aarch64-unknown-linux-gnu";

    #[test]
    fn the_hosts_mirrors_serve_its_own_suite() {
        let one_line = "# comment\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # x\n\
                        deb-src http://mirror.example/debian bookworm main\n\
                        deb http://mirror.example/debian bookworm-backports main\n\
                        deb https://download.example/linux/debian bookworm stable\n\
                        deb cdrom:[Debian]/ bookworm main\n";
        assert_eq!(
            sources_of("debian:bookworm", ARM, "debian:bookworm", &[("sources.list", one_line)]),
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main contrib\n\
             Signed-By: /k.gpg\n"
        );
    }

    #[test]
    fn another_suite_comes_from_the_same_mirror() {
        let stanzas = "Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                       Components: main\nSigned-By: /only-bookworm.gpg\nArchitectures: amd64\n\n\
                       Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n\n\
                       Types: deb\nURIs: http://mirror.example/debian-security\nSuites: stable-security\nComponents: main\n";
        let files = [("debian.sources", stanzas)];
        let text = sources_of("debian:trixie", ARM, "debian:bookworm", &files);
        assert_eq!(
            text,
            format!(
                "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n\
                 Signed-By: {RING}\n\nTypes: deb\nURIs: http://mirror.example/debian-security\n\
                 Suites: trixie-security\nComponents: main\nSigned-By: {RING}\n"
            )
        );
        let rolling = sources_of("debian:sid", ARM, "debian:bookworm", &files);
        assert_eq!(rolling.matches("Suites: sid\n").count(), 1, "{rolling}");
        assert!(!rolling.contains("-updates") && !rolling.contains("-security"), "{rolling}");
    }

    #[test]
    fn keys_of_several_lines_stay() {
        let stanza = "Types: deb\nURIs: http://m.example\nSuites: bookworm\nComponents: main\n\
                      Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let text = sources_of("debian:bookworm", ARM, "debian:bookworm", &[("x.sources", stanza)]);
        assert!(
            text.ends_with(
                "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn another_distribution_comes_from_its_public_mirror() {
        let text =
            sources_of("ubuntu:noble", ARM, "debian:bookworm", &[("sources.list", "deb http://m bookworm main")]);
        assert!(text.contains("URIs: http://ports.ubuntu.com/ubuntu-ports\n"), "{text}");
        assert!(text.contains("Suites: noble noble-updates noble-security\nComponents: main universe\n"), "{text}");
        let own = "deb http://archive.ubuntu.com/ubuntu noble main\ndeb http://security.ubuntu.com/ubuntu noble-security main";
        let text = sources_of("ubuntu:noble", ARM, "ubuntu:noble", &[("sources.list", own)]);
        assert_eq!(text.matches("URIs: http://ports.ubuntu.com/ubuntu-ports\n").count(), 2, "{text}");
    }
}
