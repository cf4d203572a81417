//! ServiceAccount: every pod runs as one, and gets its token, the cluster's CA and its namespace as files.

use std::time::Duration;

use serde_json::json;
use sheave_api::Document;
use sheave_api::view::{Edit, View};

use super::Review;
use crate::document;
use crate::meta::Meta;
use crate::status::StatusError;
use crate::write::random_suffix;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// An hour and seven seconds: the odd number by which upstream tells generated projections from written ones.
const TOKEN_SECONDS: i64 = 3607;
/// A namespace's default account appears shortly after the namespace; a pod that is faster waits so long for it.
const PATIENCE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// Names the account, mounts its token and hands on its pull secrets.
pub(super) async fn admit_create(review: &Review<'_>, pod: &mut Document) -> Result<(), StatusError> {
    if pod.fields("metadata.annotations").contains_key(MIRROR) {
        return check_mirror(review, pod);
    }
    pod.default_zero("spec.serviceAccountName", "default");
    let name = pod.text("spec.serviceAccountName").to_owned();
    pod.put("spec.serviceAccount", name.clone());
    let account = account(review, pod, &name).await?;
    let automount = pod.at("spec.automountServiceAccountToken").as_bool();
    if automount.or(account["automountServiceAccountToken"].as_bool()).unwrap_or(true) {
        mount_token(pod);
    }
    if pod.list("spec.imagePullSecrets").is_empty() && !account.list("imagePullSecrets").is_empty() {
        pod.put("spec.imagePullSecrets", account["imagePullSecrets"].clone());
    }
    Ok(())
}

/// A mirror pod shows what the node runs on its own: it has no account.
fn check_mirror(review: &Review<'_>, pod: &Document) -> Result<(), StatusError> {
    let refused = |why: &str| Err(StatusError::forbidden(review.kind, pod.name(), why));
    if !pod.text("spec.serviceAccountName").is_empty() {
        return refused("a mirror pod may not reference service accounts");
    }
    if pod.list("spec.volumes").iter().any(|volume| volume.has("secret")) {
        return refused("a mirror pod may not reference secrets");
    }
    Ok(())
}

async fn account(review: &Review<'_>, pod: &Document, name: &str) -> Result<Document, StatusError> {
    let namespace = review.namespace.unwrap_or_default();
    let key = format!("/registry/serviceaccounts/{namespace}/{name}");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(entry) = review.store.get(&key) {
            return document::decode(&entry.value).map_err(StatusError::internal);
        }
        if name != "default" || tokio::time::Instant::now() >= deadline {
            let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
            return Err(StatusError::forbidden(review.kind, pod.name(), &why));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Adds the projected volume, and a mount of it to each container that has nothing at the path.
fn mount_token(pod: &mut Document) {
    let existing = pod.list("spec.volumes").iter().map(|volume| volume.text("name"));
    let existing = existing.filter(|name| name.starts_with("kube-api-access-")).map(ToOwned::to_owned).next();
    let volume = existing.clone().unwrap_or_else(|| format!("kube-api-access-{}", random_suffix()));
    let mut mounted = false;
    for containers in ["spec.initContainers", "spec.containers"] {
        for container in pod.list_mut(containers) {
            mounted |= mount(container, &volume);
        }
    }
    if !mounted || existing.is_some() {
        return;
    }
    pod.default_to("spec.volumes", json!([]));
    if let Some(volumes) = pod.at_mut("spec.volumes").and_then(Document::as_array_mut) {
        volumes.push(token_volume(&volume));
    }
}

fn mount(container: &mut Document, volume: &str) -> bool {
    if container.list("volumeMounts").iter().any(|mount| mount.text("mountPath") == MOUNT_PATH) {
        return false;
    }
    container.default_to("volumeMounts", json!([]));
    let Some(mounts) = container.at_mut("volumeMounts").and_then(Document::as_array_mut) else { return false };
    mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
    true
}

fn token_volume(name: &str) -> Document {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace",
            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}
