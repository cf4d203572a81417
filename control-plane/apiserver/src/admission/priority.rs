//! Priority: the number behind a pod's priority class.

use sheave_api::Document;
use sheave_api::view::{Edit, View};
use sheave_store::Range;

use super::Review;
use crate::document;
use crate::meta::Meta;
use crate::status::StatusError;

const CLASSES: &str = "/registry/scheduling.k8s.io/priorityclasses/";
const PREEMPT: &str = "PreemptLowerPriority";

/// What a class says.
struct Class {
    name: String,
    value: i64,
    preemption: String,
}

/// Resolves `priorityClassName`; without one, the default class or 0.
pub(super) fn admit_create(review: &Review<'_>, pod: &mut Document) -> Result<(), StatusError> {
    let class = match pod.text("spec.priorityClassName") {
        "" => default_class(review),
        name => named_class(review, name).ok_or_else(|| {
            StatusError::forbidden(review.kind, pod.name(), &format!("no PriorityClass with name {name} was found"))
        })?,
    };
    if let Some(given) = pod.int("spec.priority").filter(|&given| given != class.value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; \
             priority admission controller computed {} from the given PriorityClass name",
            class.value
        );
        return Err(StatusError::forbidden(review.kind, pod.name(), &why));
    }
    pod.put("spec.priority", class.value);
    if !class.name.is_empty() {
        pod.put("spec.priorityClassName", class.name);
    }
    pod.default_zero("spec.preemptionPolicy", class.preemption);
    Ok(())
}

/// Only one class may be the default.
pub(super) fn admit_class(review: &Review<'_>, class: &Document) -> Result<(), StatusError> {
    if !class.flag("globalDefault") {
        return Ok(());
    }
    let Some(other) = classes(review).find(|other| other.flag("globalDefault") && other.name() != class.name()) else {
        return Ok(());
    };
    let why = format!("PriorityClass {} is already marked as default. Only one default can exist", other.name());
    Err(StatusError::forbidden(review.kind, class.name(), &why))
}

fn named_class(review: &Review<'_>, name: &str) -> Option<Class> {
    let entry = review.store.get(&format!("{CLASSES}{name}"))?;
    document::decode(&entry.value).ok().map(|class| Class::of(&class))
}

fn default_class(review: &Review<'_>) -> Class {
    let default = classes(review).filter(|class| class.flag("globalDefault")).min_by_key(|class| class.int("value"));
    default.map_or_else(
        || Class { name: String::new(), value: 0, preemption: PREEMPT.to_owned() },
        |class| Class::of(&class),
    )
}

fn classes(review: &Review<'_>) -> impl Iterator<Item = Document> {
    let found = review.store.range(&Range::prefix(CLASSES)).map(|found| found.entries).unwrap_or_default();
    found.into_iter().filter_map(|entry| document::decode(&entry.value).ok())
}

// === impl Class ===

impl Class {
    fn of(class: &Document) -> Self {
        let preemption = match class.text("preemptionPolicy") {
            "" => PREEMPT,
            policy => policy,
        };
        Self {
            name: class.name().to_owned(),
            value: class.int("value").unwrap_or_default(),
            preemption: preemption.to_owned(),
        }
    }
}
