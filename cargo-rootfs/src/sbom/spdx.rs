//! SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::licence::Licence;
use super::{Bill, CrateSource, File, hex, object, person, purl, sha256, time};

const NOTHING: &str = "NOASSERTION";
const ROOT: &str = "SPDXRef-Rootfs";

/// The document of a bill.
pub(super) fn document(bill: &Bill) -> Value {
    let mut writer = Writer { bill, licences: BTreeMap::new(), relationships: Vec::new() };
    let mut packages = vec![writer.rootfs()];
    packages.extend((0..bill.packages.len()).map(|index| writer.package(index)));
    packages.extend((0..bill.crates.len()).map(|index| writer.crate_package(index)));
    let files: Vec<Value> = bill.files.iter().map(|file| writer.file(file)).collect();
    let version = bill.version.iter().map(|version| format!("-{version}")).collect::<String>();
    let name = format!("{}{version}-{}", bill.name, bill.triple);
    let extracted: Vec<Value> = writer.licences.values().cloned().collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "creationInfo": {
            "created": time(bill.created),
            "creators": [format!("Tool: cargo-rootfs-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "files": files,
        "hasExtractedLicensingInfos": extracted,
        "relationships": writer.relationships,
    });
    // The name depends on the contents: equal contents have equal names.
    let digest = sha256(&document.to_string());
    document["documentNamespace"] = format!("https://spdx.org/spdxdocs/{}-{digest}", id_of(&name)).into();
    document
}

struct Writer<'b> {
    bill: &'b Bill,
    /// Licences that SPDX's list does not have, by their ids.
    licences: BTreeMap<String, Value>,
    relationships: Vec<Value>,
}

impl Writer<'_> {
    fn relate(&mut self, from: &str, what: &str, to: &str) {
        self.relationships.push(json!({"spdxElementId": from, "relationshipType": what, "relatedSpdxElement": to}));
    }

    /// An expression; adds its own licences to the list.
    fn licence(&mut self, licence: Option<Licence>) -> String {
        let Some(licence) = licence else { return NOTHING.to_owned() };
        for (id, name) in licence.references() {
            let unknown = || format!("The package calls its licence `{name}`; its text is in the package.");
            let text = licence.text(&id).map_or_else(unknown, str::to_owned);
            let info = json!({"licenseId": id, "name": name, "extractedText": text});
            self.licences.insert(id, info);
        }
        licence.expression().to_owned()
    }

    /// The rootfs itself, which contains the files without a package.
    fn rootfs(&mut self) -> Value {
        self.relate("SPDXRef-DOCUMENT", "DESCRIBES", ROOT);
        let bill = self.bill;
        let own: Vec<&File> = bill.files.iter().filter(|file| file.package.is_none()).collect();
        for file in &own {
            self.relate(ROOT, "CONTAINS", &file_id(file));
        }
        let supplier = match bill.authors.first() {
            Some(author) => agent("Person", author),
            None => format!("Organization: {}", bill.name),
        };
        let declared = self.licence(bill.licence.as_deref().map(Licence::of_crate));
        let distribution = bill.distribution.as_ref();
        let of = distribution.and_then(|it| it.name.clone()).map(|name| format!(" with packages of {name}"));
        let version = bill.version.clone().or_else(|| distribution.and_then(|it| it.version.clone()));
        object([
            ("SPDXID", ROOT.into()),
            ("name", bill.name.clone().into()),
            ("versionInfo", version.unwrap_or_else(|| "0".to_owned()).into()),
            ("supplier", supplier.into()),
            ("downloadLocation", NOTHING.into()),
            ("primaryPackagePurpose", "CONTAINER".into()),
            ("summary", format!("A root filesystem for {}{}", bill.triple, of.unwrap_or_default()).into()),
            ("licenseConcluded", NOTHING.into()),
            ("licenseDeclared", declared.into()),
            ("copyrightText", NOTHING.into()),
            ("filesAnalyzed", (!own.is_empty()).into()),
            ("packageVerificationCode", verification(&own)),
        ])
    }

    fn package(&mut self, index: usize) -> Value {
        let (bill, id) = (self.bill, package_id(self.bill, index));
        let package = &bill.packages[index];
        self.relate(ROOT, "CONTAINS", &id);
        for needed in &package.depends {
            self.relate(&id, "DEPENDS_ON", &package_id(bill, *needed));
        }
        let files: Vec<&File> = bill.files_of(index).collect();
        for file in &files {
            self.relate(&id, "CONTAINS", &file_id(file));
        }
        let declared = self.licence(package.licence());
        let distribution = bill.distribution.as_ref().and_then(|it| it.name.clone());
        let supplier = match (&package.maintainer, distribution) {
            (Some(maintainer), _) => agent("Organization", maintainer),
            (None, Some(distribution)) => format!("Organization: {distribution}"),
            (None, None) => NOTHING.to_owned(),
        };
        let comments = (!package.common.is_empty())
            .then(|| format!("The copyright file refers to common licences: {}", package.common.join(", ")));
        let source =
            package.source.as_ref().map(|(name, version)| format!("built from the source package {name} {version}"));
        object([
            ("SPDXID", id.into()),
            ("name", package.name.clone().into()),
            ("versionInfo", package.version.clone().into()),
            ("supplier", supplier.into()),
            ("downloadLocation", NOTHING.into()),
            ("homepage", package.homepage.clone().into()),
            ("sourceInfo", source.into()),
            ("licenseConcluded", NOTHING.into()),
            ("licenseDeclared", declared.into()),
            ("licenseComments", comments.into()),
            ("copyrightText", NOTHING.into()),
            ("filesAnalyzed", (!files.is_empty()).into()),
            ("packageVerificationCode", verification(&files)),
            ("comment", format!("{} of this package are in the root filesystem", bill.part(index)).into()),
            ("externalRefs", reference(&purl::of_package(package, bill.distribution.as_ref()))),
        ])
    }

    fn crate_package(&mut self, index: usize) -> Value {
        let (bill, id) = (self.bill, crate_id(self.bill, index));
        let one = &bill.crates[index];
        self.relate(ROOT, "CONTAINS", &id);
        for needed in &one.depends {
            self.relate(&id, "DEPENDS_ON", &crate_id(bill, *needed));
        }
        let (download, supplier) = match &one.source {
            CrateSource::CratesIo => {
                let url = format!("https://static.crates.io/crates/{0}/{0}-{1}.crate", one.name, one.version);
                (url, "Organization: crates.io".to_owned())
            }
            CrateSource::Git(url) if !url.is_empty() => (git(url), format!("Organization: {}", host(url))),
            CrateSource::Registry(url) if !url.is_empty() => {
                (NOTHING.to_owned(), format!("Organization: {}", host(url)))
            }
            _ => match bill.authors.first() {
                Some(author) => (NOTHING.to_owned(), agent("Person", author)),
                None => (NOTHING.to_owned(), format!("Organization: {}", bill.name)),
            },
        };
        let declared = self.licence(one.licence.as_deref().map(Licence::of_crate));
        object([
            ("SPDXID", id.into()),
            ("name", one.name.clone().into()),
            ("versionInfo", one.version.clone().into()),
            ("supplier", supplier.into()),
            ("downloadLocation", download.into()),
            ("licenseConcluded", NOTHING.into()),
            ("licenseDeclared", declared.into()),
            ("copyrightText", NOTHING.into()),
            ("filesAnalyzed", false.into()),
            ("externalRefs", reference(&purl::of_crate(one))),
        ])
    }

    fn file(&mut self, file: &File) -> Value {
        let id = file_id(file);
        if let Some(root) = file.compiled_of {
            self.relate(&id, "GENERATED_FROM", &crate_id(self.bill, root));
        }
        json!({
            "SPDXID": id,
            "fileName": format!(".{}", file.path),
            "checksums": [
                {"algorithm": "SHA1", "checksumValue": file.sha1},
                {"algorithm": "SHA256", "checksumValue": file.sha256},
            ],
            "licenseConcluded": NOTHING,
            "licenseInfoInFiles": [NOTHING],
            "copyrightText": NOTHING,
            "comment": file.reasons.join("; "),
        })
    }
}

/// The verification code of a package (clause 7.9); null without files.
fn verification(files: &[&File]) -> Value {
    if files.is_empty() {
        return Value::Null;
    }
    let mut sums: Vec<&str> = files.iter().map(|file| file.sha1.as_str()).collect();
    sums.sort_unstable();
    json!({"packageVerificationCodeValue": hex(&Sha1::digest(sums.concat()))})
}

fn reference(purl: &str) -> Value {
    json!([{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}])
}

fn agent(kind: &str, text: &str) -> String {
    // Parentheses enclose the address.
    let (name, address) = person(text);
    let name = name.replace(['(', ')'], "");
    let name = if name.is_empty() { address.unwrap_or("unknown") } else { name.as_str() };
    address.map_or_else(|| format!("{kind}: {name}"), |address| format!("{kind}: {name} ({address})"))
}

fn package_id(bill: &Bill, index: usize) -> String {
    let package = &bill.packages[index];
    format!("SPDXRef-Package-{index}-{}", id_of(&package.name))
}

fn crate_id(bill: &Bill, index: usize) -> String {
    format!("SPDXRef-Crate-{index}-{}", id_of(&bill.crates[index].name))
}

fn file_id(file: &File) -> String {
    format!("SPDXRef-File-{}", &sha256(&file.path)[..32])
}

/// Replaces characters that an id may not have (clause 3.2).
fn id_of(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' }).collect()
}

/// A repository in the notation of clause 7.7: `git+https://host/path@commit`.
fn git(url: &str) -> String {
    let (url, commit) = url.split_once('#').map_or((url, None), |(url, commit)| (url, Some(commit)));
    let url = url.split('?').next().unwrap_or(url);
    commit.map_or_else(|| url.to_owned(), |commit| format!("{url}@{commit}"))
}

fn host(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or(url)
}
