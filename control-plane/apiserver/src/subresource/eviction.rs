//! Eviction: a deletion that asks the pod's disruption budget first (`pkg/registry/core/pod/storage/eviction.go` upstream).

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use sheave_api::Document;
use sheave_api::kind::GroupVersionKind;
use sheave_api::view::View;

use super::budget::{budgets_of, not_yet_known, spares_unready, take_disruption};
use super::condition::{condition, set_condition};
use super::done;
use crate::call::Call;
use crate::document;
use crate::input;
use crate::meta::Meta;
use crate::query::{DeleteOptions, WriteOptions};
use crate::reply::Reply;
use crate::status::StatusError;
use crate::write::{Part, check_preconditions, delete_object, modify};

/// What a pod's eviction needs.
enum Permission {
    /// Nothing: the pod is over, on its way out, or nobody counts it.
    Free,
    /// That the pod does not change meanwhile: it has not begun to run.
    Unchanged,
    /// That the pod does not change meanwhile: it is not ready, and its budget (named here) does not count it.
    StillUnready(String),
    /// One disruption of this budget.
    Disruption(String),
}

/// Tries for a pod that keeps changing.
const TRIES: usize = 20;

/// Answers `POST pods/NAME/eviction`.
pub(crate) async fn evict(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let mut write = WriteOptions::parse(&call.query, &call.headers, "CreateOptions")?;
    let eviction = input::document(call, body, &GroupVersionKind::new("policy", "v1", "Eviction"), write.validation)?;
    if eviction.name() != call.name() {
        return Err(StatusError::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut options = DeleteOptions::from_body(&eviction["deleteOptions"])?;
    options.dry_run |= write.dry_run;
    write.dry_run = options.dry_run;
    for _ in 0..TRIES {
        let pod = call.stored_object()?;
        let permission = permission(call, &pod)?;
        match (evict_once(call, &pod, &permission, &write, &options).await, permission) {
            (Err(error), Permission::Unchanged) if is_race(&error, &options) => {}
            (Err(error), Permission::StillUnready(budget)) if is_race(&error, &options) => {
                return Err(not_yet_known(&budget));
            }
            (outcome, _) => return outcome.map(|()| done()),
        }
    }
    Err(StatusError::modified(&call.kind, call.name()))
}

fn permission(call: &Call, pod: &Document) -> Result<Permission, StatusError> {
    if pod.is_deleting() || matches!(pod.text("status.phase"), "Succeeded" | "Failed") {
        return Ok(Permission::Free);
    }
    if pod.text("status.phase") == "Pending" {
        return Ok(Permission::Unchanged);
    }
    let budget = match <[Document; 1]>::try_from(budgets_of(call, pod)) {
        Ok([budget]) => budget,
        Err(none) if none.is_empty() => return Ok(Permission::Free),
        Err(_) => return Err(several_budgets()),
    };
    let is_ready = condition(pod, "Ready").is_some_and(|ready| ready.text("status") == "True");
    let name = budget.name().to_owned();
    Ok(if !is_ready && spares_unready(&budget) { Permission::StillUnready(name) } else { Permission::Disruption(name) })
}

async fn evict_once(
    call: &Call,
    pod: &Document,
    permission: &Permission,
    write: &WriteOptions,
    options: &DeleteOptions,
) -> Result<(), StatusError> {
    let mut options = options.clone();
    match permission {
        Permission::Free => {}
        Permission::Unchanged | Permission::StillUnready(_) => {
            options.resource_version.get_or_insert_with(|| pod.resource_version().to_owned());
        }
        Permission::Disruption(budget) => take_disruption(call, budget, call.name(), write).await?,
    }
    if !options.dry_run {
        let marked = mark_disrupted(call, write, &options).await?;
        if options.resource_version.is_some() {
            options.resource_version = Some(marked);
        }
    }
    delete_object(call, call.name(), &options).await.map(|_| ())
}

/// Says in the pod's conditions why it goes; gives the pod's new version.
async fn mark_disrupted(call: &Call, write: &WriteOptions, options: &DeleteOptions) -> Result<String, StatusError> {
    let written = modify(call, Part::Trusted, write, &mut |pod| {
        check_preconditions(call, pod, options)?;
        let mut pod = pod.clone();
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting"});
        set_condition(&mut pod, condition);
        Ok(pod)
    })
    .await?;
    let pod = document::decode(&written.value).map_err(StatusError::internal)?;
    Ok(pod.resource_version().to_owned())
}

/// Whether the pod changed under a version that the client had not asked for.
fn is_race(error: &StatusError, options: &DeleteOptions) -> bool {
    error.code() == StatusCode::CONFLICT && options.resource_version.is_none() && options.uid.is_none()
}

fn several_budgets() -> StatusError {
    StatusError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "",
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    )
}
