//! Rows of volumes, claims, classes and drivers.

use super::{AGE, NAME, NONE, Table, age, boolean, cells, integer, name, text, text_or, wide};
use crate::Document;
use crate::quantity::Quantity;
use crate::view::View;

const UNSET: &str = "<unset>";

/// Persistent volumes.
pub(crate) const PERSISTENT_VOLUME: Table = Table {
    columns: &[
        NAME,
        text("Capacity", "How large the volume is."),
        text("Access Modes", "How the volume can be mounted."),
        text("Reclaim Policy", "What becomes of the volume once its claim is gone."),
        text("Status", "Whether the volume is bound."),
        text("Claim", "The claim that the volume is bound to."),
        text("StorageClass", "The class of the volume."),
        text("VolumeAttributesClass", "The class of the volume's attributes."),
        text("Reason", "Why the volume is in its state."),
        AGE,
        wide(text("VolumeMode", "Whether the volume has a file system.")),
    ],
    row: |volume, now| {
        let claim = volume.at("spec.claimRef");
        let claim = if claim.is_object() {
            format!("{}/{}", claim.text("namespace"), claim.text("name"))
        } else {
            String::new()
        };
        cells([
            name(volume),
            quantity(volume.at("spec.capacity.storage")).into(),
            access_modes(volume, "spec.accessModes").into(),
            volume.text("spec.persistentVolumeReclaimPolicy").into(),
            phase(volume),
            claim.into(),
            class(volume).into(),
            text_or(volume, "spec.volumeAttributesClassName", UNSET),
            volume.text("status.reason").into(),
            age(volume, now),
            text_or(volume, "spec.volumeMode", UNSET),
        ])
    },
};

/// Persistent volume claims.
pub(crate) const PERSISTENT_VOLUME_CLAIM: Table = Table {
    columns: &[
        NAME,
        text("Status", "Whether the claim is bound."),
        text("Volume", "The volume that the claim is bound to."),
        text("Capacity", "How large the volume is."),
        text("Access Modes", "How the volume can be mounted."),
        text("StorageClass", "The class of the claim."),
        text("VolumeAttributesClass", "The class of the volume's attributes."),
        AGE,
        wide(text("VolumeMode", "Whether the volume has a file system.")),
    ],
    row: |claim, now| {
        let bound = !claim.text("spec.volumeName").is_empty();
        cells([
            name(claim),
            phase(claim),
            claim.text("spec.volumeName").into(),
            if bound { quantity(claim.at("status.capacity.storage")).into() } else { "".into() },
            if bound { access_modes(claim, "status.accessModes").into() } else { "".into() },
            class(claim).into(),
            text_or(claim, "spec.volumeAttributesClassName", UNSET),
            age(claim, now),
            text_or(claim, "spec.volumeMode", UNSET),
        ])
    },
};

/// Storage classes.
pub(crate) const STORAGE_CLASS: Table = Table {
    columns: &[
        NAME,
        text("Provisioner", "Who makes the volumes."),
        text("ReclaimPolicy", "What becomes of a volume once its claim is gone."),
        text("VolumeBindingMode", "When claims are bound."),
        text("AllowVolumeExpansion", "Whether volumes can grow."),
        AGE,
    ],
    row: |class, now| {
        let annotations =
            ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
        cells([
            name_with_default(class, &annotations),
            class.text("provisioner").into(),
            text_or(class, "reclaimPolicy", "Delete"),
            text_or(class, "volumeBindingMode", "Immediate"),
            class.flag("allowVolumeExpansion").into(),
            age(class, now),
        ])
    },
};

/// Volume attributes classes.
pub(crate) const VOLUME_ATTRIBUTES_CLASS: Table = Table {
    columns: &[NAME, text("DriverName", "Who makes the volumes."), AGE],
    row: |class, now| {
        let name = name_with_default(class, &["storage.alpha.kubernetes.io/is-default-class"]);
        cells([name, class.text("driverName").into(), age(class, now)])
    },
};

/// Volume attachments.
pub(crate) const VOLUME_ATTACHMENT: Table = Table {
    columns: &[
        NAME,
        text("Attacher", "Who attaches the volume."),
        text("PV", "The volume."),
        text("Node", "The node that it is attached to."),
        boolean("Attached", "Whether it is attached."),
        AGE,
    ],
    row: |attachment, now| {
        cells([
            name(attachment),
            attachment.text("spec.attacher").into(),
            attachment.text("spec.source.persistentVolumeName").into(),
            attachment.text("spec.nodeName").into(),
            attachment.flag("status.attached").into(),
            age(attachment, now),
        ])
    },
};

/// Drivers on a node.
pub(crate) const CSI_NODE: Table = Table {
    columns: &[NAME, integer("Drivers", "How many drivers there are on the node."), AGE],
    row: |node, now| cells([name(node), node.list("spec.drivers").len().into(), age(node, now)]),
};

/// Drivers.
pub(crate) const CSI_DRIVER: Table = Table {
    columns: &[
        NAME,
        boolean("AttachRequired", "Whether volumes must be attached before they are mounted."),
        boolean("PodInfoOnMount", "Whether the driver is told about the pod."),
        boolean("StorageCapacity", "Whether the driver tells its capacity."),
        text("TokenRequests", "Whose tokens the driver is given."),
        boolean("RequiresRepublish", "Whether volumes are published again from time to time."),
        text("Modes", "How volumes can be used."),
        AGE,
    ],
    row: |driver, now| {
        let requests = driver.at("spec.tokenRequests");
        let audiences: Vec<&str> =
            driver.list("spec.tokenRequests").iter().map(|request| request.text("audience")).collect();
        let modes: Vec<&str> = driver.texts("spec.volumeLifecycleModes").collect();
        cells([
            name(driver),
            driver.at("spec.attachRequired").as_bool().unwrap_or(true).into(),
            driver.flag("spec.podInfoOnMount").into(),
            driver.flag("spec.storageCapacity").into(),
            if requests.is_null() { UNSET.into() } else { audiences.join(",").into() },
            driver.flag("spec.requiresRepublish").into(),
            if modes.is_empty() { NONE.into() } else { modes.join(",").into() },
            age(driver, now),
        ])
    },
};

/// How much a driver can still make.
pub(crate) const CSI_STORAGE_CAPACITY: Table = Table {
    columns: &[NAME, text("StorageClassName", "The class."), text("Capacity", "How much can still be made.")],
    row: |capacity, _| {
        let size = Quantity::of(capacity.at("capacity"));
        let size = size.map_or_else(|| UNSET.to_owned(), |size| size.to_string());
        cells([name(capacity), capacity.text("storageClassName").into(), size.into()])
    },
};

fn quantity(value: &Document) -> String {
    Quantity::of(value).unwrap_or(Quantity::ZERO).to_string()
}

/// The modes in short form, each once, in a fixed order.
fn access_modes(object: &Document, path: &str) -> String {
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let given: Vec<&str> = object.texts(path).collect();
    let modes = short.into_iter().filter(|(mode, _)| given.contains(mode)).map(|(_, short)| short);
    modes.collect::<Vec<_>>().join(",")
}

fn phase(object: &Document) -> Document {
    if object.has("metadata.deletionTimestamp") { "Terminating".into() } else { object.text("status.phase").into() }
}

/// The storage class, where the annotation of old takes precedence.
fn class(object: &Document) -> &str {
    match object.at("metadata.annotations").get("volume.beta.kubernetes.io/storage-class").and_then(Document::as_str) {
        Some(class) => class,
        None => object.text("spec.storageClassName"),
    }
}

fn name_with_default(object: &Document, annotations: &[&str]) -> Document {
    let given = object.at("metadata.annotations");
    let is_default = annotations.iter().any(|key| given.get(*key).and_then(Document::as_str) == Some("true"));
    let name = object.text("metadata.name");
    if is_default { format!("{name} (default)").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn shown(table: &Table, object: &Document) -> Vec<String> {
        let row = (table.row)(object, Timestamp::UNIX_EPOCH);
        assert_eq!(row.len(), table.columns.len());
        row.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
    }

    #[test]
    fn volumes_and_claims_show_what_they_are_bound_to() {
        let volume = json!({
            "metadata": {"name": "v"},
            "spec": {"capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "a", "name": "c"},
                "storageClassName": "fast", "volumeMode": "Filesystem"},
            "status": {"phase": "Bound"},
        });
        assert_eq!(
            shown(&PERSISTENT_VOLUME, &volume),
            ["v", "1Gi", "RWO,RWX", "Retain", "Bound", "a/c", "fast", "<unset>", "", "<unknown>", "Filesystem"]
        );
        let claim = json!({
            "metadata": {"name": "c"},
            "spec": {"volumeName": "v", "storageClassName": "fast"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"]},
        });
        assert_eq!(
            shown(&PERSISTENT_VOLUME_CLAIM, &claim),
            ["c", "Bound", "v", "1Gi", "RWOP", "fast", "<unset>", "<unknown>", "<unset>"]
        );
        let pending = json!({"metadata": {"name": "c"}, "status": {"phase": "Pending"}});
        assert_eq!(shown(&PERSISTENT_VOLUME_CLAIM, &pending)[1..6], ["Pending", "", "", "", ""]);
    }

    #[test]
    fn classes_tell_which_is_the_default() {
        let class = json!({
            "metadata": {"name": "s", "annotations": {"storageclass.beta.kubernetes.io/is-default-class": "true"}},
            "provisioner": "p",
        });
        assert_eq!(shown(&STORAGE_CLASS, &class)[..5], ["s (default)", "p", "Delete", "Immediate", "false"]);
    }

    #[test]
    fn the_rest_is_shown() {
        let driver = json!({"spec": {"volumeLifecycleModes": ["Persistent", "Ephemeral"]}});
        assert_eq!(
            shown(&CSI_DRIVER, &driver)[1..7],
            ["true", "false", "false", "<unset>", "false", "Persistent,Ephemeral"]
        );
        assert_eq!(shown(&CSI_NODE, &json!({"spec": {"drivers": [{}]}}))[1], "1");
        assert_eq!(shown(&CSI_STORAGE_CAPACITY, &json!({"storageClassName": "s"}))[1..], ["s", "<unset>"]);
        let attachment = json!({"spec": {"attacher": "a", "nodeName": "n"}, "status": {"attached": true}});
        assert_eq!(shown(&VOLUME_ATTACHMENT, &attachment)[1..5], ["a", "", "n", "true"]);
    }
}
