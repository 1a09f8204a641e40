//! OUTPUT: the outputs of one target.

use camino::Utf8Path;

use crate::error::Result;
use crate::options::OutputArgs;
use crate::output::{self, Output, Placeholders, Settings};
use crate::write::dir::Replace;

/// The outputs that the options name. `target_dir` is where the default goes; without one, an output must be named.
pub(super) fn outputs(
    args: &OutputArgs,
    names: &Placeholders<'_>,
    target_dir: Option<&Utf8Path>,
) -> Result<Vec<Output>> {
    if !args.named.any() {
        return Ok(vec![output::default(target_dir.ok_or_else(output::none_named)?, names)?]);
    }
    let replace = if args.force { Replace::Force } else { Replace::OwnOnly };
    #[cfg(feature = "push")]
    let insecure = args.insecure_registry.as_deref().unwrap_or_default();
    #[cfg(not(feature = "push"))]
    let insecure = &[];
    let settings = Settings { engine: args.engine.unwrap_or_default(), replace, insecure };
    args.named.iter().map(|(kind, name)| kind.output(&names.fill(name)?, settings)).collect()
}
