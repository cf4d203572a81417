//! Who asks, and whether they may. The API server answers both: TokenReview and SubjectAccessReview.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::Method;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

/// Somebody whom the cluster knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The user's UID, of a token.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// Asks the API server, and remembers its answers for a while.
pub struct Access {
    client: kube::Client,
    node: String,
    users: Cache<String, Option<User>>,
    decisions: Cache<(User, String, &'static str), bool>,
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No credential, or a bad one.
    #[error("Unauthorized")]
    Unauthorized,
    /// The roles do not let them.
    #[error("Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)={subresources:?})")]
    Forbidden {
        /// Who.
        user: String,
        /// The verb of the rule that would be needed.
        verb: &'static str,
        /// Any of these subresources of the node.
        subresources: Vec<&'static str>,
    },
    /// The API server does not answer.
    #[error("cannot ask the API server about this request: {0}")]
    ApiServer(Box<kube::Error>),
}

/// Answers with the time until which they are good.
struct Cache<K, V>(Mutex<HashMap<K, (Instant, V)>>);

/// The kubelet's `--authentication-token-webhook-cache-ttl`.
const TOKEN: Duration = Duration::from_secs(120);
/// The kubelet's `--authorization-webhook-cache-authorized-ttl` and `-unauthorized-ttl`.
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// Answers that are kept; tokens are the caller's to choose, so there must be an end.
const KEPT: usize = 1024;

// === impl Access ===

impl Access {
    /// The access to the node called `node`; the client must be allowed to make both reviews.
    #[must_use]
    pub fn new(client: kube::Client, node: &str) -> Self {
        Self { client, node: node.to_owned(), users: Cache::default(), decisions: Cache::default() }
    }

    /// Lets a request pass, or says why not.
    pub(super) async fn check(
        &self,
        certificate: Option<User>,
        authorization: Option<&str>,
        method: &Method,
        path: &str,
    ) -> Result<(), AccessError> {
        let user = match (certificate, bearer(authorization)) {
            (Some(user), _) => user,
            (None, Some(token)) => self.user_of(token).await?.ok_or(AccessError::Unauthorized)?,
            (None, None) => return Err(AccessError::Unauthorized),
        };
        let (verb, subresources) = (verb(method), subresources(path));
        for &subresource in subresources {
            if self.may(&user, verb, subresource).await? {
                return Ok(());
            }
        }
        Err(AccessError::Forbidden { user: user.name, verb, subresources: subresources.to_vec() })
    }

    async fn user_of(&self, token: &str) -> Result<Option<User>, AccessError> {
        if let Some(known) = self.users.get(&token.to_owned()) {
            return Ok(known);
        }
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await.map_err(unanswered)?;
        let status = answer.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).map(|user| User {
            name: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
        });
        self.users.put(token.to_owned(), user.clone(), TOKEN);
        Ok(user)
    }

    async fn may(&self, user: &User, verb: &'static str, subresource: &'static str) -> Result<bool, AccessError> {
        let key = (user.clone(), verb.to_owned(), subresource);
        if let Some(known) = self.decisions.get(&key) {
            return Ok(known);
        }
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            version: Some("v1".to_owned()),
            resource: Some("nodes".to_owned()),
            subresource: Some(subresource.to_owned()),
            name: Some(self.node.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.name.clone()),
            uid: Some(user.uid.clone()),
            groups: Some(user.groups.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await.map_err(unanswered)?;
        let allowed = answer.status.is_some_and(|status| status.allowed && status.denied != Some(true));
        self.decisions.put(key, allowed, if allowed { ALLOWED } else { DENIED });
        Ok(allowed)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("node", &self.node).finish_non_exhaustive()
    }
}

fn unanswered(error: kube::Error) -> AccessError {
    AccessError::ApiServer(Box::new(error))
}

fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The verb of a rule, as upstream's kubelet maps it.
fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

/// The subresources of the node of which one must be allowed (KEP-2862 for the finer ones).
fn subresources(path: &str) -> &'static [&'static str] {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match first {
        "stats" => &["stats"],
        "metrics" => &["metrics"],
        "logs" => &["log"],
        "pods" | "runningpods" => &["pods", "proxy"],
        "healthz" => &["healthz", "proxy"],
        "configz" => &["configz", "proxy"],
        _ => &["proxy"],
    }
}

// === impl Cache ===

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let kept = self.0.lock().ok()?;
        kept.get(key).filter(|(until, _)| *until > Instant::now()).map(|(_, value)| value.clone())
    }

    fn put(&self, key: K, value: V, time: Duration) {
        let Ok(mut kept) = self.0.lock() else { return };
        let now = Instant::now();
        if kept.len() >= KEPT {
            kept.retain(|_, (until, _)| *until > now);
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, (now + time, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_needs_a_right_on_a_subresource_of_the_node() {
        for (path, expected) in [
            ("/exec/default/web/c", &["proxy"][..]),
            ("/containerLogs/default/web/c", &["proxy"]),
            ("/metrics/resource", &["metrics"]),
            ("/stats/summary", &["stats"]),
            ("/pods", &["pods", "proxy"]),
            ("/healthz", &["healthz", "proxy"]),
            ("/metricsx", &["proxy"]),
            ("//stats", &["stats"]),
            ("/", &["proxy"]),
        ] {
            assert_eq!(subresources(path), expected, "{path}");
        }
    }

    #[test]
    fn only_a_bearer_token_is_a_token() {
        for (header, expected) in [
            (Some("Bearer abc"), Some("abc")),
            (Some("bearer  abc "), Some("abc")),
            (Some("Basic abc"), None),
            (Some("Bearer "), None),
            (None, None),
        ] {
            assert_eq!(bearer(header), expected, "{header:?}");
        }
    }

    #[test]
    fn answers_are_forgotten_in_time_and_do_not_pile_up() {
        let cache = Cache::default();
        cache.put(1, "old", Duration::ZERO);
        assert_eq!(cache.get(&1), None);
        for key in 0..5000 {
            cache.put(key, "kept", Duration::from_secs(60));
        }
        assert!(cache.0.lock().unwrap().len() <= KEPT);
        assert_eq!(cache.get(&4999), Some("kept"));
    }
}
