//! Selectors over labels and fields: what `-l`, `--field-selector` and `LabelSelector` objects choose.

pub mod field;
pub mod label;

pub use field::{FieldSelector, FieldTerm};
pub use label::{LabelSelector, Operator, Requirement};
