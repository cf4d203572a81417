//! What a fuzzer does with one input: each target is a function from bytes to nothing, which panics when something does
//! not hold. `fuzz/fuzz_targets` puts them under libFuzzer; the tests here run them in ordinary builds.

#![expect(clippy::panic, reason = "a target reports what does not hold by a panic")]

mod body;
mod field_selector;
mod generate;
mod inputs;
mod json_patch;
mod label_selector;
mod protobuf;
mod quantity;
mod request;
mod server_side_apply;
mod strategic_merge;

/// A target.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("body", body::check),
    ("field_selector", field_selector::check),
    ("json_patch", json_patch::check),
    ("label_selector", label_selector::check),
    ("protobuf", protobuf::check),
    ("quantity", quantity::check),
    ("request", request::check),
    ("server_side_apply", server_side_apply::check),
    ("strategic_merge", strategic_merge::check),
];

/// Runs the target of this name on one input.
///
/// # Panics
/// When something does not hold that should, or there is no such target.
pub fn check(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of that name");
    target(data);
}
