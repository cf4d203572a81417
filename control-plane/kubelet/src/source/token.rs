//! Service-account tokens that are bound to a pod: short-lived, and renewed well before their end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{PATIENCE, namespace, uid};

/// A token is renewed at this age at the latest, however long it lives.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

/// The tokens of this node's pods.
pub(super) struct Tokens {
    client: Client,
    known: Mutex<BTreeMap<Key, Issued>>,
}

/// Which token a volume wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenWish {
    /// Whom it is for; the API server where it is none.
    pub audience: Option<String>,
    /// How long it is to live, in seconds.
    pub expiration: i64,
}

/// A token. It is a secret: its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why there is no token; the words are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to fetch token: {0}")]
pub struct TokenError(String);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    uid: String,
    account: String,
    wish: TokenWish,
}

#[derive(Clone)]
struct Issued {
    token: Token,
    at: Timestamp,
    until: Timestamp,
}

// === impl Token ===

impl Token {
    /// The token itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub(crate) fn for_test(token: &str) -> Self {
        Self(token.to_owned())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

// === impl Tokens ===

impl Tokens {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    pub(super) async fn get(&self, pod: &Pod, wish: &TokenWish) -> Result<Token, TokenError> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        let account = account.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
        let key = Key { uid: uid(pod).to_owned(), account, wish: wish.clone() };
        let known = self.known.lock().get(&key).cloned();
        let now = Timestamp::now();
        if let Some(known) = known.as_ref().filter(|known| !known.is_due(now)) {
            return Ok(known.token.clone());
        }
        match self.request(pod, &key, now).await {
            Ok(issued) => {
                let token = issued.token.clone();
                self.known.lock().insert(key, issued);
                Ok(token)
            }
            // The old one is good for a while yet; the next look tries again.
            Err(error) => known.filter(|known| now < known.until).map(|known| known.token).ok_or(error),
        }
    }

    pub(super) fn forget(&self, uid: &str) {
        self.known.lock().retain(|key, _| key.uid != uid);
    }

    async fn request(&self, pod: &Pod, key: &Key, now: Timestamp) -> Result<Issued, TokenError> {
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace(pod));
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: key.wish.audience.iter().cloned().collect(),
                expiration_seconds: Some(key.wish.expiration),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
            },
            ..TokenRequest::default()
        };
        let parameters = PostParams::default();
        let answer = timeout(PATIENCE, api.create_token_request(&key.account, &parameters, &request)).await;
        let answer = answer.map_err(|_| TokenError("timed out waiting for the condition".to_owned()))?;
        let answer = answer.map_err(|error| TokenError(message(error)))?;
        let status = answer.status.ok_or_else(|| TokenError("the API server sent no token".to_owned()))?;
        Ok(Issued { token: Token(status.token), at: now, until: status.expiration_timestamp.0 })
    }
}

// === impl Issued ===

impl Issued {
    /// Whether it is time for a new one: at four fifths of its life, or after a day.
    fn is_due(&self, now: Timestamp) -> bool {
        let (age, life) = (now.duration_since(self.at), self.until.duration_since(self.at));
        age >= OLDEST || age >= life * 4 / 5
    }
}

/// What the server said, without the client's own words around it.
fn message(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_four_fifths_of_its_life_or_after_a_day() {
        let at = Timestamp::UNIX_EPOCH;
        let hour = 3600;
        let table = [
            (hour, 0, false),
            (hour, 47 * 60, false),
            (hour, 48 * 60, true),
            (hour, 2 * hour, true),
            (100 * hour, 24 * hour - 1, false),
            (100 * hour, 24 * hour, true),
        ];
        for (life, age, due) in table {
            let seconds = |seconds: i64| at + SignedDuration::from_secs(seconds);
            let issued = Issued { token: Token("t".into()), at, until: seconds(life) };
            assert_eq!(issued.is_due(seconds(age)), due, "{life} {age}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", Token("secret".into())), "Token(..)");
    }
}
