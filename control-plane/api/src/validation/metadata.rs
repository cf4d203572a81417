//! `metadata` of every kind: names, labels, annotations, owners, finalizers, and what an update may change.

use std::collections::BTreeSet;

use super::{IMMUTABLE, NOT_NEGATIVE, Place, labels};
use crate::Document;
use crate::field::{Errors, FieldError};
use crate::kind::Scope;
use crate::names;
use crate::view::{Edit, View, equivalent};

/// The bytes that the keys and values of all annotations may have together.
const ANNOTATIONS_SIZE: usize = 256 * 1024;

/// The finalizers that Kubernetes itself sets.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// What is wrong with a name; nothing where it is well-formed.
pub(crate) type NameRule = fn(&str) -> Vec<String>;

/// Metadata of a new object, after a name was generated where one was asked for.
pub(crate) fn validate(object: &Place<'_>, scope: Scope, name_rule: NameRule, errors: &mut Errors) {
    let metadata = object.child("metadata");
    let generate_name = metadata.child("generateName");
    if !generate_name.text().is_empty() {
        errors.reasons(&generate_name, names::as_prefix(generate_name.text(), name_rule));
    }
    let name = metadata.child("name");
    if name.text().is_empty() {
        errors.required(&name, "name or generateName is required");
    } else {
        errors.reasons(&name, name_rule(name.text()));
    }
    validate_namespace(&metadata.child("namespace"), scope, errors);
    let generation = metadata.child("generation");
    if generation.int().is_some_and(|generation| generation < 0) {
        errors.invalid_int(&generation, NOT_NEGATIVE);
    }
    labels::labels(&metadata.child("labels"), errors);
    validate_annotations(&metadata.child("annotations"), errors);
    validate_owners(&metadata.child("ownerReferences"), errors);
    validate_finalizers(&metadata.child("finalizers"), errors);
    validate_managed_fields(&metadata.child("managedFields"), errors);
}

/// Metadata of an update. `old` is the whole stored object.
pub(crate) fn validate_update(object: &Place<'_>, old: &Document, errors: &mut Errors) {
    let metadata = object.child("metadata");
    let old = old.at("metadata");
    if old.has("deletionTimestamp") {
        validate_no_new_finalizers(&metadata.child("finalizers"), old, errors);
    }
    let generation = metadata.child("generation");
    if generation.int().unwrap_or_default() < old.int("generation").unwrap_or_default() {
        errors.invalid_int(&generation, "must not be decremented");
    }
    for name in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let field = metadata.child(name);
        if !equivalent(field.value(), old.at(name)) {
            errors.invalid(&field, IMMUTABLE);
        }
    }
    labels::labels(&metadata.child("labels"), errors);
    validate_annotations(&metadata.child("annotations"), errors);
    validate_owners(&metadata.child("ownerReferences"), errors);
    validate_finalizers(&metadata.child("finalizers"), errors);
    validate_managed_fields(&metadata.child("managedFields"), errors);
}

/// Carries over what an update may leave out and what it can never change by leaving it out.
pub(crate) fn carry_over(new: &mut Document, old: &Document) {
    for path in ["metadata.uid", "metadata.namespace", "metadata.name"] {
        if new.text(path).is_empty() {
            new.copy_from(old, path);
        }
    }
    new.copy_from(old, "metadata.creationTimestamp");
    new.copy_from(old, "metadata.generation");
    if old.has("metadata.deletionTimestamp") {
        new.copy_from(old, "metadata.deletionTimestamp");
    }
    if !new.has("metadata.deletionGracePeriodSeconds") {
        new.copy_from(old, "metadata.deletionGracePeriodSeconds");
    }
    new.remove("metadata.selfLink");
}

fn validate_namespace(namespace: &Place<'_>, scope: Scope, errors: &mut Errors) {
    match (scope, namespace.text()) {
        (Scope::Namespaced, "") => errors.required(namespace, ""),
        (Scope::Namespaced, name) => errors.reasons(namespace, names::dns_label(name)),
        (Scope::Cluster, "") => {}
        (Scope::Cluster, _) => errors.forbidden(namespace, "not allowed on this type"),
    }
}

/// Keys are qualified names, but in any case; the size is that of all keys and values.
pub(crate) fn validate_annotations(annotations: &Place<'_>, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        for reason in names::qualified_name(&key.to_lowercase()) {
            errors.invalid_as(annotations, key, reason);
        }
        size += key.len() + value.text().len();
    }
    if size > ANNOTATIONS_SIZE {
        errors.too_long(annotations, ANNOTATIONS_SIZE);
    }
}

fn validate_owners(owners: &Place<'_>, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for owner in owners.items() {
        validate_owner(&owner, errors);
        if !owner.value().flag("controller") {
            continue;
        }
        let name = format!("{}/{}", owner.child("kind").text(), owner.child("name").text());
        if let Some(first) = &controller {
            let detail = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
            );
            errors.invalid(owners, detail);
        } else {
            controller = Some(name);
        }
    }
}

fn validate_owner(owner: &Place<'_>, errors: &mut Errors) {
    let api_version = owner.child("apiVersion");
    match api_version.text() {
        "" => errors.required(&api_version, "must not be empty"),
        text if text.matches('/').count() > 1 || text.ends_with('/') => {
            errors.invalid_text(&api_version, "must be <group>/<version> or <version>");
        }
        _ => {}
    }
    for name in ["kind", "name", "uid"] {
        let field = owner.child(name);
        if field.text().is_empty() {
            errors.required(&field, "must not be empty");
        }
    }
    if api_version.text() == "v1" && owner.child("kind").text() == "Event" {
        errors.invalid(owner, "/v1, Kind=Event is disallowed from being an owner");
    }
}

fn validate_finalizers(finalizers: &Place<'_>, errors: &mut Errors) {
    for finalizer in finalizers.items() {
        for reason in names::qualified_name(finalizer.text()) {
            errors.invalid_as(finalizers, finalizer.text(), reason);
        }
    }
    let has = |name: &str| finalizers.items().any(|finalizer| finalizer.text() == name);
    if has("orphan") && has("foregroundDeletion") {
        errors.invalid(finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
    }
}

/// Finalizers without a domain are Kubernetes' own. Objects whose kind is not built in need not keep to that.
pub(crate) fn standard_finalizers(object: &Place<'_>, errors: &mut Errors) {
    for finalizer in object.child("metadata.finalizers").items() {
        standard_finalizer(&finalizer, errors);
    }
}

/// One finalizer: of Kubernetes' own, or with a domain.
pub(crate) fn standard_finalizer(finalizer: &Place<'_>, errors: &mut Errors) {
    let name = finalizer.text();
    if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
        errors.invalid_text(finalizer, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

fn validate_no_new_finalizers(finalizers: &Place<'_>, old: &Document, errors: &mut Errors) {
    let known: BTreeSet<&str> = old.texts("finalizers").collect();
    let given: BTreeSet<&str> =
        finalizers.value().as_array().into_iter().flatten().filter_map(Document::as_str).collect();
    let added: Vec<String> = given.difference(&known).map(|name| crate::field::quote(name)).collect();
    if !added.is_empty() {
        let added = added.join(", ");
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{added}}}"
        );
        errors.forbidden(finalizers, detail);
    }
}

fn validate_managed_fields(entries: &Place<'_>, errors: &mut Errors) {
    for entry in entries.items() {
        let operation = entry.child("operation");
        match operation.text() {
            "Apply" | "Update" => {}
            "" => errors.required(&operation, "must not be empty"),
            _ => errors.not_supported(&operation, &["Apply", "Update"]),
        }
        let fields_type = entry.child("fieldsType");
        if !matches!(fields_type.text(), "" | "FieldsV1") {
            errors.invalid_text(&fields_type, "must be `FieldsV1`");
        }
        validate_field_manager(&entry.child("manager"), errors);
        let subresource = entry.child("subresource");
        if subresource.text().len() > 256 {
            errors.too_long(&subresource, 256);
        }
    }
}

fn validate_field_manager(manager: &Place<'_>, errors: &mut Errors) {
    errors.extend(check_field_manager(&manager.path(), manager.text()));
}

/// What is wrong with the name of a field manager, also one given as a `fieldManager` parameter: at most 128 bytes, all
/// printable.
#[must_use]
pub fn check_field_manager(path: &crate::field::Path, manager: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manager.len() > 128 {
        errors.push(FieldError::too_long(path, 128));
    }
    if let Some((index, character)) = manager.char_indices().find(|(_, character)| character.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {index})", u32::from(character));
        errors.push(FieldError::invalid(path, manager, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::check;

    fn refusals(metadata: &Document, scope: Scope) -> String {
        let object = json!({ "metadata": metadata });
        let errors = check(&object, |place, errors| validate(place, scope, names::dns_subdomain, errors));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn new_metadata_is_refused_in_kubernetes_words() {
        let owner =
            |controller| json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u", "controller": controller});
        let table = [
            (json!({"name": "a", "namespace": "b"}), ""),
            (json!({"namespace": "b"}), "metadata.name: Required value: name or generateName is required"),
            (json!({"name": "a"}), "metadata.namespace: Required value"),
            (
                json!({"name": "a", "namespace": "b", "generation": -1}),
                "metadata.generation: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"name": "a", "namespace": "b", "annotations": {"a": "x".repeat(262_144)}}),
                "metadata.annotations: Too long: may not be more than 262144 bytes",
            ),
            (
                json!({"name": "a", "namespace": "b", "ownerReferences": [{"apiVersion": "a/b/c"}]}),
                "metadata.ownerReferences[0].apiVersion: Invalid value: \"a/b/c\": must be <group>/<version> or <version>\n\
              metadata.ownerReferences[0].kind: Required value: must not be empty\n\
              metadata.ownerReferences[0].name: Required value: must not be empty\n\
              metadata.ownerReferences[0].uid: Required value: must not be empty",
            ),
            (json!({"name": "a", "namespace": "b", "ownerReferences": [owner(true), owner(false)]}), ""),
            (
                json!({"name": "a", "namespace": "b", "finalizers": ["orphan", "foregroundDeletion"]}),
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and \
              foregroundDeletion cannot be both set",
            ),
        ];
        for (metadata, expected) in table {
            assert_eq!(refusals(&metadata, Scope::Namespaced), expected);
        }
        assert_eq!(
            refusals(&json!({"name": "a", "namespace": "b"}), Scope::Cluster),
            "metadata.namespace: Forbidden: not allowed on this type"
        );
    }

    #[test]
    fn two_controllers_are_one_too_many() {
        let owner = |name| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
        let metadata = json!({"name": "a", "namespace": "b", "ownerReferences": [owner("x"), owner("y")]});
        assert!(refusals(&metadata, Scope::Namespaced).ends_with(
            "Only one reference can have Controller set to true. Found \"true\" in references for Pod/x and Pod/y"
        ));
    }

    #[test]
    fn an_update_cannot_change_identity_or_add_finalizers_while_deleting() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "generation": 2, "deletionTimestamp": "2024-01-01T00:00:00Z"}});
        let mut new = json!({"metadata": {"name": "b", "finalizers": ["x/y"], "generation": 7}});
        carry_over(&mut new, &old);
        let errors = check(&new, |place, errors| validate_update(place, &old, errors));
        let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(
            text,
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers []string{\"x/y\"}\nmetadata.name: Invalid value: \"b\": field is immutable"
        );
    }
}
