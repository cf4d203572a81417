//! From what a request carries to who sent it: an identity that a listener found in a client certificate, a bearer token,
//! or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sheave_api::Document;
use sheave_api::view::View;
use sheave_store::Store;

use super::bearer::{Claims, Reference, TokenKeys};
use super::identity::{Identity, UserInfo};
use crate::document;
use crate::meta::Meta;
use crate::status::StatusError;

/// A request extension: the client presented a certificate that is not of this cluster, has ended, or is not for
/// clients. Without another credential the request is refused with 401 rather than taken for an anonymous one.
#[derive(Clone, Copy, Debug)]
pub struct RejectedCertificate;

/// Checks credentials against the cluster's keys and objects.
pub(crate) struct Authenticator {
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<TokenKeys>,
    /// `iss` of the tokens.
    pub(crate) issuer: String,
    /// Audiences of tokens that are meant for this server.
    pub(crate) audiences: Vec<String>,
}

/// A WebSocket client in a browser cannot set headers; its token comes as a subprotocol.
const WEBSOCKET_BEARER: &str = "base64url.bearer.authorization.k8s.io.";
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

// === impl Authenticator ===

impl Authenticator {
    /// Who sent the request. Without credentials it is `system:anonymous`; with bad ones nobody: 401.
    pub(crate) fn authenticate(&self, parts: &Parts) -> Result<Identity, StatusError> {
        if let Some(identity) = parts.extensions.get::<Identity>() {
            return Ok(identity.clone());
        }
        match bearer(parts) {
            Some(token) => {
                self.token(&token, &self.audiences).map(|(identity, _)| identity).ok_or_else(StatusError::unauthorized)
            }
            None if parts.extensions.get::<RejectedCertificate>().is_some() => Err(StatusError::unauthorized()),
            None => Ok(Identity::anonymous()),
        }
    }

    /// Whose token this is, and which of `audiences` it is for.
    pub(crate) fn token(&self, token: &str, audiences: &[String]) -> Option<(Identity, Vec<String>)> {
        if let Some(identity) = self.bootstrap_token(token) {
            return Some((identity, audiences.to_vec()));
        }
        let claims = match self.keys.verify(token, &self.issuer, Timestamp::now()) {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, "refused a bearer token");
                return None;
            }
        };
        let meant: Vec<String> = claims.aud.iter().filter(|it| audiences.contains(it)).cloned().collect();
        (!meant.is_empty() && self.is_still_bound(&claims)).then(|| (identity_of(&claims), meant))
    }

    /// A token lives no longer than its account and the object that it is bound to.
    fn is_still_bound(&self, claims: &Claims) -> bool {
        let namespace = &claims.kubernetes.namespace;
        let exists =
            |key: String, wanted: &Reference| self.object(&key).is_some_and(|object| object.uid() == wanted.uid);
        let account = &claims.kubernetes.service_account;
        exists(format!("/registry/serviceaccounts/{namespace}/{}", account.name), account)
            && [("pods", &claims.kubernetes.pod), ("secrets", &claims.kubernetes.secret)].into_iter().all(
                |(plural, reference)| {
                    reference
                        .as_ref()
                        .is_none_or(|it| exists(format!("/registry/{plural}/{namespace}/{}", it.name), it))
                },
            )
            && self.is_node_there(claims)
    }

    /// A pod's token only mentions the node; a token that names nothing else is bound to it.
    fn is_node_there(&self, claims: &Claims) -> bool {
        let Some(node) = claims.kubernetes.node.as_ref().filter(|_| claims.kubernetes.pod.is_none()) else {
            return true;
        };
        self.object(&format!("/registry/nodes/{}", node.name)).is_some_and(|object| object.uid() == node.uid)
    }

    /// `id.secret` of a Secret `bootstrap-token-<id>` in kube-system.
    fn bootstrap_token(&self, token: &str) -> Option<Identity> {
        let (id, secret) = token.split_once('.')?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if id.len() != 6 || secret.len() != 16 || !plain(id) || !plain(secret) {
            return None;
        }
        let object = self.object(&format!("/registry/secrets/kube-system/bootstrap-token-{id}"))?;
        if object.is_deleting() || object.text("type") != "bootstrap.kubernetes.io/token" {
            return None;
        }
        let data = |field: &str| secret_text(&object, field);
        // Hashes are compared, so that the time it takes says nothing about the secret.
        let matches = Sha256::digest(data("token-secret")) == Sha256::digest(secret);
        let usable = matches
            && data("token-id") == id
            && data("usage-bootstrap-authentication") == "true"
            && !is_expired(&data("expiration"));
        usable.then(|| bootstrapper(id, &data("auth-extra-groups")))
    }

    fn object(&self, key: &str) -> Option<Document> {
        self.store.get(key).and_then(|entry| document::decode(&entry.value).ok())
    }
}

fn bootstrapper(id: &str, extra_groups: &str) -> Identity {
    let mut groups = vec!["system:bootstrappers".to_owned()];
    let allowed = extra_groups.split(',').filter(|group| group.starts_with("system:bootstrappers:"));
    groups.extend(allowed.map(ToOwned::to_owned));
    Identity::new(UserInfo { name: format!("system:bootstrap:{id}"), groups, ..UserInfo::default() })
}

/// An expiration that cannot be read has passed: better no token than one for ever.
fn is_expired(expiration: &str) -> bool {
    !expiration.is_empty() && sheave_api::time::parse(expiration).is_none_or(|time| time <= Timestamp::now())
}

fn secret_text(secret: &Document, field: &str) -> String {
    let encoded = secret["data"][field].as_str().unwrap_or_default();
    STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn identity_of(claims: &Claims) -> Identity {
    let private = &claims.kubernetes;
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: &str| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    for (kind, reference) in [("pod", &private.pod), ("node", &private.node)] {
        if let Some(reference) = reference {
            add(&format!("{kind}-name"), &reference.name);
            add(&format!("{kind}-uid"), &reference.uid);
        }
    }
    extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", claims.jti)]);
    Identity::new(UserInfo {
        name: claims.sub.clone(),
        uid: private.service_account.uid.clone(),
        groups: vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{}", private.namespace)],
        extra,
    })
}

/// The token of `Authorization: Bearer`, or of the WebSocket subprotocol.
fn bearer(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((scheme, token)) = header.and_then(|header| header.trim().split_once(' '))
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(token.trim().to_owned());
    }
    let protocols = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let encoded =
        protocols.flat_map(|value| value.split(',')).find_map(|it| it.trim().strip_prefix(WEBSOCKET_BEARER))?;
    URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}
