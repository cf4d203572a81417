//! The numbered history of templates, and how much of it is kept.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::sets::{REVISION, REVISION_HISTORY, annotate, number, replicas};
use crate::object::owner::is_deleted;

/// The annotation with former revisions grows up to this many characters.
const LONGEST_HISTORY: usize = 2000;

/// The number of a set's template; zero if it has none.
pub(super) fn revision(set: &ReplicaSet) -> i64 {
    number(set, REVISION).unwrap_or(0)
}

/// The number that the current template gets: one more than any other.
pub(super) fn next<'a>(others: impl Iterator<Item = &'a ReplicaSet>) -> i64 {
    others.map(revision).max().unwrap_or(0).saturating_add(1)
}

/// Gives `set` the number `to` unless it has a higher one; its former number moves to its history.
pub(super) fn raise(set: &mut ReplicaSet, to: i64) {
    let before = number(set, REVISION);
    if before.is_some_and(|before| before >= to) {
        return;
    }
    annotate(set, REVISION, to);
    if let Some(before) = before {
        let history = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION_HISTORY));
        let history = remember(history.map_or("", String::as_str), before);
        annotate(set, REVISION_HISTORY, history);
    }
}

/// `history` with `revision` at its end, without the oldest ones that no longer fit.
fn remember(history: &str, revision: i64) -> String {
    let mut entries: Vec<String> = history.split(',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    entries.push(revision.to_string());
    while entries.len() > 1 && entries.join(",").len() > LONGEST_HISTORY {
        entries.remove(0);
    }
    entries.join(",")
}

/// The old sets that `revisionHistoryLimit` lets go: the lowest revisions, as far as they are empty.
pub(super) fn surplus(deployment: &Deployment, old: &[Arc<ReplicaSet>]) -> Vec<Arc<ReplicaSet>> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
    let Some(limit) = limit.filter(|limit| *limit != i32::MAX).and_then(|limit| usize::try_from(limit).ok()) else {
        return Vec::new();
    };
    let mut alive: Vec<_> = old.iter().filter(|set| !is_deleted(&set.metadata)).cloned().collect();
    alive.sort_by_key(|set| (revision(set), set.metadata.creation_timestamp.clone()));
    let surplus = alive.len().saturating_sub(limit);
    alive.truncate(surplus);
    alive.retain(|set| is_empty(set));
    alive
}

fn is_empty(set: &ReplicaSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    let observed = status.observed_generation.unwrap_or(0) >= set.metadata.generation.unwrap_or(0);
    replicas(set) == 0 && status.replicas == 0 && observed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(name: &str, revision: i64, replicas: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": name, "generation": 1, "annotations": {REVISION: revision.to_string()}},
            "spec": {"replicas": replicas, "selector": {}},
            "status": {"replicas": replicas, "observedGeneration": 1},
        }))
        .unwrap()
    }

    #[test]
    fn a_template_that_comes_back_gets_the_next_number_and_remembers_the_old_one() {
        let (mut back, other) = (set("a", 1, 0), set("b", 4, 3));
        let next = next([&other].into_iter());
        raise(&mut back, next);
        let annotations = back.metadata.annotations.clone().unwrap();
        assert_eq!((annotations[REVISION].as_str(), annotations[REVISION_HISTORY].as_str()), ("5", "1"));
        raise(&mut back, 7);
        assert_eq!(back.metadata.annotations.clone().unwrap()[REVISION_HISTORY], "1,5");
        raise(&mut back, 3);
        assert_eq!(revision(&back), 7, "a number never falls");
    }

    #[test]
    fn a_long_history_forgets_its_oldest_entries() {
        let history = (0..1000).fold(String::new(), |history, n| remember(&history, n));
        assert!(history.len() <= LONGEST_HISTORY && history.ends_with(",999"), "{}", history.len());
    }

    #[test]
    fn the_lowest_empty_revisions_beyond_the_limit_go() {
        let sets: Vec<_> = [("d", 4, 0), ("a", 1, 0), ("b", 2, 1), ("c", 3, 0), ("e", 5, 0)]
            .into_iter()
            .map(|(name, revision, replicas)| Arc::new(set(name, revision, replicas)))
            .collect();
        for (limit, expected) in
            [(Some(2), vec!["a", "c"]), (Some(0), vec!["a", "c", "d", "e"]), (Some(9), vec![]), (None, vec![])]
        {
            let mut deployment = Deployment::default();
            deployment.spec.get_or_insert_default().revision_history_limit = limit;
            let names: Vec<_> =
                surplus(&deployment, &sets).iter().map(|set| set.metadata.name.clone().unwrap()).collect();
            assert_eq!(names, expected, "limit {limit:?}");
        }
    }
}
