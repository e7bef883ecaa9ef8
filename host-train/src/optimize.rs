//! Rewrites of a graph that change no int8 code: fewer products, fewer requantisations,
//! less memory for the same results.
//!
//! Each pass is a file of this folder and stands in [`PASSES`]. Some rewrite the graph
//! before it is lowered, others say what the lowering may put into one layer or into one
//! piece of memory; a user sees no difference. `--no-optimize` leaves out all of them,
//! `--only NAME` all others.

pub(crate) mod activation;
pub(crate) mod bands;
pub(crate) mod concat;
mod constant_channels;
pub(crate) mod evaluate;
pub(crate) mod in_place;
mod nails;
mod padding;
pub(crate) mod pool;
mod report;
mod requantize;
mod reshapes;
mod residual;
pub(crate) mod unpool;
pub(crate) mod upsample;

pub use report::{Counts, PassReport, export_reported};

use crate::graph::Graph;

/// A rewrite with its name.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Name on the command line.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// How it changes the graph; `None` when the lowering does its work.
    rewrite: Option<fn(&mut Graph)>,
}

/// All passes, in the order in which they run.
pub const PASSES: [Pass; 13] = [
    reshapes::PASS,
    padding::PASS,
    requantize::PASS,
    constant_channels::PASS,
    nails::PASS,
    activation::PASS,
    pool::PASS,
    upsample::PASS,
    unpool::PASS,
    in_place::PASS,
    concat::PASS,
    bands::PASS,
    residual::PASS,
];

/// A set of passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes(u32);

impl Passes {
    /// In a set with `bands`: only where much memory is saved for little work.
    const WHERE_IT_PAYS: u32 = 1 << 31;
    /// Every pass.
    pub const ALL: Self = Self((1 << PASSES.len()) - 1);
    /// Every pass; `bands`, which trades time and code for memory, for microcontrollers and
    /// where it pays.
    pub const DEFAULT: Self = Self(Self::ALL.0 | Self::WHERE_IT_PAYS);
    /// No pass: each layer on its own.
    pub const NONE: Self = Self(0);

    /// Every pass or none.
    #[must_use]
    pub const fn all_if(wanted: bool) -> Self {
        if wanted { Self::ALL } else { Self::NONE }
    }

    /// The passes of these names; unknown names are ignored.
    #[must_use]
    pub fn named(names: &[impl AsRef<str>]) -> Self {
        let wanted = |pass: &Pass| names.iter().any(|name| name.as_ref() == pass.name);
        Self(PASSES.iter().enumerate().map(|(i, pass)| u32::from(wanted(pass)) << i).sum())
    }

    /// Whether `pass` is among them.
    #[must_use]
    pub fn has(self, pass: &Pass) -> bool {
        PASSES.iter().position(|one| one.name == pass.name).is_some_and(|i| self.0 >> i & 1 == 1)
    }

    /// These without `pass`.
    pub(crate) fn without(self, pass: &Pass) -> Self {
        Self(self.0 & !Self::named(&[pass.name]).0)
    }

    /// These with `bands` wherever it saves memory, or without it.
    #[must_use]
    pub fn with_bands(self, wanted: bool) -> Self {
        let rest = self.0 & !Self::WHERE_IT_PAYS;
        let bands = Self::named(&[bands::PASS.name]).0;
        Self(if wanted { rest | bands } else { rest & !bands })
    }

    /// Whether `bands` need not pay.
    pub(crate) fn force_bands(self) -> bool {
        self.has(&bands::PASS) && self.0 & Self::WHERE_IT_PAYS == 0
    }

    /// Those among the first `count` of [`PASSES`].
    fn first(self, count: usize) -> Self {
        Self(self.0 & (((1 << count) - 1) | Self::WHERE_IT_PAYS))
    }
}

/// The graph after the rewrites among `passes`.
#[must_use]
pub fn optimize(graph: &Graph, passes: Passes) -> Graph {
    let mut graph = graph.clone();
    let chosen = PASSES.iter().filter(|pass| passes.has(pass));
    chosen.filter_map(|pass| pass.rewrite).for_each(|rewrite| rewrite(&mut graph));
    graph
}
