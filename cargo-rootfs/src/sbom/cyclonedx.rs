//! CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>).

use super::json::{Json, object};
use super::licence::Licence;
use super::{Bill, Crate, CrateSource, File, Package, person, purl, time};

/// The name of the properties with the reasons for a file, one of this program's own like the next ones.
pub(crate) const REASON: &str = "cargo-rootfs:reason";
const FILES: &str = "cargo-rootfs:files";
const COMMON: &str = "cargo-rootfs:common-licence";
const ROOT: &str = "rootfs";

/// The document of a bill.
pub(super) fn document(bill: &Bill) -> String {
    let references = References::of(bill);
    let mut components = Vec::new();
    if let Some(distribution) = &bill.distribution {
        components.push(object([
            ("type", "operating-system".into()),
            ("bom-ref", "distribution".into()),
            ("name", (&distribution.id).into()),
            ("version", distribution.version.as_deref().into()),
            ("description", distribution.name.as_deref().into()),
        ]));
    }
    let packages = bill.packages.iter().zip(&references.packages).enumerate();
    components.extend(packages.map(|(index, (it, purl))| package(bill, index, it, purl)));
    let crates = bill.crates.iter().zip(&references.crates);
    components.extend(crates.map(|(it, reference)| crate_component(it, reference)));
    components.extend(bill.files.iter().filter(|file| file.package.is_none()).map(file));
    let tool = object([
        ("type", "application".into()),
        ("name", "cargo-rootfs".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
    ]);
    let rootfs = object([
        ("type", "container".into()),
        ("bom-ref", ROOT.into()),
        ("name", (&bill.name).into()),
        ("version", bill.version.as_deref().into()),
        ("licenses", licences(bill.licence.as_deref().map(Licence::of_crate))),
        ("authors", authors(bill)),
        ("properties", [property("cargo-rootfs:target", &bill.triple)].into()),
    ]);
    let document = object([
        ("$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json".into()),
        ("bomFormat", "CycloneDX".into()),
        ("specVersion", "1.6".into()),
        ("version", Json::Number(1)),
        (
            "metadata",
            object([
                ("timestamp", time(bill.created).into()),
                ("tools", object([("components", [tool].into())])),
                ("component", rootfs),
            ]),
        ),
        ("components", components.into()),
        ("dependencies", dependencies(bill, &references).into()),
    ]);
    document.pretty_named("serialNumber", serial_number)
}

/// The references of all packages and crates of a bill.
struct References {
    /// Their package URLs.
    packages: Vec<String>,
    /// Two crates with the same name and version may have different sources.
    crates: Vec<String>,
}

impl References {
    fn of(bill: &Bill) -> Self {
        let packages = bill.packages.iter().map(|it| purl::of_package(it, bill.distribution.as_ref()));
        let crates = bill.crates.iter().enumerate();
        Self {
            packages: packages.collect(),
            crates: crates.map(|(index, it)| format!("crate-{index}:{}", purl::of_crate(it))).collect(),
        }
    }
}

fn property<'b>(name: &'static str, value: &'b str) -> Json<'b> {
    object([("name", name.into()), ("value", value.into())])
}

fn package<'b>(bill: &'b Bill, index: usize, package: &'b Package, purl: &'b str) -> Json<'b> {
    let files: Vec<Json<'_>> = bill.files_of(index).map(file).collect();
    let supplier = package.maintainer.as_deref().map(|maintainer| {
        let (name, address) = person(maintainer);
        let contact = address.map(|it| Json::from([object([("email", it.into())])]));
        object([("name", name.into()), ("contact", contact.into())])
    });
    let mut properties = vec![object([("name", FILES.into()), ("value", bill.part(index).into())])];
    properties.extend(package.common.iter().map(|name| property(COMMON, name)));
    if let Some((name, version)) = &package.source {
        // The property names of trivy.
        properties.push(property("aquasecurity:trivy:SrcName", name));
        properties.push(property("aquasecurity:trivy:SrcVersion", version));
    }
    let website = |url: &'b String| Json::from([object([("type", "website".into()), ("url", url.into())])]);
    object([
        ("type", "library".into()),
        ("bom-ref", purl.into()),
        ("supplier", supplier.into()),
        ("name", (&package.name).into()),
        ("version", (&package.version).into()),
        ("licenses", licences(package.licence())),
        ("purl", purl.into()),
        ("externalReferences", package.homepage.as_ref().map(website).into()),
        ("properties", properties.into()),
        ("components", if files.is_empty() { Json::Null } else { files.into() }),
    ])
}

fn crate_component<'b>(one: &'b Crate, reference: &'b str) -> Json<'b> {
    let supplier = match one.source {
        CrateSource::CratesIo => object([("name", "crates.io".into()), ("url", ["https://crates.io"].into())]),
        _ => Json::Null,
    };
    object([
        ("type", if one.is_root { "application" } else { "library" }.into()),
        ("bom-ref", reference.into()),
        ("supplier", supplier),
        ("name", (&one.name).into()),
        ("version", (&one.version).into()),
        ("licenses", licences(one.licence.as_deref().map(Licence::of_crate))),
        ("purl", purl::of_crate(one).into()),
    ])
}

fn file(file: &File) -> Json<'_> {
    object([
        ("type", "file".into()),
        ("bom-ref", file_reference(file).into()),
        ("name", (&file.path).into()),
        ("hashes", [object([("alg", "SHA-256".into()), ("content", (&file.sha256).into())])].into()),
        ("properties", file.reasons.iter().map(|reason| property(REASON, reason)).collect()),
    ])
}

fn authors(bill: &Bill) -> Json<'_> {
    let authors = bill.authors.iter().map(|author| {
        let (name, address) = person(author);
        object([("name", name.into()), ("email", address.into())])
    });
    let authors: Vec<Json<'_>> = authors.collect();
    if authors.is_empty() { Json::Null } else { authors.into() }
}

/// A licence of SPDX's list by its id, another one by its name, several as an expression.
fn licences(licence: Option<Licence>) -> Json<'static> {
    let Some(licence) = licence else { return Json::Null };
    let owned = |text: &str| Json::from(text.to_owned());
    let one = match (licence.single(), licence.references().next()) {
        (Some(id), None) => ("license", object([("id", owned(id))])),
        (Some(_), Some((id, name))) => {
            let text =
                licence.text(&id).map(|text| object([("contentType", "text/plain".into()), ("content", owned(text))]));
            ("license", object([("name", owned(name)), ("text", text.into())]))
        }
        (None, _) => ("expression", owned(licence.expression())),
    };
    [object([one])].into()
}

fn dependencies<'b>(bill: &'b Bill, References { packages, crates }: &'b References) -> Vec<Json<'b>> {
    let depends = |of: Json<'b>, on: Vec<&'b String>| object([("ref", of), ("dependsOn", on.into())]);
    let executables = bill.crates.iter().zip(crates).filter(|(one, _)| one.is_root).map(|(_, reference)| reference);
    let mut all = vec![depends(ROOT.into(), packages.iter().chain(executables).collect())];
    for (package, of) in bill.packages.iter().zip(packages) {
        all.push(depends(of.into(), package.depends.iter().map(|on| &packages[*on]).collect()));
    }
    for (one, of) in bill.crates.iter().zip(crates) {
        all.push(depends(of.into(), one.depends.iter().map(|on| &crates[*on]).collect()));
    }
    for file in &bill.files {
        if let Some(root) = file.compiled_of {
            all.push(depends(file_reference(file).into(), vec![&crates[root]]));
        }
    }
    all
}

fn file_reference(file: &File) -> String {
    format!("file:{}", file.path)
}

/// A UUID from a digest, of the version for custom use (RFC 9562, 5.8).
fn serial_number(digest: &str) -> String {
    let part = |from: usize, to: usize| &digest[from..to];
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
