//! The user on whose behalf a request runs.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Name, groups and what else is known of a user, as `authentication.k8s.io/v1 UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The name that rules see.
    pub name: String,
    /// A stable identifier; empty where the authenticator knows none.
    pub uid: String,
    /// The groups that rules see.
    pub groups: Vec<String>,
    /// What an authenticator adds, such as the pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// An authenticated user; cloning copies no text. As a request extension it authenticates the request by itself, so only
/// code in this process can put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Arc<UserInfo>);

/// The group that may do everything.
pub(crate) const MASTERS: &str = "system:masters";
/// The group of everybody who has been authenticated.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";

// === impl Identity ===

impl Identity {
    /// An authenticated user: `system:authenticated` is among the groups, whatever `user` says.
    #[must_use]
    pub fn new(mut user: UserInfo) -> Self {
        if !user.groups.iter().any(|group| group == AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        Self(Arc::new(user))
    }

    /// A user of whom nothing holds but what is said, for questions about somebody else.
    pub(crate) fn exactly(user: UserInfo) -> Self {
        Self(Arc::new(user))
    }

    /// A user with a name and groups.
    #[must_use]
    pub fn user(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Self::new(UserInfo { name: name.to_owned(), groups, ..UserInfo::default() })
    }

    /// A service account, with the groups that its tokens give it.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")];
        Self::user(&format!("system:serviceaccount:{namespace}:{name}"), &groups)
    }

    /// The administrator: a member of `system:masters`.
    #[must_use]
    pub fn admin() -> Self {
        Self::user("kubernetes-admin", &[MASTERS])
    }

    /// This server itself.
    #[must_use]
    pub fn apiserver() -> Self {
        Self::user("system:apiserver", &[MASTERS])
    }

    /// Nobody known.
    pub(crate) fn anonymous() -> Self {
        Self(Arc::new(UserInfo {
            name: "system:anonymous".to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..UserInfo::default()
        }))
    }

    /// Whether the user belongs to `group`.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.0.groups.iter().any(|it| it == group)
    }
}

impl std::ops::Deref for Identity {
    type Target = UserInfo;

    fn deref(&self) -> &UserInfo {
        &self.0
    }
}
