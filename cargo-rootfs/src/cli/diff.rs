//! `diff A B`: prints the changes between two outputs, and fails for forbidden ones.

use super::terminal::{self, Terminal};
use super::verify::access;
use crate::diff::{BILLS, Side, compare, is_lock, json, markdown, sides_of_lock, text, violations};
use crate::error::{Error, Result, Warning};
use crate::host_files;
use crate::inspect::{Access, Source};
use crate::options::{DiffArgs, DiffFormat, Format};

/// The sides of one output, one for each platform.
enum Sides<'a> {
    Lock(Vec<Side>),
    Images(Source<'a>),
}

impl<'a> Sides<'a> {
    fn open(name: &str, access: &'a Access<'a>) -> Result<Self> {
        if is_lock(name) {
            let text = host_files::text(name).or_cannot("read")?;
            return sides_of_lock(name, &text).map(Self::Lock);
        }
        Source::open(name, access).map(Self::Images)
    }

    /// A name for each side, by which two outputs are paired.
    fn platforms(&self) -> Vec<String> {
        match self {
            Self::Lock(sides) => sides.iter().map(|side| side.platform.clone().unwrap_or_default()).collect(),
            Self::Images(source) => {
                (0..source.count()).map(|at| source.platform(at).unwrap_or_default().to_owned()).collect()
            }
        }
    }

    fn take(&mut self, at: usize, terminal: &Terminal) -> Result<Side> {
        match self {
            Self::Lock(sides) => Ok(std::mem::take(&mut sides[at])),
            Self::Images(source) => {
                let place = format!("{} {}", source.name, source.platform(at).unwrap_or_default());
                terminal.status("Reading", place.trim_end());
                let mut image = source.read(at)?;
                image.documents = source.documents(at, &BILLS)?;
                let lost = image.oddities.iter().filter(|((_, oddity), _)| oddity.is_passed_over());
                let lost: usize = lost.map(|(_, met)| met.count).sum();
                if lost > 0 {
                    let message = format!("{lost} entries of `{}` lead out of it and were skipped", source.name);
                    terminal.warning(&Warning::new(message).help(format!("cargo rootfs verify {}", source.name)));
                }
                Ok(Side::new(&source.name, &image))
            }
        }
    }
}

pub(super) fn run(args: &DiffArgs, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let access = access(&args.inspect, terminal)?;
    let mut old = Sides::open(&args.old, &access)?;
    let mut new = Sides::open(&args.new, &access)?;
    let (pairs, alone) = pairs(&old.platforms(), &new.platforms(), args)?;
    let mut errors = Vec::new();
    for message in alone {
        match args.fail_on.is_empty() {
            true => terminal.warning(&Warning::new(message)),
            false => errors.push(Error::failed(format!("cannot judge one platform by --fail-on: {message}"))),
        }
    }
    for (before, after) in &pairs {
        let (old, new) = (old.take(*before, terminal)?, new.take(*after, terminal)?);
        let diff = compare(&old, &new)?;
        let out = match (terminal.format(), args.format) {
            (Format::Json, _) => terminal::line("rootfs-diff", &json(&diff)),
            (Format::Human, DiffFormat::Markdown) => markdown(&diff),
            (Format::Human, DiffFormat::Text) => text(&diff),
        };
        terminal.result(out.as_bytes())?;
        let platform = diff.platform.clone().filter(|_| pairs.len() > 1);
        let named = |error: Error| match &platform {
            Some(platform) => error.detail(format!("in the image for {platform}")),
            None => error,
        };
        errors.extend(violations(&diff, &args.fail_on).into_iter().map(named));
    }
    Error::all(errors)
}

/// Indices of an old and a new side.
type Pairs = Vec<(usize, usize)>;

/// The pairs of sides to compare, and messages about sides without another: two single sides are a pair, others are paired
/// by platform.
fn pairs(old: &[String], new: &[String], args: &DiffArgs) -> Result<(Pairs, Vec<String>)> {
    if let ([_], [_]) = (old, new) {
        return Ok((vec![(0, 0)], Vec::new()));
    }
    // A lock has `debian:bookworm arm64` where an image has `linux/arm64`.
    let architecture = |name: &str| name.rsplit([' ', '/']).next().unwrap_or_default().to_owned();
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    for (at, name) in old.iter().enumerate() {
        let same = new.iter().position(|other| other == name);
        match same.or_else(|| new.iter().position(|other| architecture(other) == architecture(name))) {
            Some(other) => pairs.push((at, other)),
            None => alone.push(format!("`{}` has nothing for {name}", args.new)),
        }
    }
    for (_, name) in new.iter().enumerate().filter(|(at, _)| !pairs.iter().any(|(_, other)| other == at)) {
        alone.push(format!("`{}` has nothing for {name}", args.old));
    }
    if pairs.is_empty() {
        return Err(Error::failed(format!("`{}` and `{}` have no platform in common", args.old, args.new))
            .detail(format!("the one has {}", old.join(", ")))
            .detail(format!("the other has {}", new.join(", "))));
    }
    Ok((pairs, alone))
}
