//! Volumes, claims, classes and drivers.

use serde_json::json;

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::Errors;
use crate::kind::Scope;
use crate::strategy::rules::Rules;
use crate::validation::{Place, storage, storage_classes};
use crate::view::{Edit, View};

/// core/v1 `PersistentVolume`
pub(super) struct PersistentVolume;

/// core/v1 `PersistentVolumeClaim`
pub(super) struct PersistentVolumeClaim;

/// storage.k8s.io/v1 `StorageClass`
pub(super) struct StorageClass;

/// storage.k8s.io/v1 `VolumeAttributesClass`
pub(super) struct VolumeAttributesClass;

/// storage.k8s.io/v1 `VolumeAttachment`
pub(super) struct VolumeAttachment;

/// storage.k8s.io/v1 `CSIDriver`
pub(super) struct CsiDriver;

/// storage.k8s.io/v1 `CSINode`
pub(super) struct CsiNode;

/// storage.k8s.io/v1 `CSIStorageCapacity`
pub(super) struct CsiStorageCapacity;

// === impl PersistentVolume ===

impl Rules for PersistentVolume {
    const SCOPE: Scope = Scope::Cluster;
    const STATUS: bool = true;
    const TABLE: Table = columns::storage::PERSISTENT_VOLUME;

    fn default(object: &mut Document) {
        defaults::storage::persistent_volume(object);
    }

    fn prepare_create(volume: &mut Document) {
        volume.put("status.phase", "Pending");
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage::persistent_volume(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage::persistent_volume_update(new, old, errors);
    }
}

// === impl PersistentVolumeClaim ===

impl Rules for PersistentVolumeClaim {
    const STATUS: bool = true;
    const TABLE: Table = columns::storage::PERSISTENT_VOLUME_CLAIM;

    fn default(object: &mut Document) {
        defaults::storage::persistent_volume_claim(object);
    }

    fn prepare_create(claim: &mut Document) {
        claim.put("status.phase", "Pending");
        mirror_data_source(claim);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage::claim_spec(&object.child("spec"), errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage::claim_update(new, old, errors);
    }
}

/// `dataSource` is an old form of `dataSourceRef`: where only one is given, both say it.
fn mirror_data_source(claim: &mut Document) {
    let (old, new) = (claim.at("spec.dataSource").clone(), claim.at("spec.dataSourceRef").clone());
    if old.is_object() && new.is_null() {
        claim.put("spec.dataSourceRef", old);
    } else if old.is_null() && new.is_object() && new.text("namespace").is_empty() {
        let fields = ["apiGroup", "kind", "name"].into_iter().filter(|name| new.has(name));
        let mut mirrored = json!({});
        for name in fields {
            mirrored.copy_from(&new, name);
        }
        claim.put("spec.dataSource", mirrored);
    }
}

// === impl StorageClass ===

impl Rules for StorageClass {
    const SCOPE: Scope = Scope::Cluster;
    const TABLE: Table = columns::storage::STORAGE_CLASS;

    fn default(object: &mut Document) {
        defaults::storage::storage_class(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage_classes::storage_class(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage_classes::storage_class_update(new, old, errors);
    }
}

// === impl VolumeAttributesClass ===

impl Rules for VolumeAttributesClass {
    const SCOPE: Scope = Scope::Cluster;
    const TABLE: Table = columns::storage::VOLUME_ATTRIBUTES_CLASS;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage_classes::attributes_class(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage_classes::attributes_class_update(new, old, errors);
    }
}

// === impl VolumeAttachment ===

impl Rules for VolumeAttachment {
    const SCOPE: Scope = Scope::Cluster;
    const STATUS: bool = true;
    const TABLE: Table = columns::storage::VOLUME_ATTACHMENT;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage_classes::attachment(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage_classes::attachment_update(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        storage_classes::attachment_status(new, errors);
    }
}

// === impl CsiDriver ===

impl Rules for CsiDriver {
    const SCOPE: Scope = Scope::Cluster;
    const TABLE: Table = columns::storage::CSI_DRIVER;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn default(object: &mut Document) {
        defaults::storage::csi_driver(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage_classes::csi_driver(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage_classes::csi_driver_update(new, old, errors);
    }
}

// === impl CsiNode ===

impl Rules for CsiNode {
    const SCOPE: Scope = Scope::Cluster;
    const TABLE: Table = columns::storage::CSI_NODE;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage_classes::csi_node(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage_classes::csi_node_update(new, old, errors);
    }
}

// === impl CsiStorageCapacity ===

impl Rules for CsiStorageCapacity {
    const TABLE: Table = columns::storage::CSI_STORAGE_CAPACITY;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn default(object: &mut Document) {
        defaults::storage::csi_storage_capacity(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        storage_classes::storage_capacity(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        storage_classes::storage_capacity_update(new, old, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::strategy_for;

    #[test]
    fn a_new_claim_is_pending_and_says_its_source_in_both_forms() {
        let mut claim = json!({"metadata": {}, "spec": {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "a"}},
            "status": {"phase": "Bound", "capacity": {"storage": "1Ei"}}});
        (strategy_for("", "PersistentVolumeClaim").prepare_create)(&mut claim);
        assert_eq!(claim.at("status"), &json!({"phase": "Pending"}));
        assert_eq!(claim.at("spec.dataSource"), claim.at("spec.dataSourceRef"));
    }
}
