//! What the pods of a StatefulSet look like.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume};

use super::claims;
use crate::object::history::REVISION_LABEL;
use crate::object::owner::controller_reference;
use crate::object::template::pod_from_template;

/// The pod of an ordinal: its name, its host name and its volumes are always the same.
pub(super) fn new_pod(set: &StatefulSet, ordinal: i32, template: &PodTemplateSpec, revision: &str) -> Pod {
    let name = format!("{}-{ordinal}", set.metadata.name.as_deref().unwrap_or_default());
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = pod_from_template(template, namespace, controller_reference(set));
    pod.metadata.name = Some(name.clone());
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert("statefulset.kubernetes.io/pod-name".into(), name.clone());
    labels.insert("apps.kubernetes.io/pod-index".into(), ordinal.to_string());
    labels.insert(REVISION_LABEL.into(), revision.to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone()).filter(|name| !name.is_empty());
    mount_claims(set, ordinal, spec.volumes.get_or_insert_default());
    pod
}

/// A claim template takes the place of a volume of the same name.
fn mount_claims(set: &StatefulSet, ordinal: i32, volumes: &mut Vec<Volume>) {
    for template in claims::templates(set) {
        let volume = template.metadata.name.clone().unwrap_or_default();
        volumes.retain(|known| known.name != volume);
        let claim_name = claims::name(set, template, ordinal);
        let source = PersistentVolumeClaimVolumeSource { claim_name, read_only: None };
        volumes.push(Volume { name: volume, persistent_volume_claim: Some(source), ..Volume::default() });
    }
}
