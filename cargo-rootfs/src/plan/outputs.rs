//! OUTPUT: the outputs of one target.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result};
use crate::options::OutputArgs;
use crate::output::{self, Claim, LateBill, Output, Placeholders, Settings};
use crate::write::dir::Replace;

/// The outputs that the options name. The default output is below `target_dir`; without one, an output must be named.
pub(super) fn outputs(
    args: &OutputArgs,
    names: &Placeholders<'_>,
    target_dir: Option<&Utf8Path>,
) -> Result<Vec<Output>> {
    if !args.named.any() {
        if args.digest_file.is_some() {
            return Err(output::without_digest());
        }
        return Ok(vec![output::default(target_dir.ok_or_else(output::none_named)?, names)?]);
    }
    let replace = if args.force { Replace::Force } else { Replace::OwnOnly };
    #[cfg(feature = "push")]
    let insecure = args.insecure_registry.as_deref().unwrap_or_default();
    #[cfg(not(feature = "push"))]
    let insecure = &[];
    let settings = Settings { engine: args.engine.unwrap_or_default(), replace, insecure };
    let named = args.named.iter().map(|(kind, name)| kind.output(&names.fill(name)?, settings));
    let named = named.collect::<Result<Vec<_>>>()?;
    if args.digest_file.is_some() && !named.iter().any(Output::has_layers) {
        return Err(output::without_digest());
    }
    Ok(named)
}

/// The outputs, followed by the bills of materials of `--sbom`, each beside the first output that is a path.
pub(super) fn with_sboms(
    mut outputs: Vec<Output>,
    args: &OutputArgs,
    names: &Placeholders<'_>,
    target_dir: Option<&Utf8Path>,
) -> Result<(Vec<Output>, Option<LateBill>)> {
    let sboms = args.sbom.as_deref().unwrap_or_default();
    if sboms.is_empty() {
        return Ok((outputs, None));
    }
    let first = outputs.iter().find_map(|output| match output.place.claim() {
        Claim::Path(path) => Some(path.as_str().trim_end_matches('/').to_owned()),
        _ => None,
    });
    let beside = match (first, target_dir) {
        (Some(path), _) => Some(path),
        (None, Some(folder)) => Some(folder.join("rootfs").join(names.fill("{package}-{triple}")?).into_string()),
        (None, None) => None,
    };
    let bill = LateBill::default();
    for sbom in sboms {
        let path: Utf8PathBuf = match (&sbom.file, &beside) {
            (Some(file), _) => names.fill(file)?.into(),
            (None, Some(beside)) => format!("{beside}.{}", sbom.format.ending()).into(),
            (None, None) => {
                let word = sbom.format.as_str();
                return Err(Error::usage("the bill of materials has no file")
                    .help(format!("name a file: --sbom {word}=sbom.{}", sbom.format.ending())));
            }
        };
        outputs.push(output::sbom(sbom.format, path, LateBill::clone(&bill)));
    }
    Ok((outputs, Some(bill)))
}
