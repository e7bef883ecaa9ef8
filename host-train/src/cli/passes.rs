//! The choice of rewrites, and what they gained.

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::cli::table::{Align, Table};
use crate::optimize::{Counts, PASSES, PassReport, Passes};

/// Which rewrites a command applies.
#[derive(Debug, clap::Args)]
pub(super) struct PassArgs {
    /// Write each layer on its own, nothing rewritten or fused.
    #[arg(long, conflicts_with = "only")]
    no_optimize: bool,

    /// Apply this rewrite and no other; give it several times for several.
    #[arg(long, value_name = "PASS", value_parser = names())]
    only: Vec<String>,

    /// Run layers in bands of rows wherever that makes the arena smaller; without the flag only
    /// for a microcontroller, and where it saves 15 % of the arena (a kilobyte at least) for 10 %
    /// more work at most.
    #[arg(long, conflicts_with = "no_optimize")]
    bands: bool,

    /// Run no layer in bands.
    #[arg(long, conflicts_with_all = ["no_optimize", "bands"])]
    no_bands: bool,
}

fn names() -> PossibleValuesParser {
    let value = |pass: &crate::optimize::Pass| PossibleValue::new(pass.name).help(pass.summary);
    PossibleValuesParser::new(PASSES.iter().map(value))
}

impl PassArgs {
    pub(super) fn passes(&self) -> Passes {
        let passes = match (self.no_optimize, self.only.as_slice()) {
            (true, _) => Passes::NONE,
            (false, []) => Passes::DEFAULT,
            (false, only) => Passes::named(only),
        };
        if self.bands || self.no_bands { passes.with_bands(self.bands) } else { passes }
    }
}

/// A line per pass that found something to do, what it changed from → to.
pub(super) fn print_report(reports: &[PassReport]) {
    if reports.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        ("pass", Align::Left),
        ("MACs", Align::Right),
        ("requantisations", Align::Right),
        ("flash", Align::Right),
        ("arena", Align::Right),
    ]);
    let mut row = |name: &str, before: &Counts, after: &Counts| {
        let change = |of: &dyn Fn(&Counts) -> String| {
            let (before, after) = (of(before), of(after));
            if before == after { "·".to_string() } else { format!("{before} → {after}") }
        };
        table.row(vec![
            name.to_string(),
            change(&|counts| counts.macs.to_string()),
            change(&|counts| counts.requantisations.to_string()),
            change(&|counts| counts.flash.to_string()),
            change(&|counts| counts.arena.to_string()),
        ]);
    };
    reports.iter().for_each(|report| row(&report.pass, &report.before, &report.after));
    if let [first, .., last] = reports {
        row("all", &first.before, &last.after);
    }
    print!("{table}");
}
