//! Packages of languages' own package managers, from the metadata that these install: Python distributions, packages of
//! node, and modules of Go. Names are those of their registries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Package;

/// The maximum length of a licence field. Longer ones are whole texts.
const LICENCE: usize = 100;

/// Parses the core metadata of an installed Python distribution: `METADATA` or `PKG-INFO`
/// (<https://packaging.python.org/en/latest/specifications/core-metadata/>).
pub(crate) fn of_python(text: &str) -> Option<Package> {
    let header: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    let field = |name: &str| {
        let values = header.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.map(str::trim).find(|value| !value.is_empty() && *value != "UNKNOWN").map(str::to_owned)
    };
    let licence = field("License-Expression").or_else(|| field("License"));
    Some(Package {
        kind: "pypi",
        name: field("Name")?,
        version: field("Version")?,
        licences: licence.filter(|text| text.len() <= LICENCE).into_iter().collect(),
        maintainer: field("Author").or_else(|| Some("Python Package Index".to_owned())),
        homepage: field("Home-page"),
        ..Package::default()
    })
}

/// Parses the `package.json` of an installed package
/// (<https://docs.npmjs.com/cli/v11/configuring-npm/package-json>).
pub(crate) fn of_node(text: &str) -> Option<Package> {
    let manifest: Value = serde_json::from_str(text).ok()?;
    let field = |name: &str| manifest[name].as_str().filter(|value| !value.is_empty()).map(str::to_owned);
    // Before 2014 it was an object, or a list of alternatives.
    let kind = |value: &Value| value.as_str().or_else(|| value["type"].as_str()).map(str::to_owned);
    let several =
        || manifest["licenses"].as_array().map(|all| all.iter().filter_map(kind).collect::<Vec<_>>().join(" OR "));
    let licence = kind(&manifest["license"]).or_else(several).filter(|text| (1..=LICENCE).contains(&text.len()));
    let author = manifest["author"].as_str().or_else(|| manifest["author"]["name"].as_str()).map(str::to_owned);
    Some(Package {
        kind: "npm",
        name: field("name")?,
        version: field("version")?,
        licences: licence.into_iter().collect(),
        maintainer: author.or_else(|| Some("npm".to_owned())),
        homepage: field("homepage"),
        ..Package::default()
    })
}

/// Parses the section `.go.buildinfo` of an executable that Go 1.18 or later linked: the main module, those compiled into
/// it, and the standard library (<https://pkg.go.dev/debug/buildinfo>).
pub(crate) fn of_go(section: &[u8]) -> Vec<Package> {
    /// Two strings after a header of 32 bytes, each after its length.
    fn strings(section: &[u8]) -> Option<(&str, &[u8])> {
        let rest = section.strip_prefix(b"\xff Go buildinf:")?;
        let is_inline = rest.get(1)? & 2 != 0;
        let mut rest = section.get(32..).filter(|_| is_inline)?;
        let mut next = || {
            let (mut length, mut count) = (0_usize, 0);
            loop {
                let byte = *rest.get(count)?;
                length |= usize::from(byte & 0x7f).checked_shl(7 * u32::try_from(count).ok()?)?;
                count += 1;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let text = rest.get(count..count.checked_add(length)?)?;
            rest = &rest[count + length..];
            Some(text)
        };
        Some((std::str::from_utf8(next()?).ok()?, next()?))
    }
    let Some((release, modules)) = strings(section) else { return Vec::new() };
    // 16 bytes on either side mark it.
    let modules = modules.get(16..modules.len().saturating_sub(16)).unwrap_or_default();
    let mut all = vec![("stdlib", release.trim_start_matches("go").split(' ').next().unwrap_or_default())];
    let modules = String::from_utf8_lossy(modules);
    let mut settings = BTreeMap::new();
    for line in modules.lines() {
        settings.extend(line.strip_prefix("build\t").and_then(|setting| setting.split_once('=')));
        let mut fields = line.split('\t');
        let (kind, path, version) = (fields.next(), fields.next(), fields.next());
        match (kind, path, version) {
            (Some("mod" | "dep"), Some(path), Some(version)) => all.push((path, version)),
            // It replaces the module before it.
            (Some("=>"), Some(path), Some(version)) => *all.last_mut().expect("stdlib is there") = (path, version),
            _ => {}
        }
    }
    let package = |(path, version): &(&str, &str)| Package {
        kind: "golang",
        name: (*path).to_owned(),
        version: if *version == "(devel)" { of_settings(&settings) } else { (*version).to_owned() },
        maintainer: Some(if *path == "stdlib" { "The Go Authors" } else { path }.to_owned()),
        ..Package::default()
    };
    all.iter().map(package).collect()
}

/// The version of a main module that was built from a checkout, from the settings of its build, as syft and trivy read them: a
/// variable that the linker set, else the commit's pseudo-version (<https://go.dev/ref/mod#pseudo-versions>), else empty.
fn of_settings(settings: &BTreeMap<&str, &str>) -> String {
    let setting = |key: &str| settings.get(key).copied().unwrap_or_default();
    let named = |word: &str| {
        let (name, value) = word.split_once('=')?;
        let name = name.rsplit('.').next()?.to_ascii_lowercase();
        let version = value.rsplit('/').next()?.trim_start_matches('v');
        let is_one =
            version.split('.').take(3).filter(|part| part.starts_with(|c: char| c.is_ascii_digit())).count() == 3;
        (is_one && ["version", "ver", "buildversion", "gitversion", "tag"].contains(&&*name))
            .then(|| format!("v{version}"))
    };
    if let Some(version) = setting("-ldflags").split([' ', '"', '\'', '\\']).find_map(named) {
        return version;
    }
    let time: String = setting("vcs.time").chars().filter(char::is_ascii_digit).take(14).collect();
    match setting("vcs.revision").get(..12) {
        Some(commit) if time.len() == 14 => format!("v0.0.0-{time}-{commit}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_distribution() {
        let text = "Metadata-Version: 2.1\nName: Some_Thing\nVersion: 1.2\nHome-page: UNKNOWN\nAuthor: A B\nLicense: MIT\n\n\
                    Version: 9\nLicense-Expression: Zlib\n";
        let package = of_python(text).unwrap();
        assert_eq!((&*package.name, &*package.version, package.kind), ("Some_Thing", "1.2", "pypi"));
        assert_eq!((package.licences, package.homepage), (vec!["MIT".to_owned()], None));
        assert_eq!(package.maintainer.as_deref(), Some("A B"));
        let with_returns = of_python("Name: a\r\nVersion: 1\r\n\r\nLicense: in the body\r\n").unwrap();
        assert_eq!((&*with_returns.version, with_returns.licences), ("1", Vec::new()));
        let newer = of_python("Name: a\nVersion: 1\nLicense: see below\nLicense-Expression: Zlib\n").unwrap();
        assert_eq!(newer.licences, ["Zlib"]);
        let whole_text = format!("Name: a\nVersion: 1\nLicense: {}\n", "x".repeat(500));
        assert_eq!(of_python(&whole_text).unwrap().licences, [""; 0]);
        assert_eq!(of_python("Name: a\n"), None);
    }

    #[test]
    fn a_package_of_node() {
        let text = r#"{"name": "@scope/it", "version": "1.0.0", "license": "ISC", "author": {"name": "A B"}}"#;
        let package = of_node(text).unwrap();
        assert_eq!((&*package.name, &*package.version, package.kind), ("@scope/it", "1.0.0", "npm"));
        assert_eq!((package.licences, package.maintainer.as_deref()), (vec!["ISC".to_owned()], Some("A B")));
        assert_eq!(of_node(r#"{"name": "private"}"#), None);
        for (field, licence) in [
            (r#""license": {"type": "ISC", "url": "x"}"#, "ISC"),
            (r#""licenses": [{"type": "MIT"}, {"type": "Zlib"}]"#, "MIT OR Zlib"),
            (r#""licenses": "MIT""#, ""),
            (r#""license": """#, ""),
        ] {
            let package = of_node(&format!(r#"{{"name": "a", "version": "1", {field}}}"#)).unwrap();
            assert_eq!(package.licences.concat(), licence, "{field}");
        }
        assert_eq!(of_node("not JSON"), None);
    }

    fn section(modules: &str) -> Vec<u8> {
        let mut section = b"\xff Go buildinf:\x08\x02".to_vec();
        section.resize(32, 0);
        let modules = [&[1; 16][..], modules.as_bytes(), &[2; 16]].concat();
        for text in [b"go1.22.4 X:loopvar".as_slice(), &modules] {
            let mut left = text.len();
            while left > 0x7f {
                section.push(left.to_le_bytes()[0] | 0x80);
                left >>= 7;
            }
            section.push(left.to_le_bytes()[0]);
            section.extend(text);
        }
        section
    }

    #[test]
    fn a_go_program_has_the_version_of_its_build() {
        let of = |settings: &str| {
            let modules = format!("mod\texample.com/app\t(devel)\t\n{settings}");
            of_go(&section(&modules))[1].version.clone()
        };
        let vcs = "build\tvcs.revision=6cbe0a2d3b4c5d6e7f80\nbuild\tvcs.time=2024-12-13T18:41:10Z\n";
        assert_eq!(of(vcs), "v0.0.0-20241213184110-6cbe0a2d3b4c");
        let linker = |flags: &str| format!("build\t-ldflags=\"-w -X {flags} -s\"\n{vcs}");
        assert_eq!(of(&linker("main.version=1.18.1")), "v1.18.1");
        assert_eq!(of(&linker("'example.com/app/internal.GitVersion=v2.0.0-rc.1'")), "v2.0.0-rc.1");
        for other in ["main.version=dev", "main.goVersion=1.2.3", "main.version=1.2", "main.date=2024.12.13"] {
            assert_eq!(of(&linker(other)), of(vcs), "{other}");
        }
        for short in ["build\tvcs.revision=6cbe\nbuild\tvcs.time=2024-12-13T18:41:10Z\n", "build\tvcs.time=2024\n"] {
            assert_eq!(of(short), "");
        }
    }

    #[test]
    fn modules_of_go() {
        let modules = "path\texample.com/app/cmd\nmod\texample.com/app\t(devel)\t\n\
                       dep\tgithub.com/A/b\tv1.0.0\th1:x=\ndep\tgithub.com/C/d\tv2.0.0\n\
                       =>\texample.com/fork/d\tv2.0.1\th1:y=\nbuild\t-compiler=gc\n";
        let found = of_go(&section(modules));
        let found: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect();
        let expected = [
            ("stdlib", "1.22.4"),
            ("example.com/app", ""),
            ("github.com/A/b", "v1.0.0"),
            ("example.com/fork/d", "v2.0.1"),
        ];
        assert_eq!(found, expected);
        let whole = section(modules);
        for length in 0..whole.len() {
            assert!(of_go(&whole[..length]).len() <= expected.len(), "{length}");
        }
        assert_eq!(of_go(&[&b"\xff Go buildinf:\x08\x02"[..], &[0; 16], &[0xff; 40]].concat()), []);
        // Go before 1.18 has pointers there.
        assert_eq!(of_go(&[&b"\xff Go buildinf:\x08\x00"[..], &whole[16..]].concat()), []);
    }
}
