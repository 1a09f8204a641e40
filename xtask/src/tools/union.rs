//! Compares the layers of an image with the directory of the same run: each path is in one layer, and all together are
//! the directory, according to tar(1).

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json::Value;

/// Fails unless the layers of the uncompressed image in the layout `layout` are `root`.
pub(super) fn check(layout: &Utf8Path, root: &Utf8Path) -> Result<()> {
    let (mut files, mut directories) = (BTreeSet::new(), BTreeSet::new());
    let index = json(&layout.join("index.json"))?;
    let manifest = json(&blob(layout, &index["manifests"][0])?)?;
    let layers = manifest["layers"].as_array().context("layers")?;
    for layer in layers {
        let path = blob(layout, layer)?;
        ensure!(layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar", "a layer that is compressed: {layer}");
        // Contents, modes, owners, times and links must equal those of the directory.
        let words = ["--compare", "--numeric-owner", "--file", path.as_str(), "--directory", root.as_str()];
        let compared = duct::cmd("tar", words).stderr_to_stdout().stdout_capture().unchecked().run()?;
        let differs = String::from_utf8_lossy(&compared.stdout).into_owned();
        ensure!(compared.status.success(), "{path} differs from the directory: {}", differs.trim());
        let listed = duct::cmd!("tar", "--list", "--quoting-style=literal", "--file", path).read()?;
        for name in listed.lines() {
            match name.strip_suffix('/') {
                Some(directory) => drop(directories.insert(directory.to_owned())),
                None => ensure!(files.insert(name.to_owned()), "{name} is in two layers"),
            }
        }
    }
    let packed: BTreeSet<String> =
        files.union(&directories).map(|name| name.trim_start_matches("./").to_owned()).collect();
    let find = duct::cmd!("find", ".", "-mindepth", "1", "-printf", "%P\\n").dir(root).read()?;
    let there: BTreeSet<String> = find.lines().map(str::to_owned).collect();
    let differs: Vec<&String> =
        packed.symmetric_difference(&there).filter(|name| !matches!(name.as_str(), "" | ".")).collect();
    ensure!(differs.is_empty(), "in the layers or in the directory alone: {:?}", &differs[..differs.len().min(9)]);
    Ok(())
}

fn blob(layout: &Utf8Path, descriptor: &Value) -> Result<Utf8PathBuf> {
    let digest = descriptor["digest"].as_str().with_context(|| format!("no digest in {descriptor}"))?;
    Ok(layout.join("blobs").join(digest.replace(':', "/")))
}

fn json(path: &Utf8Path) -> Result<Value> {
    serde_json::from_slice(&fs::read(path)?).with_context(|| path.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn layers_that_are_not_the_directory_are_noticed() {
        let temp = camino_tempfile::tempdir().expect("a temporary folder");
        let folder = temp.path();
        let (layout, root) = (folder.join("layout"), folder.join("root"));
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a folder");
        fs::create_dir_all(root.join("etc")).expect("a folder");
        let put = |path: Utf8PathBuf, text: &str| fs::write(path, text).expect("a file");
        put(root.join("etc/one"), "1");
        duct::cmd!("tar", "-C", &root, "-cf", blobs.join("layer"), "etc").run().expect("tar runs");
        let plain = "application/vnd.oci.image.layer.v1.tar";
        let manifest = json!({"layers": [{"digest": "sha256:layer", "mediaType": plain}]});
        put(blobs.join("manifest"), &manifest.to_string());
        put(layout.join("index.json"), &json!({"manifests": [{"digest": "sha256:manifest"}]}).to_string());
        check(&layout, &root).expect("they are the same");

        put(root.join("etc/two"), "2");
        assert!(check(&layout, &root).is_err_and(|error| error.to_string().contains("etc/two")));
        fs::remove_file(root.join("etc/two")).expect("a file");
        put(root.join("etc/one"), "2");
        assert!(check(&layout, &root).is_err_and(|error| error.to_string().contains("differs")));
        let twice = json!({"layers": [manifest["layers"][0], manifest["layers"][0]]});
        duct::cmd!("tar", "-C", &root, "-cf", blobs.join("layer"), "etc").run().expect("tar runs");
        put(blobs.join("manifest"), &twice.to_string());
        assert!(check(&layout, &root).is_err_and(|error| error.to_string().contains("in two layers")));
    }
}
