//! Persistent volumes, claims, classes and drivers.

use super::pod::affinity::node_selector;
use super::volume_sources::{self, SOURCES};
use super::{
    IMMUTABLE, Place, difference, immutable, labels, one_of, optional_one_of, required_text, resources, subdomain,
};
use crate::Document;
use crate::field::{Errors, FieldError, Path};
use crate::names;
use crate::quantity::Quantity;
use crate::view::{Edit, View, equivalent};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];

/// A persistent volume, metadata apart.
pub(crate) fn persistent_volume(volume: &Place<'_>, errors: &mut Errors) {
    let spec = volume.child("spec");
    let modes = spec.child("accessModes");
    if modes.len() == 0 {
        errors.required(&modes, "");
    }
    access_modes(&modes, errors);
    let capacity = spec.child("capacity");
    if capacity.len() == 0 {
        errors.required(&capacity, "");
    }
    if capacity.len() > 1 || !capacity.value().has("storage") {
        let path = capacity.path();
        errors.push(FieldError::not_supported(&path, capacity.value().clone(), &["storage"]));
    }
    for (_, amount) in capacity.entries() {
        if let Some(quantity) = Quantity::of(amount.value()) {
            resources::positive(&amount, &quantity, errors);
        }
    }
    let policy = spec.child("persistentVolumeReclaimPolicy");
    if !policy.text().is_empty() {
        one_of(&policy, &RECLAIM_POLICIES, errors);
    }
    let affinity = spec.child("nodeAffinity");
    if affinity.is_set() {
        let required = affinity.child("required");
        if required.is_set() {
            node_selector(&required, errors);
        } else {
            errors.required(&required, "must specify required node constraints");
        }
    }
    source(&spec, errors);
    class_name(&spec.child("storageClassName"), errors);
    optional_one_of(&spec.child("volumeMode"), &VOLUME_MODES, errors);
    let attributes = spec.child("volumeAttributesClassName");
    if attributes.is_set() {
        if attributes.text().is_empty() {
            errors.required(&attributes, "an empty string is disallowed");
        } else {
            subdomain(&attributes, errors);
        }
        if !spec.value().has("csi") {
            errors.required(&spec.child("csi"), "has to be specified when using volumeAttributesClassName");
        }
    }
}

/// A volume that an attachment describes instead of naming one.
pub(crate) fn inline_volume(spec: &Place<'_>, errors: &mut Errors) {
    let modes = spec.child("accessModes");
    if modes.len() == 0 {
        errors.required(&modes, "");
    }
    access_modes(&modes, errors);
    for name in ["persistentVolumeReclaimPolicy", "storageClassName", "volumeMode", "nodeAffinity"] {
        let place = spec.child(name);
        if !crate::view::is_empty(place.value()) {
            errors.forbidden(&place, "may not be specified in the context of inline volumes");
        }
    }
    source(spec, errors);
}

fn source(spec: &Place<'_>, errors: &mut Errors) {
    let mut given = 0;
    for name in SOURCES.into_iter().filter(|name| spec.value().has(name)) {
        let place = spec.child(name);
        given += 1;
        if given > 1 {
            errors.forbidden(&place, "may not specify more than 1 volume type");
            continue;
        }
        volume_sources::remote(name, &place, errors);
        if name == "csi" {
            required_text(&place.child("volumeHandle"), errors);
        }
        if name == "local" && !spec.value().has("nodeAffinity") {
            errors.required(&spec.child("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if given == 0 {
        errors.required(spec, "must specify a volume type");
    }
    let path = spec.value().text("hostPath.path");
    let is_root = !path.is_empty() && path.split('/').all(|part| matches!(part, "" | "."));
    let policy = spec.child("persistentVolumeReclaimPolicy");
    if is_root && policy.text() == "Recycle" {
        errors.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
}

/// An update of a persistent volume: its source and mode stay.
pub(crate) fn persistent_volume_update(volume: &Place<'_>, old: &Document, errors: &mut Errors) {
    persistent_volume(volume, errors);
    let sources = |spec: &Document| {
        let mut sources = Document::Object(serde_json::Map::new());
        for name in SOURCES {
            sources.copy_from(spec, name);
        }
        sources
    };
    let (mut before, after) = (sources(old.at("spec")), sources(volume.value().at("spec")));
    if !before.has("csi.controllerExpandSecretRef") && before.has("csi") {
        before.copy_from(&after, "csi.controllerExpandSecretRef");
    }
    if !equivalent(&before, &after) {
        let detail =
            format!("spec.persistentvolumesource is immutable after creation\n{}", difference(&before, &after));
        errors.push(FieldError::forbidden(&Path::new("spec").child("persistentvolumesource"), detail));
    }
    // Messages name these two as if they were fields of the volume itself.
    let value = volume.value();
    immutable(&volume.shown_as("volumeMode", value.at("spec.volumeMode")), old.at("spec.volumeMode"), errors);
    if old.has("spec.nodeAffinity") && !equivalent(value.at("spec.nodeAffinity"), old.at("spec.nodeAffinity")) {
        let place = volume.shown_as("nodeAffinity", value.at("spec.nodeAffinity"));
        errors.invalid(&place, format!("{IMMUTABLE}, except for updating from beta label to GA"));
    }
    if old.has("spec.volumeAttributesClassName") && !value.has("spec.volumeAttributesClassName") {
        let path = Path::new("spec").child("volumeAttributesClassName");
        errors.push(FieldError::forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
}

/// The spec of a claim, also of one that a template describes.
pub(crate) fn claim_spec(spec: &Place<'_>, errors: &mut Errors) {
    let modes = spec.child("accessModes");
    if modes.len() == 0 {
        errors.required(&modes, "at least 1 access mode is required");
    }
    labels::label_selector(&spec.child("selector"), errors);
    access_modes(&modes, errors);
    let requested = spec.value().at("resources.requests.storage");
    let shown = spec.child("resources");
    let path = shown.path().key("storage");
    match Quantity::of(requested) {
        None => errors.push(FieldError::required(&path, "")),
        Some(quantity) if quantity.signum() <= 0 => {
            errors.push(FieldError::invalid(&path, quantity.to_string(), "must be greater than zero"));
        }
        Some(_) => {}
    }
    class_name(&spec.child("storageClassName"), errors);
    optional_one_of(&spec.child("volumeMode"), &VOLUME_MODES, errors);
    for name in ["dataSource", "dataSourceRef"] {
        data_source(&spec.child(name), errors);
    }
    let (old, new) = (spec.value().at("dataSource"), spec.value().at("dataSourceRef"));
    let path = || Document::String(spec.child("dataSource").path().as_str().to_owned());
    if !new.text("namespace").is_empty() {
        if old.is_object() {
            errors.invalid_as(spec, path(), "may not be specified when dataSourceRef.namespace is specified");
        }
    } else if old.is_object() && new.is_object() {
        let same = ["apiGroup", "kind", "name"].iter().all(|field| old.text(field) == new.text(field));
        if !same {
            errors.invalid_as(spec, path(), "must match dataSourceRef");
        }
    }
    class_name(&spec.child("volumeAttributesClassName"), errors);
}

/// An update of a claim: its size may grow once it is bound, the rest stays.
pub(crate) fn claim_update(claim: &Place<'_>, old: &Document, errors: &mut Errors) {
    claim_spec(&claim.child("spec"), errors);
    let (mut after, before) = (claim.value().at("spec").clone(), old.at("spec"));
    let mut before_munged = before.clone();
    if before.text("volumeName").is_empty() {
        before_munged.copy_from(&after, "volumeName");
    }
    if !before.has("storageClassName") {
        after.remove("storageClassName");
    }
    if claim.value().text("status.phase") == "Bound" && after.has("resources.requests") {
        after.copy_from(before, "resources.requests.storage");
    }
    after.copy_from(before, "volumeAttributesClassName");
    let path = Path::new("spec");
    if !equivalent(&after, &before_munged) {
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims\n{}",
            difference(&before_munged, &after)
        );
        errors.push(FieldError::forbidden(&path, detail));
    }
    let size = |document: &Document, path: &str| Quantity::of(document.at(path)).unwrap_or(Quantity::ZERO);
    let wanted = size(claim.value(), "spec.resources.requests.storage");
    if wanted < size(old, "spec.resources.requests.storage") && wanted <= size(old, "status.capacity.storage") {
        let path = path.child("resources").child("requests").child("storage");
        errors.push(FieldError::forbidden(&path, "field can not be less than status.capacity"));
    }
    let mode = claim.shown_as("volumeMode", claim.value().at("spec.volumeMode"));
    immutable(&mode, old.at("spec.volumeMode"), errors);
    let path = path.child("volumeAttributesClassName");
    if old.has("spec.volumeAttributesClassName") && !claim.value().has("spec.volumeAttributesClassName") {
        errors.push(FieldError::forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
}

fn access_modes(modes: &Place<'_>, errors: &mut Errors) {
    let (mut exclusive, mut others) = (false, false);
    for mode in modes.items() {
        if ACCESS_MODES.contains(&mode.text()) {
            exclusive |= mode.text() == "ReadWriteOncePod";
            others |= mode.text() != "ReadWriteOncePod";
        } else {
            errors.push(FieldError::not_supported(&modes.path(), mode.text(), &ACCESS_MODES));
        }
    }
    if exclusive && others {
        errors.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
    }
}

fn class_name(name: &Place<'_>, errors: &mut Errors) {
    if !name.text().is_empty() {
        subdomain(name, errors);
    }
}

fn data_source(source: &Place<'_>, errors: &mut Errors) {
    if !source.is_set() {
        return;
    }
    required_text(&source.child("name"), errors);
    required_text(&source.child("kind"), errors);
    let (group, kind) = (source.child("apiGroup"), source.value().text("kind"));
    if group.text().is_empty() {
        if kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.invalid_as(source, kind, detail);
        }
    } else {
        subdomain(&group, errors);
    }
    let namespace = source.child("namespace");
    if !namespace.text().is_empty() {
        errors.reasons(&namespace, names::dns_label(namespace.text()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Document;
    use crate::validation::tests::{refusals_of_spec, refusals_of_update};
    use crate::view::Edit;

    fn with(mut spec: Document, fields: &Document) -> Document {
        for (path, value) in fields.as_object().unwrap() {
            spec.put(path, value.clone());
        }
        spec
    }

    fn volume(fields: &Document) -> Document {
        let spec =
            json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}});
        with(spec, fields)
    }

    fn claim(fields: &Document) -> Document {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        with(spec, fields)
    }

    #[test]
    fn volumes_are_refused_in_kubernetes_words() {
        let table = [
            (json!({}), ""),
            (json!({"accessModes": []}), "spec.accessModes: Required value"),
            (
                json!({"accessModes": ["Write"]}),
                "spec.accessModes: Unsupported value: \"Write\": supported values: \"ReadOnlyMany\", \
                 \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ),
            (json!({"hostPath": null}), "spec: Required value: must specify a volume type"),
            (
                json!({"nfs": {"server": "a", "path": "/b"}}),
                "spec.nfs: Forbidden: may not specify more than 1 volume type",
            ),
            (
                json!({"capacity": {"storage": "0"}}),
                "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero",
            ),
            (
                json!({"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"}),
                "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec("", "PersistentVolume", &volume(&fields)), expected, "{fields}");
        }
    }

    #[test]
    fn the_source_of_a_volume_stays() {
        let old = json!({"spec": volume(&json!({}))});
        let new = json!({"spec": volume(&json!({"hostPath": {"path": "/y"}}))});
        assert!(refusals_of_update("", "PersistentVolume", &old, &new).starts_with(
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"
        ));
    }

    #[test]
    fn claims_are_refused_in_kubernetes_words() {
        let table = [
            (json!({}), ""),
            (json!({"accessModes": []}), "spec.accessModes: Required value: at least 1 access mode is required"),
            (json!({"resources": {}}), "spec.resources[storage]: Required value"),
            (
                json!({"volumeMode": "Tape"}),
                "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec("", "PersistentVolumeClaim", &claim(&fields)), expected, "{fields}");
        }
    }

    #[test]
    fn a_bound_claim_grows_but_does_not_shrink() {
        let of = |size: &str| {
            let spec = claim(&json!({"resources.requests.storage": size, "storageClassName": "a", "volumeName": "v"}));
            json!({"spec": spec, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}})
        };
        assert_eq!(refusals_of_update("", "PersistentVolumeClaim", &of("2Gi"), &of("3Gi")), "");
        assert_eq!(
            refusals_of_update("", "PersistentVolumeClaim", &of("2Gi"), &of("1Gi")),
            "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
        );
        let mut other = of("2Gi");
        other.put("spec.accessModes", json!(["ReadOnlyMany"]));
        assert!(refusals_of_update("", "PersistentVolumeClaim", &of("2Gi"), &other).starts_with(
            "spec: Forbidden: spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims\n"
        ));
    }
}
