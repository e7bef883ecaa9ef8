//! Layers whose weights the host has brought into order.

use super::epilogue::Finish;
use super::expand::Weights;
use super::lanes;
use super::plan::{Form, PHASES, Phase, Plan};
use super::quads;
use super::sevens;
use super::stream;
use super::winograd;
use crate::backend::line::Line;
use crate::epilogue::Requantize;
use crate::ops;
use crate::pack::{Geometry, LAST, SEVENS, WINOGRAD};

mod run;

pub(crate) use run::run;

/// Forms by their number, from 1 on.
const FORMS: [Form; 6] =
    [Form::Rows, Form::Twice, Form::Segments, Form::Columns, Form::Patch, Form::Double];

/// The phases of a layer; `None` for groups, single taps and too many phases.
const fn phases(geometry: &Geometry) -> Option<([Phase; PHASES], usize)> {
    match geometry {
        Geometry::Conv2d(g) => {
            if g.groups != 1 || g.window.taps() == 1 {
                return None;
            }
            let rows = Line::forward(&g.window.rows);
            let columns = Line::forward(&g.window.columns);
            Some(([Phase { rows, columns, bias: 0 }; PHASES], 1))
        }
        Geometry::TransposedConv2d(g) => Phase::transposed(&g.window, g.output.c),
        Geometry::Dense(_) => None,
    }
}

const fn channels(geometry: &Geometry) -> [usize; 2] {
    [geometry.input().c, geometry.output().c]
}

/// The packing on lanes, which follows those on planes.
pub(super) const LANES: u32 = FORMS.len() as u32 + 1;
/// The packing of [`quads`].
const QUADS: u32 = LANES + 1;
/// The same with weights scaled for the short end of a relu.
pub(super) const QUADS_SHORT: u32 = SEVENS + 1;
const _: () = assert!(QUADS + 1 == WINOGRAD && WINOGRAD + 1 == SEVENS && QUADS_SHORT == LAST);

/// The plan of a packing on planes.
const fn planes(geometry: &Geometry, packing: u32) -> Option<Plan> {
    if packing == 0 || packing >= LANES {
        return None;
    }
    let Some((list, count)) = phases(geometry) else { return None };
    let (phases, _) = list.split_at(count);
    Plan::of(FORMS[packing as usize - 1], phases, channels(geometry), true)
}

/// The plan on lanes.
const fn lanes(geometry: &Geometry) -> Option<lanes::Plan> {
    match geometry {
        Geometry::Conv2d(g) => lanes::Plan::conv2d(g),
        Geometry::Dense(g) => Some(lanes::Plan::dense(g)),
        Geometry::TransposedConv2d(_) => None,
    }
}

/// The plan of [`QUADS`].
const fn quads(geometry: &Geometry) -> Option<quads::Plan> {
    match geometry {
        Geometry::TransposedConv2d(g) => quads::Plan::transposed(&g.window, channels(geometry)),
        Geometry::Conv2d(_) | Geometry::Dense(_) => None,
    }
}

/// The plan by Winograd's transforms of both axes.
const fn winograd(geometry: &Geometry) -> Option<winograd::Plan> {
    match geometry {
        Geometry::Conv2d(g) => winograd::Plan::new(g),
        _ => None,
    }
}

/// The plan of seven pixels of one channel.
const fn sevens(geometry: &Geometry) -> Option<sevens::Plan> {
    let Some((list, count)) = phases(geometry) else { return None };
    let (phases, _) = list.split_at(count);
    sevens::Plan::new(phases, channels(geometry))
}

/// Words of weights and bytes of scratch in `packing`; `None` where it does not serve the layer.
const fn sizes(geometry: &Geometry, packing: u32) -> Option<(usize, usize)> {
    // Arms of one shape: a constant function calls no trait.
    macro_rules! sizes {
        ($plan:expr) => {
            match $plan {
                Some(plan) => Some((plan.weights(), plan.bytes())),
                None => None,
            }
        };
    }
    match packing {
        LANES => sizes!(lanes(geometry)),
        QUADS | QUADS_SHORT => sizes!(quads(geometry)),
        WINOGRAD => sizes!(winograd(geometry)),
        SEVENS => sizes!(sevens(geometry)),
        _ => match planes(geometry, packing) {
            Some(plan) => Some((plan.groups * plan.group, plan.bytes(true))),
            None => None,
        },
    }
}

/// See [`Geometry::words`].
pub(crate) const fn words(geometry: &Geometry, packing: u32) -> Option<usize> {
    match sizes(geometry, packing) {
        Some((words, _)) => Some(words),
        None => None,
    }
}

/// What the order of the words depends on beside the window and the channels.
pub(crate) const fn order(geometry: &Geometry, packing: u32) -> u32 {
    match lanes(geometry) {
        Some(plan) if packing == LANES => plan.order(),
        _ => 0,
    }
}

/// See [`Geometry::scratch`].
pub(crate) const fn scratch(geometry: &Geometry, packing: u32) -> Option<usize> {
    match sizes(geometry, packing) {
        Some((_, bytes)) => Some(bytes),
        None => None,
    }
}

/// Roughly the cycles of an image in `packing`; `None` where it does not serve the layer.
pub(crate) fn cycles(geometry: &Geometry, packing: u32) -> Option<usize> {
    match packing {
        LANES => Some(lanes(geometry)?.cycles()),
        WINOGRAD => Some(winograd(geometry)?.cycles()),
        SEVENS => Some(sevens(geometry)?.cycles()),
        QUADS => {
            let (list, count) = phases(geometry)?;
            Some(quads(geometry)?.cycles(&list[..count]))
        }
        _ => {
            let (list, count) = phases(geometry)?;
            let rows = list[0].rows.outputs;
            // Rows of these forms are computed in twos.
            let plan = planes(geometry, packing)?;
            let rows = match plan.form {
                Form::Twice | Form::Double | Form::Patch => rows.next_multiple_of(2),
                _ => rows,
            };
            Some(plan.cycles(&list[..count]) * rows)
        }
    }
}

/// See [`Geometry::choose`].
pub(crate) fn choose(
    geometry: &Geometry,
    weights: &[i8],
    epilogue: &Requantize<'_>,
) -> Option<u32> {
    if !Finish::new(epilogue, depth(geometry)).short {
        return None;
    }
    let (packing, cycles) = fastest(geometry, weights, epilogue)?;
    let holds = |plan: &winograd::Plan| plan.holds(epilogue);
    match winograd(geometry).filter(holds) {
        // It takes more flash than any other, which a fiftieth of the time is worth.
        Some(plan) if plan.cycles() < cycles - cycles / 50 => Some(WINOGRAD),
        _ => Some(packing),
    }
}

/// The fastest packing but Winograd's, and roughly the cycles of an image.
fn fastest(geometry: &Geometry, weights: &[i8], epilogue: &Requantize<'_>) -> Option<(u32, usize)> {
    let served = |plan: &lanes::Plan| plan.pays() && plan.holds(weights, epilogue);
    let on_lanes = lanes(geometry).filter(served).map(|plan| (LANES, plan.cycles()));
    let Some((list, count)) = phases(geometry) else { return on_lanes };
    let phases = list.get(..count)?;
    let on_quads = quads(geometry).map(|plan| {
        let short = plan.is_short(&Finish::new(epilogue, depth(geometry)), depth(geometry));
        (if short { QUADS_SHORT } else { QUADS }, plan.cycles(phases))
    });
    let Some(plan) = Plan::new(phases, channels(geometry), true) else {
        return on_quads.or(on_lanes);
    };
    let rows = phases.first().map_or(0, |phase| phase.rows.outputs);
    let cycles = plan.cycles(phases) * rows;
    if let Some(quads) = on_quads.filter(|&(_, quads)| quads < cycles) {
        return Some(quads);
    }
    // A row of the planes costs that much more beside its tiles.
    let on_sevens = sevens(geometry).map(|plan| (SEVENS, plan.cycles()));
    if let Some(sevens) = on_sevens.filter(|&(_, sevens)| sevens < cycles + 300 * rows) {
        return Some(sevens);
    }
    let faster = |&(_, lanes): &(u32, usize)| plan.form != Form::Patch && lanes < cycles;
    if let Some(lanes) = on_lanes.filter(faster) {
        return Some(lanes);
    }
    let form = FORMS.iter().position(|&form| form == plan.form)?;
    Some((form as u32 + 1, cycles))
}

/// Whether `packing` can hold these weights and this end.
pub(crate) fn holds(
    geometry: &Geometry,
    packing: u32,
    weights: &[i8],
    epilogue: &Requantize<'_>,
) -> bool {
    let depth = depth(geometry);
    let finish = Finish::new(epilogue, depth);
    finish.short
        && match packing {
            LANES => lanes(geometry).is_some_and(|plan| plan.holds(weights, epilogue)),
            WINOGRAD => winograd(geometry).is_some_and(|plan| plan.holds(epilogue)),
            QUADS_SHORT => quads(geometry).is_some_and(|plan| plan.is_short(&finish, depth)),
            _ => true,
        }
}

/// Products of a sum, at most.
const fn depth(geometry: &Geometry) -> usize {
    match geometry {
        Geometry::Conv2d(g) => g.depth(),
        Geometry::TransposedConv2d(g) => g.window.taps() * g.input.c,
        Geometry::Dense(g) => g.inputs,
    }
}

fn weights<'a>(geometry: &Geometry, data: &'a [i8]) -> Weights<'a> {
    let kernel = match geometry {
        Geometry::Conv2d(ops::Conv2dGeometry { window, .. })
        | Geometry::TransposedConv2d(ops::TransposedConv2dGeometry { window, .. }) => {
            [window.rows.kernel, window.columns.kernel]
        }
        Geometry::Dense(_) => [1, 1],
    };
    let [inputs, outputs] = channels(geometry);
    Weights { data, bias: &[], outputs, inputs, kernel, depthwise: false }
}

/// See [`Geometry::pack`]; lengths are right.
pub(crate) fn pack(
    geometry: &Geometry,
    packing: u32,
    data: &[i8],
    epilogue: &Requantize<'_>,
    out: &mut [i32],
) {
    let finish = Finish::new(epilogue, depth(geometry));
    if let (LANES, Some(plan)) = (packing, lanes(geometry)) {
        return plan.pack(data, &finish, out);
    }
    if let (WINOGRAD, Some(plan)) = (packing, winograd(geometry)) {
        return plan.pack(data, &finish, out);
    }
    let weights = weights(geometry, data);
    let Some((list, count)) = phases(geometry) else { return };
    if let (QUADS | QUADS_SHORT, Some(plan)) = (packing, quads(geometry)) {
        return plan.pack(&weights, &list[..count], &finish, packing == QUADS_SHORT, out);
    }
    if let (SEVENS, Some(plan)) = (packing, sevens(geometry)) {
        return plan.pack(&weights, &finish, out);
    }
    let Some(plan) = planes(geometry, packing) else { return };
    for (group, words) in out.chunks_exact_mut(plan.group).enumerate() {
        stream::group(&weights, &finish, &plan, &list[..count], 2 * group, words);
    }
}
