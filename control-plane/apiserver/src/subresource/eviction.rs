//! Eviction: a deletion that asks the pod's disruption budget first.

use bytes::Bytes;
use sheave_api::Document;
use sheave_api::kind::GroupVersionKind;
use sheave_api::selector::LabelSelector;
use sheave_api::view::View;
use sheave_store::Range;

use super::done;
use crate::call::Call;
use crate::document;
use crate::input;
use crate::meta::Meta;
use crate::query::{DeleteOptions, WriteOptions};
use crate::reply::Reply;
use crate::status::StatusError;
use crate::write::delete_object;

/// Seconds after which `kubectl drain` tries again.
const RETRY_AFTER: u32 = 10;

/// Answers `POST pods/NAME/eviction`.
pub(crate) async fn evict(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let write = WriteOptions::parse(&call.query, &call.headers, "CreateOptions")?;
    let eviction = input::document(call, body, &GroupVersionKind::new("policy", "v1", "Eviction"), write.validation)?;
    let mut options = DeleteOptions::from_body(&eviction["deleteOptions"])?;
    options.dry_run |= write.dry_run;
    let pod = call.stored_object()?;
    check_budgets(call, &pod)?;
    delete_object(call, call.name(), &options).await?;
    Ok(done())
}

/// A pod that does not run, or is on its way out, disturbs nobody.
fn check_budgets(call: &Call, pod: &Document) -> Result<(), StatusError> {
    if pod.is_deleting() || matches!(pod.text("status.phase"), "Succeeded" | "Failed" | "Pending") {
        return Ok(());
    }
    match budgets(call, pod).as_slice() {
        [] => Ok(()),
        [budget] if budget.int("status.disruptionsAllowed").unwrap_or(0) > 0 => Ok(()),
        [budget] => Err(violates(budget)),
        _ => Err(StatusError::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )),
    }
}

fn budgets(call: &Call, pod: &Document) -> Vec<Document> {
    let prefix = format!("/registry/policy/poddisruptionbudgets/{}/", pod.namespace());
    let found = call.server.store.range(&Range::prefix(prefix)).map(|found| found.entries).unwrap_or_default();
    let budgets = found.iter().filter_map(|entry| document::decode(&entry.value).ok());
    budgets.filter(|budget| selects(budget, pod)).collect()
}

fn selects(budget: &Document, pod: &Document) -> bool {
    LabelSelector::from_object(budget.at("spec.selector"))
        .is_ok_and(|selector| selector.matches(pod.at("metadata.labels")))
}

fn violates(budget: &Document) -> StatusError {
    let message = format!(
        "The disruption budget {} needs {} healthy pods and has {} currently",
        budget.name(),
        budget.int("status.desiredHealthy").unwrap_or(0),
        budget.int("status.currentHealthy").unwrap_or(0),
    );
    StatusError::too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", RETRY_AFTER)
        .with_cause("DisruptionBudget", message, "")
}
