//! Ranges of activations, from running the float model on samples.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use microconv::Model;
use microconv::model::{DType, Observer, Tensors};

use crate::export::{Notes, Options, export};
use crate::graph::Graph;
use crate::optimize::Passes;
use crate::runner::{AlignedBytes, observe};

/// Smallest and largest value of each tensor, by name.
pub type Ranges = HashMap<String, (f32, f32)>;

/// Widens the ranges by every layer's output.
struct Widen<'a> {
    model: Model<'a>,
    names: &'a [String],
    ranges: &'a mut Ranges,
}

fn widen(ranges: &mut Ranges, name: &str, values: &[f32]) {
    let range = ranges.entry(name.to_string()).or_insert((f32::INFINITY, f32::NEG_INFINITY));
    for &value in values {
        *range = (range.0.min(value), range.1.max(value));
    }
}

impl Observer for Widen<'_> {
    fn end(&mut self, layer: usize, tensors: Tensors<'_>) {
        for id in self.model.layer_record(layer).outputs {
            let id = id as usize;
            if id < self.names.len() && tensors.info(id).dtype == DType::F32 {
                let values = bytemuck::pod_collect_to_vec::<u8, f32>(tensors.bytes(id));
                widen(self.ranges, &self.names[id], &values);
            }
        }
    }
}

/// Runs a float graph of one input on `samples` and collects the range of each
/// activation, inputs included.
///
/// # Errors
/// When the graph cannot be exported, a sample does not fit, or a value is not finite.
pub fn calibrate(graph: &Graph, samples: &[Vec<f32>]) -> Result<Ranges> {
    ensure!(!samples.is_empty(), "calibration needs at least one sample");
    let exported = export(graph, Options { passes: Passes::NONE, ..Options::default() })?;
    let blob = AlignedBytes::copy_of(&exported.blob);
    let model = Model::from_bytes(blob.as_slice())?;
    let names = Notes::read(&model).tensors;
    let mut ranges = Ranges::new();
    for sample in samples {
        widen(&mut ranges, &graph[graph.inputs[0]].name, sample);
        observe(&model, sample, &mut Widen { model, names: &names, ranges: &mut ranges })?;
    }
    for (name, (min, max)) in &ranges {
        ensure!(
            min.is_finite() && max.is_finite(),
            "`{name}` is not finite: the training diverged"
        );
    }
    Ok(ranges)
}
