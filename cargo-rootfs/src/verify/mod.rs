//! Proves an existing image, from any tool: closures, symbol versions, settings, and the rules of strict loaders.
//!
//! [`crate::inspect`] has verified the digests. Nothing of the image is executed.

mod closures;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use crate::error::{Error, Warning};
use crate::inspect::{Inspected, View};
use crate::resolve::TargetLibraries;

/// All findings about one image.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// Faults by which it would not load, or a program would not start.
    pub(crate) errors: Vec<Error>,
    /// Faults by which it may not do its job.
    pub(crate) warnings: Vec<Warning>,
    /// Reasons why AWS Lambda, the strictest known loader, would refuse it.
    pub(crate) lambda: Vec<String>,
    /// The number of programs and scripts with a resolved closure.
    pub(crate) programs: usize,
    /// The number of resolved libraries that no program of the image maps.
    pub(crate) libraries: usize,
}

/// Verifies `image`, for targets that provide the libraries `given`; its output has images of this number of
/// `platforms`.
pub(crate) fn verify(image: &Inspected, platforms: usize, given: &TargetLibraries) -> Verified {
    let mut verified = Verified::default();
    rules::check(image, platforms, &mut verified);
    let mut view = View::new(&image.tree);
    settings::check(image, &mut view, &mut verified);
    closures::check(&mut view, given, &mut verified);
    verified
}
