//! Inputs for the targets: documents from bytes.
//!
//! An input that is JSON is taken as it is, so that the kept corpus can be read and written by hand. Any other bytes
//! steer a generator along the schema of a kind: such documents get past the checks that random text never passes.

use serde_json::Value;

/// `apiVersion`, `kind` and the name of the schema.
pub(crate) type Kind = (&'static str, &'static str, &'static str);

/// The kinds whose schemas the generator knows; between them they have every merge strategy and list topology.
pub(crate) const KINDS: &[Kind] = &[
    ("v1", "Pod", "io.k8s.api.core.v1.Pod"),
    ("v1", "Service", "io.k8s.api.core.v1.Service"),
    ("v1", "Node", "io.k8s.api.core.v1.Node"),
    ("apps/v1", "Deployment", "io.k8s.api.apps.v1.Deployment"),
    ("policy/v1", "PodDisruptionBudget", "io.k8s.api.policy.v1.PodDisruptionBudget"),
    ("apps/v1", "ControllerRevision", "io.k8s.api.apps.v1.ControllerRevision"),
];

/// The row of [`KINDS`] with this kind; the first for any other.
pub(crate) fn kind(name: &str) -> Kind {
    KINDS.iter().copied().find(|(_, kind, _)| *kind == name).unwrap_or(KINDS[0])
}

/// The input as JSON, if it is an object.
pub(crate) fn as_json(data: &[u8]) -> Option<Value> {
    if data.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(data).ok().filter(Value::is_object)
}
