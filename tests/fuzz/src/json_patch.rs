//! JSON Patch and merge patch: `{"target": .., "patch": ..}`.

use sheave_patch::{json, limits};

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(input) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let (target, patch) = (input["target"].clone(), &input["patch"]);
    for result in [json::apply_patch(target.clone(), patch), json::apply_merge(target, patch)] {
        match result {
            Ok(document) => limits::check_depth(&document).expect("a patched document stays within the depth limit"),
            Err(error) => assert!((400..=422).contains(&error.code()), "{error}"),
        }
    }
}
