//! Starting files for a project: a table of `Cargo.toml`, and a pipeline for a forge.
//!
//! It reads the project and executes nothing of it. Pipelines are data, in `templates/pipelines/`.

mod facts;
mod pipeline;
mod table;

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cargo;
use crate::error::{Error, Result, Warning};
use crate::events::Events;
use crate::host_files;
use crate::options::{BuildArgs, Forge};
use crate::write::StagedFile;

use facts::Facts;

/// Writes the table and the pipeline of `forge`, and returns the paths of the files. Existing files stay; with `force`,
/// the pipeline is replaced. An existing table always stays.
pub(crate) fn init(
    build: &BuildArgs,
    forge: Option<Forge>,
    force: bool,
    events: &dyn Events,
) -> Result<Vec<Utf8PathBuf>> {
    let current_dir = std::env::current_dir().map_err(|error| Error::io("find", "the current directory", error))?;
    let current_dir = Utf8PathBuf::try_from(current_dir)
        .map_err(|error| Error::failed("the current directory's path is not UTF-8").with_source(error))?;
    let project = cargo::metadata(build, &current_dir)?.metadata;
    let facts = Facts::of(&project, &cargo::Toolchain::ask(&[]).answer()?.configured_targets(&[])?)?;
    let pipelines = forge.map_or_else(Vec::new, |forge| pipeline::files(forge, &facts));
    let pipelines: Vec<_> = pipelines.into_iter().map(|(path, text)| (facts.repository.join(path), text)).collect();
    if let Some((path, _)) = pipelines.iter().find(|(path, _)| path.exists() && !force) {
        return Err(Error::failed(format!("`{path}` exists")).help("replace it: --force"));
    }
    let mut files = Vec::new();
    if facts.has_table {
        events.status("Keeping", &format_args!("{} of {}", facts.table_name(), facts.manifest));
    } else {
        let text = read(&facts.manifest)?;
        let blank = if text.ends_with('\n') { "\n" } else { "\n\n" };
        files.push((facts.manifest.clone(), text + blank + &table::text(&facts)));
    }
    files.extend(pipelines);
    if forge.is_some() && pipeline::repository().is_none() {
        events.warning(
            &Warning::new("the pipeline does not know the repository of cargo rootfs")
                .help(format!("replace `{}` in it", pipeline::UNKNOWN_REPOSITORY)),
        );
    }
    if forge.is_some() && !facts.workspace_root.join("Cargo.lock").exists() {
        events
            .warning(&Warning::new("there is no Cargo.lock").help("make one, and commit it: cargo generate-lockfile"));
    }
    // All files are complete before the first gets its name.
    let staged = files.iter().map(|(path, text)| {
        let mut file = StagedFile::create(path.as_std_path())?;
        file.write_all(text.as_bytes()).map_err(|error| Error::io("write", path, error))?;
        Ok(file)
    });
    for file in staged.collect::<Result<Vec<_>>>()? {
        file.persist()?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

fn read(path: &Utf8Path) -> Result<String> {
    host_files::text(path).or_cannot("read")
}
