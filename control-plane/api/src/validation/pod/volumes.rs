//! Volumes of a pod, and where its containers mount them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Holder, env};
use crate::Document;
use crate::field::{Errors, quote};
use crate::names;
use crate::validation::volume_sources::{self, SOURCES};
use crate::validation::{Place, dns_label, labels, one_of, required_text};
use crate::view::View;

/// The volumes of a pod by name; only those that are well-formed.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Document>;

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const MOST_FILE_MODE: i64 = 0o777;

/// `volumes` of a pod.
pub(super) fn volumes<'a>(list: &'a Place<'a>, holder: Holder<'_>, errors: &mut Errors) -> Volumes<'a> {
    let mut known = Volumes::new();
    for volume in list.items() {
        let found = errors.len();
        source(&volume, holder, errors);
        let name = volume.child("name");
        if name.text().is_empty() {
            errors.required(&name, "");
        } else {
            dns_label(&name, errors);
        }
        let name = volume.value().text("name");
        if known.contains_key(name) {
            errors.duplicate(&volume.child("name"));
        }
        if errors.len() == found {
            known.insert(name, volume.value());
        }
        claim_made_for_pod(list, &volume, holder, errors);
    }
    known
}

/// A claim that is made for a volume of the pod cannot be the claim of another.
fn claim_made_for_pod(list: &Place<'_>, volume: &Place<'_>, holder: Holder<'_>, errors: &mut Errors) {
    let Holder::Pod { name } = holder else { return };
    let claim = volume.child("persistentVolumeClaim");
    let claim = claim.child("claimName");
    let is_made = |other: Place<'_>| {
        other.value().has("ephemeral") && format!("{name}-{}", other.value().text("name")) == claim.text()
    };
    if !claim.text().is_empty() && list.items().any(is_made) {
        errors.invalid_text(&claim, "must not reference a PVC that gets created for an ephemeral volume");
    }
}

fn source(volume: &Place<'_>, holder: Holder<'_>, errors: &mut Errors) {
    let mut given = 0;
    for name in SOURCES.into_iter().filter(|name| volume.value().has(name)) {
        given += 1;
        let place = volume.child(name);
        if given > 1 {
            errors.forbidden(&place, "may not specify more than 1 volume type");
        } else {
            source_rules(name, &place, volume, holder, errors);
        }
    }
    if given == 0 {
        errors.required(volume, "must specify a volume type");
    }
}

fn source_rules(name: &str, source: &Place<'_>, volume: &Place<'_>, holder: Holder<'_>, errors: &mut Errors) {
    match name {
        "emptyDir" => {
            let limit = source.child("sizeLimit");
            if crate::quantity::Quantity::of(limit.value()).is_some_and(|limit| limit.is_negative()) {
                errors.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
            }
        }
        "secret" => {
            required_text(&source.child("secretName"), errors);
            files(source, errors);
        }
        "configMap" => {
            required_text(&source.child("name"), errors);
            files(source, errors);
        }
        "downwardAPI" => {
            file_mode(&source.child("defaultMode"), errors);
            for file in source.child("items").items() {
                downward_file(&file, errors);
            }
        }
        "projected" => projected(source, errors),
        "persistentVolumeClaim" => required_text(&source.child("claimName"), errors),
        "ephemeral" => ephemeral(source, volume, holder, errors),
        "image" => {
            required_text(&source.child("reference"), errors);
            let policy = source.child("pullPolicy");
            if !policy.text().is_empty() {
                one_of(&policy, &["Always", "IfNotPresent", "Never"], errors);
            }
        }
        _ => volume_sources::remote(name, source, errors),
    }
}

fn ephemeral(source: &Place<'_>, volume: &Place<'_>, holder: Holder<'_>, errors: &mut Errors) {
    let template = source.child("volumeClaimTemplate");
    if !template.is_set() {
        errors.required(&template, "");
        return;
    }
    let metadata = template.child("metadata");
    labels::labels(&metadata.child("labels"), errors);
    crate::validation::metadata::validate_annotations(&metadata.child("annotations"), errors);
    crate::validation::storage::claim_spec(&template.child("spec"), errors);
    if let Holder::Pod { name: pod } = holder
        && !pod.is_empty()
        && !volume.value().text("name").is_empty()
    {
        let name = volume.child("name");
        let claim = format!("{pod}-{}", name.text());
        for reason in names::dns_subdomain(&claim) {
            errors.invalid_text(&name, format!("PVC name {}: {reason}", quote(&claim)));
        }
    }
}

/// Keys of a config map or secret as files.
fn files(source: &Place<'_>, errors: &mut Errors) {
    file_mode(&source.child("defaultMode"), errors);
    for item in source.child("items").items() {
        key_to_path(&item, errors);
    }
}

fn key_to_path(item: &Place<'_>, errors: &mut Errors) {
    required_text(&item.child("key"), errors);
    let path = item.child("path");
    required_text(&path, errors);
    local_path(&path, errors);
    file_mode(&item.child("mode"), errors);
}

fn downward_file(file: &Place<'_>, errors: &mut Errors) {
    let path = file.child("path");
    required_text(&path, errors);
    local_path(&path, errors);
    let (field, resource) = (file.child("fieldRef"), file.child("resourceFieldRef"));
    match (field.is_set(), resource.is_set()) {
        (true, both) => {
            env::file_field_reference(&field, errors);
            if both {
                errors.invalid_as(
                    file,
                    "resource",
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                );
            }
        }
        (false, true) => env::resource_reference(&resource, true, errors),
        (false, false) => errors.required(file, "one of fieldRef and resourceFieldRef is required"),
    }
    file_mode(&file.child("mode"), errors);
}

fn projected(source: &Place<'_>, errors: &mut Errors) {
    file_mode(&source.child("defaultMode"), errors);
    let mut paths = BTreeSet::new();
    let sources = source.child("sources");
    for projection in sources.items() {
        let mut given = 0;
        for name in
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"]
        {
            let place = projection.child(name);
            if place.is_set() {
                given += 1;
                projection_rules(name, &place, errors);
                unique_paths(name, &place, source, &mut paths, errors);
            }
        }
        if given > 1 {
            errors.forbidden(&projection, "may not specify more than 1 volume type");
        }
    }
}

fn projection_rules(name: &str, place: &Place<'_>, errors: &mut Errors) {
    match name {
        "secret" | "configMap" => {
            required_text(&place.child("name"), errors);
            for item in place.child("items").items() {
                key_to_path(&item, errors);
            }
        }
        "downwardAPI" => {
            for file in place.child("items").items() {
                downward_file(&file, errors);
            }
        }
        "serviceAccountToken" => service_account_token(place, errors),
        "clusterTrustBundle" => {
            let (name, signer) = (place.child("name"), place.child("signerName"));
            match (name.is_set(), signer.is_set()) {
                (true, true) => errors.invalid(place, "only one of name and signerName may be used"),
                (false, false) => errors.required(place, "either name or signerName must be specified"),
                (true, false) | (false, true) => {}
            }
            required_text(&place.child("path"), errors);
            local_path(&place.child("path"), errors);
        }
        _ => {}
    }
}

fn service_account_token(token: &Place<'_>, errors: &mut Errors) {
    let seconds = token.child("expirationSeconds");
    match seconds.int().unwrap_or_default() {
        ..600 => errors.invalid_int(&seconds, "may not specify a duration less than 10 minutes"),
        4_294_967_297.. => errors.invalid_int(&seconds, "may not specify a duration larger than 2^32 seconds"),
        _ => {}
    }
    let path = token.child("path");
    if path.text().is_empty() {
        errors.required(&path, "");
    } else {
        local_path(&path, errors);
    }
}

/// No two files at one path.
fn unique_paths(
    name: &str,
    projection: &Place<'_>,
    source: &Place<'_>,
    paths: &mut BTreeSet<String>,
    errors: &mut Errors,
) {
    let value = projection.value();
    let own = value.at("path").as_str().into_iter();
    for path in value.list("items").iter().map(|item| item.text("path")).chain(own) {
        if !path.is_empty() && !paths.insert(path.to_owned()) {
            let shown = if matches!(name, "secret" | "configMap") { value.text("name") } else { path };
            errors.invalid_as(source, shown, "conflicting duplicate paths");
        }
    }
}

fn file_mode(mode: &Place<'_>, errors: &mut Errors) {
    if mode.int().is_some_and(|value| !(0..=MOST_FILE_MODE).contains(&value)) {
        errors.invalid_int(mode, FILE_MODE);
    }
}

/// A path that stays below where it begins.
pub(crate) fn descending_path(path: &Place<'_>, errors: &mut Errors) {
    if path.text().starts_with('/') {
        errors.invalid_text(path, "must be a relative path");
    }
    no_back_steps(path, errors);
}

/// A path without `..`.
pub(crate) fn no_back_steps(path: &Place<'_>, errors: &mut Errors) {
    if path.text().split('/').any(|part| part == "..") {
        errors.invalid_text(path, "must not contain '..'");
    }
}

/// As [`descending_path`], and not one of the names that the kubelet uses itself.
fn local_path(path: &Place<'_>, errors: &mut Errors) {
    descending_path(path, errors);
    if path.text().starts_with("..") && !path.text().starts_with("../") {
        errors.invalid_text(path, "must not start with '..'");
    }
}

/// `volumeMounts` of a container.
pub(super) fn mounts(container: &Place<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let list = container.child("volumeMounts");
    let devices = container.value().list("volumeDevices");
    let mut seen = BTreeSet::new();
    for mount in list.items() {
        let (name, path) = (mount.child("name"), mount.child("mountPath"));
        required_text(&name, errors);
        if !volumes.contains_key(name.text()) {
            errors.not_found(&name);
        }
        required_text(&path, errors);
        if !seen.insert(path.text().to_owned()) {
            errors.invalid_text(&path, "must be unique");
        }
        if devices.iter().any(|device| device.text("name") == name.text()) {
            errors.invalid_text(&name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.text("devicePath") == path.text()) {
            errors.invalid_text(&path, "must not already exist as a path in volumeDevices");
        }
        mount_options(&list, &mount, container, errors);
    }
}

/// Messages name these fields as if they were fields of the list.
fn mount_options(list: &Place<'_>, mount: &Place<'_>, container: &Place<'_>, errors: &mut Errors) {
    let value = mount.value();
    let (sub_path, expression) = (value.text("subPath"), value.text("subPathExpr"));
    if !sub_path.is_empty() {
        descending_path(&list.shown_as("subPath", value.at("subPath")), errors);
    }
    if !expression.is_empty() {
        if !sub_path.is_empty() {
            errors.invalid_text(&mount.child("subPathExpr"), "subPathExpr and subPath are mutually exclusive");
        }
        descending_path(&list.shown_as("subPathExpr", value.at("subPathExpr")), errors);
    }
    let propagation = list.shown_as("mountPropagation", value.at("mountPropagation"));
    if propagation.is_set() {
        one_of(&propagation, &["Bidirectional", "HostToContainer", "None"], errors);
        let privileged = container.value().flag("securityContext.privileged");
        if propagation.text() == "Bidirectional" && !privileged {
            errors
                .forbidden(&propagation, "Bidirectional mount propagation is available only to privileged containers");
        }
    }
    let recursive = list.shown_as("recursiveReadOnly", value.at("recursiveReadOnly"));
    match recursive.text() {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !value.flag("readOnly") {
                errors.forbidden(&recursive, "may only be specified when readOnly is true");
            }
            if !matches!(propagation.text(), "" | "None") {
                errors.forbidden(&recursive, "may only be specified when mountPropagation is None or not specified");
            }
        }
        _ => errors.not_supported(&recursive, &["Disabled", "Enabled", "IfPossible"]),
    }
}

/// `volumeDevices` of a container.
pub(super) fn devices(container: &Place<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let mounts = container.value().list("volumeMounts");
    let (mut names_seen, mut paths_seen) = (BTreeSet::new(), BTreeSet::new());
    for device in container.child("volumeDevices").items() {
        let (name, path) = (device.child("name"), device.child("devicePath"));
        required_text(&name, errors);
        if !name.text().is_empty() && !names_seen.insert(name.text().to_owned()) {
            errors.invalid_text(&name, "must be unique");
        }
        match volumes.get(name.text()) {
            None => errors.not_found(&name),
            Some(volume) if !volume.has("persistentVolumeClaim") && !volume.has("ephemeral") => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid_text(&name, detail);
            }
            Some(_) => {}
        }
        required_text(&path, errors);
        if path.text().split('/').any(|part| part == "..") {
            errors.invalid_text(&path, "can not contain backsteps ('..')");
        } else if !paths_seen.insert(path.text().to_owned()) {
            errors.invalid_text(&path, "must be unique");
        }
        if mounts.iter().any(|mount| mount.text("name") == name.text()) {
            errors.invalid_text(&name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.text("mountPath") == path.text()) {
            errors.invalid_text(&path, "must not already exist as a path in volumeMounts");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::refusals_of_spec;

    #[test]
    fn volumes_are_refused_in_kubernetes_words() {
        let table = [
            (json!([{"name": "a"}, {"name": "b", "hostPath": {"path": "/var"}}]), ""),
            (json!([{"emptyDir": {}}]), "spec.volumes[0].name: Required value"),
            (json!([{"name": "a"}, {"name": "a"}]), "spec.volumes[1].name: Duplicate value: \"a\""),
            (
                json!([{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}]),
                "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
            ),
            (json!([{"name": "a", "secret": {}}]), "spec.volumes[0].secret.secretName: Required value"),
            (
                json!([{"name": "a", "configMap": {"name": "c", "defaultMode": 512}}]),
                "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), \
                 both inclusive",
            ),
            (
                json!([{"name": "a", "configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}]),
                "spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'",
            ),
            (json!([{"name": "a", "hostPath": {}}]), "spec.volumes[0].hostPath.path: Required value"),
            (
                json!([{"name": "a", "hostPath": {"path": "/", "type": "Odd"}}]),
                "spec.volumes[0].hostPath.type: Unsupported value: \"Odd\": supported values: \"\", \"BlockDevice\", \
                 \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            ),
            (
                json!([{"name": "a", "nfs": {"server": "s", "path": "rel"}}]),
                "spec.volumes[0].nfs.path: Invalid value: \"rel\": must be an absolute path",
            ),
            (
                json!([{"name": "a", "projected": {"sources": [
                    {"configMap": {"name": "x", "items": [{"key": "k", "path": "p"}]}},
                    {"secret": {"name": "y", "items": [{"key": "k", "path": "p"}]}}]}}]),
                "spec.volumes[0].projected: Invalid value: \"y\": conflicting duplicate paths",
            ),
        ];
        for (volumes, expected) in table {
            assert_eq!(refusals_of_spec(&json!({"volumes": volumes})), expected, "{volumes}");
        }
    }

    #[test]
    fn a_token_needs_a_service_account() {
        let volumes = json!([{"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]);
        assert_eq!(
            refusals_of_spec(&json!({"volumes": volumes})),
            "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when \
             serviceAccountName is not set"
        );
        assert_eq!(refusals_of_spec(&json!({"volumes": volumes, "serviceAccountName": "x"})), "");
    }

    #[test]
    fn mounts_are_refused_in_kubernetes_words() {
        let refusals = |mounts| {
            let container = json!({"name": "a", "image": "x", "volumeMounts": mounts});
            refusals_of_spec(&json!({"containers": [container], "volumes": [{"name": "v"}]}))
                .replace("spec.containers[0].", "")
        };
        assert_eq!(refusals(json!([{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}])), "");
        assert_eq!(refusals(json!([{"name": "w", "mountPath": "/a"}])), "volumeMounts[0].name: Not found: \"w\"");
        assert_eq!(
            refusals(json!([{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}])),
            "volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique"
        );
        assert_eq!(
            refusals(json!([{"name": "v", "mountPath": "/a", "subPath": "/b"}])),
            "volumeMounts.subPath: Invalid value: \"/b\": must be a relative path"
        );
        assert_eq!(
            refusals(json!([{"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}])),
            "volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged \
             containers"
        );
    }
}
