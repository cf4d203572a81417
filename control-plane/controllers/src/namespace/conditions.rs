//! Tells users why a namespace is still there.

use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::content::Remains;

/// The conditions for what is left, in place of those of the run before.
pub(super) fn update(
    before: Option<Vec<NamespaceCondition>>,
    remains: &Remains,
    now: &Time,
) -> Vec<NamespaceCondition> {
    let mut conditions = before.unwrap_or_default();
    for condition in current(remains) {
        let standing = conditions.iter().position(|old| old.type_ == condition.type_);
        match standing.map(|index| &mut conditions[index]) {
            Some(old) if old.status == condition.status => {
                *old = NamespaceCondition { last_transition_time: old.last_transition_time.clone(), ..condition };
            }
            Some(old) => *old = NamespaceCondition { last_transition_time: Some(now.clone()), ..condition },
            None => conditions.push(NamespaceCondition { last_transition_time: Some(now.clone()), ..condition }),
        }
    }
    conditions
}

fn current(remains: &Remains) -> [NamespaceCondition; 5] {
    let discovery = remains.undiscovered.as_ref().map(|error| ("DiscoveryFailed", error.message()));
    let failures = remains.failures.first().map(|first| ("ContentDeletionFailed", first.message()));
    let objects = (!remains.objects.is_empty()).then(|| {
        let counts = remains.objects.iter().map(|(kind, count)| format!("{kind} has {count} resource instances"));
        ("SomeResourcesRemain", format!("Some resources are remaining: {}", counts.collect::<Vec<_>>().join(", ")))
    });
    let finalizers = (!remains.finalizers.is_empty()).then(|| {
        let counts = remains.finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        ("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {counts}"))
    });
    let deleted = "All content successfully deleted, may be waiting on finalization";
    [
        condition(
            "NamespaceDeletionDiscoveryFailure",
            discovery,
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        condition("NamespaceDeletionContentFailure", failures, ("ContentDeleted", deleted)),
        condition("NamespaceContentRemaining", objects, ("ContentRemoved", "All content successfully removed")),
        condition(
            "NamespaceFinalizersRemaining",
            finalizers,
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]
}

fn condition(kind: &str, problem: Option<(&str, String)>, fine: (&str, &str)) -> NamespaceCondition {
    let (status, (reason, message)) = match problem {
        Some((reason, message)) => ("True", (reason.to_owned(), message)),
        None => ("False", (fine.0.to_owned(), fine.1.to_owned())),
    };
    NamespaceCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason),
        message: Some(message),
        last_transition_time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named_and_counted() {
        let remains = Remains {
            objects: [("pods.".to_owned(), 2), ("widgets.example.com".to_owned(), 1)].into(),
            finalizers: [("example.com/hold".to_owned(), 1)].into(),
            ..Remains::default()
        };
        let early = Time("2026-01-01T00:00:00Z".parse().unwrap());
        let conditions = update(None, &remains, &early);
        let message = |conditions: &[NamespaceCondition], kind: &str| {
            let condition = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
            (condition.status.clone(), condition.message.clone().unwrap())
        };
        let remaining = "Some resources are remaining: pods. has 2 resource instances, widgets.example.com has 1 resource instances";
        assert_eq!(message(&conditions, "NamespaceContentRemaining"), ("True".into(), remaining.into()));
        let held = "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances";
        assert_eq!(message(&conditions, "NamespaceFinalizersRemaining"), ("True".into(), held.into()));

        let late = Time("2026-01-01T00:01:00Z".parse().unwrap());
        let after = update(Some(conditions), &Remains::default(), &late);
        assert_eq!(message(&after, "NamespaceContentRemaining").0, "False");
        let times: Vec<_> = after.iter().map(|condition| condition.last_transition_time.clone().unwrap()).collect();
        assert_eq!(times, [early.clone(), early.clone(), early, late.clone(), late]);
    }
}
