//! Defaults of the volumes of a pod.

use serde_json::json;

use super::{canonical_quantity, field_reference, pod, storage};
use crate::Document;
use crate::view::{Edit, View};

/// `0644`, as JSON has no octal numbers.
const FILE_MODE: i64 = 0o644;

/// One volume of a pod. One without a source is an `emptyDir`.
pub(super) fn volume(volume: &mut Document) {
    let has_source = volume
        .as_object()
        .is_some_and(|fields| fields.iter().any(|(name, source)| name != "name" && !source.is_null()));
    if !has_source && volume.is_object() {
        volume.put("emptyDir", json!({}));
    }
    canonical_quantity(volume, "emptyDir.sizeLimit");
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if volume.has(source) {
            volume.default_to(&format!("{source}.defaultMode"), FILE_MODE);
        }
    }
    volume.list_mut("downwardAPI.items").iter_mut().for_each(field_reference);
    volume.list_mut("projected.sources").iter_mut().for_each(projection);
    if volume.has("hostPath") {
        volume.default_to("hostPath.type", "");
    }
    if volume.has("image") {
        let policy = pod::pull_policy(volume.text("image.reference"));
        volume.default_zero("image.pullPolicy", policy);
    }
    if let Some(claim) = volume.at_mut("ephemeral.volumeClaimTemplate") {
        storage::claim_spec(claim);
    }
    remote(volume);
}

fn projection(source: &mut Document) {
    source.list_mut("downwardAPI.items").iter_mut().for_each(field_reference);
    if source.has("serviceAccountToken") {
        source.default_to("serviceAccountToken.expirationSeconds", 60 * 60);
    }
}

/// Sources that are a disk somewhere, also those of persistent volumes.
pub(super) fn remote(holder: &mut Document) {
    if holder.has("iscsi") {
        holder.default_zero("iscsi.iscsiInterface", "default");
    }
    if holder.has("rbd") {
        holder.default_zero("rbd.pool", "rbd");
        holder.default_zero("rbd.user", "admin");
        holder.default_zero("rbd.keyring", "/etc/ceph/keyring");
    }
    if holder.has("azureDisk") {
        holder.default_to("azureDisk.cachingMode", "ReadWrite");
        holder.default_to("azureDisk.kind", "Shared");
        holder.default_to("azureDisk.fsType", "ext4");
        holder.default_to("azureDisk.readOnly", false);
    }
    if holder.has("scaleIO") {
        holder.default_zero("scaleIO.storageMode", "ThinProvisioned");
        holder.default_zero("scaleIO.fsType", "xfs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_filled_in() {
        let table = [
            (json!({"name": "a"}), json!({"name": "a", "emptyDir": {}})),
            (json!({"name": "a", "emptyDir": null}), json!({"name": "a", "emptyDir": {}})),
            (json!({"emptyDir": {"sizeLimit": "1024Mi"}}), json!({"emptyDir": {"sizeLimit": "1Gi"}})),
            (json!({"secret": {"secretName": "s"}}), json!({"secret": {"secretName": "s", "defaultMode": 420}})),
            (json!({"configMap": {"defaultMode": 256}}), json!({"configMap": {"defaultMode": 256}})),
            (json!({"hostPath": {"path": "/"}}), json!({"hostPath": {"path": "/", "type": ""}})),
            (
                json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
                json!({"projected": {"defaultMode": 420,
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}}),
            ),
            (
                json!({"downwardAPI": {"items": [{"fieldRef": {"fieldPath": "metadata.name"}}]}}),
                json!({"downwardAPI": {"defaultMode": 420,
                    "items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}]}}),
            ),
            (json!({"nfs": {"path": "/"}}), json!({"nfs": {"path": "/"}})),
        ];
        for (mut given, expected) in table {
            volume(&mut given);
            assert_eq!(given, expected);
        }
    }

    #[test]
    fn what_is_no_volume_stays() {
        let mut odd = json!(7);
        volume(&mut odd);
        assert_eq!(odd, json!(7));
    }
}
