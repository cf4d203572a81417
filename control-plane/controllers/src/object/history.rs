//! ControllerRevisions: the templates that a DaemonSet or StatefulSet had.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::owner::{controller_reference, uid};
use super::template::hash;
use crate::runtime::api::{Deletion, Object, Requests};
use crate::runtime::cache::{Cache, Index};
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;

/// The label that tells of which revision a pod is.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";

/// The revision of an owner's current template, and the others that are kept.
pub(crate) struct History {
    /// The one of the current template.
    pub(crate) current: ControllerRevision,
    /// All others, the oldest first.
    pub(crate) old: Vec<Arc<ControllerRevision>>,
}

/// The name of a revision, as pods and status carry it.
pub(crate) fn name(revision: &ControllerRevision) -> &str {
    revision.metadata.name.as_deref().unwrap_or_default()
}

/// The hash in a revision's label.
pub(crate) fn hash_of(revision: &ControllerRevision) -> &str {
    let labels = revision.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(REVISION_LABEL)).map(String::as_str).unwrap_or_default()
}

/// The template that a revision holds.
pub(crate) fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// The history of `owner`, whose current template gets a revision if it has none, or the next number if an older one
/// comes back.
pub(crate) async fn history<O: Object>(
    requests: &Requests,
    cache: &Cache<ControllerRevision>,
    owner: &O,
    template: &PodTemplateSpec,
) -> Result<History, Error> {
    let mut old = cache.find(&Index::Controller(uid(owner.meta()).to_owned()));
    old.sort_by_key(|revision| revision.revision);
    let data = data(template);
    let highest = old.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let same = |revision: &Arc<ControllerRevision>| template_of(revision).as_ref() == Some(template);
    let current = match old.iter().rposition(same).map(|index| old.remove(index)) {
        Some(known) if known.revision == highest => known.as_ref().clone(),
        Some(known) => {
            requests.replace(&ControllerRevision { revision: highest + 1, ..known.as_ref().clone() }).await?
        }
        None => create(requests, owner, template, data, highest + 1).await?,
    };
    Ok(History { current, old })
}

async fn create<O: Object>(
    requests: &Requests,
    owner: &O,
    template: &PodTemplateSpec,
    data: Value,
    number: i64,
) -> Result<ControllerRevision, Error> {
    let mut collisions = None;
    loop {
        let hash = hash(template, collisions);
        let mut labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
        labels.insert(REVISION_LABEL.into(), hash.clone());
        let revision = ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", owner.meta().name.as_deref().unwrap_or_default())),
                namespace: owner.meta().namespace.clone(),
                labels: Some(labels),
                owner_references: Some(vec![controller_reference(owner)]),
                ..ObjectMeta::default()
            },
            data: Some(k8s_openapi::apimachinery::pkg::runtime::RawExtension(data.clone())),
            revision: number,
        };
        match requests.create(&revision).await {
            Err(error) if error.is_already_exists() => {
                let standing: Option<ControllerRevision> = requests.get(&ObjectKey::of(&revision)).await?;
                match standing.filter(|standing| template_of(standing).as_ref() == Some(template)) {
                    // Made by an earlier run that the cache does not show yet.
                    Some(standing) => return Ok(standing),
                    None => collisions = Some(collisions.unwrap_or(0) + 1),
                }
            }
            result => return result,
        }
    }
}

/// The patch by which `kubectl rollout undo` brings the template back.
fn data(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    if let Some(fields) = template.as_object_mut() {
        fields.insert("$patch".into(), json!("replace"));
    }
    json!({"spec": {"template": template}})
}

/// Deletes the oldest revisions beyond `limit` that no pod is of.
pub(crate) async fn truncate(
    requests: &Requests,
    history: &History,
    limit: Option<i32>,
    live: &HashSet<String>,
) -> Result<(), Error> {
    let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(0);
    let unused =
        history.old.iter().filter(|revision| !live.contains(hash_of(revision)) && !live.contains(name(revision)));
    let unused: Vec<_> = unused.collect();
    for revision in &unused[..unused.len().saturating_sub(limit)] {
        let key = ObjectKey::of(revision.as_ref());
        ignore_not_found(requests.delete::<ControllerRevision>(&key, &Deletion::of(revision.as_ref())).await)?;
    }
    Ok(())
}
