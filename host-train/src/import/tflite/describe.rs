//! What stands in a TensorFlow Lite file, before anything is made of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::schema::{Model, Operator, Tensor, Type};
use super::{lower, names, options};
use crate::import::ImportError;

/// Scales and zero points of a tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantizationSummary {
    /// Number of scales: 1, or one per index along `axis`.
    pub scales: usize,
    /// The first scale.
    pub scale: f32,
    /// The first zero point.
    pub zero_point: i64,
    /// The axis that several scales belong to.
    pub axis: usize,
}

/// A tensor of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorSummary {
    /// Index in the file.
    pub index: usize,
    /// Name in the file.
    pub name: String,
    /// Extents; -1 for a dynamic one.
    pub shape: Vec<i32>,
    /// Element type, as TensorFlow names it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether its values stand in the file.
    pub constant: bool,
    /// Scales, for quantised tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<QuantizationSummary>,
}

/// An operator of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorSummary {
    /// Position in the file.
    pub index: usize,
    /// Name of the builtin; `CUSTOM name` for another.
    pub name: String,
    /// Version of the builtin.
    pub version: i32,
    /// What it reads; `null` for an optional input that is absent.
    pub inputs: Vec<Option<TensorSummary>>,
    /// What it writes.
    pub outputs: Vec<TensorSummary>,
    /// Options by their names in the schema, without those that say nothing.
    pub options: BTreeMap<&'static str, String>,
    /// Elements of its weights, biases and other constants; shapes and axes are not counted.
    pub parameters: usize,
    /// Multiply-accumulates, 0 for operators without weights; a dynamic extent counts as 1.
    pub macs: u64,
}

/// A TensorFlow Lite model in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// Name of the main subgraph.
    pub name: String,
    /// Number of subgraphs; more than one for control flow or several signatures.
    pub subgraphs: usize,
    /// Names of the entry points, where the file has any.
    pub signatures: Vec<String>,
    /// Inputs in order.
    pub inputs: Vec<TensorSummary>,
    /// Outputs in order.
    pub outputs: Vec<TensorSummary>,
    /// Operators of the main subgraph in order.
    pub operators: Vec<OperatorSummary>,
    /// Parameters, each constant counted once.
    pub parameters: usize,
    /// Multiply-accumulates of all operators.
    pub macs: u64,
    /// Bytes of the file.
    pub bytes: usize,
    /// What cannot be imported and why, a line each; empty when the model can be.
    pub problems: Vec<String>,
}

/// Most bytes of text that a description copies out of a file, for each byte of
/// it: tensors that many operators share would multiply.
const TEXT_PER_BYTE: usize = 16;

/// Describes a model, also one that cannot be imported.
///
/// # Errors
/// [`ImportError`] when the file is no TensorFlow Lite model or is damaged.
pub fn describe(bytes: &[u8]) -> Result<Description, ImportError> {
    let model = Model::read(bytes)?;
    let every = || model.operators.iter().flat_map(|o| o.inputs.iter().chain(&o.outputs));
    let text: usize =
        every().filter(|&&id| id >= 0).map(|&id| model.tensors[id as usize].name.len()).sum();
    if text > bytes.len().saturating_mul(TEXT_PER_BYTE) {
        return Err(ImportError::new("the file is damaged (its operators share long names)"));
    }
    let one = |&id: &i32| summary(id as usize, &model.tensors[id as usize]);
    let operators = model
        .operators
        .iter()
        .map(|operator| operator_summary(&model, operator))
        .collect::<Result<Vec<_>, _>>()?;
    let mut counted = vec![false; model.tensors.len()];
    let mut parameters = 0usize;
    for id in model.operators.iter().flat_map(|o| &o.inputs).filter(|&&id| id >= 0) {
        let id = *id as usize;
        if is_parameter(&model.tensors[id]) && !std::mem::replace(&mut counted[id], true) {
            parameters = parameters.saturating_add(model.tensors[id].count());
        }
    }
    Ok(Description {
        name: model.name.clone(),
        subgraphs: model.subgraphs,
        signatures: model.signatures.clone(),
        inputs: model.inputs.iter().map(one).collect(),
        outputs: model.outputs.iter().map(one).collect(),
        parameters,
        macs: operators.iter().fold(0, |sum, o| o.macs.saturating_add(sum)),
        operators,
        bytes: bytes.len(),
        problems: lower::survey(&model).iter().map(ToString::to_string).collect(),
    })
}

fn summary(index: usize, tensor: &Tensor<'_>) -> TensorSummary {
    TensorSummary {
        index,
        name: tensor.name.clone(),
        shape: tensor.signature.clone(),
        kind: tensor.kind.name(),
        constant: tensor.data.is_some(),
        quantization: tensor.quantization.as_ref().map(|q| QuantizationSummary {
            scales: q.scales.len(),
            scale: q.scales.first().copied().unwrap_or(0.0),
            zero_point: q.zero_points.first().copied().unwrap_or(0),
            axis: q.axis,
        }),
    }
}

/// Whether a constant is a weight or bias, and not a shape, axis or padding.
fn is_parameter(tensor: &Tensor<'_>) -> bool {
    let shape_like = matches!(tensor.kind, Type::I32 | Type::I64 | Type::Bool);
    tensor.data.is_some() && (!shape_like || tensor.quantization.is_some())
}

fn operator_summary(
    model: &Model<'_>,
    operator: &Operator<'_>,
) -> Result<OperatorSummary, ImportError> {
    let tensor = |id: i32| usize::try_from(id).ok().map(|id| (id, &model.tensors[id]));
    let inputs: Vec<_> = operator.inputs.iter().map(|&id| tensor(id)).collect();
    let outputs: Vec<_> = operator.outputs.iter().filter_map(|&id| tensor(id)).collect();
    let constants = inputs.iter().flatten().filter(|(_, tensor)| is_parameter(tensor));
    Ok(OperatorSummary {
        index: operator.index,
        name: names::name(operator),
        version: operator.version,
        parameters: constants.fold(0, |sum, (_, t)| t.count().saturating_add(sum)),
        macs: macs(operator.code, &inputs, outputs.first().map(|(_, tensor)| *tensor)),
        inputs: inputs.iter().map(|input| input.map(|(id, t)| summary(id, t))).collect(),
        outputs: outputs.iter().map(|&(id, t)| summary(id, t)).collect(),
        options: options::of(operator)?.into_iter().collect(),
    })
}

/// Multiply-accumulates: taps of the weights at every output cell, or at every
/// input cell of a transposed convolution.
fn macs(code: i32, inputs: &[Option<(usize, &Tensor<'_>)>], output: Option<&Tensor<'_>>) -> u64 {
    let shape = |i: usize| inputs.get(i).copied().flatten().map(|(_, t)| t.shape.as_slice());
    let product = |extents: &[usize]| {
        extents.iter().fold(1u64, |product, &extent| product.saturating_mul(extent as u64))
    };
    let (Some(weights), Some(output)) = (shape(1), output) else { return 0 };
    match (code, weights) {
        (3, [_, taps @ ..]) | (9, [_, taps @ ..]) => {
            product(&output.shape).saturating_mul(product(taps))
        }
        (4, &[_, h, w, _]) => product(&output.shape).saturating_mul(product(&[h, w])),
        (67, &[o, h, w, _]) => product(shape(2).unwrap_or(&[])).saturating_mul(product(&[o, h, w])),
        _ => 0,
    }
}
