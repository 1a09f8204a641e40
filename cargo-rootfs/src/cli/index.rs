//! `cargo rootfs index`: joins images of several platforms under one name.

use serde_json::json;

use super::terminal::{Terminal, bytes, line};
use crate::error::Result;
use crate::events::Events;
use crate::join::{Order, Others, Upload, join};
use crate::options::{Format, IndexArgs};
use crate::write::{self, Observer};

pub(super) fn run(args: &IndexArgs, terminal: &Terminal) -> Result<()> {
    terminal.watch_signals()?;
    let others = if args.update { Others::Kept } else { Others::Replaced };
    let order = Order { name: &args.name, sources: &args.sources, others, insecure: &args.insecure_registry };
    terminal.status("Joining", &args.name);
    let joined = join(&order, &mut Sending { terminal, observer: None }, terminal.interrupted())?;
    if let Some(file) = &args.digest_file {
        write::small_file(file.as_std_path(), joined.digest.as_bytes())?;
    }
    let is_printed = args.digest_file.as_ref().is_some_and(|file| write::is_stdout(file.as_std_path()));
    terminal.status("Finished", format_args!("{}, {} sent", joined.platforms.join(" and "), bytes(joined.sent)));
    let text = match terminal.format() {
        Format::Human => format!("{}@{}\n", args.name, joined.digest),
        Format::Json => line(
            "rootfs-output",
            &json!({
                "kind": "index",
                "name": args.name,
                "digest": joined.digest,
                "platforms": joined.platforms,
                "sent": joined.sent,
            }),
        ),
    };
    if is_printed { Ok(()) } else { terminal.result(text.as_bytes()) }
}

/// The progress bar of the upload.
struct Sending<'t> {
    terminal: &'t Terminal,
    observer: Option<Box<dyn Observer + 't>>,
}

impl Upload for Sending<'_> {
    fn begins(&mut self, bytes: u64) {
        self.observer = Some(self.terminal.progress(bytes));
    }

    fn sent(&mut self, bytes: u64) {
        if let Some(observer) = &mut self.observer {
            observer.wrote(bytes);
        }
    }
}
