//! [`Form::Twice`](crate::backend::cortex_m::plan::Form) of few channels: [`insn::twos`].

use super::{Planes, layout};
use crate::backend::cortex_m::insn;
use crate::backend::cortex_m::linear::Input;
use crate::backend::cortex_m::plan::{Phase, Plan, SLOTS};
use crate::backend::cortex_m::twos::{PAIRS, TAPS, Twos};

/// Whether [`Planes::twos`] serves a plan of the form for this phase and number of outputs.
pub(in crate::backend::cortex_m) const fn serves(
    plan: &Plan,
    phase: &Phase,
    outputs: usize,
) -> bool {
    let columns = &phase.columns;
    columns.taps == TAPS && columns.step == 1 && plan.pairs <= PAIRS && outputs.is_multiple_of(2)
}

impl Planes<'_> {
    /// All outputs of one image with weights in order, where this [`serves`]; `scratch` has
    /// [`Plan::bytes`] and `whole` says that input channels come in fours.
    #[inline(always)]
    pub(in crate::backend::cortex_m) fn twos(
        &self,
        words: &[i32],
        input: &Input<'_>,
        y: &mut [i8],
        scratch: &mut [i32],
        whole: bool,
    ) {
        let (plan, [phase]) = (self.plan, self.phases) else { return };
        let Some((planes, blank)) = scratch.split_at_mut_checked(plan.planes()) else { return };
        layout::blank(planes, input.zero_point);
        let blank = layout::padding(blank, input.zero_point);
        let [before, skip, inside] = self.span();
        let outputs = self.weights.outputs;
        let (step, row) = (phase.columns.every * outputs, phase.rows.every * self.width * outputs);
        for oy in (0..phase.rows.outputs).step_by(2) {
            let rows = self.four(input, oy, skip, blank);
            let place = planes.get_mut(before * SLOTS..).unwrap_or(&mut []);
            layout::sums(rows, inside, place, plan, whole);
            insn::twos(&mut Twos {
                x: planes,
                pitch: plan.pitch(),
                pairs: plan.pairs,
                weights: words,
                groups: outputs / 2,
                out: y.get_mut(self.cell(phase, oy) * outputs..).unwrap_or(&mut []),
                count: phase.columns.outputs,
                step,
                second: if oy + 1 < phase.rows.outputs { row } else { 0 },
                relu: self.finish.relu(),
            });
        }
        self.finish.end(y);
    }
}
