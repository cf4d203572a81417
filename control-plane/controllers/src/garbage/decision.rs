//! What is to become of an object, from the graph alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PropagationPolicy;

use super::graph::{FOREGROUND, Graph, Node, ORPHAN, Uid};

/// The next step for one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// It stays as it is.
    Keep,
    /// Somebody names it as an owner and nobody has seen it: ask the server, in each of these namespaces.
    Verify(Vec<String>),
    /// Its dependents are to live on without it, and then its finalizer goes.
    OrphanDependents(Vec<Uid>),
    /// It waits for these dependents.
    AwaitDependents(Vec<Uid>),
    /// Nothing holds it any more: its finalizer goes.
    Release(&'static str),
    /// Owners that are gone or going are not its owners any more; these are left.
    KeepOwners(Vec<OwnerReference>),
    /// It does not hold up its owners any more, because it waits for one of them itself; then it is deleted.
    Unblock(Vec<OwnerReference>),
    /// It has no owner any more.
    Delete(Policy),
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Background,
    Foreground,
    Orphan,
}

/// How one owner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It exists, or nobody has proved that it does not.
    Solid,
    /// It does not exist.
    Gone,
    /// It is being deleted and waits for its dependents.
    Waiting,
}

/// Decides on the object with `uid`.
pub(super) fn decide(graph: &Graph, uid: &str) -> Decision {
    let Some(node) = graph.get(uid) else { return Decision::Keep };
    if !node.observed {
        return Decision::Verify(namespaces_of_dependents(graph, node));
    }
    if node.deleting {
        return decide_deleted(graph, uid, node);
    }
    let standings: Vec<_> = node.owners.iter().map(|owner| (owner, standing(graph, node, owner))).collect();
    let has = |wanted| standings.iter().any(|(_, standing)| *standing == wanted);
    if standings.is_empty() || (has(Standing::Solid) && !has(Standing::Gone) && !has(Standing::Waiting)) {
        return Decision::Keep;
    }
    if has(Standing::Solid) {
        let left = standings.iter().filter(|(_, standing)| *standing == Standing::Solid);
        return Decision::KeepOwners(left.map(|(owner, _)| (*owner).clone()).collect());
    }
    if has(Standing::Waiting) && !node.dependents.is_empty() {
        return decide_below_waiting(graph, node);
    }
    Decision::Delete(policy(node))
}

/// An object that is being deleted: only the finalizers of its propagation policy are ours.
fn decide_deleted(graph: &Graph, uid: &str, node: &Node) -> Decision {
    if node.has_finalizer(ORPHAN) {
        return Decision::OrphanDependents(node.dependents.iter().cloned().collect());
    }
    if !node.has_finalizer(FOREGROUND) {
        return Decision::Keep;
    }
    let blocks = |dependent: &&Uid| graph.get(dependent).is_some_and(|dependent| dependent.blocks(uid));
    let blocking: Vec<Uid> = node.dependents.iter().filter(blocks).cloned().collect();
    if blocking.is_empty() { Decision::Release(FOREGROUND) } else { Decision::AwaitDependents(blocking) }
}

/// An object with dependents of its own, whose owner waits for it: the deletion goes on below it. A dependent that
/// waits already means a circle, and somebody in it has to stop blocking.
fn decide_below_waiting(graph: &Graph, node: &Node) -> Decision {
    let circle = node.dependents.iter().any(|dependent| graph.get(dependent).is_some_and(Node::is_waiting));
    let blocks = node.owners.iter().any(|owner| owner.block_owner_deletion == Some(true));
    if circle && blocks {
        let unblocked = |owner: &OwnerReference| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() };
        return Decision::Unblock(node.owners.iter().map(unblocked).collect());
    }
    Decision::Delete(Policy::Foreground)
}

fn policy(node: &Node) -> Policy {
    if node.has_finalizer(ORPHAN) {
        Policy::Orphan
    } else if node.has_finalizer(FOREGROUND) {
        Policy::Foreground
    } else {
        Policy::Background
    }
}

fn standing(graph: &Graph, node: &Node, owner: &OwnerReference) -> Standing {
    match graph.get(&owner.uid) {
        // An owner in another namespace is no owner.
        Some(found) if found.observed && !may_own(found, node) => Standing::Gone,
        Some(found) if found.is_waiting() => Standing::Waiting,
        Some(_) => Standing::Solid,
        None if graph.is_absent(&owner.uid) => Standing::Gone,
        None => Standing::Solid,
    }
}

fn may_own(owner: &Node, dependent: &Node) -> bool {
    // A cluster-scoped object cannot be owned from within a namespace; upstream lets it live, for safety.
    owner.key.namespace.is_empty()
        || dependent.key.namespace.is_empty()
        || owner.key.namespace == dependent.key.namespace
}

fn namespaces_of_dependents(graph: &Graph, node: &Node) -> Vec<String> {
    let dependents = node.dependents.iter().filter_map(|uid| graph.get(uid));
    let mut namespaces: Vec<_> = dependents.map(|dependent| dependent.key.namespace.clone()).collect();
    namespaces.push(node.key.namespace.clone());
    namespaces.sort();
    namespaces.dedup();
    namespaces
}

// === impl Policy ===

impl From<Policy> for PropagationPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Background => Self::Background,
            Policy::Foreground => Self::Foreground,
            Policy::Orphan => Self::Orphan,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::runtime::discovery::GroupKind;

    /// `name/state` and its owners; states: `-` nothing, `f` foreground deletion, `o` orphaning, `d` just deleted.
    /// An owner with `!` is blocked.
    fn graph(objects: &[(&str, &[&str])]) -> Graph {
        let mut graph = Graph::default();
        let kind = Arc::new(GroupKind::new("v1", "Thing"));
        for (object, owners) in objects {
            graph.observe(&kind, &meta(object, owners));
        }
        graph
    }

    fn meta(object: &str, owners: &[&str]) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        let (name, state) = object.split_once('/').unwrap();
        let (namespace, name) = name.split_once(':').unwrap_or(("a", name));
        let finalizers: Value = match state {
            "f" => json!([FOREGROUND]),
            "o" => json!([ORPHAN]),
            _ => json!([]),
        };
        let owners: Vec<Value> = owners
            .iter()
            .map(|owner| {
                let uid = owner.trim_end_matches('!');
                json!({"apiVersion": "v1", "kind": "Thing", "name": uid, "uid": uid, "blockOwnerDeletion": owner.ends_with('!')})
            })
            .collect();
        let deleted = (state != "-").then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "uid": name, "name": name, "namespace": namespace, "finalizers": finalizers, "ownerReferences": owners,
            "deletionTimestamp": deleted,
        }))
        .unwrap()
    }

    fn owners(decision: &Decision) -> Vec<String> {
        match decision {
            Decision::KeepOwners(owners) | Decision::Unblock(owners) => {
                owners.iter().map(|owner| owner.uid.clone()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_object_lives_as_long_as_one_owner_does() {
        let mut graph = graph(&[("o1/-", &[]), ("o2/-", &[]), ("x/-", &["o1", "o2"])]);
        assert_eq!(decide(&graph, "x"), Decision::Keep);
        assert_eq!(graph.forget("o1"), ["x"], "its dependent has to be looked at");
        assert_eq!(owners(&decide(&graph, "x")), ["o2"]);
        graph.forget("o2");
        assert_eq!(decide(&graph, "x"), Decision::Delete(Policy::Background));
    }

    #[test]
    fn an_owner_that_nobody_has_seen_is_asked_for_before_anything_is_deleted() {
        let mut graph = graph(&[("x/-", &["o1"])]);
        assert_eq!(decide(&graph, "x"), Decision::Keep);
        assert_eq!(decide(&graph, "o1"), Decision::Verify(vec!["a".into()]));
        assert_eq!(graph.forget("o1"), ["x"]);
        assert_eq!(decide(&graph, "x"), Decision::Delete(Policy::Background));
    }

    #[test]
    fn a_foreground_deletion_waits_for_those_who_block_it() {
        let mut graph = graph(&[("o/f", &[]), ("x/-", &["o!"]), ("y/-", &["o"])]);
        assert_eq!(decide(&graph, "o"), Decision::AwaitDependents(vec!["x".into()]));
        assert_eq!(decide(&graph, "x"), Decision::Delete(Policy::Background));
        assert_eq!(decide(&graph, "y"), Decision::Delete(Policy::Background));
        assert_eq!(graph.forget("x"), ["o"], "its owner has to be looked at");
        assert_eq!(decide(&graph, "o"), Decision::Release(FOREGROUND));
    }

    #[test]
    fn a_foreground_deletion_goes_down_level_by_level() {
        let graph = graph(&[("d/f", &[]), ("rs/-", &["d!"]), ("pod/-", &["rs!"])]);
        assert_eq!(decide(&graph, "rs"), Decision::Delete(Policy::Foreground));
        assert_eq!(decide(&graph, "pod"), Decision::Keep);
    }

    #[test]
    fn a_dependent_with_another_owner_survives_a_foreground_deletion() {
        let graph = graph(&[("o1/f", &[]), ("o2/-", &[]), ("x/-", &["o1!", "o2"])]);
        assert_eq!(owners(&decide(&graph, "x")), ["o2"]);
    }

    #[test]
    fn orphans_are_let_go_before_their_owner() {
        let graph = graph(&[("o/o", &[]), ("x/-", &["o!"]), ("y/-", &["o"])]);
        assert_eq!(decide(&graph, "o"), Decision::OrphanDependents(vec!["x".into(), "y".into()]));
        assert_eq!(decide(&graph, "x"), Decision::Keep, "its owner still stands");
    }

    #[test]
    fn a_circle_does_not_block_itself() {
        let graph = graph(&[("p1/f", &["p3!"]), ("p2/-", &["p1!"]), ("p3/-", &["p2!"])]);
        assert_eq!(decide(&graph, "p1"), Decision::AwaitDependents(vec!["p2".into()]));
        assert_eq!(decide(&graph, "p2"), Decision::Delete(Policy::Foreground));
        let graph = self::graph(&[("p1/f", &["p3!"]), ("p2/f", &["p1!"]), ("p3/-", &["p2!"])]);
        assert!(matches!(decide(&graph, "p3"), Decision::Unblock(_)), "{:?}", decide(&graph, "p3"));
        let graph = self::graph(&[("p1/f", &["p3"]), ("p2/f", &["p1!"]), ("p3/f", &["p2"])]);
        assert_eq!(decide(&graph, "p2"), Decision::Release(FOREGROUND));
    }

    #[test]
    fn an_owner_in_another_namespace_is_no_owner_and_one_without_namespace_is() {
        let graph = graph(&[("b:o/-", &[]), (":cluster/-", &[]), ("x/-", &["o"]), ("y/-", &["cluster"])]);
        assert_eq!(decide(&graph, "x"), Decision::Delete(Policy::Background));
        assert_eq!(decide(&graph, "y"), Decision::Keep);
    }

    #[test]
    fn an_object_that_is_being_deleted_is_left_to_its_finalizers() {
        let graph = graph(&[("x/d", &[])]);
        assert_eq!(decide(&graph, "x"), Decision::Keep);
    }

    #[test]
    fn a_kind_that_is_not_watched_any_more_is_asked_for() {
        let mut graph = graph(&[("o/-", &[]), ("x/-", &["o"])]);
        graph.unobserve(&GroupKind::new("v1", "Thing"));
        assert_eq!(decide(&graph, "o"), Decision::Verify(vec!["a".into()]));
    }
}
