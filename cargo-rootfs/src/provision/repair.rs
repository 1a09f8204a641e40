//! What maintainer scripts would have made, as data: the tables of `debian.toml`, and what they do to a folder.
//!
//! Nothing is executed. What is there already is left as it is.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// The data, which is part of the key of every sysroot.
pub(super) const RECIPE: &str = include_str!("debian.toml");

/// Where links of alternatives lead through (update-alternatives(1)).
const ALTERNATIVES: &str = "/etc/alternatives";

/// The data, read.
pub(super) struct Recipe<'r> {
    table: DeTable<'r>,
}

impl<'r> Recipe<'r> {
    pub(super) fn debian() -> Recipe<'static> {
        Recipe::parse(RECIPE)
    }

    fn parse(text: &'r str) -> Self {
        Self { table: DeTable::parse(text).expect("the recipe is TOML, which a test reads").into_inner() }
    }

    /// Before extraction: the links of a merged /usr.
    pub(super) fn before(&self, root: &Path, architecture: &str) -> io::Result<()> {
        let also = self.table.get("merged-for").and_then(|table| table.get_ref().get(architecture));
        for name in strings(self.table.get("merged").map(|it| it.get_ref())).chain(strings(also.map(|it| it.get_ref())))
        {
            fs::create_dir_all(root.join("usr").join(name))?;
            symlink(format!("usr/{name}"), root.join(name))?;
        }
        Ok(())
    }

    /// After extraction: links, alternatives, and files made of others.
    pub(super) fn after(&self, root: &Path) -> io::Result<()> {
        let (multiarch, one) = (multiarch(root), [String::new()]);
        for (path, choices) in self.alternatives() {
            for folder in if path.contains(PLACE) { &multiarch[..] } else { &one[..] } {
                let path = path.replace(PLACE, folder);
                let mut choices = choices.iter().map(|it| it.replace(PLACE, folder));
                let chosen = choices.find(|choice| inside(root, choice).exists());
                let Some(chosen) = chosen.filter(|_| !is_there(root, &path)) else { continue };
                let name = path.rsplit('/').next().unwrap_or(&path);
                // As the alternatives of libraries for several architectures are named.
                let name = if folder.is_empty() { name.to_owned() } else { format!("{name}-{folder}") };
                let via = format!("{ALTERNATIVES}/{name}");
                link(root, &via, &chosen)?;
                link(root, &path, &via)?;
            }
        }
        for table in self.tables("link") {
            let (path, mut choices) = (text(table, "path"), strings(table.get("first-of").map(|it| it.get_ref())));
            if let Some(chosen) = choices.find(|choice| inside(root, choice).exists()) {
                // Beside it, by name alone.
                let near = chosen
                    .rsplit_once('/')
                    .filter(|(folder, _)| path.rsplit_once('/').is_some_and(|it| it.0 == *folder));
                link(root, path, near.map_or(chosen, |(_, name)| name))?;
            }
        }
        for table in self.tables("copy") {
            let (to, from) = (inside(root, text(table, "path")), inside(root, text(table, "from")));
            if !is_there(root, text(table, "path")) && from.is_file() {
                make_folder_of(&to)?;
                fs::copy(from, to)?;
            }
        }
        for table in self.tables("join") {
            let to = inside(root, text(table, "path"));
            let mut files = Vec::new();
            below(&inside(root, text(table, "folder")), text(table, "ending"), &mut files)?;
            if !is_there(root, text(table, "path")) && !files.is_empty() {
                make_folder_of(&to)?;
                fs::write(to, joined(&files)?)?;
            }
        }
        Ok(())
    }

    /// What the link at `path` may lead to, the first that is there.
    pub(super) fn choices(&self, path: &str) -> Vec<String> {
        self.alternatives().filter(|(link, _)| link == path).flat_map(|(_, choices)| choices).collect()
    }

    /// Each link with its choices; of tables that have `names`, one for each.
    fn alternatives(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        self.tables("alternative").flat_map(|table| {
            let names = match text(table, "names") {
                "" => vec![""],
                names => names.split_whitespace().collect(),
            };
            names.into_iter().map(|name| {
                let choices = strings(table.get("first-of").map(|it| it.get_ref()));
                (text(table, "path").replace(NAME, name), choices.map(|it| it.replace(NAME, name)).collect())
            })
        })
    }

    fn tables(&self, key: &str) -> impl Iterator<Item = &DeTable<'r>> {
        let items = self.table.get(key).and_then(|value| value.get_ref().as_array());
        items.into_iter().flat_map(|items| items.iter()).filter_map(|item| item.get_ref().as_table())
    }
}

const PLACE: &str = "{multiarch}";
const NAME: &str = "{name}";

fn text<'t>(table: &'t DeTable<'_>, key: &str) -> &'t str {
    table.get(key).and_then(|value| value.get_ref().as_str()).unwrap_or_default()
}

fn strings<'t>(value: Option<&'t DeValue<'_>>) -> impl Iterator<Item = &'t str> {
    let items = value.and_then(|value| value.as_array());
    items.into_iter().flat_map(|items| items.iter()).filter_map(|item| item.get_ref().as_str())
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn is_there(root: &Path, path: &str) -> bool {
    inside(root, path).symlink_metadata().is_ok()
}

fn link(root: &Path, path: &str, target: &str) -> io::Result<()> {
    if is_there(root, path) {
        return Ok(());
    }
    let place = inside(root, path);
    make_folder_of(&place)?;
    symlink(target, place)
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// The folders of /usr/lib for one architecture each.
fn multiarch(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.contains("-linux-gnu")).collect();
    names.sort();
    names
}

fn below(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        match path.symlink_metadata()? {
            metadata if metadata.is_dir() => below(&path, ending, files)?,
            metadata if metadata.is_file() && path.to_string_lossy().ends_with(ending) => files.push(path),
            _ => {}
        }
    }
    Ok(())
}

fn joined(files: &[PathBuf]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for file in files {
        bytes.extend(fs::read(file)?);
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_recipe_is_understood() {
        let recipe = Recipe::debian();
        for kind in ["alternative", "link"] {
            for table in recipe.tables(kind) {
                assert!(text(table, "path").starts_with('/'), "{table:?}");
                let choices: Vec<_> = strings(table.get("first-of").map(|it| it.get_ref())).collect();
                assert!(!choices.is_empty() && choices.iter().all(|choice| choice.starts_with('/')), "{table:?}");
                let named = text(table, "path").contains(NAME);
                assert_eq!(!text(table, "names").is_empty(), named, "{table:?}");
                assert_eq!(table.len(), 2 + usize::from(named), "{table:?}");
            }
        }
        assert!(recipe.tables("alternative").count() > 20);
        for (kind, keys) in [("copy", &["path", "from"][..]), ("join", &["path", "folder", "ending"])] {
            for table in recipe.tables(kind) {
                assert!(keys.iter().all(|key| !text(table, key).is_empty()), "{table:?}");
            }
        }
        let known = ["merged", "merged-for", "alternative", "link", "copy", "join"];
        assert!(recipe.table.keys().all(|key| known.contains(&key.get_ref().as_ref())));
    }

    #[test]
    fn a_merged_usr_is_there_before_packages_are() {
        for (arch, loader) in [("amd64", true), ("arm64", false)] {
            let root = tempfile::tempdir().unwrap();
            Recipe::debian().before(root.path(), arch).unwrap();
            assert_eq!(fs::read_link(root.path().join("bin")).unwrap(), Path::new("usr/bin"));
            assert!(root.path().join("usr/lib").is_dir());
            assert_eq!(root.path().join("lib64").is_symlink(), loader, "{arch}");
        }
    }

    #[test]
    fn what_scripts_would_have_made_is_there() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let put = |path: &str, text: &str| {
            make_folder_of(&root.join(path)).unwrap();
            fs::write(root.join(path), text).unwrap();
        };
        put("usr/bin/mawk", "");
        put("usr/bin/dash", "");
        put("usr/bin/which.debianutils", "");
        put("usr/bin/vi", "mine");
        put("usr/bin/vim.basic", "");
        put("usr/bin/convert-im6.q16", "");
        put("usr/share/base-passwd/passwd.master", "root:*:0:0::/root:/bin/bash\n");
        put("usr/share/ca-certificates/mozilla/B.crt", "b");
        put("usr/share/ca-certificates/mozilla/A.crt", "a\n");
        put("usr/lib/aarch64-linux-gnu/blas/libblas.so.3", "");
        Recipe::debian().after(root).unwrap();
        let link = |path: &str| fs::read_link(root.join(path)).unwrap().to_str().unwrap().to_owned();
        assert_eq!(link("usr/bin/awk"), "/etc/alternatives/awk");
        assert_eq!(link("etc/alternatives/awk"), "/usr/bin/mawk");
        assert_eq!(link("usr/bin/sh"), "dash");
        assert_eq!(link("etc/alternatives/convert"), "/usr/bin/convert-im6.q16");
        assert_eq!(fs::read(root.join("usr/bin/vi")).unwrap(), b"mine");
        assert_eq!(fs::read(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap(), b"a\nb\n");
        assert!(root.join("etc/passwd").is_file() && !root.join("etc/group").exists());
        let blas = "etc/alternatives/libblas.so.3-aarch64-linux-gnu";
        assert_eq!(link(blas), "/usr/lib/aarch64-linux-gnu/blas/libblas.so.3");
        assert!(!root.join("usr/bin/editor").is_symlink() || link("etc/alternatives/editor").contains("vim"));
        Recipe::debian().after(root).unwrap();
    }
}
