//! ClusterRoles with an `aggregationRule`: their rules are those of the roles that they select.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::core::{Selector, SelectorExt};
use serde_json::json;

use crate::object::owner::is_deleted;
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 1;

struct Controller {
    requests: Requests,
    roles: Cache<ClusterRole>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let roles = manager.cache::<ClusterRole>();
    let queue = manager.queue::<ObjectKey>(name);
    roles.on_change({
        let (roles, queue) = (roles.clone(), queue.clone());
        move |change| {
            if change.differs(|role| (&role.metadata.labels, &role.rules, &role.aggregation_rule)) {
                let aggregating = roles.list().into_iter().filter(|role| role.aggregation_rule.is_some());
                aggregating.for_each(|role| queue.add(ObjectKey::of(role.as_ref())));
            }
        }
    });
    let controller = Controller { requests: manager.requests(), roles: roles.clone() };
    manager.run(name, WORKERS, Needs::default().and(&roles), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(role) = self.roles.get(key).filter(|role| !is_deleted(&role.metadata)) else {
            return Ok(Action::await_change());
        };
        let all = self.roles.list();
        let Some(rules) = aggregated(&role, all.iter().map(AsRef::as_ref)) else { return Ok(Action::await_change()) };
        if role.rules.as_deref().unwrap_or_default() != rules {
            // Conditional: rules that were written meanwhile would be overwritten by older ones.
            let patch = json!({"metadata": {"resourceVersion": role.metadata.resource_version}, "rules": rules});
            ignore_not_found(self.requests.merge::<ClusterRole>(key, patch).await)?;
        }
        Ok(Action::await_change())
    }
}

/// The rules of all roles but itself that any selector of `role` matches, in order of name, each rule once; `None` for
/// a role that aggregates nothing.
fn aggregated<'a>(role: &ClusterRole, all: impl Iterator<Item = &'a ClusterRole>) -> Option<Vec<PolicyRule>> {
    let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.iter().flatten();
    let selectors: Vec<_> = selectors.filter_map(|selector| Selector::try_from(selector.clone()).ok()).collect();
    let mut rules = Vec::new();
    let matching = all.filter(|other| {
        let labels = other.metadata.labels.clone().unwrap_or_default();
        other.metadata.name != role.metadata.name && selectors.iter().any(|selector| selector.matches(&labels))
    });
    for rule in matching.flat_map(|other| other.rules.iter().flatten()) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn role(name: &str, label: &str, verbs: &[&str], selects: Option<&[&str]>) -> ClusterRole {
        let selectors = selects.map(|labels| {
            let selectors: Vec<Value> = labels.iter().map(|label| json!({"matchLabels": {"to": label}})).collect();
            json!({"clusterRoleSelectors": selectors})
        });
        let rules: Vec<Value> = verbs.iter().map(|verb| json!({"verbs": [verb], "resources": ["pods"]})).collect();
        let meta = json!({"name": name, "labels": {"to": label}});
        serde_json::from_value(json!({"metadata": meta, "rules": rules, "aggregationRule": selectors})).unwrap()
    }

    #[test]
    fn a_role_has_the_rules_of_all_that_it_selects_each_once() {
        let roles = [
            role("a", "view", &["get", "list"], None),
            role("b", "edit", &["list", "delete"], None),
            role("c", "other", &["create"], None),
            role("all", "view", &["impersonate"], Some(&["view", "edit"])),
        ];
        let verbs = |role: &ClusterRole| {
            let rules = aggregated(role, roles.iter())?;
            Some(rules.into_iter().flat_map(|rule| rule.verbs).collect::<Vec<_>>())
        };
        assert_eq!(verbs(&roles[3]).unwrap(), ["get", "list", "delete"]);
        assert_eq!(verbs(&roles[0]), None, "a role without the rule keeps its own");
        assert_eq!(verbs(&role("none", "", &[], Some(&[]))).unwrap(), [""; 0]);
    }
}
