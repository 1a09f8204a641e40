//! CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>).

use serde_json::{Value, json};

use super::licence::Licence;
use super::{Bill, CrateSource, File, object, person, purl, sha256, time};

/// Names of this program's own properties.
const REASON: &str = "cargo-rootfs:reason";
const FILES: &str = "cargo-rootfs:files";
const COMMON: &str = "cargo-rootfs:common-licence";
const ROOT: &str = "rootfs";

/// The document of a bill.
pub(super) fn document(bill: &Bill) -> Value {
    let mut components = Vec::new();
    if let Some(distribution) = &bill.distribution {
        components.push(object([
            ("type", "operating-system".into()),
            ("bom-ref", "distribution".into()),
            ("name", distribution.id.clone().into()),
            ("version", distribution.version.clone().into()),
            ("description", distribution.name.clone().into()),
        ]));
    }
    components.extend((0..bill.packages.len()).map(|index| package(bill, index)));
    components.extend((0..bill.crates.len()).map(|index| crate_component(bill, index)));
    components.extend(bill.files.iter().filter(|file| file.package.is_none()).map(file));
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time(bill.created),
            "tools": {"components": [
                {"type": "application", "name": "cargo-rootfs", "version": env!("CARGO_PKG_VERSION")},
            ]},
            "component": object([
                ("type", "container".into()),
                ("bom-ref", ROOT.into()),
                ("name", bill.name.clone().into()),
                ("version", bill.version.clone().into()),
                ("licenses", licences(bill.licence.as_deref().map(Licence::of_crate))),
                ("authors", authors(bill)),
                ("properties", json!([{"name": "cargo-rootfs:target", "value": bill.triple}])),
            ]),
        },
        "components": components,
        "dependencies": dependencies(bill),
    });
    let digest = sha256(&document.to_string());
    document["serialNumber"] = serial_number(&digest).into();
    document
}

fn package(bill: &Bill, index: usize) -> Value {
    let package = &bill.packages[index];
    let purl = package_reference(bill, index);
    let files: Vec<Value> = bill.files_of(index).map(file).collect();
    let supplier = package.maintainer.as_deref().map(|maintainer| {
        let (name, address) = person(maintainer);
        object([("name", name.into()), ("contact", address.map_or(Value::Null, |it| json!([{"email": it}])))])
    });
    let mut properties = vec![json!({"name": FILES, "value": bill.part(index)})];
    properties.extend(package.common.iter().map(|name| json!({"name": COMMON, "value": name})));
    if let Some((name, version)) = &package.source {
        // The property names of trivy.
        properties.push(json!({"name": "aquasecurity:trivy:SrcName", "value": name}));
        properties.push(json!({"name": "aquasecurity:trivy:SrcVersion", "value": version}));
    }
    let homepage = package.homepage.as_ref().map(|url| json!([{"type": "website", "url": url}]));
    object([
        ("type", "library".into()),
        ("bom-ref", purl.clone().into()),
        ("supplier", supplier.unwrap_or_default()),
        ("name", package.name.clone().into()),
        ("version", package.version.clone().into()),
        ("licenses", licences(package.licence())),
        ("purl", purl.into()),
        ("externalReferences", homepage.unwrap_or_default()),
        ("properties", properties.into()),
        ("components", if files.is_empty() { Value::Null } else { files.into() }),
    ])
}

fn crate_component(bill: &Bill, index: usize) -> Value {
    let one = &bill.crates[index];
    let supplier = match one.source {
        CrateSource::CratesIo => json!({"name": "crates.io", "url": ["https://crates.io"]}),
        _ => Value::Null,
    };
    object([
        ("type", if one.is_root { "application" } else { "library" }.into()),
        ("bom-ref", crate_reference(bill, index).into()),
        ("supplier", supplier),
        ("name", one.name.clone().into()),
        ("version", one.version.clone().into()),
        ("licenses", licences(one.licence.as_deref().map(Licence::of_crate))),
        ("purl", purl::of_crate(one).into()),
    ])
}

fn file(file: &File) -> Value {
    let reasons = file.reasons.iter().map(|reason| json!({"name": REASON, "value": reason}));
    json!({
        "type": "file",
        "bom-ref": file_reference(file),
        "name": file.path,
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        "properties": reasons.collect::<Vec<_>>(),
    })
}

fn authors(bill: &Bill) -> Value {
    let authors = bill.authors.iter().map(|author| {
        let (name, address) = person(author);
        object([("name", name.into()), ("email", address.map_or(Value::Null, Into::into))])
    });
    let authors: Vec<Value> = authors.collect();
    if authors.is_empty() { Value::Null } else { authors.into() }
}

/// A licence of SPDX's list by its id, another one by its name, several as an expression.
fn licences(licence: Option<Licence>) -> Value {
    let Some(licence) = licence else { return Value::Null };
    match (licence.single(), licence.references().next()) {
        (Some(id), None) => json!([{"license": {"id": id}}]),
        (Some(_), Some((id, name))) => {
            let text = licence.text(&id).map(|text| json!({"contentType": "text/plain", "content": text}));
            json!([{"license": object([("name", name.into()), ("text", text.unwrap_or_default())])}])
        }
        (None, _) => json!([{"expression": licence.expression()}]),
    }
}

fn dependencies(bill: &Bill) -> Vec<Value> {
    let packages = (0..bill.packages.len()).map(|index| package_reference(bill, index));
    let crates = (0..bill.crates.len()).filter(|index| bill.crates[*index].is_root);
    let top: Vec<String> = packages.chain(crates.map(|index| crate_reference(bill, index))).collect();
    let mut all = vec![json!({"ref": ROOT, "dependsOn": top})];
    for (index, package) in bill.packages.iter().enumerate() {
        let needed: Vec<String> = package.depends.iter().map(|needed| package_reference(bill, *needed)).collect();
        all.push(json!({"ref": package_reference(bill, index), "dependsOn": needed}));
    }
    for (index, one) in bill.crates.iter().enumerate() {
        let needed: Vec<String> = one.depends.iter().map(|needed| crate_reference(bill, *needed)).collect();
        all.push(json!({"ref": crate_reference(bill, index), "dependsOn": needed}));
    }
    for file in &bill.files {
        if let Some(root) = file.compiled_of {
            all.push(json!({"ref": file_reference(file), "dependsOn": [crate_reference(bill, root)]}));
        }
    }
    all
}

fn package_reference(bill: &Bill, index: usize) -> String {
    purl::of_package(&bill.packages[index], bill.distribution.as_ref())
}

/// Two crates with the same name and version may have different sources.
fn crate_reference(bill: &Bill, index: usize) -> String {
    format!("crate-{index}:{}", purl::of_crate(&bill.crates[index]))
}

fn file_reference(file: &File) -> String {
    format!("file:{}", file.path)
}

/// A UUID from a digest, of the version for custom use (RFC 9562, 5.8).
fn serial_number(digest: &str) -> String {
    let part = |from: usize, to: usize| &digest[from..to];
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
