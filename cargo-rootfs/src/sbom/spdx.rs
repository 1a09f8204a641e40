//! SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};

use super::json::{Json, object};
use super::licence::Licence;
use super::{Bill, CrateSource, File, person, purl, sha256, time};
use crate::hex::hex;

const NOTHING: &str = "NOASSERTION";
const ROOT: &str = "SPDXRef-Rootfs";

/// The document of a bill.
pub(super) fn document(bill: &Bill) -> String {
    let ids = Ids::of(bill);
    let mut writer = Writer { bill, ids: &ids, licences: BTreeMap::new(), relationships: Vec::new() };
    let mut packages = vec![writer.rootfs()];
    packages.extend((0..bill.packages.len()).map(|index| writer.package(index)));
    packages.extend((0..bill.crates.len()).map(|index| writer.crate_package(index)));
    let files: Json<'_> = bill.files.iter().zip(&ids.files).map(|(file, id)| writer.file(file, id)).collect();
    let version = bill.version.iter().map(|version| format!("-{version}")).collect::<String>();
    let name = format!("{}{version}-{}", bill.name, bill.triple);
    let document = object([
        ("spdxVersion", "SPDX-2.3".into()),
        ("dataLicense", "CC0-1.0".into()),
        ("SPDXID", "SPDXRef-DOCUMENT".into()),
        ("name", (&name).into()),
        (
            "creationInfo",
            object([
                ("created", time(bill.created).into()),
                ("creators", [format!("Tool: cargo-rootfs-{}", env!("CARGO_PKG_VERSION"))].into()),
            ]),
        ),
        ("packages", packages.into()),
        ("files", files),
        ("hasExtractedLicensingInfos", writer.licences.into_values().collect()),
        ("relationships", writer.relationships.into()),
    ]);
    let namespace = |digest: &str| format!("https://spdx.org/spdxdocs/{}-{digest}", id_of(&name));
    document.pretty_named("documentNamespace", namespace)
}

/// The ids of all packages, crates and files of a bill.
struct Ids {
    packages: Vec<String>,
    crates: Vec<String>,
    files: Vec<String>,
}

impl Ids {
    fn of(bill: &Bill) -> Self {
        let packages = bill.packages.iter().enumerate();
        let crates = bill.crates.iter().enumerate();
        Self {
            packages: packages.map(|(at, it)| format!("SPDXRef-Package-{at}-{}", id_of(&it.name))).collect(),
            crates: crates.map(|(at, it)| format!("SPDXRef-Crate-{at}-{}", id_of(&it.name))).collect(),
            files: bill.files.iter().map(|it| format!("SPDXRef-File-{}", &sha256(&it.path)[..32])).collect(),
        }
    }
}

struct Writer<'b> {
    bill: &'b Bill,
    ids: &'b Ids,
    /// Licences that SPDX's list does not have, by their ids.
    licences: BTreeMap<String, Json<'b>>,
    relationships: Vec<Json<'b>>,
}

impl<'b> Writer<'b> {
    fn relate(&mut self, from: &'b str, what: &'static str, to: &'b str) {
        self.relationships.push(object([
            ("spdxElementId", from.into()),
            ("relationshipType", what.into()),
            ("relatedSpdxElement", to.into()),
        ]));
    }

    /// The files of a package, or of none; `id` contains them.
    fn contents(&mut self, id: &'b str, package: Option<usize>) -> Vec<&'b File> {
        let (bill, ids) = (self.bill, self.ids);
        let own = bill.files.iter().zip(&ids.files).filter(|(file, _)| file.package == package);
        own.map(|(file, of)| {
            self.relate(id, "CONTAINS", of);
            file
        })
        .collect()
    }

    /// An expression; adds its own licences to the list.
    fn licence(&mut self, licence: Option<Licence>) -> String {
        let Some(licence) = licence else { return NOTHING.to_owned() };
        for (id, name) in licence.references() {
            let unknown = || format!("The package calls its licence `{name}`; its text is in the package.");
            let text = licence.text(&id).map_or_else(unknown, str::to_owned);
            let info = object([
                ("licenseId", id.clone().into()),
                ("name", name.to_owned().into()),
                ("extractedText", text.into()),
            ]);
            self.licences.insert(id, info);
        }
        licence.expression().to_owned()
    }

    /// The rootfs itself, which contains the files without a package.
    fn rootfs(&mut self) -> Json<'b> {
        self.relate("SPDXRef-DOCUMENT", "DESCRIBES", ROOT);
        let bill = self.bill;
        let own = self.contents(ROOT, None);
        let supplier = match bill.authors.first() {
            Some(author) => agent("Person", author),
            None => format!("Organization: {}", bill.name),
        };
        let declared = self.licence(bill.licence.as_deref().map(Licence::of_crate));
        let distribution = bill.distribution.as_ref();
        let of = distribution.and_then(|it| it.name.clone()).map(|name| format!(" with packages of {name}"));
        let version = bill.version.as_deref().or_else(|| distribution.and_then(|it| it.version.as_deref()));
        object([
            ("SPDXID", ROOT.into()),
            ("name", (&bill.name).into()),
            ("versionInfo", version.unwrap_or("0").into()),
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

    fn package(&mut self, index: usize) -> Json<'b> {
        let (bill, ids) = (self.bill, self.ids);
        let (package, id) = (&bill.packages[index], ids.packages[index].as_str());
        self.relate(ROOT, "CONTAINS", id);
        for needed in &package.depends {
            self.relate(id, "DEPENDS_ON", &ids.packages[*needed]);
        }
        let files = self.contents(id, Some(index));
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
            ("name", (&package.name).into()),
            ("versionInfo", (&package.version).into()),
            ("supplier", supplier.into()),
            ("downloadLocation", NOTHING.into()),
            ("homepage", package.homepage.as_deref().into()),
            ("sourceInfo", source.into()),
            ("licenseConcluded", NOTHING.into()),
            ("licenseDeclared", declared.into()),
            ("licenseComments", comments.into()),
            ("copyrightText", NOTHING.into()),
            ("filesAnalyzed", (!files.is_empty()).into()),
            ("packageVerificationCode", verification(&files)),
            ("comment", format!("{} of this package are in the root filesystem", bill.part(index)).into()),
            ("externalRefs", reference(purl::of_package(package, bill.distribution.as_ref()))),
        ])
    }

    fn crate_package(&mut self, index: usize) -> Json<'b> {
        let (bill, ids) = (self.bill, self.ids);
        let (one, id) = (&bill.crates[index], ids.crates[index].as_str());
        self.relate(ROOT, "CONTAINS", id);
        for needed in &one.depends {
            self.relate(id, "DEPENDS_ON", &ids.crates[*needed]);
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
            ("name", (&one.name).into()),
            ("versionInfo", (&one.version).into()),
            ("supplier", supplier.into()),
            ("downloadLocation", download.into()),
            ("licenseConcluded", NOTHING.into()),
            ("licenseDeclared", declared.into()),
            ("copyrightText", NOTHING.into()),
            ("filesAnalyzed", false.into()),
            ("externalRefs", reference(purl::of_crate(one))),
        ])
    }

    fn file(&mut self, file: &'b File, id: &'b str) -> Json<'b> {
        if let Some(root) = file.compiled_of {
            self.relate(id, "GENERATED_FROM", &self.ids.crates[root]);
        }
        let sum = |algorithm: &'static str, digits: &'b String| {
            object([("algorithm", algorithm.into()), ("checksumValue", digits.into())])
        };
        object([
            ("SPDXID", id.into()),
            ("fileName", format!(".{}", file.path).into()),
            ("checksums", [sum("SHA1", &file.sha1), sum("SHA256", &file.sha256)].into()),
            ("licenseConcluded", NOTHING.into()),
            ("licenseInfoInFiles", [NOTHING].into()),
            ("copyrightText", NOTHING.into()),
            ("comment", file.reasons.join("; ").into()),
        ])
    }
}

/// The verification code of a package (clause 7.9); null without files.
fn verification(files: &[&File]) -> Json<'static> {
    if files.is_empty() {
        return Json::Null;
    }
    let mut sums: Vec<&str> = files.iter().map(|file| file.sha1.as_str()).collect();
    sums.sort_unstable();
    object([("packageVerificationCodeValue", hex(&Sha1::digest(sums.concat())).into())])
}

fn reference(purl: String) -> Json<'static> {
    let reference = object([
        ("referenceCategory", "PACKAGE-MANAGER".into()),
        ("referenceType", "purl".into()),
        ("referenceLocator", purl.into()),
    ]);
    [reference].into()
}

fn agent(kind: &str, text: &str) -> String {
    // Parentheses enclose the address.
    let (name, address) = person(text);
    let name = name.replace(['(', ')'], "");
    let name = if name.is_empty() { address.unwrap_or("unknown") } else { name.as_str() };
    address.map_or_else(|| format!("{kind}: {name}"), |address| format!("{kind}: {name} ({address})"))
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
