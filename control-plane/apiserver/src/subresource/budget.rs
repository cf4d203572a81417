//! Disruption budgets: whether a pod may be evicted, and the one disruption that an eviction takes.

use jiff::Timestamp;
use serde_json::json;
use sheave_api::Document;
use sheave_api::selector::LabelSelector;
use sheave_api::view::{Edit, View};
use sheave_store::Range;

use super::condition::{condition, set_condition};
use crate::call::Call;
use crate::document;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::status::StatusError;
use crate::write::{Part, modify};

/// Beyond so many evictions that the budget's controller has not confirmed, there are no more.
const UNCONFIRMED: usize = 2000;
/// Seconds after which to try again while the controller has not seen the budget.
const RETRY_AFTER: u32 = 10;
const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// The budgets that select `pod`.
pub(super) fn budgets_of(call: &Call, pod: &Document) -> Vec<Document> {
    let prefix = format!("/registry/policy/poddisruptionbudgets/{}/", pod.namespace());
    let found = call.server.store.range(&Range::prefix(prefix)).map(|found| found.entries).unwrap_or_default();
    let budgets = found.iter().filter_map(|entry| document::decode(&entry.value).ok());
    budgets.filter(|budget| selects(budget, pod)).collect()
}

/// Whether the budget lets an unready pod go without counting it.
pub(super) fn spares_unready(budget: &Document) -> bool {
    let desired = budget.int("status.desiredHealthy").unwrap_or(0);
    budget.text("spec.unhealthyPodEvictionPolicy") == "AlwaysAllow"
        || (desired > 0 && budget.int("status.currentHealthy").unwrap_or(0) >= desired)
}

/// Takes one disruption of `pod` from its budget.
///
/// # Errors
/// 429 when there is none left, or nobody knows yet; 403 when the budget's status makes no sense.
pub(super) async fn take_disruption(
    call: &Call,
    budget: &str,
    pod: &str,
    options: &WriteOptions,
) -> Result<(), StatusError> {
    let mut budgets = call.of_kind("policy", "v1", "poddisruptionbudgets", Some(budget))?;
    budgets.path.subresource = Some("status".to_owned());
    modify(&budgets, Part::Trusted, options, &mut |budget| {
        check(&budgets, budget)?;
        Ok(with_one_less(budget, pod))
    })
    .await
    .map(|_| ())
}

/// 429 while the budget is not up to date.
pub(super) fn not_yet_known(budget: &str) -> StatusError {
    StatusError::too_many_requests(VIOLATES, RETRY_AFTER).with_cause(
        "DisruptionBudget",
        format!("The disruption budget {budget} is still being processed by the server."),
        "",
    )
}

/// An empty selector selects every pod; none selects no pod.
fn selects(budget: &Document, pod: &Document) -> bool {
    let selector = budget.at("spec.selector");
    !selector.is_null()
        && LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches(pod.at("metadata.labels")))
}

fn check(budgets: &Call, budget: &Document) -> Result<(), StatusError> {
    let observed = budget.int("status.observedGeneration").unwrap_or(0);
    if observed < budget.int("metadata.generation").unwrap_or(0) {
        return Err(not_yet_known(budget.name()));
    }
    let forbidden = |why| Err(StatusError::forbidden(&budgets.kind, budget.name(), why));
    if budget.fields("status.disruptedPods").len() > UNCONFIRMED {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    match budget.int("status.disruptionsAllowed").unwrap_or(0) {
        ..0 => forbidden("pdb disruptions allowed is negative"),
        0 => Err(none_left(budget)),
        1.. => Ok(()),
    }
}

fn none_left(budget: &Document) -> StatusError {
    let name = budget.name();
    let message = match condition(budget, "DisruptionAllowed").filter(|it| it.text("reason") == "SyncFailed") {
        Some(failed) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
            failed.text("message")
        ),
        None => format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            budget.int("status.desiredHealthy").unwrap_or(0),
            budget.int("status.currentHealthy").unwrap_or(0),
        ),
    };
    // No advice to wait: a client that follows it would keep silent where drain tells what it waits for.
    StatusError::too_many_requests(VIOLATES, 0).with_cause("DisruptionBudget", message, "")
}

/// The budget after the disruption. The pod is named, so that the controller does not count it as available while it is
/// on its way out.
fn with_one_less(budget: &Document, pod: &str) -> Document {
    let mut budget = budget.clone();
    let left = budget.int("status.disruptionsAllowed").unwrap_or(0) - 1;
    budget.put("status.disruptionsAllowed", left);
    if left == 0 {
        let observed = budget.at("status.observedGeneration").clone();
        let condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
            "message": "", "observedGeneration": observed});
        set_condition(&mut budget, condition);
    }
    if let Some(disrupted) = budget.object_mut("status.disruptedPods") {
        disrupted.insert(pod.to_owned(), sheave_api::time::format(Timestamp::now()).into());
    }
    budget
}
