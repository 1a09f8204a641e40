//! `cargo rootfs`: writes every rootfs to its outputs.

use std::collections::BTreeMap;
use std::time::Instant;

use super::dry_run;
use super::forge;
use super::terminal::{Terminal, bytes};
use crate::error::Result;
use crate::options::OutputArgs;
use crate::output::{Checksums, Written};
use crate::pipeline::{Epoch, Session, preview, release};
use crate::plan::Request;
use crate::report;
use crate::rootfs::Rootfs;
use crate::write;

pub(super) fn run(request: &Request<'_>, output: &OutputArgs, terminal: &Terminal) -> Result<()> {
    let started = Instant::now();
    let epoch = Epoch::from_environment()?;
    if output.checksums.is_some() {
        Checksums::check(output.named.iter())?;
    }
    terminal.watch_signals()?;
    let mut proved = Session::new(request, terminal)?.prove()?;
    if output.dry_run {
        return dry_run::print(&preview(&mut proved, epoch)?, terminal);
    }
    // Before any output gets its name, so that a failure to make the checksum file leaves nothing behind.
    let checksums = output.checksums.as_deref().map(Checksums::begin).transpose()?;
    let written = release(&mut proved, epoch, terminal)?;
    let summed = checksums.map(|checksums| checksums.commit(&written)).transpose()?;
    if let Some(file) = &output.digest_file {
        let mut digests: Vec<&str> = written.iter().filter_map(Written::digest).collect();
        digests.dedup();
        write::small_file(file.as_std_path(), digests.join("\n").as_bytes())?;
    }
    let rootfs = || proved.iter().map(|one| &one.assembly.rootfs);
    let (entries, size) = (rootfs().map(Rootfs::len).sum::<usize>(), bytes(rootfs().map(Rootfs::size).sum()));
    let (largest, seconds) = (largest(rootfs), started.elapsed().as_secs_f64());
    terminal.status("Finished", format_args!("{entries} entries, {size}{largest}, in {seconds:.2}s"));
    forge::results(&written)?;
    let texts = || [&output.checksums, &output.digest_file].into_iter().flatten();
    // A document on standard output is alone there.
    if !written.iter().any(Written::is_printed) && !texts().any(|path| write::is_stdout(path.as_std_path())) {
        written.iter().try_for_each(|written| terminal.written(written))?;
        summed.iter().try_for_each(|path| terminal.path("checksums", path))?;
    }
    Ok(())
}

/// The minimum size of a named addition.
const LARGE: u64 = 1 << 20;

/// The number of named additions.
const NAMED: usize = 3;

/// The largest additions of rules, by the name of the tool or library for which they fired, the size of licences, and
/// the number of set-ID files: in parentheses, or empty.
fn largest<'r, R: Iterator<Item = &'r Rootfs>>(rootfs: impl Fn() -> R) -> String {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (name, size) in rootfs().flat_map(report::additions) {
        *sums.entry(name).or_default() += size;
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, size)| *size >= LARGE).collect();
    sums.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
    let mut said: Vec<String> =
        sums.iter().take(NAMED).map(|(name, size)| format!("{name} +{}", bytes(*size))).collect();
    match rootfs().map(report::licences).sum::<u64>() {
        0 => {}
        size => said.push(format!("licences {}", bytes(size))),
    }
    match rootfs().map(report::set_ids).sum::<usize>() {
        0 => {}
        count => said.push(format!("{count} set-ID")),
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}
