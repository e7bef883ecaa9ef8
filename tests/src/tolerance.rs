//! How far an `f32` result may lie from the oracle's, in one table with the reasons.
//! int8 has no row: its results are equal.

/// One rounding of an `f32`, relative.
const ULP: f64 = 1.0 / (1 << 24) as f64;

/// A bound: `|got − expected| <= relative · |expected| + absolute · magnitude`, the
/// magnitude being the largest that the operator reads, at least 1.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// What it is for.
    pub operator: &'static str,
    /// In units of the expected value.
    pub relative: f64,
    /// In units of the largest input.
    pub absolute: f64,
    /// Why not less.
    pub why: &'static str,
}

const fn exact(operator: &'static str, why: &'static str) -> Tolerance {
    Tolerance { operator, relative: 0.0, absolute: 0.0, why }
}

/// For outputs of whole float models against TensorFlow's: relative, absolute
/// below 1. Sums of up to a few hundred products are added in another order, and
/// the functions behind sigmoid, tanh and softmax are another library's.
pub const MODEL_F32: f32 = 1e-5;

/// For a fused layer against its pair on another backend: sums are exact, but each side
/// may have an activation of its own, which the table bounds by 4 roundings. Relative.
pub const FUSED_F32: f32 = 8.0 * ULP as f32;

/// The table.
pub const F32: &[Tolerance] = &[
    exact("sum of products", "generated values are multiples of 2^-6, their sums are exact"),
    exact("move", "elements are copied or compared"),
    exact("two operands", "one rounding, which the oracle repeats"),
    exact("clamp", "one comparison, or one product"),
    exact("mean", "the sum of the generated values is exact, the quotient rounds once"),
    Tolerance {
        operator: "sigmoid",
        relative: 4.0 * ULP,
        absolute: 0.0,
        why: "expf is good to 1 ulp, then a sum and a quotient round",
    },
    Tolerance {
        operator: "tanh",
        relative: 4.0 * ULP,
        absolute: 0.0,
        why: "libm's tanhf goes through expm1f and a quotient",
    },
    Tolerance {
        operator: "elu",
        relative: 4.0 * ULP,
        absolute: 0.0,
        why: "expm1f is good to 1 ulp, the product with alpha rounds",
    },
    Tolerance {
        operator: "hard-swish",
        relative: 4.0 * ULP,
        absolute: 0.0,
        why: "a sum, a product and a quotient round",
    },
    Tolerance {
        operator: "softmax",
        relative: 128.0 * ULP,
        absolute: 0.0,
        why: "an argument of up to 64 is rounded before it is raised, a sum of up to 70 terms",
    },
    Tolerance {
        operator: "bilinear",
        relative: 0.0,
        absolute: 8.0 * ULP,
        why: "four terms of three products each and three sums; weights are at most 1",
    },
];

/// The row of an operator.
///
/// # Panics
/// When there is none.
pub fn tolerance(operator: &str) -> &'static Tolerance {
    F32.iter().find(|row| row.operator == operator).expect("an operator without a tolerance")
}

impl Tolerance {
    /// Compares element by element.
    ///
    /// # Panics
    /// When one is too far off, or the lengths differ.
    pub fn check(&self, got: &[f32], expected: &[f64], inputs: &[f32]) {
        assert_eq!(got.len(), expected.len());
        let magnitude = inputs.iter().fold(1.0f64, |most, &x| most.max(f64::from(x).abs()));
        for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
            // The rounding of the expected value itself is not counted.
            let rounded = f64::from(expected as f32);
            let bound = self.relative * expected.abs() + self.absolute * magnitude;
            let near = (f64::from(got) - rounded).abs() <= bound;
            assert!(near, "{} at {i}: {got} for {expected} ({})", self.operator, self.why);
        }
    }
}
