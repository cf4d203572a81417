//! The volume claims of a StatefulSet's pods: made for each ordinal, and whether they outlive the pod and the set
//! (`spec.persistentVolumeClaimRetentionPolicy`, KEP-1847).
//!
//! A claim that is to go names who takes it along as its owner; the garbage collector does the rest.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::object::owner::{controller_of, controller_reference, uid};
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;

/// Who takes a claim along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    Set,
    /// The pod that is scaled away.
    Pod,
}

type Claims = Cache<PersistentVolumeClaim>;

/// The name of the claim that an ordinal has by a template.
pub(super) fn name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    let (template, set) = (template.metadata.name.as_deref(), set.metadata.name.as_deref());
    format!("{}-{}-{ordinal}", template.unwrap_or_default(), set.unwrap_or_default())
}

/// The claim templates of a set.
pub(super) fn templates(set: &StatefulSet) -> impl Iterator<Item = &PersistentVolumeClaim> {
    set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten())
}

/// Makes the claims of an ordinal that are not there.
pub(super) async fn create(requests: &Requests, known: &Claims, set: &StatefulSet, ordinal: i32) -> Result<(), Error> {
    for template in templates(set) {
        if known.get(&ObjectKey::of(set).sibling(name(set, template, ordinal))).is_some() {
            continue;
        }
        match requests.create(&new_claim(set, template, ordinal)).await {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Brings the owners of a pod's claims in line with the policy. `condemned` pods are beyond the ordinals that are
/// wanted.
pub(super) async fn settle(
    requests: &Requests,
    known: &Claims,
    set: &StatefulSet,
    pod: &Pod,
    ordinal: i32,
    condemned: bool,
) -> Result<(), Error> {
    for template in templates(set) {
        let key = ObjectKey::of(set).sibling(name(set, template, ordinal));
        let Some(claim) = known.get(&key) else { continue };
        if let Some(references) = references(set, pod, &claim, owner(set, condemned)) {
            let mut claim = claim.as_ref().clone();
            claim.metadata.owner_references = Some(references).filter(|references| !references.is_empty());
            ignore_not_found(requests.replace(&claim).await)?;
        }
    }
    Ok(())
}

fn new_claim(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> PersistentVolumeClaim {
    let mut claim = template.clone();
    claim.metadata.name = Some(name(set, template, ordinal));
    claim.metadata.namespace = set.metadata.namespace.clone();
    let labels = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
    claim.metadata.labels.get_or_insert_default().extend(labels);
    if owner(set, false) == Owner::Set {
        claim.metadata.owner_references = Some(vec![controller_reference(set)]);
    }
    claim.status = None;
    claim
}

fn owner(set: &StatefulSet, condemned: bool) -> Owner {
    let policy = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = |part: Option<&String>| part.is_some_and(|part| part == "Delete");
    let when_scaled = policy.is_some_and(|policy| deletes(policy.when_scaled.as_ref()));
    let when_deleted = policy.is_some_and(|policy| deletes(policy.when_deleted.as_ref()));
    match (when_scaled && condemned, when_deleted) {
        (true, _) => Owner::Pod,
        (false, true) => Owner::Set,
        (false, false) => Owner::Nobody,
    }
}

/// The owners that a claim should have; `None` when it has them, or when somebody else controls it.
fn references(
    set: &StatefulSet,
    pod: &Pod,
    claim: &PersistentVolumeClaim,
    owner: Owner,
) -> Option<Vec<OwnerReference>> {
    let ours = [uid(&set.metadata), uid(&pod.metadata)];
    if controller_of(&claim.metadata).is_some_and(|controller| !ours.contains(&controller.uid.as_str())) {
        return None;
    }
    let standing = claim.metadata.owner_references.clone().unwrap_or_default();
    let mut wanted: Vec<_> = standing.iter().filter(|known| !ours.contains(&known.uid.as_str())).cloned().collect();
    match owner {
        Owner::Nobody => {}
        Owner::Set => wanted.push(controller_reference(set)),
        Owner::Pod => wanted.push(controller_reference(pod)),
    }
    (wanted != standing).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(when_deleted: &str, when_scaled: &str) -> StatefulSet {
        let policy = json!({"whenDeleted": when_deleted, "whenScaled": when_scaled});
        serde_json::from_value(json!({"metadata": {"name": "db", "uid": "set"}, "spec": {
            "selector": {}, "template": {}, "serviceName": "db", "persistentVolumeClaimRetentionPolicy": policy}}))
        .unwrap()
    }

    #[test]
    fn the_policy_says_who_takes_a_claim_along() {
        for (when_deleted, when_scaled, condemned, expected) in [
            ("Retain", "Retain", false, Owner::Nobody),
            ("Retain", "Retain", true, Owner::Nobody),
            ("Delete", "Retain", false, Owner::Set),
            ("Delete", "Retain", true, Owner::Set),
            ("Retain", "Delete", false, Owner::Nobody),
            ("Retain", "Delete", true, Owner::Pod),
            ("Delete", "Delete", false, Owner::Set),
            ("Delete", "Delete", true, Owner::Pod),
        ] {
            let found = owner(&set(when_deleted, when_scaled), condemned);
            assert_eq!(found, expected, "{when_deleted} {when_scaled} {condemned}");
        }
    }

    #[test]
    fn owners_of_others_are_left_and_a_claim_of_another_controller_is_not_touched() {
        let set = set("Delete", "Retain");
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "db-0", "uid": "pod"}})).unwrap();
        let claim = |owners: serde_json::Value| -> PersistentVolumeClaim {
            serde_json::from_value(json!({"metadata": {"name": "data-db-0", "ownerReferences": owners}})).unwrap()
        };
        let owner = |uid: &str, controls: bool| json!({"apiVersion": "v1", "kind": "Pod", "name": uid, "uid": uid, "controller": controls});
        let uids = |claim: &PersistentVolumeClaim, who| {
            let references = references(&set, &pod, claim, who)?;
            Some(references.into_iter().map(|reference| reference.uid).collect::<Vec<_>>())
        };
        assert_eq!(uids(&claim(json!([])), Owner::Set), Some(vec!["set".into()]));
        assert_eq!(uids(&claim(json!([owner("pod", true)])), Owner::Set), Some(vec!["set".into()]));
        assert_eq!(
            uids(&claim(json!([owner("friend", false)])), Owner::Pod),
            Some(vec!["friend".into(), "pod".into()])
        );
        assert_eq!(uids(&claim(json!([owner("other", true)])), Owner::Set), None);
        assert_eq!(uids(&claim(json!([])), Owner::Nobody), None);
    }
}
