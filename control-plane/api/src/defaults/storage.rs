//! Defaults of volumes, claims and classes.

use super::{canonical_quantity, pod_volumes, resource_lists};
use crate::Document;
use crate::view::{Edit, View};

/// A persistent volume.
pub(crate) fn persistent_volume(volume: &mut Document) {
    volume.default_zero("spec.persistentVolumeReclaimPolicy", "Retain");
    volume.default_to("spec.volumeMode", "Filesystem");
    resource_lists(volume, &["spec.capacity"]);
    if volume.has("spec.hostPath") {
        volume.default_to("spec.hostPath.type", "");
    }
    if let Some(spec) = volume.at_mut("spec") {
        pod_volumes::remote(spec);
    }
}

/// A persistent volume claim.
pub(crate) fn persistent_volume_claim(claim: &mut Document) {
    claim_spec(claim);
    resource_lists(claim, &["status.capacity", "status.allocatedResources"]);
}

/// What claims and templates of claims have in common.
pub(crate) fn claim_spec(claim: &mut Document) {
    claim.default_to("spec.volumeMode", "Filesystem");
    resource_lists(claim, &["spec.resources.requests", "spec.resources.limits"]);
}

/// A storage class.
pub(crate) fn storage_class(class: &mut Document) {
    class.default_to("reclaimPolicy", "Delete");
    class.default_to("volumeBindingMode", "Immediate");
}

/// A driver.
pub(crate) fn csi_driver(driver: &mut Document) {
    driver.default_to("spec.attachRequired", true);
    driver.default_to("spec.podInfoOnMount", false);
    driver.default_to("spec.storageCapacity", false);
    driver.default_to("spec.fsGroupPolicy", "ReadWriteOnceWithFSType");
    driver.default_to("spec.requiresRepublish", false);
    driver.default_to("spec.seLinuxMount", false);
    if driver.list("spec.volumeLifecycleModes").is_empty() {
        driver.put("spec.volumeLifecycleModes", vec!["Persistent"]);
    }
}

/// What a driver can still make.
pub(crate) fn csi_storage_capacity(capacity: &mut Document) {
    canonical_quantity(capacity, "capacity");
    canonical_quantity(capacity, "maximumVolumeSize");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volumes_claims_and_classes_are_filled_in() {
        let mut volume = json!({"spec": {"capacity": {"storage": "1024Mi"}, "hostPath": {"path": "/a"}}});
        persistent_volume(&mut volume);
        let expected = json!({"spec": {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/a", "type": ""},
            "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}});
        assert_eq!(volume, expected);
        let mut claim = json!({"spec": {"resources": {"requests": {"storage": "0.5Gi"}}}});
        persistent_volume_claim(&mut claim);
        let expected = json!({"spec": {"resources": {"requests": {"storage": "512Mi"}}, "volumeMode": "Filesystem"}});
        assert_eq!(claim, expected);
        let mut class = json!({"reclaimPolicy": "Retain"});
        storage_class(&mut class);
        assert_eq!(class, json!({"reclaimPolicy": "Retain", "volumeBindingMode": "Immediate"}));
        let mut driver = json!({});
        csi_driver(&mut driver);
        assert_eq!(driver.at("spec.volumeLifecycleModes"), &json!(["Persistent"]));
    }
}
