//! A progress bar over samples on a terminal, one line at the end otherwise.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// Counts samples and reports their rate.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    count: usize,
    start: Instant,
}

impl Progress {
    pub(super) fn new(count: usize, what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}");
            let bar = ProgressBar::new(count as u64);
            if let Ok(style) = style { bar.with_style(style) } else { bar }
        });
        Self { bar, what, count, start: Instant::now() }
    }

    pub(super) fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Samples per second since the start.
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{} {}, {:.0} per second", self.count, self.what, self.rate());
    }
}
