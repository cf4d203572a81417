//! Acting for somebody else: `Impersonate-User` and its companions (`kubectl --as`).
//!
//! Everything that is asked for (the user, each group, each extra value) must be allowed to the one who asks; then the
//! request is the other's, with the other's rights.

use std::collections::BTreeMap;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use super::identity::{AUTHENTICATED, Identity, UNAUTHENTICATED, UserInfo};
use crate::authz::{Attributes, Subject};
use crate::status::StatusError;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";
const ANONYMOUS: &str = "system:anonymous";

/// Whom a request acts for, and what its sender must be allowed for that.
#[derive(Debug)]
pub(crate) struct Impersonation {
    pub(crate) identity: Identity,
    pub(crate) required: Vec<Attributes>,
}

// === impl Impersonation ===

impl Impersonation {
    /// What the headers ask for; none where they ask for nothing.
    ///
    /// # Errors
    /// Groups or extras without a user: a mistake of the client, which upstream answers with 500.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, StatusError> {
        let name = text(headers, USER);
        let groups: Vec<String> = texts(headers, GROUP).collect();
        let (uid, extra) = (text(headers, UID), extra(headers));
        if name.is_empty() {
            let asks = !groups.is_empty() || !uid.is_empty() || !extra.is_empty();
            let error = || StatusError::internal("requested groups, a UID or extras without impersonating a user");
            return if asks { Err(error()) } else { Ok(None) };
        }
        let mut required = vec![user_of(&name)];
        required.extend(groups.iter().map(|group| attributes("", "groups", "", "", group)));
        if !uid.is_empty() {
            required.push(attributes(AUTHENTICATION, "uids", "", "", &uid));
        }
        for (key, values) in &extra {
            required.extend(values.iter().map(|value| attributes(AUTHENTICATION, "userextras", key, "", value)));
        }
        let groups = with_implied(&name, groups);
        let identity = Identity::exactly(UserInfo { name, uid, groups, extra });
        Ok(Some(Self { identity, required }))
    }
}

/// The groups of service accounts, where none are asked for, and those of everybody.
fn with_implied(name: &str, mut groups: Vec<String>) -> Vec<String> {
    if let Some((namespace, _)) = service_account(name).filter(|_| groups.is_empty()) {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let everybody = if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == everybody) {
        groups.push(everybody.to_owned());
    }
    groups
}

fn user_of(name: &str) -> Attributes {
    match service_account(name) {
        Some((namespace, account)) => attributes("", "serviceaccounts", "", namespace, account),
        None => attributes("", "users", "", "", name),
    }
}

fn service_account(name: &str) -> Option<(&str, &str)> {
    let (namespace, account) = name.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !account.is_empty() && !account.contains(':')).then_some((namespace, account))
}

fn attributes(group: &str, resource: &str, subresource: &str, namespace: &str, name: &str) -> Attributes {
    let owned = ToOwned::to_owned;
    let subject = Subject::Resource {
        group: owned(group),
        resource: owned(resource),
        subresource: owned(subresource),
        namespace: owned(namespace),
        name: owned(name),
    };
    Attributes { verb: "impersonate".to_owned(), subject }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    texts(headers, name).next().unwrap_or_default()
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = String> + 'a {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

/// Keys are percent-encoded, because header names have no capitals and few characters.
fn extra(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra = BTreeMap::new();
    for name in headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
            extra.entry(key).or_insert_with(Vec::new).extend(texts(headers, name.as_str()));
        }
    }
    extra
}
