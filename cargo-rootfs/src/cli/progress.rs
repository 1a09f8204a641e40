//! The progress bar of a write.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::error::Warning;
use crate::write::Observer;

/// A shorter write shows no bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// A progress bar on a terminal, shown after a short delay.
pub(super) struct Progress<'t> {
    terminal: &'t Terminal,
    bar: ProgressBar,
    started: Instant,
}

impl<'t> Progress<'t> {
    pub(super) fn new(size: u64, terminal: &'t Terminal) -> Self {
        Self {
            terminal,
            bar: ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::hidden()),
            started: Instant::now(),
        }
    }

    /// The same width as cargo's.
    fn show(&self) {
        let template = "{prefix:>12.cyan.bold} [{bar:27}] {bytes}/{total_bytes} {bytes_per_sec}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_prefix("Writing");
        // indicatif draws nothing if standard error is no terminal.
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress<'_> {
    fn wrote(&mut self, bytes: u64) {
        if self.bar.is_hidden() && !self.terminal.is_quiet() && self.started.elapsed() > PATIENCE {
            self.show();
        }
        self.bar.inc(bytes);
    }

    fn warn(&mut self, warning: Warning) {
        self.bar.suspend(|| self.terminal.warning(&warning));
    }
}
