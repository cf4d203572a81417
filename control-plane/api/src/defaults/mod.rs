//! What the API server fills in where the user left something out, as in Kubernetes 1.35.
//!
//! Each function is idempotent. Quantities are written in canonical form on the way.

pub(crate) mod cluster;
pub(crate) mod pod;
pub(crate) mod pod_volumes;
pub(crate) mod service;
pub(crate) mod storage;
pub(crate) mod workloads;

use crate::Document;
use crate::quantity::Quantity;
use crate::view::{Edit, View};

/// A map of resources to quantities: canonical, and rounded up to whole thousandths.
pub(crate) fn resource_list(map: &mut Document) {
    for value in map.as_object_mut().into_iter().flatten().map(|(_, value)| value) {
        if let Some(quantity) = Quantity::of(value) {
            *value = Document::String(rounded_to_milli(quantity).to_string());
        }
    }
}

/// The resource lists at these paths of `object`.
pub(crate) fn resource_lists(object: &mut Document, paths: &[&str]) {
    for path in paths {
        if let Some(map) = object.at_mut(path) {
            resource_list(map);
        }
    }
}

/// The quantity at `path` in canonical form, where there is one.
pub(crate) fn canonical_quantity(object: &mut Document, path: &str) {
    if let Some(value) = object.at_mut(path) {
        crate::quantity::canonicalize(value);
    }
}

fn rounded_to_milli(quantity: Quantity) -> Quantity {
    let milli = quantity.milli_value();
    let rounded = Quantity::from_milli(milli, quantity.notation());
    let too_large = matches!(milli, i64::MIN | i64::MAX);
    // Beyond the range of thousandths there are none to round.
    if too_large || rounded == quantity { quantity } else { rounded }
}

/// Puts the `apiVersion` of a field reference where it was left out.
pub(crate) fn field_reference(holder: &mut Document) {
    if holder.has("fieldRef") {
        holder.default_zero("fieldRef.apiVersion", "v1");
    }
    if holder.has("resourceFieldRef") {
        holder.default_to("resourceFieldRef.divisor", "0");
        canonical_quantity(holder, "resourceFieldRef.divisor");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_canonical_and_rounded_up_to_thousandths() {
        let mut resources = json!({"cpu": 0.5, "memory": "1024Mi", "tiny": "1u", "big": "9E", "odd": "lots"});
        resource_list(&mut resources);
        assert_eq!(resources, json!({"cpu": "500m", "memory": "1Gi", "tiny": "1m", "big": "9E", "odd": "lots"}));
    }
}
