//! The schemas of image-spec, as Debian packages them, applied to every JSON document of a layout.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::host;
use crate::process::command;
use crate::stage::cannot;

const FOLDER: &str = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema";

/// Documents by the schema that each must follow.
#[derive(Debug, Default)]
pub(super) struct Documents(BTreeMap<&'static str, Vec<Utf8PathBuf>>);

impl Documents {
    /// Adds a document of a media type, or by its name in a layout.
    pub(super) fn add(&mut self, kind: &str, path: &Utf8Path) {
        let schema = match kind {
            "oci-layout" => "image-layout-schema.json",
            "index.json" | "application/vnd.oci.image.index.v1+json" => "image-index-schema.json",
            "application/vnd.oci.image.manifest.v1+json" => "image-manifest-schema.json",
            "application/vnd.oci.image.config.v1+json" => "config-schema.json",
            _ => return,
        };
        self.0.entry(schema).or_default().push(path.to_owned());
    }

    /// Fails if a document does not follow its schema, or if a schema accepts a wrong document.
    pub(super) fn check(&self) -> Result<()> {
        let check = host::schemas().join("bin/check-jsonschema");
        if !check.exists() || !Utf8Path::new(FOLDER).exists() {
            return cannot("no schemas of image-spec: run `cargo xtask setup --all`");
        }
        let by = |schema: &str| {
            let (base, schema) = (format!("file://{FOLDER}/"), format!("{FOLDER}/{schema}"));
            let words = ["--base-uri", &base, "--schemafile", &schema, "--default-filetype", "json"];
            command([check.as_str()]).args(words)
        };
        for (schema, paths) in &self.0 {
            by(schema).args(paths.iter().map(|path| path.as_str())).run()?;
            let text = fs_err::read_to_string(&paths[0])?;
            let mut wrong: Value = serde_json::from_str(&text).context("JSON")?;
            for field in ["imageLayoutVersion", "manifests", "layers", "rootfs"] {
                wrong.as_object_mut().context("an object")?.entry(field).and_modify(|value| *value = "wrong".into());
            }
            let temp = camino_tempfile::Builder::new().suffix(".json").tempfile()?;
            fs_err::write(temp.path(), wrong.to_string())?;
            let refused = by(schema).arg(temp.path().as_str()).finish()?;
            ensure!(refused.code != Some(0), "{}", refused.report("a wrong document passes"));
        }
        Ok(())
    }
}
