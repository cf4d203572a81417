//! Roles and bindings, indexed by who they are for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sheave_api::Document;
use sheave_api::selector::LabelSelector;
use sheave_api::view::View;

use super::rules::Rule;
use crate::authn::UserInfo;
use crate::meta::Meta;

/// The prefix of everything that this index is made of.
pub(super) const PREFIX: &str = "/registry/rbac.authorization.k8s.io/";

/// Roles and bindings by key.
#[derive(Default)]
pub(super) struct Index {
    roles: HashMap<String, Role>,
    bindings: HashMap<String, Binding>,
    /// The bindings' keys by whom they name.
    by_subject: HashMap<Grantee, BTreeSet<String>>,
}

/// A role, or a cluster role that may gather the rules of others.
struct Role {
    rules: Arc<Vec<Rule>>,
    labels: Document,
    /// `aggregationRule.clusterRoleSelectors`
    gathers: Vec<LabelSelector>,
}

/// Whom a binding gives what.
pub(super) struct Binding {
    /// The key of the role that it gives.
    role: String,
    grantees: Vec<Grantee>,
    /// The namespace in which it gives it; empty for everywhere.
    namespace: String,
}

/// A user or a group; service accounts are users with a long name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Grantee {
    User(String),
    Group(String),
}

// === impl Index ===

impl Index {
    /// Takes in an object, or lets it go where `value` is none.
    pub(super) fn set(&mut self, key: &str, value: Option<&Document>) {
        let Some(path) = key.strip_prefix(PREFIX) else { return };
        match path.split('/').next().unwrap_or_default() {
            "roles" | "clusterroles" => self.set_role(key, value),
            "rolebindings" | "clusterrolebindings" => self.set_binding(key, value),
            _ => {}
        }
    }

    /// Every rule that holds for `user` in `namespace`, cluster-wide ones first; empty means cluster-wide ones only.
    pub(super) fn rules_of<'a>(
        &'a self,
        user: &'a UserInfo,
        namespace: &'a str,
    ) -> impl Iterator<Item = Arc<Vec<Rule>>> {
        let user_itself = std::iter::once(Grantee::User(user.name.clone()));
        let grantees = user_itself.chain(user.groups.iter().cloned().map(Grantee::Group));
        grantees
            .filter_map(|grantee| self.by_subject.get(&grantee))
            .flatten()
            .filter_map(|key| self.bindings.get(key))
            .filter(move |binding| binding.namespace.is_empty() || binding.namespace == namespace)
            .flat_map(|binding| self.rules_of_role(&binding.role))
    }

    /// Whether there is a role with this key.
    pub(super) fn has_role(&self, key: &str) -> bool {
        self.roles.contains_key(key)
    }

    /// The rules of the role with this key, and of those that it gathers.
    pub(super) fn rules_of_role(&self, key: &str) -> Vec<Arc<Vec<Rule>>> {
        let Some(role) = self.roles.get(key) else { return Vec::new() };
        let gathered = self.roles.values().filter(|other| role.gathers.iter().any(|it| it.matches(&other.labels)));
        let gathered = gathered.map(|other| Arc::clone(&other.rules));
        let mut rules = vec![Arc::clone(&role.rules)];
        if !role.gathers.is_empty() {
            rules.extend(gathered);
        }
        rules
    }

    fn set_role(&mut self, key: &str, value: Option<&Document>) {
        match value {
            Some(role) => self.roles.insert(key.to_owned(), Role::of(role)),
            None => self.roles.remove(key),
        };
    }

    fn set_binding(&mut self, key: &str, value: Option<&Document>) {
        if let Some(old) = self.bindings.remove(key) {
            for grantee in old.grantees {
                if let Some(keys) = self.by_subject.get_mut(&grantee) {
                    keys.remove(key);
                }
            }
            self.by_subject.retain(|_, keys| !keys.is_empty());
        }
        let Some(binding) = value.map(Binding::of) else { return };
        for grantee in &binding.grantees {
            self.by_subject.entry(grantee.clone()).or_default().insert(key.to_owned());
        }
        self.bindings.insert(key.to_owned(), binding);
    }
}

// === impl Role ===

impl Role {
    fn of(role: &Document) -> Self {
        let selectors = role.list("aggregationRule.clusterRoleSelectors").iter();
        Self {
            rules: Arc::new(Rule::all_of(role)),
            labels: role.at("metadata.labels").clone(),
            gathers: selectors.filter_map(|selector| LabelSelector::from_object(selector).ok()).collect(),
        }
    }
}

// === impl Binding ===

impl Binding {
    fn of(binding: &Document) -> Self {
        let namespace = binding.namespace().to_owned();
        let grantees = binding.list("subjects").iter().filter_map(|subject| Grantee::of(subject, &namespace)).collect();
        Self { role: role_key(binding), grantees, namespace }
    }
}

/// The key of the role that a binding's `roleRef` names.
pub(super) fn role_key(binding: &Document) -> String {
    let name = binding.text("roleRef.name");
    match binding.text("roleRef.kind") {
        "Role" => format!("{PREFIX}roles/{}/{name}", binding.namespace()),
        _ => format!("{PREFIX}clusterroles/{name}"),
    }
}

// === impl Grantee ===

impl Grantee {
    fn of(subject: &Document, namespace: &str) -> Option<Self> {
        let name = subject.text("name");
        match subject.text("kind") {
            "User" => Some(Self::User(name.to_owned())),
            "Group" => Some(Self::Group(name.to_owned())),
            "ServiceAccount" => {
                let own = subject.text("namespace");
                let namespace = if own.is_empty() { namespace } else { own };
                Some(Self::User(format!("system:serviceaccount:{namespace}:{name}")))
            }
            _ => None,
        }
    }
}
