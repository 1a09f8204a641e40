//! Package URLs (<https://github.com/package-url/purl-spec>).

use super::{Crate, CrateSource, Distribution, Package};

/// The URL of a distribution's package, such as
/// `pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc`.
pub(super) fn of_package(package: &Package, distribution: Option<&Distribution>) -> String {
    let Package { kind, name, version, architecture, source, .. } = package;
    match *kind {
        // The names that the registry takes as equal (https://packaging.python.org/en/latest/specifications/name-normalization/).
        "pypi" => return url(kind, None, &name.to_ascii_lowercase().replace(['_', '.'], "-"), version, &[]),
        // Module paths of Go keep their case, as in syft and cyclonedx-gomod: the specification's lower-case names are not
        // those of the advisories.
        "golang" | "npm" => {
            let (within, name) = name.rsplit_once('/').map_or((None, &**name), |(within, name)| (Some(within), name));
            return url(kind, within, name, version, &[]);
        }
        _ => {}
    }
    let unknown = Distribution::default();
    let distribution = distribution.unwrap_or(&unknown);
    let namespace = match (distribution.id.as_str(), *kind) {
        ("", "deb") => "debian",
        ("", "apk") => "alpine",
        ("", _) => "arch",
        (id, _) => id,
    };
    let mut qualifiers = vec![("arch", architecture.clone())];
    if !distribution.id.is_empty() {
        let release = distribution.version.iter().map(|version| format!("-{version}")).collect::<String>();
        qualifiers.push(("distro", format!("{}{release}", distribution.id)));
    }
    // The qualifier of syft and grype: advisories are about sources.
    if let Some((source, of)) = source {
        qualifiers.push(("upstream", if of == version { source.clone() } else { format!("{source}@{of}") }));
    }
    url(kind, Some(namespace), name, version, &qualifiers)
}

/// The URL of a crate, such as `pkg:cargo/serde@1.0.219`.
pub(super) fn of_crate(one: &Crate) -> String {
    let qualifiers = match &one.source {
        CrateSource::CratesIo | CrateSource::Local => Vec::new(),
        CrateSource::Git(from) => vec![("vcs_url", from.clone())],
        CrateSource::Registry(from) => vec![("repository_url", from.clone())],
    };
    url("cargo", None, &one.name, &one.version, &qualifiers)
}

fn url(kind: &str, namespace: Option<&str>, name: &str, version: &str, qualifiers: &[(&str, String)]) -> String {
    let namespace: String =
        namespace.into_iter().flat_map(|all| all.split('/')).map(|part| format!("{}/", encoded(part))).collect();
    let version = if version.is_empty() { String::new() } else { format!("@{}", encoded(version)) };
    let named = qualifiers.iter().filter(|(_, value)| !value.is_empty());
    let named: Vec<String> = named.map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    let query = if named.is_empty() { String::new() } else { format!("?{}", named.join("&")) };
    format!("pkg:{kind}/{namespace}{}{version}{query}", encoded(name))
}

/// Percent-encodes all but unreserved characters and colons, as the specification requires.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages() {
        let mut package = Package {
            kind: "deb",
            name: "libstdc++6".to_owned(),
            version: "1:2.36-9+deb12u1".to_owned(),
            architecture: "amd64".to_owned(),
            source: Some(("gcc-12".to_owned(), "12.2.0-14".to_owned())),
            ..Package::default()
        };
        let debian = Distribution { id: "debian".to_owned(), version: Some("12".to_owned()), name: None };
        assert_eq!(
            of_package(&package, Some(&debian)),
            "pkg:deb/debian/libstdc%2B%2B6@1:2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14"
        );
        package.source = None;
        assert_eq!(of_package(&package, None), "pkg:deb/debian/libstdc%2B%2B6@1:2.36-9%2Bdeb12u1?arch=amd64");
    }

    #[test]
    fn crates() {
        let mut one = Crate { name: "a".to_owned(), version: "1.0.0+x".to_owned(), ..Crate::default() };
        assert_eq!(of_crate(&one), "pkg:cargo/a@1.0.0%2Bx");
        one.source = CrateSource::Git("git+https://h/r#1".to_owned());
        assert_eq!(of_crate(&one), "pkg:cargo/a@1.0.0%2Bx?vcs_url=git%2Bhttps:%2F%2Fh%2Fr%231");
    }
}
