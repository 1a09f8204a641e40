//! `verify OUTPUT`: proves each existing image again.

use serde_json::json;

use super::terminal::{self, Terminal, bytes};
use crate::error::{Error, Result, Warning, exit_code};
use crate::inspect::{Access, Inspected, Limits, Source};
use crate::options::{Format, InspectArgs, VerifyArgs};
use crate::pipeline::Events;
use crate::resolve::TargetLibraries;
use crate::target::Target;
use crate::verify::{Verified, verify};

/// The settings for reading outputs, from `args`.
pub(super) fn access<'t>(args: &InspectArgs, terminal: &'t Terminal) -> Result<Access<'t>> {
    let platform = match (&args.platform, &args.target) {
        (Some(platform), _) if !platform.contains('/') => Some(format!("linux/{platform}")),
        (Some(platform), _) => Some(platform.clone()),
        (None, Some(triple)) => Some(platform_of(triple)?),
        (None, None) => None,
    };
    #[cfg(feature = "push")]
    let insecure = args.insecure_registry.clone();
    #[cfg(not(feature = "push"))]
    let insecure = Vec::new();
    Ok(Access { limits: Limits::default(), platform, insecure, interrupted: terminal.interrupted() })
}

fn platform_of(triple: &str) -> Result<String> {
    let target = Target::parse(triple)?;
    match target.machine().platform() {
        Some((architecture, Some(variant))) => Ok(format!("linux/{architecture}/{variant}")),
        Some((architecture, None)) => Ok(format!("linux/{architecture}")),
        None => Err(Error::usage(format!("no image can be for `{triple}`"))),
    }
}

pub(super) fn run(args: &VerifyArgs, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let access = access(&args.inspect, terminal)?;
    let given = TargetLibraries::parse(&args.allow_missing).map_err(Error::usage)?;
    let mut errors = Vec::new();
    for name in &args.outputs {
        match Source::open(name, &access) {
            Ok(source) => of_source(&source, &given, terminal, &mut errors)?,
            Err(error) => errors.push(error),
        }
        terminal.stop()?;
    }
    Error::all(errors)
}

fn of_source(source: &Source<'_>, given: &TargetLibraries, terminal: &Terminal, errors: &mut Vec<Error>) -> Result<()> {
    let count = source.count();
    for index in 0..count {
        let platform = source.platform(index).unwrap_or_default().to_owned();
        let place = [source.name.as_str(), &platform].join(" ").trim_end().to_owned();
        terminal.status("Verifying", &place);
        let named = |error: Error| if count > 1 { error.detail(format!("in the image for {platform}")) } else { error };
        match source.read(index) {
            Ok(image) => {
                let verified = verify(&image, count, given);
                tell(source, &image, &verified, terminal)?;
                errors.extend(verified.errors.into_iter().map(named));
            }
            Err(error) if error.exit_code() == exit_code::INTERRUPTED => return Err(error),
            Err(error) => errors.push(named(error)),
        }
    }
    Ok(())
}

fn tell(source: &Source<'_>, image: &Inspected, verified: &Verified, terminal: &Terminal) -> Result<()> {
    let in_platform = |warning: &Warning| match (&image.platform, source.count()) {
        (Some(platform), 2..) => Warning { message: format!("{}, for {platform}", warning.message), ..warning.clone() },
        _ => warning.clone(),
    };
    verified.warnings.iter().for_each(|warning| terminal.warning(&in_platform(warning)));
    verified.lambda.iter().for_each(|why| terminal.detail("Lambda", format_args!("would refuse it: {why}")));
    let (entries, size, layers) = (image.tree.len(), image.tree.size(), image.layers.len());
    let stored: u64 = image.layers.iter().map(|layer| layer.size).sum();
    let line = match terminal.format() {
        Format::Json => {
            let diff_ids: Vec<_> = image.layers.iter().map(|layer| &layer.diff_id).collect();
            let messages: Vec<_> = verified.errors.iter().map(Error::message).collect();
            let warnings: Vec<_> = verified.warnings.iter().map(|warning| &warning.message).collect();
            let fields = json!({
                "name": source.name, "platform": image.platform, "digest": image.digest, "diff_ids": diff_ids,
                "entries": entries, "size": size, "stored": stored, "programs": verified.programs,
                "libraries": verified.libraries, "errors": messages, "warnings": warnings, "lambda": verified.lambda,
            });
            terminal::line("rootfs-verified", &fields)
        }
        Format::Human if !verified.errors.is_empty() => return Ok(()),
        Format::Human => {
            let digest = image.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
            let platform = image.platform.as_ref().map(|platform| format!(" {platform}")).unwrap_or_default();
            let of_layers = match layers {
                0 => String::new(),
                1 => format!(" in 1 layer of {}", bytes(stored)),
                _ => format!(" in {layers} layers of {}", bytes(stored)),
            };
            let (programs, name) = (verified.programs, source.name.split('@').next().unwrap_or_default());
            let size = bytes(size);
            format!("{name}{digest}{platform}: {entries} entries, {size}{of_layers}; {programs} programs resolve\n")
        }
    };
    terminal.result(line.as_bytes())
}
