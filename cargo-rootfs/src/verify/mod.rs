//! Proves an image that is there, whoever made it: closures, symbol versions, settings, and the rules of strict loaders.
//!
//! Digests were verified when it was read ([`crate::inspect`]). Nothing in it is executed.

mod closures;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use crate::error::{Error, Warning};
use crate::inspect::{Inspected, View};

/// Everything that was found wrong with one image.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// It would not load, or a program of it would not start.
    pub(crate) errors: Vec<Error>,
    /// It may not do what it was made for.
    pub(crate) warnings: Vec<Warning>,
    /// Reasons why AWS Lambda refuses it, the strictest loader that is known.
    pub(crate) lambda: Vec<String>,
    /// Programs and scripts whose closures were resolved.
    pub(crate) programs: usize,
    /// Libraries that no program of the image maps, likewise.
    pub(crate) libraries: usize,
}

/// Verifies `image`, of which there are `platforms` in its output.
pub(crate) fn verify(image: &Inspected, platforms: usize) -> Verified {
    let mut verified = Verified::default();
    rules::check(image, platforms, &mut verified);
    let mut view = View::new(&image.tree);
    settings::check(image, &mut view, &mut verified);
    closures::check(&mut view, &mut verified);
    verified
}
