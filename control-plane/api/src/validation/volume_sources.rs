//! Where the data of a volume is, for volumes of pods and for persistent volumes.

use std::sync::LazyLock;

use regex::Regex;

use super::pod::volumes::{descending_path, no_back_steps};
use super::{Place, required_text};
use crate::field::Errors;
use crate::names;
use crate::view::View;

/// Every source that a volume of a pod or a persistent volume can have, in the order in which a second one is refused.
pub(crate) const SOURCES: [&str; 31] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
    "local",
];

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

#[expect(clippy::expect_used, reason = "the expression is a constant; a test uses it")]
static ISCSI_NAME: LazyLock<Regex> = LazyLock::new(|| {
    let forms = r"^(iqn\.\d{4}-\d{2}\.([[:alnum:]\-.]+)(:[^,;*&$|\s]+)?|eui\.[[:alnum:]]{16}|naa\.[[:alnum:]]{32})$";
    Regex::new(forms).expect("a constant expression compiles")
});

/// A source that pods and persistent volumes have in common. What is needed must be given; the rest is the driver's.
pub(crate) fn remote(name: &str, source: &Place<'_>, errors: &mut Errors) {
    let required: &[&str] = match name {
        "hostPath" => return host_path(source, errors),
        "nfs" => return nfs(source, errors),
        "iscsi" => return iscsi(source, errors),
        "fc" => return fibre_channel(source, errors),
        "local" => {
            let path = source.child("path");
            required_text(&path, errors);
            return no_back_steps(&path, errors);
        }
        "gitRepo" => {
            descending_path(&source.child("directory"), errors);
            &["repository"]
        }
        "csi" => return csi(source, errors),
        "rbd" => {
            required_list(&source.child("monitors"), errors);
            &["image"]
        }
        "cephfs" => {
            required_list(&source.child("monitors"), errors);
            &[]
        }
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "glusterfs" => &["endpoints", "path"],
        "flexVolume" => &["driver"],
        "azureFile" => &["secretName", "shareName"],
        "azureDisk" => &["diskName", "diskURI"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "quobyte" => &["registry", "volume"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        "storageos" => &["volumeName"],
        _ => &[],
    };
    for field in required {
        required_text(&source.child(field), errors);
    }
}

fn required_list(list: &Place<'_>, errors: &mut Errors) {
    if list.len() == 0 {
        errors.required(list, "");
    }
}

fn host_path(source: &Place<'_>, errors: &mut Errors) {
    let (path, ty) = (source.child("path"), source.child("type"));
    if path.text().is_empty() {
        errors.required(&path, "");
        return;
    }
    no_back_steps(&path, errors);
    super::optional_one_of(&ty, &HOST_PATH_TYPES, errors);
}

fn nfs(source: &Place<'_>, errors: &mut Errors) {
    required_text(&source.child("server"), errors);
    let path = source.child("path");
    required_text(&path, errors);
    if !path.text().starts_with('/') {
        errors.invalid_text(&path, "must be an absolute path");
    }
}

fn iscsi(source: &Place<'_>, errors: &mut Errors) {
    required_text(&source.child("targetPortal"), errors);
    let name = source.child("iqn");
    if name.text().is_empty() {
        errors.required(&name, "");
    } else if !["iqn", "eui", "naa"].iter().any(|prefix| name.text().starts_with(prefix)) {
        errors.invalid_text(&name, "must be valid format starting with iqn, eui, or naa");
    } else if !ISCSI_NAME.is_match(name.text()) {
        errors.invalid_text(&name, "must be valid format");
    }
    logical_unit(&source.child("lun"), errors);
    let value = source.value();
    if (value.flag("chapAuthDiscovery") || value.flag("chapAuthSession")) && !value.has("secretRef") {
        errors.required(&source.child("secretRef"), "");
    }
}

fn fibre_channel(source: &Place<'_>, errors: &mut Errors) {
    let (targets, ids) = (source.child("targetWWNs"), source.child("wwids"));
    match (targets.len(), ids.len()) {
        (0, 0) => errors.required(&targets, "must specify either targetWWNs or wwids, but not both"),
        (0, _) => {}
        (_, 0) => {
            let unit = source.child("lun");
            if unit.is_set() {
                logical_unit(&unit, errors);
            } else {
                errors.required(&unit, "lun is required if targetWWNs is specified");
            }
        }
        (_, _) => errors.invalid(&targets, "targetWWNs and wwids can not be specified simultaneously"),
    }
}

fn logical_unit(unit: &Place<'_>, errors: &mut Errors) {
    for reason in names::in_range(unit.int().unwrap_or_default(), 0, 255) {
        errors.invalid_int(unit, reason);
    }
}

/// A driver's volume, in a pod or as a persistent volume.
fn csi(source: &Place<'_>, errors: &mut Errors) {
    csi_driver_name(&source.child("driver"), errors);
    let handle = source.child("volumeHandle");
    if handle.is_set() {
        required_text(&handle, errors);
    }
    for reference in ["nodePublishSecretRef", "controllerPublishSecretRef", "nodeStageSecretRef"] {
        let reference = source.child(reference);
        if reference.is_set() {
            required_text(&reference.child("name"), errors);
        }
    }
}

/// The name of a CSI driver.
pub(crate) fn csi_driver_name(name: &Place<'_>, errors: &mut Errors) {
    if name.text().is_empty() {
        errors.required(name, "");
    }
    if name.text().len() > names::LABEL_LENGTH {
        errors.too_long(name, names::LABEL_LENGTH);
    }
    for reason in names::dns_subdomain(&name.text().to_lowercase()) {
        errors.invalid_text(name, reason);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::check;

    #[test]
    fn each_source_says_what_it_needs() {
        let table = [
            ("iscsi", json!({"targetPortal": "p", "iqn": "iqn.2024-01.com.example:x", "lun": 0}), ""),
            (
                "iscsi",
                json!({"targetPortal": "p", "iqn": "x"}),
                "s.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa",
            ),
            ("fc", json!({"targetWWNs": ["a"]}), "s.lun: Required value: lun is required if targetWWNs is specified"),
            ("csi", json!({"driver": "a.b"}), ""),
            ("awsElasticBlockStore", json!({}), "s.volumeID: Required value"),
            ("rbd", json!({"image": "i"}), "s.monitors: Required value"),
            ("local", json!({"path": "a/../b"}), "s.path: Invalid value: \"a/../b\": must not contain '..'"),
        ];
        for (name, source, expected) in table {
            let document = json!({ "s": source });
            let errors = check(&document, |root, errors| remote(name, &root.child("s"), errors));
            let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert_eq!(text, expected, "{name} {source}");
        }
    }
}
