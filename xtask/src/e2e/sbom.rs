//! An image and its bill of materials, as a security team reads them: by syft, by readers with the rules of other
//! scanners, and by validators of both formats. The project is a published one, built through cargo-auditable.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json::Value;

use super::lab::Lab;
use crate::process::{Command, command};
use crate::readers::{self, Package};
use crate::stage::{cannot, need};
use crate::{host, packed, projects};

/// Validates CycloneDX 1.6 as strictly as its own library can.
const CYCLONEDX: &str = "import sys; \
    from cyclonedx.validation.json import JsonStrictValidator; from cyclonedx.schema import SchemaVersion; \
    sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))";

/// A name and a version.
type Named = (String, String);

fn ready() -> Result<()> {
    ["dpkg-query", "objcopy", "objdump", "python3"].into_iter().try_for_each(need)?;
    let (sysroot, scanners) = (packed::open(host::sysroot_tools())?, packed::open(host::scanners())?);
    for tool in [scanners.join("bin/syft"), host::auditable().join("cargo-auditable"), sysroot] {
        if !tool.exists() {
            return cannot(format!("no {tool}: run `cargo xtask setup --all`"));
        }
    }
    Ok(())
}

fn client(name: &str) -> Command {
    command([host::scanners().join("bin").join(name).into_string()])
}

/// `cargo rootfs` in a published crate, with cargo-auditable installed.
fn packing(lab: &Lab, project: &Utf8Path, words: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}", lab.path("bin"), host::auditable());
    let sysroot = host::sysroot_tools();
    let fixed =
        ["--auditable", "always", "--locked", "--profile", "dev", "--sysroot", sysroot.as_str(), "--target-dir"];
    let rootfs = lab.rootfs(project, fixed).arg(lab.path("target")).args(words.iter().copied());
    rootfs.env("PATH", path).env("CARGO_PROFILE_DEV_DEBUG", "0")
}

/// The crates that cargo compiles for the project, which the documents list. cargo-auditable may embed more: `cargo
/// metadata`, which it calls, joins the features of all targets.
fn compiled(project: &Utf8Path) -> Result<BTreeSet<Named>> {
    let words = ["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"];
    let said = command([host::cargo()]).args(words).dir(project).run()?;
    let named = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
    };
    Ok(said.stdout.lines().filter_map(named).collect())
}

/// The packages and crates that syft finds, as often as it lists each.
fn scanned(source: &str) -> Result<(Vec<Package>, Vec<Named>)> {
    let done =
        client("syft").args(["scan", source, "--quiet", "--output", "json"]).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    let done = done.run()?;
    let document: Value = serde_json::from_str(&done.stdout).context("syft's JSON")?;
    let (mut packages, mut crates) = (Vec::new(), Vec::new());
    for one in document["artifacts"].as_array().context("artifacts")? {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, version, more) = (text(&one["name"]), text(&one["version"]), &one["metadata"]);
        let or = |value: String, other: &str| if value.is_empty() { other.to_owned() } else { value };
        match one["type"].as_str() {
            Some("deb") => packages.push(Package {
                architecture: text(&more["architecture"]),
                source: (or(text(&more["source"]), &name), or(text(&more["sourceVersion"]), &version)),
                name,
                version,
            }),
            Some("rust-crate") => crates.push((name, version)),
            other => anyhow::bail!("{source}: something that is not there: {other:?} {name} {version}"),
        }
    }
    packages.sort();
    crates.sort();
    Ok((packages, crates))
}

/// Fails unless syft lists exactly these, each once.
fn lists(source: &str, packages: &[Package], crates: &BTreeSet<Named>) -> Result<()> {
    let (found, compiled) = scanned(source)?;
    ensure!(found == packages, "{source}: syft finds {found:#?}, expected {packages:#?}");
    ensure!(compiled.iter().eq(crates), "{source}: syft finds {compiled:#?}, expected {crates:#?}");
    Ok(())
}

/// The packages and crates of a document, by their package URLs.
fn of_purls<'v>(purls: impl Iterator<Item = &'v str>) -> Result<(BTreeSet<Named>, BTreeSet<Named>)> {
    let (mut packages, mut crates) = (BTreeSet::new(), BTreeSet::new());
    for purl in purls {
        let (path, _) = purl.split_once('?').unwrap_or((purl, ""));
        let (kind, name) = path.split_once('/').with_context(|| purl.to_owned())?;
        let (name, version) =
            name.rsplit('/').next().and_then(|it| it.split_once('@')).with_context(|| purl.to_owned())?;
        let plain = |text: &str| text.replace("%2B", "+").replace("%7E", "~");
        let of = if kind == "pkg:deb" { &mut packages } else { &mut crates };
        ensure!(of.insert((plain(name), plain(version))), "{purl} is there twice");
    }
    Ok((packages, crates))
}

/// Every reader finds in image, layout, archive and directory the packages of the records; the documents have the same.
pub(super) fn scanners(lab: &Lab) -> Result<()> {
    ready()?;
    let project = projects::lay_out_crate("b3sum", "1.5.5", lab)?;
    let content = ["--with", "bash,ls,openssl,git", "--dir", "root", "--oci", "layout", "--oci-archive", "image.tar"];
    let sboms = ["--sbom", "spdx=sbom.spdx.json", "--sbom", "cyclonedx=sbom.cdx.json"];
    packing(lab, &project, &[&content[..], &sboms].concat()).run()?;
    let root = project.join("root");

    // Readers by the rules of trivy and osv-scalibr, and dpkg-query, cargo and rust-audit-info.
    let packages = readers::packages(&root, &host::sysroot_tools())?;
    let crates = readers::crates(&root)?;
    ensure!(packages.len() > 10 && crates.len() > 5, "few: {packages:?}, {crates:?}");
    let compiled = compiled(&project)?;
    let missed: Vec<_> = compiled.iter().filter(|one| !crates.contains(*one)).collect();
    ensure!(missed.is_empty(), "cargo tree has these besides: {missed:?}");
    let audit = host::auditable().join("rust-audit-info");
    let said = command([audit.as_str(), root.join("usr/local/bin/b3sum").as_str()]).run()?;
    let said: Value = serde_json::from_str(&said.stdout).context("rust-audit-info's JSON")?;
    let runtime = said["packages"].as_array().context("packages")?.iter().filter(|one| one["kind"] != "build");
    let runtime = runtime.map(|one| (one["name"].to_string(), one["version"].to_string()));
    let runtime: BTreeSet<Named> = runtime.map(|(a, b)| (a.replace('"', ""), b.replace('"', ""))).collect();
    ensure!(runtime == crates, "rust-audit-info finds {runtime:#?}");

    // syft, of each kind of output.
    let (layout, archive) = (project.join("layout"), project.join("image.tar"));
    for source in [
        format!("oci-dir:{layout}"),
        format!("oci-archive:{archive}"),
        format!("docker-archive:{archive}"),
        format!("dir:{root}"),
    ] {
        lists(&source, &packages, &crates)?;
    }

    // Without one record every reader lacks that package.
    let records = root.join("var/lib/dpkg/status.d");
    fs::remove_file(records.join("libc6"))?;
    let missed = readers::packages(&root, &host::sysroot_tools()).err().context("a record less goes unnoticed")?;
    ensure!(format!("{missed:#}").contains("libc6"), "{missed:#}");
    ensure!(scanned(&format!("dir:{root}"))?.0.len() == packages.len() - 1, "syft finds libc6 without its record");

    documents(&project, &packages, &compiled)?;
    attached(&layout, &project)?;

    // If dpkg itself is packed, its `status` replaces the records.
    let sysroot = host::sysroot_tools();
    lab.tools(["--with", "dpkg", "--sysroot", sysroot.as_str(), "--dir", "own"]).run()?;
    let root = lab.path("own");
    ensure!(root.join("var/lib/dpkg/status").exists(), "no status");
    lists(&format!("dir:{root}"), &readers::packages(&root, &sysroot)?, &BTreeSet::new())
}

/// Every licence of this machine's own packages, with their copyright files, has an id or a text.
pub(super) fn licences(lab: &Lab) -> Result<()> {
    ready()?;
    let (spdx, cyclonedx) = (lab.path("sbom.spdx.json"), lab.path("sbom.cdx.json"));
    let sboms = [format!("spdx={spdx}"), format!("cyclonedx={cyclonedx}")];
    lab.tools(["--with", "bash,openssl,git", "--tar", "root.tar", "--sbom", &sboms[0], "--sbom", &sboms[1]]).run()?;
    valid_spdx(&spdx).run()?;
    valid_cyclonedx(&cyclonedx).run()?;
    let document = json(&spdx)?;
    let packages = document["packages"].as_array().context("packages")?;
    let declared = |package: &Value| package["licenseDeclared"].as_str().unwrap_or_default().to_owned();
    let unknown =
        packages.iter().filter(|package| package["externalRefs"].is_array() && declared(package) == "NOASSERTION");
    let unknown: Vec<&Value> = unknown.map(|package| &package["name"]).collect();
    ensure!(unknown.is_empty(), "no licence of {unknown:?}");
    let libc = packages.iter().find(|package| package["name"] == "libc6").context("libc6")?;
    let own = document["hasExtractedLicensingInfos"].as_array().context("licences of their own")?;
    let text = own.iter().find(|it| it["licenseId"] == *declared(libc)).context("the licence of libc6")?;
    let copyright = fs::read_to_string("/usr/share/doc/libc6/copyright")?;
    ensure!(text["extractedText"] == *copyright, "libc6 has another licence: {text}");
    Ok(())
}

fn valid_spdx(path: &Utf8Path) -> Command {
    client("pyspdxtools").args(["--infile", path.as_str()])
}

fn valid_cyclonedx(path: &Utf8Path) -> Command {
    command([host::scanners().join("bin/python").as_str(), "-c", CYCLONEDX, path.as_str()])
}

fn json(path: &Utf8Path) -> Result<Value> {
    serde_json::from_slice(&fs::read(path)?).context("JSON")
}

/// Both documents are valid and have the same packages and crates; an invalid one is refused.
fn documents(project: &Utf8Path, packages: &[Package], crates: &BTreeSet<Named>) -> Result<()> {
    let (spdx, cyclonedx) = (project.join("sbom.spdx.json"), project.join("sbom.cdx.json"));
    valid_spdx(&spdx).run()?;
    valid_cyclonedx(&cyclonedx).run()?;
    let elements = client("ntia-checker").args(["--comply", "ntia", spdx.as_str()]).run()?;
    ensure!(elements.stdout.contains("Conformant: True"), "{}", elements.report("NTIA's minimum elements"));

    let (mut one, mut other) = (json(&spdx)?, json(&cyclonedx)?);
    let expected: BTreeSet<Named> = packages.iter().map(|it| (it.name.clone(), it.version.clone())).collect();
    let listed = one["packages"].as_array().context("packages")?.iter().flat_map(|package| {
        let all = package["externalRefs"].as_array().into_iter().flatten();
        all.filter(|it| it["referenceType"] == "purl").filter_map(|it| it["referenceLocator"].as_str())
    });
    let (listed, compiled) = of_purls(listed)?;
    ensure!(listed == expected && compiled == *crates, "SPDX has {listed:#?} and {compiled:#?}");
    let components = other["components"].as_array().context("components")?;
    let (listed, compiled) = of_purls(components.iter().filter_map(|component| component["purl"].as_str()))?;
    ensure!(listed == expected && compiled == *crates, "CycloneDX has {listed:#?} and {compiled:#?}");

    // Faults that each of the three validators must find.
    let put = |name: &str, document: &Value| -> Result<Utf8PathBuf> {
        let path = project.join(name);
        fs::write(&path, document.to_string())?;
        Ok(path)
    };
    one["packages"][1]["licenseDeclared"] = "no licence at all".into();
    valid_spdx(&put("wrong.spdx.json", &one)?).fail(&[1])?;
    let mut short = json(&spdx)?;
    short["packages"][1].as_object_mut().context("a package")?.remove("supplier");
    let elements =
        client("ntia-checker").args(["--comply", "ntia", put("short.spdx.json", &short)?.as_str()]).finish()?;
    ensure!(!elements.stdout.contains("Conformant: True"), "{}", elements.report("a supplier less"));
    other["components"][0]["hash"] = "".into();
    valid_cyclonedx(&put("wrong.cdx.json", &other)?).fail(&[1]).map(drop)
}

/// The layout has both documents, each with a manifest whose subject is the image.
fn attached(layout: &Utf8Path, project: &Utf8Path) -> Result<()> {
    let layout = super::layout::Layout::read(layout)?;
    let types: BTreeSet<&str> = layout.referrers.iter().map(|(kind, _)| kind.as_str()).collect();
    ensure!(types == ["application/spdx+json", "application/vnd.cyclonedx+json"].into(), "{types:?}");
    for name in ["sbom.spdx.json", "sbom.cdx.json"] {
        let text = fs::read(project.join(name))?;
        ensure!(layout.referrers.iter().any(|(_, content)| *content == text), "no {name} in the layout");
    }
    Ok(())
}

/// The comparison of two releases lists the changed crates, packages and files; `verify` proves both.
pub(super) fn releases(lab: &Lab) -> Result<()> {
    ready()?;
    for (version, tools) in [("1.5.4", "bash"), ("1.5.5", "bash,jq")] {
        let project = projects::lay_out_crate("b3sum", version, lab)?;
        let image = lab.path(&format!("{version}.tar"));
        packing(lab, &project, &["--with", tools, "--oci-archive", image.as_str()]).run()?;
        fs::rename(&project, lab.path(&format!("b3sum-{version}")))?;
    }
    let binary = lab.path("bin/cargo-rootfs");
    let rootfs = |words: &[&str]| command([binary.as_str(), "rootfs"]).args(words.iter().copied()).dir(lab.path(""));
    for image in ["1.5.4.tar", "1.5.5.tar"] {
        let proved = rootfs(&["verify", image]).run()?;
        ensure!(proved.stdout.contains("programs resolve"), "{}", proved.report(image));
    }
    for (format, ending) in [("text", "txt"), ("markdown", "md")] {
        let done = rootfs(&["diff", "1.5.4.tar", "1.5.5.tar", "--format", format]).run()?;
        let (golden, said) = (host::repo().join(format!("tests/golden/release.{ending}")), lasting(&done.stdout));
        if std::env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite") {
            fs::write(&golden, &said)?;
        }
        let expected = fs::read_to_string(&golden)?;
        ensure!(said == expected, "{}", done.report(&format!("not as {golden}")));
    }
    rootfs(&["diff", "1.5.4.tar", "1.5.5.tar", "--fail-on", "package"]).fail(&[1])?.says(&["jq"])
}

/// A comparison without sizes and versions of packages, glibc and Linux, which change with the next update of Debian or
/// Rust.
fn lasting(text: &str) -> String {
    let line = |line: &str| {
        let is_of_the_system =
            ["glibc ", "linux "].iter().any(|it| line.trim_start_matches("| ").to_lowercase().starts_with(it));
        let mut kept: Vec<&str> = Vec::new();
        for word in line.split(' ') {
            let bare = word.trim_start_matches("<code>").trim_end_matches("</code>");
            let bare = bare.trim_matches(['(', ')', '+', '-', ',', ':', '*']);
            let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
            let before = kept.last().copied().unwrap_or_default();
            match bare {
                "B" | "KiB" | "MiB" if is_number(before.trim_start_matches(['(', '+', '-'])) => {
                    kept.pop();
                    kept.push("SIZE");
                }
                _ if bare.ends_with('%') => kept.push("PERCENT"),
                _ if is_number(bare) && (bare.contains('-') || is_of_the_system) => kept.push("VERSION"),
                _ => kept.push(word),
            }
        }
        kept.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::lasting;

    #[test]
    fn what_updates_change_is_left_out_of_a_comparison_and_nothing_else() {
        for (line, expected) in [
            ("size     7.71 MiB -> 9.49 MiB  +1.77 MiB (+23.0%)", "size     SIZE -> SIZE  SIZE PERCENT"),
            ("  + jq 1.6-2.1+deb12u3  +30.89 KiB", "  + jq VERSION  SIZE"),
            ("  ^ clap 4.5.16 -> 4.5.21", "  ^ clap 4.5.16 -> 4.5.21"),
            (
                "| new | <code>jq</code> |  | <code>1.6-2</code> | -30 B |",
                "| new | <code>jq</code> |  | VERSION | SIZE |",
            ),
            ("glibc    2.34 or later", "glibc    VERSION or later"),
            ("| Linux at least | 3.2.0 | 3.2.0 |  |", "| Linux at least | VERSION | VERSION |  |"),
            ("files: 12 added (+1.79 MiB), 2 changed", "files: 12 added SIZE 2 changed"),
        ] {
            assert_eq!(lasting(line), format!("{expected}\n"));
        }
    }
}
