//! Makes the files of a rule on disk, for the loader.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use fs_err as fs;

use super::Flavor;
use super::schema::{Body, Row};

/// Makes the files in `root`, with the flavor's loader.
pub(super) fn make(row: &Row, flavor: &Flavor, root: &Utf8Path) -> Result<()> {
    for folder in ["proc", "etc", ".host", "r"] {
        fs::create_dir_all(root.join(folder))?;
    }
    if let Some(current) = &row.current {
        let current = inside(root, current);
        fs::create_dir_all(&current)?;
    }
    put(flavor.loader.interpreter, &Body::Loader, flavor, root)?;
    for (path, body) in row.files(&flavor.loader).map_err(anyhow::Error::msg)? {
        put(&path, &body, flavor, root)?;
    }
    let Some(format) = &row.ldconfig else { return Ok(()) };
    run(&flavor.ldconfig, &["-X", "-c", format, "-r", root.as_str()])?;
    if let Some(length) = row.cache_length {
        let cache = inside(root, "/etc/ld.so.cache");
        let file = fs::File::options().write(true).open(&cache).with_context(|| format!("open {cache}"))?;
        file.set_len(length).with_context(|| format!("cut {cache}"))?;
    }
    for (path, body) in row.later(&flavor.loader).map_err(anyhow::Error::msg)? {
        let there = inside(root, &path);
        fs::remove_file(&there)?;
        put(&path, &body, flavor, root)?;
    }
    Ok(())
}

fn inside(root: &Utf8Path, path: &str) -> camino::Utf8PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn put(path: &str, body: &Body, flavor: &Flavor, root: &Utf8Path) -> Result<()> {
    let path = inside(root, path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let made = match body {
        Body::Bytes(bytes) => {
            fs::write(&path, bytes).and_then(|()| fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)))
        }
        Body::Link(target) => symlink(target, &path),
        Body::HardLink(file) => fs::hard_link(inside(root, file), &path),
        Body::Directory => fs::create_dir_all(&path),
        Body::Socket => UnixListener::bind(&path).map(drop),
        Body::Loader => fs::copy(&flavor.file, &path).map(drop),
        Body::Gone => Ok(()),
        Body::Fifo | Body::Denied => bail!("{path} is for files in memory alone: the rule wants `not_asked`"),
    };
    made.with_context(|| format!("make {path}"))
}

/// Runs a tool without a status line, because there are many.
fn run(tool: &[String], words: &[&str]) -> Result<()> {
    let output = duct::cmd(&tool[0], tool[1..].iter().map(String::as_str).chain(words.iter().copied()));
    let output = output.stdout_capture().stderr_capture().unchecked().run();
    let output = output.with_context(|| format!("start {}", tool[0]))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "`{}` ended with {}: {said}", tool.join(" "), output.status);
    Ok(())
}
