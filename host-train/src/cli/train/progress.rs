//! What a user sees of a running training: a bar on a terminal, a line per
//! epoch everywhere; Ctrl-C asks to stop after the step at hand.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run_folder::Epoch;
use crate::train::Observer;

/// Exit status of a process that an interrupt ended.
const INTERRUPTED: i32 = 130;

pub(super) struct Progress {
    epochs: usize,
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// Shows the bar and takes over Ctrl-C.
    ///
    /// # Errors
    /// When the handler cannot be installed.
    pub(super) fn start(epochs: usize, images: usize) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        ctrlc::set_handler(move || {
            // The second interrupt does not wait; nothing has been written yet.
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED);
            }
        })
        .context("cannot listen for Ctrl-C")?;
        let terminal = std::io::stderr().is_terminal();
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some((epochs * images) as u64), target);
        bar.set_style(
            ProgressStyle::with_template("{prefix} {bar:30} {percent:>3} %  {msg}  {eta} left")?
                .progress_chars("━╸ "),
        );
        Ok(Self { epochs, bar, interrupted })
    }
}

impl Observer for Progress {
    fn step(&mut self, epoch: usize, done: usize, total: usize, loss: f32) {
        self.bar.set_prefix(format!("epoch {}/{}", epoch + 1, self.epochs));
        self.bar.set_message(format!("loss {loss:.4}"));
        self.bar.set_position((epoch * total + done) as u64);
    }

    fn epoch(&mut self, number: usize, epoch: &Epoch) {
        let line = format!(
            "epoch {}/{}  loss {:.4}  val_loss {:.4}  {:.1} s",
            number + 1,
            self.epochs,
            epoch.loss,
            epoch.val_loss,
            epoch.seconds
        );
        self.bar.suspend(|| println!("{line}"));
    }

    fn stop(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
