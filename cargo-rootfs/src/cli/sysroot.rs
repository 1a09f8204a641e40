//! `sysroot`: directories that were made of packages, or that would be used.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::terminal::{self, Terminal, bytes};
use crate::error::Result;
use crate::options::Format;
use crate::pipeline::{Session, update_sysroots};
use crate::plan::Request;
use crate::provision::{Cache, Prune};

/// The time after which an unused sysroot is removed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Runs `sysroot list`.
pub(super) fn list(terminal: &Terminal) -> Result<()> {
    for listed in Cache::locate()?.list()? {
        let (path, section) = (listed.root.to_string_lossy(), listed.section.as_ref());
        let age = SystemTime::now().duration_since(listed.used).unwrap_or_default();
        let line = match terminal.format() {
            Format::Human => {
                let what = section.map_or_else(
                    || "damaged".to_owned(),
                    |it| format!("{}\t{}\t{} packages", it.suite, it.architecture, it.packages.len()),
                );
                let days = age.as_secs() / (24 * 3600);
                format!("{path}\t{what}\t{}\t{days} days\n", bytes(listed.bytes))
            }
            Format::Json => {
                let used = listed.used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
                let fields = json!({
                    "path": path, "bytes": listed.bytes, "used": used,
                    "suite": section.map(|it| it.suite.to_string()),
                    "architecture": section.map(|it| &it.architecture),
                    "packages": section.map(|it| it.packages.len()),
                });
                terminal::line("rootfs-sysroot", &fields)
            }
        };
        terminal.result(line.as_bytes())?;
    }
    Ok(())
}

/// Runs `sysroot prune`.
pub(super) fn prune(all: bool, terminal: &Terminal) -> Result<()> {
    let what = if all { Prune::All } else { Prune::Unused(KEPT) };
    let (removed, size) = Cache::locate()?.prune(what)?;
    for path in &removed {
        let path = path.to_string_lossy();
        let line = match terminal.format() {
            Format::Human => format!("{path}\n"),
            Format::Json => terminal::line("rootfs-removed", &json!({"path": path})),
        };
        terminal.result(line.as_bytes())?;
    }
    terminal.status("Removed", format_args!("{} files and directories, {}", removed.len(), bytes(size)));
    Ok(())
}

/// Runs `sysroot path`.
pub(super) fn path(request: &Request<'_>, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    for (target, folder) in Session::new(request, terminal)?.sysroots()? {
        let line = match terminal.format() {
            Format::Human => format!("{folder}\n"),
            Format::Json => terminal::line("rootfs-sysroot", &json!({"path": folder, "target": target.triple()})),
        };
        terminal.result(line.as_bytes())?;
    }
    Ok(())
}

/// Runs `sysroot update`.
pub(super) fn update(manifest: &clap_cargo::Manifest, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    update_sysroots(manifest, terminal)
}
