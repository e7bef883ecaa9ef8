//! Models of several subgraphs, which are refused.

use crate::import::ImportError;
use crate::import::tflite::names::label;
use crate::import::tflite::operators;
use crate::import::tflite::schema::Model;

/// IF, WHILE, CALL and CALL_ONCE run another subgraph.
pub(super) fn calls_subgraph(code: i32) -> bool {
    matches!(code, 31 | 118 | 119 | 129)
}

/// What a model of several subgraphs is refused with.
pub(super) fn calls(model: &Model<'_>) -> Option<ImportError> {
    if model.subgraphs == 1 {
        return None;
    }
    let count = model.subgraphs;
    let caller = model.operators.iter().find(|o| calls_subgraph(o.code));
    Some(ImportError::new(match caller {
        Some(o) => {
            let why = operators::refusal(o.code).unwrap_or_default();
            format!("{}: {why} ({count} subgraphs)", label(o))
        }
        None if model.signatures.len() > 1 => format!(
            "has {count} subgraphs, one for each of the signatures {}; convert one function a file",
            model.signatures.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
        None => format!("has {count} subgraphs; only models of one can be imported"),
    }))
}
