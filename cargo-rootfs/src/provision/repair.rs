//! What maintainer scripts would have made, as data: the tables of `debian.toml` and
//! `plugins.toml`, and what they do to a folder.
//!
//! Nothing is executed. What is there already is left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::folder::names_in;
use super::{keystore, mime};
use crate::distro::OsRelease;
use crate::glob::{Glob, Part};
use crate::path::RootfsPath;

/// The data, which is part of the key of every sysroot.
pub(super) const RECIPE: &str = concat!(include_str!("debian.toml"), include_str!("plugins.toml"));

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

    /// After extraction: alternatives, and then what is made of other files, which may be what came before.
    pub(super) fn after(&self, root: &Path) -> io::Result<()> {
        let multiarch = multiarch(root)?;
        let each = |kind, make: fn(&Path, &Entry<'_>) -> io::Result<()>| {
            self.entries(kind, &multiarch).iter().try_for_each(|entry| make(root, entry))
        };
        each("alternative", alternative)?;
        each("copy", copy)?;
        each("link", self::link)?;
        each("text", written)?;
        each("join", join)?;
        each("keystore", stored)?;
        each("mime", |root, entry| mime::make(&inside(root, &entry.text("path"))))?;
        each("mode", mode)
    }

    /// Files that have set-ID bits now because scripts set them, and their modes.
    pub(super) fn set_id_files(&self, root: &Path) -> Vec<(String, u32)> {
        let of = |entry: &Entry<'_>| {
            let path = entry.text("path");
            let metadata = inside(root, &path).symlink_metadata().ok()?;
            let mode = metadata.permissions().mode() & 0o7777;
            (metadata.is_file() && mode & 0o6000 != 0).then_some((path, mode))
        };
        self.entries("mode", &[]).iter().filter_map(of).collect()
    }

    /// What the link at `path` may lead to, the first that is there.
    pub(super) fn choices(&self, path: &str) -> Vec<String> {
        self.alternatives().filter(|(link, _)| link == path).flat_map(|(_, choices)| choices).collect()
    }

    /// Each link with its choices; of tables that have `names`, one for each.
    fn alternatives(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        self.tables("alternative").flat_map(|table| {
            names(table).into_iter().map(|name| {
                let choices = strings(table.get("first-of").map(|it| it.get_ref()));
                (text(table, "path").replace(NAME, name), choices.map(|it| it.replace(NAME, name)).collect())
            })
        })
    }

    /// The tables of a kind: of those that have `names` one for each, and one for each of the folders `multiarch` of
    /// those whose path has such a place.
    fn entries<'e>(&'e self, kind: &str, multiarch: &'e [String]) -> Vec<Entry<'e>> {
        let mut entries = Vec::new();
        for table in self.tables(kind) {
            for name in names(table) {
                match text(table, "path").contains(PLACE) {
                    true => entries.extend(multiarch.iter().map(|place| Entry { table, name, place })),
                    false => entries.push(Entry { table, name, place: "" }),
                }
            }
        }
        entries
    }

    fn tables(&self, key: &str) -> impl Iterator<Item = &DeTable<'r>> {
        let items = self.table.get(key).and_then(|value| value.get_ref().as_array());
        items.into_iter().flat_map(|items| items.iter()).filter_map(|item| item.get_ref().as_table())
    }
}

/// One table, for one of its names and places.
struct Entry<'e> {
    table: &'e DeTable<'e>,
    name: &'e str,
    place: &'e str,
}

impl Entry<'_> {
    fn text(&self, key: &str) -> String {
        self.bound(text(self.table, key))
    }

    /// The first of its choices that is there.
    fn chosen(&self, root: &Path) -> Option<String> {
        let choices = strings(self.table.get("first-of").map(|it| it.get_ref()));
        choices.map(|choice| self.bound(choice)).find(|choice| inside(root, choice).exists())
    }

    /// The pairs of a table in it, sorted by their keys.
    fn pairs(&self, key: &str) -> Vec<(String, String)> {
        let pairs = self.table.get(key).and_then(|value| value.get_ref().as_table()).into_iter().flatten();
        let pairs = pairs.filter_map(|(key, value)| Some((key.get_ref(), value.get_ref().as_str()?)));
        pairs.map(|(key, value)| (self.bound(key), self.bound(value))).collect()
    }

    fn bound(&self, text: &str) -> String {
        text.replace(NAME, self.name).replace(PLACE, self.place)
    }
}

fn alternative(root: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let path = entry.text("path");
    let Some(chosen) = entry.chosen(root).filter(|_| !is_there(root, &path)) else { return Ok(()) };
    let name = path.rsplit('/').next().unwrap_or(&path);
    // As the alternatives of libraries for several architectures are named.
    let name = if entry.place.is_empty() { name.to_owned() } else { format!("{name}-{}", entry.place) };
    let via = format!("{ALTERNATIVES}/{name}");
    make_link(root, &via, &chosen)?;
    make_link(root, &path, &via)
}

fn copy(root: &Path, entry: &Entry<'_>) -> io::Result<()> {
    for (from, stars) in found(root, &entry.text("from"))? {
        let path = filled(&entry.text("path"), &stars);
        let from = inside(root, &from);
        if is_there(root, &path) || !from.is_file() {
            continue;
        }
        let words = entry.pairs("replace");
        if words.is_empty() {
            let to = inside(root, &path);
            make_folder_of(&to)?;
            fs::copy(from, to)?;
        } else {
            let text = String::from_utf8_lossy(&fs::read(from)?).into_owned();
            let text = words.iter().fold(text, |text, (word, by)| text.replace(word, by));
            write(root, &path, text.as_bytes())?;
        }
    }
    Ok(())
}

fn link(root: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let path = entry.text("path");
    if let Some(chosen) = entry.chosen(root) {
        // Beside it, by name alone.
        let near =
            chosen.rsplit_once('/').filter(|(folder, _)| path.rsplit_once('/').is_some_and(|it| it.0 == *folder));
        make_link(root, &path, near.map_or(&*chosen, |(_, name)| name))?;
    }
    for (each, stars) in found(root, &entry.text("each"))? {
        let condition = filled(&entry.text("if"), &stars);
        if !condition.is_empty() && !is_there(root, &condition) {
            continue;
        }
        let mut path = filled(&path, &stars);
        if path.contains(NUMBER) {
            path = path.replace(NUMBER, &number(&inside(root, &each), text(entry.table, "number"))?);
        }
        make_link(root, &path, &each)?;
    }
    Ok(())
}

/// A file of parts, each of which is there if another file is.
fn written(root: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let (path, folder) = (entry.text("path"), entry.text("folder"));
    let mut bytes = String::new();
    for (file, text) in entry.pairs("part") {
        let file = format!("{folder}{file}");
        if inside(root, &file).exists() {
            bytes.push_str(&text.replace(FILE, &file));
        }
    }
    if bytes.is_empty() || is_there(root, &path) {
        return Ok(());
    }
    write(root, &path, (entry.text("head") + &bytes).as_bytes())
}

fn join(root: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let mut files = Vec::new();
    below(&inside(root, &entry.text("folder")), text(entry.table, "ending"), &mut files)?;
    match is_there(root, &entry.text("path")) || files.is_empty() {
        true => Ok(()),
        false => write(root, &entry.text("path"), &joined(&files)?),
    }
}

/// Certificates as Java has them, each under its name.
fn stored(root: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let path = entry.text("path");
    if is_there(root, &path) || !is_there(root, &entry.text("if")) {
        return Ok(());
    }
    let mut files = Vec::new();
    below(&inside(root, &entry.text("folder")), text(entry.table, "ending"), &mut files)?;
    let mut certificates = BTreeMap::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        if let Some(certificate) = keystore::certificate(&String::from_utf8_lossy(&fs::read(&file)?)) {
            certificates.insert(format!("debian:{name}.pem"), certificate);
        }
    }
    write(root, &path, &keystore::keystore(certificates.iter().map(|(alias, it)| (&**alias, &**it))))
}

fn mode(root: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let path = inside(root, &entry.text("path"));
    let releases = entry.table.get("releases").map(|it| it.get_ref());
    let is_of = |release: &str| strings(releases).any(|it| it == release);
    let is_due = releases.is_none() || codename(root).is_some_and(|release| is_of(&release));
    match u32::from_str_radix(text(entry.table, "mode"), 8) {
        Ok(mode) if is_due && path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) => {
            // Not the file itself, which has a name in the cache and in other sysroots too.
            let changed = path.with_extension("mode");
            fs::copy(&path, &changed)?;
            fs::set_permissions(&changed, fs::Permissions::from_mode(mode))?;
            fs::rename(changed, path)
        }
        _ => Ok(()),
    }
}

const PLACE: &str = "{multiarch}";
const NAME: &str = "{name}";
/// What a file's line says that begins with the `number` of its table.
const NUMBER: &str = "{number}";
/// The file that a part of a text is there for.
const FILE: &str = "{file}";

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

fn make_link(root: &Path, path: &str, target: &str) -> io::Result<()> {
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

fn write(root: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let place = inside(root, path);
    make_folder_of(&place)?;
    fs::write(place, bytes)
}

fn names<'t>(table: &'t DeTable<'_>) -> Vec<&'t str> {
    match text(table, "names") {
        "" => vec![""],
        names => names.split_whitespace().collect(),
    }
}

/// The files that a pattern stands for, sorted, with what its stars stood for; none of an empty one.
fn found(root: &Path, pattern: &str) -> io::Result<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    for glob in Glob::parse(pattern).unwrap_or_default() {
        let mut paths = vec![String::new()];
        for part in &glob.parts {
            let mut below = Vec::new();
            for path in paths {
                match part {
                    Part::Text(name) => below.push(format!("{path}/{}", String::from_utf8_lossy(name))),
                    part => {
                        let names = names_in(&inside(root, &path))?;
                        let names = names.iter().filter(|name| part.matches(name.as_bytes()));
                        below.extend(names.map(|name| format!("{path}/{name}")));
                    }
                }
            }
            paths = below;
        }
        for path in paths.into_iter().filter(|path| is_there(root, path)) {
            let stars = RootfsPath::parse(&path).ok().and_then(|path| glob.matches(&path)).unwrap_or_default();
            found.push((path, stars.iter().map(|star| String::from_utf8_lossy(star).into_owned()).collect()));
        }
    }
    Ok(found)
}

/// The text with what the stars of a pattern stood for in the place of `{1}`, `{2}` ...
fn filled(text: &str, stars: &[String]) -> String {
    let numbered = stars.iter().enumerate();
    numbered.fold(text.to_owned(), |text, (index, star)| text.replace(&format!("{{{}}}", index + 1), star))
}

/// The number behind `before` at the beginning of a line; phpenmod(8) takes 20 where there is none.
fn number(file: &Path, before: &str) -> io::Result<String> {
    let bytes = fs::read(file)?;
    let text = String::from_utf8_lossy(&bytes);
    let number = text.lines().find_map(|line| line.strip_prefix(before)).unwrap_or_default();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    Ok(if digits.is_empty() { "20".to_owned() } else { digits })
}

/// The release's name (os-release(5)).
fn codename(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("usr/lib/os-release")).ok()?;
    OsRelease::new(text).value("VERSION_CODENAME").map(str::to_owned)
}

/// The folders of /usr/lib for one architecture each.
fn multiarch(root: &Path) -> io::Result<Vec<String>> {
    let names = names_in(&root.join("usr/lib"))?;
    Ok(names.into_iter().filter(|name| name.contains("-linux-gnu")).collect())
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
        for (kind, needed, allowed) in [
            ("alternative", &["path", "first-of"][..], &["names"][..]),
            ("link", &["path"], &["names", "first-of", "each", "if", "number"]),
            ("copy", &["path", "from"], &["replace"]),
            ("text", &["path", "part"], &["folder", "head"]),
            ("join", &["path", "folder", "ending"], &[]),
            ("keystore", &["path", "folder", "ending", "if"], &[]),
            ("mime", &["path"], &[]),
            ("mode", &["path", "mode"], &["names", "releases"]),
        ] {
            for table in recipe.tables(kind) {
                assert!(needed.iter().all(|key| table.contains_key(*key)), "{table:?}");
                let is_known = |key: &str| needed.contains(&key) || allowed.contains(&key);
                assert!(table.keys().all(|key| is_known(key.get_ref())), "{table:?}");
                assert!(text(table, "path").starts_with('/'), "{table:?}");
                let choices: Vec<_> = strings(table.get("first-of").map(|it| it.get_ref())).collect();
                assert!(choices.iter().all(|choice| choice.starts_with('/')), "{table:?}");
                assert_eq!(!text(table, "names").is_empty(), text(table, "path").contains(NAME), "{table:?}");
                assert_eq!(text(table, "path").contains(NUMBER), table.contains_key("number"), "{table:?}");
                for key in ["from", "each"] {
                    let glob = text(table, key).replace(NAME, "x");
                    assert!(glob.is_empty() || Glob::parse(&glob).is_ok_and(|globs| globs[0].is_absolute), "{table:?}");
                }
            }
            assert!(recipe.tables(kind).count() > 0, "{kind}");
        }
        assert!(recipe.tables("alternative").count() > 20);
        for table in recipe.tables("link") {
            assert_ne!(table.contains_key("first-of"), table.contains_key("each"), "{table:?}");
        }
        for table in recipe.tables("mode") {
            assert!(u32::from_str_radix(text(table, "mode"), 8).is_ok_and(|mode| mode & 0o777 == 0o755), "{table:?}");
        }
        for entry in recipe.entries("text", &["x".to_owned()]) {
            let parts = entry.pairs("part");
            let is_path = |(file, _): &(String, String)| format!("{}{file}", entry.text("folder")).starts_with('/');
            assert!(!parts.is_empty() && parts.iter().all(is_path), "{:?}", entry.table);
        }
        let known = ["merged", "merged-for", "alternative", "link", "copy", "text", "join", "keystore", "mime", "mode"];
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

    /// A root with these files, in which scripts' work was done.
    fn repaired(recipe: &Recipe<'_>, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            write(root.path(), path, text.as_bytes()).unwrap();
        }
        recipe.after(root.path()).unwrap();
        root
    }

    fn read(root: &tempfile::TempDir, path: &str) -> Option<String> {
        fs::read_to_string(inside(root.path(), path)).ok()
    }

    #[test]
    fn extensions_of_php_are_enabled_for_the_interfaces_that_are_there() {
        let root = repaired(
            &Recipe::debian(),
            &[
                ("/usr/share/php8.2-common/common/pdo.ini", "; priority=10\nextension=pdo.so\n"),
                ("/usr/share/php8.2-readline/readline/readline.ini", "extension=readline.so\n"),
                ("/etc/php/8.2/mods-available/own.ini", "; priority=7\n"),
                ("/usr/lib/php/8.2/sapi/cli", ""),
                ("/usr/lib/php/8.2/php.ini-production.cli", "[PHP]\n"),
            ],
        );
        assert_eq!(read(&root, "/etc/php/8.2/mods-available/readline.ini").unwrap(), "extension=readline.so\n");
        assert_eq!(read(&root, "/etc/php/8.2/cli/php.ini").unwrap(), "[PHP]\n");
        let enabled = names_in(&inside(root.path(), "/etc/php/8.2/cli/conf.d")).unwrap();
        assert_eq!(enabled, ["10-pdo.ini", "20-readline.ini", "7-own.ini"]);
        let link = fs::read_link(inside(root.path(), "/etc/php/8.2/cli/conf.d/10-pdo.ini")).unwrap();
        assert_eq!(link, Path::new("/etc/php/8.2/mods-available/pdo.ini"));
        assert_eq!(names_in(&inside(root.path(), "/etc/php/8.2")).unwrap(), ["cli", "mods-available"]);
    }

    #[test]
    fn stacks_of_pam_are_those_of_the_profile_unix() {
        let root = repaired(
            &Recipe::debian(),
            &[
                ("/usr/share/pam/common-auth", "# primary\n$auth_primary\nx\n$auth_additional\n# end\n"),
                (
                    "/usr/share/pam/common-session",
                    "$session_primary\n$session_additional\nsession optional pam_umask.so\n",
                ),
                ("/usr/share/pam/common-account", "$account_primary\n"),
                ("/etc/pam.d/common-account", "mine\n"),
            ],
        );
        let auth = "# primary\nauth\t[success=1 default=ignore]\tpam_unix.so nullok\nx\n# end\n";
        assert_eq!(read(&root, "/etc/pam.d/common-auth").unwrap(), auth);
        let session = read(&root, "/etc/pam.d/common-session").unwrap();
        assert!(
            session.contains("[default=1]") && session.contains("required\tpam_unix.so\nsession optional"),
            "{session}"
        );
        assert_eq!(read(&root, "/etc/pam.d/common-account").unwrap(), "mine\n");
        assert_eq!(read(&root, "/etc/pam.d/common-password"), None);
    }

    #[test]
    fn no_variable_of_a_template_of_pam_is_left() {
        for entry in Recipe::debian().entries("copy", &[]).iter().filter(|it| it.text("path").contains("/pam.d/")) {
            let (words, name) = (entry.pairs("replace"), entry.text("path").replace("/etc/pam.d/common-", ""));
            let variable = format!("${}_", name.replace("session-noninteractive", "session_nonint"));
            let left: Vec<&str> = words.iter().map(|(word, _)| word.trim_end()).collect();
            assert_eq!(left, [format!("{variable}additional"), format!("{variable}primary")]);
        }
    }

    #[test]
    fn a_list_of_plugins_has_those_that_are_there() {
        let loaders = "/usr/lib/aarch64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders";
        let graphviz = "/usr/lib/aarch64-linux-gnu/graphviz";
        let root = repaired(
            &Recipe::debian(),
            &[
                (&format!("{loaders}/libpixbufloader-xpm.so"), ""),
                (&format!("{loaders}/libpixbufloader-gif.so"), ""),
                (&format!("{loaders}/libpixbufloader-unknown.so"), ""),
                (&format!("{graphviz}/libgvplugin_dot_layout.so.6"), ""),
                ("/usr/lib/x86_64-linux-gnu/libc.so.6", ""),
            ],
        );
        let cache = read(&root, &format!("{loaders}.cache")).unwrap();
        let files: Vec<&str> = cache.lines().filter(|line| line.starts_with("\"/usr")).collect();
        let expected = ["gif", "xpm"].map(|format| format!("\"{loaders}/libpixbufloader-{format}.so\""));
        assert_eq!(files, expected);
        assert_eq!(
            read(&root, &format!("{graphviz}/config6a")).unwrap(),
            "libgvplugin_dot_layout.so.6 dot_layout {\n\tlayout {\n\t\tdot 0\n\t}\n}\n"
        );
        assert!(!inside(root.path(), "/usr/lib/x86_64-linux-gnu/graphviz").exists());
    }

    #[test]
    fn texts_have_a_part_for_each_file_that_is_there() {
        let recipe =
            "[[text]]\npath = '/etc/x'\nfolder = '/bin/'\nhead = 'h '\n[text.part]\nb = '{file} '\na = 'a '\nc = 'c'\n";
        let recipe = Recipe::parse(recipe);
        assert_eq!(read(&repaired(&recipe, &[("/bin/a", ""), ("/bin/b", "")]), "/etc/x").unwrap(), "h a /bin/b ");
        assert_eq!(read(&repaired(&recipe, &[("/bin/d", "")]), "/etc/x"), None);
        assert_eq!(read(&repaired(&recipe, &[("/bin/a", ""), ("/etc/x", "mine")]), "/etc/x").unwrap(), "mine");
    }

    #[test]
    fn java_has_authorities_of_its_own() {
        let folder = "/usr/share/ca-certificates/mozilla";
        let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        let files = [
            (&*format!("{folder}/B.crt"), pem),
            (&*format!("{folder}/A.crt"), pem),
            (&*format!("{folder}/c.crt"), "x"),
        ];
        let cacerts = |root: &tempfile::TempDir| fs::read(inside(root.path(), "/etc/ssl/certs/java/cacerts")).ok();
        assert_eq!(cacerts(&repaired(&Recipe::debian(), &files)), None);
        let hook = ("/etc/ca-certificates/update.d/jks-keystore", "");
        let root = repaired(&Recipe::debian(), &[&files[..], &[hook]].concat());
        let expected = [("debian:A.pem", &[0, 1, 2][..]), ("debian:B.pem", &[0, 1, 2])];
        assert_eq!(cacerts(&root).unwrap(), keystore::keystore(expected.into_iter()));
    }

    #[test]
    fn modes_are_set_where_scripts_of_the_release_set_them() {
        for (release, expected) in [("bookworm", 0o4755), ("trixie", 0o644)] {
            let text = format!("ID=debian\nVERSION_CODENAME={release}\n");
            let files = [("/usr/lib/os-release", &*text), ("/usr/bin/ping", ""), ("/usr/bin/fping", "")];
            let root = repaired(&Recipe::debian(), &files);
            let mode = |path| fs::metadata(inside(root.path(), path)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode("/usr/bin/ping") & 0o4000, expected & 0o4000, "{release}");
            assert_eq!(mode("/usr/bin/fping"), 0o4755, "{release}");
        }
    }
}
