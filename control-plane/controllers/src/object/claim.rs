//! Adoption and release: which objects a controller owns.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::{Selector, SelectorExt};
use serde_json::json;

use super::owner::{controller_of, controller_reference, is_deleted, uid};
use crate::runtime::api::{Object, Requests};
use crate::runtime::cache::{Cache, Cached, Index};
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;

/// What is to happen to the candidates of one owner.
#[derive(Debug)]
struct Claim<K> {
    owned: Vec<Arc<K>>,
    adopt: Vec<Arc<K>>,
    release: Vec<Arc<K>>,
}

/// The objects of kind `K` that `owner` controls, after it adopted orphans that match its selector and released what
/// does not match any more.
///
/// # Guarantees
/// An owner that is being deleted adopts and releases nothing, and before the first adoption it is read from the
/// server: a cached owner may have been deleted already, and its adopted orphans would then be collected.
pub(crate) async fn claim<O: Object, K: Cached + Object>(
    requests: &Requests,
    owner: &O,
    selector: &Selector,
    cache: &Cache<K>,
) -> Result<Vec<Arc<K>>, Error> {
    let namespace = owner.meta().namespace.clone().unwrap_or_default();
    let mut candidates = cache.find(&Index::Controller(uid(owner.meta()).to_owned()));
    candidates.extend(cache.find(&Index::Uncontrolled(namespace)));
    let Claim { mut owned, adopt, release } = plan(owner, selector, candidates);
    if !adopt.is_empty() && may_adopt(requests, owner).await? {
        for orphan in adopt {
            owned.extend(adopt_one(requests, owner, orphan.as_ref()).await?.map(Arc::new));
        }
    }
    for stray in release {
        release_one(requests, owner, stray.as_ref()).await?;
    }
    Ok(owned)
}

fn plan<O: Object, K: Cached>(owner: &O, selector: &Selector, candidates: Vec<Arc<K>>) -> Claim<K> {
    let mut claim = Claim { owned: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    let none = BTreeMap::new();
    let active = !is_deleted(owner.meta());
    for object in candidates {
        let matches = selector.matches(object.meta().labels.as_ref().unwrap_or(&none));
        let controller = controller_of(object.meta()).map(|controller| controller.uid == uid(owner.meta()));
        match (controller, matches) {
            (Some(true), true) => claim.owned.push(object),
            (Some(true), false) if active => claim.release.push(object),
            (None, true) if active && !is_deleted(object.meta()) => claim.adopt.push(object),
            (Some(_) | None, _) => {}
        }
    }
    claim
}

async fn may_adopt<O: Object>(requests: &Requests, owner: &O) -> Result<bool, Error> {
    let fresh: Option<O> = requests.get(&ObjectKey::of(owner)).await?;
    Ok(fresh.is_some_and(|fresh| uid(fresh.meta()) == uid(owner.meta()) && !is_deleted(fresh.meta())))
}

async fn adopt_one<O: Object, K: Object>(requests: &Requests, owner: &O, orphan: &K) -> Result<Option<K>, Error> {
    let references = vec![controller_reference(owner)];
    let patch = json!({"metadata": {"uid": uid(orphan.meta()), "ownerReferences": references}});
    unless_gone(requests.strategic(&ObjectKey::of(orphan), patch).await)
}

async fn release_one<O: Object, K: Object>(requests: &Requests, owner: &O, stray: &K) -> Result<(), Error> {
    let references = json!([{"$patch": "delete", "uid": uid(owner.meta())}]);
    let patch = json!({"metadata": {"uid": uid(stray.meta()), "ownerReferences": references}});
    unless_gone(requests.strategic::<K>(&ObjectKey::of(stray), patch).await).map(drop)
}

/// An object that is gone, or whose name now belongs to another object, is nobody's concern any more.
fn unless_gone<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
    use serde_json::Value;

    use super::*;

    fn decide(owner_deleted: bool, pod: Value) -> &'static str {
        let mut owner: ReplicaSet = serde_json::from_value(json!({"metadata": {"name": "web", "uid": "me"}})).unwrap();
        if owner_deleted {
            owner.metadata.deletion_timestamp = Some(crate::runtime::clock::Clock::default().time());
        }
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let selector = LabelSelector { match_labels: Some(labels), match_expressions: None };
        let pod: Pod = serde_json::from_value(json!({ "metadata": pod })).unwrap();
        let claim = plan(&owner, &Selector::try_from(selector).unwrap(), vec![Arc::new(pod)]);
        match (claim.owned.len(), claim.adopt.len(), claim.release.len()) {
            (1, 0, 0) => "owned",
            (0, 1, 0) => "adopted",
            (0, 0, 1) => "released",
            _ => "left alone",
        }
    }

    #[test]
    fn an_owner_keeps_adopts_and_releases_by_label() {
        let owners = |uid: &str| json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true}]);
        let (web, other) = (json!({"app": "web"}), json!({"app": "other"}));
        let now = "2026-01-01T00:00:00Z";
        for (what, owner_deleted, pod, expected) in [
            ("its own", false, json!({"labels": web, "ownerReferences": owners("me")}), "owned"),
            ("a matching orphan", false, json!({"labels": web}), "adopted"),
            ("a matching orphan that goes", false, json!({"labels": web, "deletionTimestamp": now}), "left alone"),
            (
                "its own with another label",
                false,
                json!({"labels": other, "ownerReferences": owners("me")}),
                "released",
            ),
            ("somebody else's", false, json!({"labels": web, "ownerReferences": owners("you")}), "left alone"),
            ("a stranger", false, json!({"labels": other}), "left alone"),
            ("an orphan of a deleted owner", true, json!({"labels": web}), "left alone"),
            (
                "a stray of a deleted owner",
                true,
                json!({"labels": other, "ownerReferences": owners("me")}),
                "left alone",
            ),
        ] {
            assert_eq!(decide(owner_deleted, pod), expected, "{what}");
        }
    }
}
