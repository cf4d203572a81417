//! A short way to write policy rules.

use serde_json::json;
use sheave_api::Document;

pub(super) const READ: &str = "get list watch";
pub(super) const WRITE: &str = "create delete deletecollection patch update";
pub(super) const BOTH: &str = "create delete deletecollection get list patch update watch";

/// A rule for resources of one group; words are separated by spaces, the core group is empty.
pub(super) fn rule(verbs: &str, group: &str, resources: &str) -> Document {
    json!({"verbs": words(verbs), "apiGroups": [group], "resources": words(resources)})
}

/// A rule for some objects of one resource.
pub(super) fn named(verbs: &str, group: &str, resources: &str, names: &str) -> Document {
    json!({"verbs": words(verbs), "apiGroups": [group], "resources": words(resources), "resourceNames": words(names)})
}

/// A rule for paths, read only.
pub(super) fn paths(paths: &str) -> Document {
    json!({"verbs": ["get"], "nonResourceURLs": words(paths)})
}

fn words(words: &str) -> Vec<&str> {
    words.split(' ').collect()
}
