//! Storage classes, attachments and drivers.

use std::collections::{BTreeMap, BTreeSet};

use super::volume_sources::csi_driver_name;
use super::{
    IMMUTABLE, Place, immutable, labels, not_negative, one_of, optional_one_of, required_text, resources, storage,
    subdomain,
};
use crate::Document;
use crate::field::{Errors, FieldError};
use crate::names;
use crate::quantity::Quantity;
use crate::view::{Edit, View, equivalent};

const PARAMETERS: usize = 512;
const PARAMETERS_SIZE: usize = 256 * 1024;
const NODE_ID_LENGTH: usize = 192;
const MESSAGE_LENGTH: usize = 1024;
const METADATA_SIZE: usize = 256 * 1024;

/// A storage class, metadata apart.
pub(crate) fn storage_class(class: &Place<'_>, errors: &mut Errors) {
    provisioner(&class.child("provisioner"), errors);
    parameters(&class.child("parameters"), errors);
    let policy = class.child("reclaimPolicy");
    if !policy.text().is_empty() {
        one_of(&policy, &["Delete", "Retain"], errors);
    }
    let mode = class.child("volumeBindingMode");
    if mode.is_set() {
        one_of(&mode, &["Immediate", "WaitForFirstConsumer"], errors);
    } else {
        errors.required(&mode, "");
    }
    topologies(&class.child("allowedTopologies"), errors);
}

/// An update of a storage class: what volumes were made by stays.
pub(crate) fn storage_class_update(class: &Place<'_>, old: &Document, errors: &mut Errors) {
    fixed(class, old, &["parameters", "provisioner", "reclaimPolicy"], errors);
    immutable(&class.child("volumeBindingMode"), old.at("volumeBindingMode"), errors);
}

fn fixed(object: &Place<'_>, old: &Document, fields: &[&str], errors: &mut Errors) {
    for name in fields {
        let place = object.child(name);
        if !equivalent(place.value(), old.at(name)) {
            errors.forbidden(&place, format!("updates to {name} are forbidden."));
        }
    }
}

fn provisioner(name: &Place<'_>, errors: &mut Errors) {
    if name.text().is_empty() {
        errors.required(name, "");
        return;
    }
    let lower = name.text().to_lowercase();
    for reason in names::qualified_name(&lower) {
        errors.invalid_as(name, lower.as_str(), reason);
    }
}

fn parameters(parameters: &Place<'_>, errors: &mut Errors) {
    if parameters.len() > PARAMETERS {
        errors.too_long(parameters, PARAMETERS);
        return;
    }
    let mut size = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            errors.invalid_as(parameters, key, "field can not be empty.");
        }
        size += key.len() + value.text().len();
    }
    if size > PARAMETERS_SIZE {
        errors.too_long(parameters, PARAMETERS_SIZE);
    }
}

fn topologies(terms: &Place<'_>, errors: &mut Errors) {
    let mut seen: BTreeSet<BTreeMap<String, BTreeSet<String>>> = BTreeSet::new();
    for term in terms.items() {
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let expressions = term.child("matchLabelExpressions");
        for expression in expressions.items() {
            let (key, values) = (expression.child("key"), expression.child("values"));
            if values.len() == 0 {
                errors.required(&values, "");
            }
            let mut unique = BTreeSet::new();
            for value in values.items() {
                if !unique.insert(value.text().to_owned()) {
                    errors.duplicate(&value);
                }
            }
            errors.reasons(&key, names::qualified_name(key.text()));
            if keys.insert(key.text().to_owned(), unique).is_some() {
                errors.duplicate(&key);
            }
        }
        if !seen.insert(keys) {
            errors.duplicate_as(&expressions, "");
        }
    }
}

/// A class of volume attributes, metadata apart.
pub(crate) fn attributes_class(class: &Place<'_>, errors: &mut Errors) {
    provisioner(&class.child("driverName"), errors);
    let parameters = class.child("parameters");
    self::parameters(&parameters, errors);
    if parameters.len() == 0 {
        errors.required(&parameters, "must contain at least one key/value pair");
    }
}

/// An update of a class of volume attributes: only its metadata changes.
pub(crate) fn attributes_class_update(class: &Place<'_>, old: &Document, errors: &mut Errors) {
    fixed(class, old, &["driverName", "parameters"], errors);
    attributes_class(class, errors);
}

/// A volume attachment, metadata apart.
pub(crate) fn attachment(attachment: &Place<'_>, errors: &mut Errors) {
    let spec = attachment.child("spec");
    let attacher = spec.child("attacher");
    required_text(&attacher, errors);
    let source = spec.child("source");
    let (inline, name) = (source.child("inlineVolumeSpec"), source.child("persistentVolumeName"));
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline.is_set(), name.is_set()) {
        (false, false) => errors.required(&source, detail),
        (true, true) => errors.forbidden(&source, detail),
        (false, true) if name.text().is_empty() => {
            errors.required(&name, "must specify non empty persistentVolumeName");
        }
        (false, true) => subdomain(&name, errors),
        (true, false) => storage::inline_volume(&inline, errors),
    }
    subdomain(&spec.child("nodeName"), errors);
    attachment_status(attachment, errors);
    if !attacher.text().is_empty() {
        csi_driver_name(&attacher, errors);
    }
}

/// An update of an attachment: what is attached to what stays.
pub(crate) fn attachment_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    attachment(new, errors);
    let spec = new.child("spec");
    if !equivalent(spec.value(), old.at("spec")) {
        errors.invalid(&spec, IMMUTABLE);
    }
}

/// The status of an attachment.
pub(crate) fn attachment_status(attachment: &Place<'_>, errors: &mut Errors) {
    let status = attachment.child("status");
    let metadata = status.child("attachmentMetadata");
    let size: usize = metadata.entries().map(|(key, value)| key.len() + value.text().len()).sum();
    if size > METADATA_SIZE {
        errors.too_long(&metadata, METADATA_SIZE);
    }
    for name in ["attachError", "detachError"] {
        let failure = status.child(name);
        let (message, code) = (failure.child("message"), failure.child("errorCode"));
        if message.text().len() > MESSAGE_LENGTH {
            errors.too_long(&message, METADATA_SIZE);
        }
        if code.int().is_some_and(|code| code < 0) {
            errors.invalid_int(&code, names::out_of_range(0, i64::from(i32::MAX)));
        }
    }
}

/// A node's drivers, metadata apart.
pub(crate) fn csi_node(node: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for driver in node.child("spec.drivers").items() {
        let (name, id) = (driver.child("name"), driver.child("nodeID"));
        csi_driver_name(&name, errors);
        if id.text().is_empty() {
            errors.required(&id, "");
        }
        if id.text().len() > NODE_ID_LENGTH {
            errors.invalid_text(&id, format!("must be {NODE_ID_LENGTH} characters or less"));
        }
        not_negative(&driver.child("allocatable.count"), errors);
        if !seen.insert(name.text().to_owned()) {
            errors.duplicate(&name);
        }
        let mut keys = BTreeSet::new();
        for key in driver.value().texts("topologyKeys") {
            if key.is_empty() {
                errors.required(&driver, "");
            }
            if !keys.insert(key) {
                errors.duplicate_as(&driver, key);
            }
            for reason in names::qualified_name(key) {
                errors.invalid_as(&driver, key, reason);
            }
        }
    }
}

/// An update of a node's drivers: one that is there stays, but for how much it can hold.
pub(crate) fn csi_node_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    csi_node(new, errors);
    let drivers = new.child("spec.drivers");
    for before in old.list("spec.drivers") {
        for driver in drivers.items().filter(|driver| driver.value().text("name") == before.text("name")) {
            let mut after = driver.value().clone();
            after.copy_from(before, "allocatable");
            if !equivalent(&after, before) {
                errors.invalid_as(&drivers, after, IMMUTABLE);
            }
        }
    }
}

/// A driver, metadata apart.
pub(crate) fn csi_driver(driver: &Place<'_>, errors: &mut Errors) {
    let spec = driver.child("spec");
    // Messages name the first one in the past tense.
    let attach = spec.shown_as("attachedRequired", spec.value().at("attachRequired"));
    for flag in [attach, spec.child("podInfoOnMount"), spec.child("storageCapacity")] {
        if !flag.is_set() {
            errors.required(&flag, "");
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    optional_one_of(&spec.child("fsGroupPolicy"), &policies, errors);
    token_requests(&spec.child("tokenRequests"), errors);
    let modes = spec.child("volumeLifecycleModes");
    let known = ["Persistent", "Ephemeral"];
    for mode in modes.items().filter(|mode| !known.contains(&mode.text())) {
        errors.push(FieldError::not_supported(&modes.path(), mode.text(), &known));
    }
    let period = spec.child("nodeAllocatableUpdatePeriodSeconds");
    if period.int().is_some_and(|seconds| seconds < 10) {
        errors.invalid_int(&period, "must be greater than or equal to 10 seconds");
    }
}

fn token_requests(requests: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for request in requests.items() {
        let (audience, expiration) = (request.child("audience"), request.child("expirationSeconds"));
        if !seen.insert(audience.text().to_owned()) {
            errors.duplicate_as(&audience, audience.text());
            continue;
        }
        match expiration.int() {
            Some(seconds) if seconds < 600 => {
                errors.invalid_int(&expiration, "may not specify a duration less than 10 minutes");
            }
            Some(seconds) if seconds > 1 << 32 => {
                errors.invalid_int(&expiration, "may not specify a duration larger than 2^32 seconds");
            }
            _ => {}
        }
    }
}

/// An update of a driver: how its volumes are attached stays.
pub(crate) fn csi_driver_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    csi_driver(new, errors);
    let spec = new.child("spec");
    let attach = spec.shown_as("attachedRequired", spec.value().at("attachRequired"));
    immutable(&attach, old.at("spec.attachRequired"), errors);
    immutable(&spec.child("volumeLifecycleModes"), old.at("spec.volumeLifecycleModes"), errors);
}

/// A capacity, metadata apart.
pub(crate) fn storage_capacity(capacity: &Place<'_>, errors: &mut Errors) {
    labels::label_selector(&capacity.child("nodeTopology"), errors);
    subdomain(&capacity.child("storageClassName"), errors);
    let amount = capacity.child("capacity");
    if let Some(quantity) = Quantity::of(amount.value()) {
        resources::not_negative(&amount, &quantity, errors);
    }
}

/// An update of a capacity: what it is the capacity of stays.
pub(crate) fn storage_capacity_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    for name in ["nodeTopology", "storageClassName"] {
        immutable(&new.child(name), old.at(name), errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{refusals, refusals_of_spec, refusals_of_update};

    const GROUP: &str = "storage.k8s.io";

    #[test]
    fn classes_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"provisioner": "example.com/disk"}), ""),
            (json!({}), "provisioner: Required value"),
            (
                json!({"provisioner": "a", "reclaimPolicy": "Recycle"}),
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
            ),
            (
                json!({"provisioner": "a", "volumeBindingMode": "Later"}),
                "volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \
                 \"WaitForFirstConsumer\"",
            ),
        ];
        for (class, expected) in table {
            assert_eq!(refusals(GROUP, "StorageClass", &class), expected, "{class}");
        }
        let class = |provisioner: &str| json!({ "provisioner": provisioner });
        assert_eq!(
            refusals_of_update(GROUP, "StorageClass", &class("a"), &class("b")),
            "provisioner: Forbidden: updates to provisioner are forbidden."
        );
    }

    #[test]
    fn an_attachment_is_of_one_volume() {
        let spec = json!({"attacher": "example.com", "nodeName": "n", "source": {"persistentVolumeName": "pv"}});
        assert_eq!(refusals_of_spec(GROUP, "VolumeAttachment", &spec), "");
        assert_eq!(
            refusals_of_spec(GROUP, "VolumeAttachment", &json!({"attacher": "example.com", "nodeName": "n"})),
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        );
    }

    #[test]
    fn drivers_are_refused_in_kubernetes_words() {
        assert_eq!(refusals_of_spec(GROUP, "CSIDriver", &json!({})), "");
        assert_eq!(
            refusals_of_spec(GROUP, "CSIDriver", &json!({"tokenRequests": [{"audience": "a"}, {"audience": "a"}]})),
            "spec.tokenRequests[1].audience: Duplicate value: \"a\""
        );
        let node = |id: &str| json!({"drivers": [{"name": "example.com", "nodeID": id}]});
        assert_eq!(refusals_of_spec(GROUP, "CSINode", &node("n")), "");
        assert_eq!(refusals_of_spec(GROUP, "CSINode", &node("")), "spec.drivers[0].nodeID: Required value");
    }
}
