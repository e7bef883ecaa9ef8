//! Optimisers, step for step as Keras 3.15 computes them.

use burn::tensor::Tensor;

use super::OptimizerKind;

const EPSILON: f32 = 1e-7;
/// Adadelta's decay of both running averages.
const RHO: f32 = 0.95;
/// Adam's decay of the mean and of the mean square.
const BETA: (f32, f32) = (0.9, 0.999);

/// The state of an optimiser over a fixed list of parameters.
pub(super) struct Optimizer {
    kind: OptimizerKind,
    learning_rate: f32,
    /// Per parameter; what they mean depends on the optimiser.
    state: Vec<Option<[Tensor<1>; 2]>>,
    /// Finished steps.
    steps: i32,
}

impl Optimizer {
    pub(super) fn new(kind: OptimizerKind, learning_rate: f32, parameters: usize) -> Self {
        Self { kind, learning_rate, state: vec![None; parameters], steps: 0 }
    }

    /// Starts a step: call once, then [`Optimizer::update`] for every parameter.
    pub(super) fn begin_step(&mut self) {
        self.steps += 1;
    }

    /// Parameter `index` after a step down `gradient`.
    pub(super) fn update(
        &mut self,
        index: usize,
        value: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1> {
        let rate = self.learning_rate;
        let zeros = || gradient.zeros_like();
        match self.kind {
            OptimizerKind::Sgd => value - gradient * rate,
            OptimizerKind::Adam => {
                let [mean, square] = self.state[index].take().unwrap_or_else(|| [zeros(), zeros()]);
                let square = blend(square, gradient.clone() * gradient.clone(), BETA.1);
                let mean = blend(mean, gradient, BETA.0);
                let bias = (1.0 - BETA.1.powi(self.steps)).sqrt() / (1.0 - BETA.0.powi(self.steps));
                let step = mean.clone() * (rate * bias) / (square.clone().sqrt() + EPSILON);
                self.state[index] = Some([mean, square]);
                value - step
            }
            OptimizerKind::Adadelta => {
                let [gradients, deltas] =
                    self.state[index].take().unwrap_or_else(|| [zeros(), zeros()]);
                let gradients = blend(gradients, gradient.clone() * gradient.clone(), RHO);
                let delta = gradient * (deltas.clone() + EPSILON).sqrt()
                    / (gradients.clone() + EPSILON).sqrt();
                let deltas = blend(deltas, delta.clone() * delta.clone(), RHO);
                self.state[index] = Some([gradients, deltas]);
                value - delta * rate
            }
        }
    }
}

/// Exponential moving average.
fn blend(average: Tensor<1>, new: Tensor<1>, decay: f32) -> Tensor<1> {
    average * decay + new * (1.0 - decay)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Two steps on two parameters against the formulas written out in f64.
    #[test]
    fn steps_follow_the_published_formulas() {
        let gradients = [[0.3_f64, -2.0], [-0.1, 0.7]];
        let rate = 0.5_f64;
        for kind in [OptimizerKind::Adadelta, OptimizerKind::Adam, OptimizerKind::Sgd] {
            let device = Device::flex();
            let mut optimizer = Optimizer::new(kind, rate as f32, 1);
            let mut value = Tensor::<1>::from_floats([1.0, -1.0], &device);
            let (mut expected, mut a, mut b) = ([1.0_f64, -1.0], [0.0; 2], [0.0; 2]);
            for (step, gradient) in gradients.iter().enumerate() {
                optimizer.begin_step();
                let g = Tensor::<1>::from_floats(gradient.map(|g| g as f32), &device);
                value = optimizer.update(0, value, g);
                for i in 0..2 {
                    let g = gradient[i];
                    expected[i] -= match kind {
                        OptimizerKind::Sgd => rate * g,
                        OptimizerKind::Adam => {
                            a[i] = 0.9 * a[i] + 0.1 * g;
                            b[i] = 0.999 * b[i] + 0.001 * g * g;
                            let t = step as i32 + 1;
                            let alpha =
                                rate * (1.0 - 0.999_f64.powi(t)).sqrt() / (1.0 - 0.9_f64.powi(t));
                            alpha * a[i] / (b[i].sqrt() + 1e-7)
                        }
                        OptimizerKind::Adadelta => {
                            a[i] = 0.95 * a[i] + 0.05 * g * g;
                            let delta = g * (b[i] + 1e-7).sqrt() / (a[i] + 1e-7).sqrt();
                            b[i] = 0.95 * b[i] + 0.05 * delta * delta;
                            rate * delta
                        }
                    };
                }
            }
            let found = value.try_into_vec_as::<f32>().unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (f64::from(*found) - expected).abs() < 2e-5,
                    "{kind:?}: {found} {expected}"
                );
            }
        }
    }
}
