//! Continue tokens: `base64url(JSON {"v":"meta.k8s.io/v1","rv":N,"start":"<key>\u0000"})`, as Kubernetes documents them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::status::StatusError;

/// Where a paged list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContinueToken {
    /// The revision of the first page; none for a list that goes on inconsistently.
    pub(crate) revision: Option<u64>,
    /// The last key of the page before, without the collection's prefix.
    pub(crate) after: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
}

const VERSION: &str = "meta.k8s.io/v1";
/// Stands for "whatever is there": the token of an inconsistent continuation.
const ANY_REVISION: i64 = -1;
const LONGEST: usize = 4096;

// === impl ContinueToken ===

impl ContinueToken {
    pub(crate) fn encode(&self) -> String {
        let wire = Wire {
            v: VERSION.to_owned(),
            rv: self.revision.and_then(|revision| i64::try_from(revision).ok()).unwrap_or(ANY_REVISION),
            start: format!("{}\0", self.after),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str) -> Result<Self, StatusError> {
        Self::parse(text)
            .ok_or_else(|| StatusError::bad_request("continue key is not valid: it was not given out by this server"))
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        let wire: Wire = serde_json::from_slice(&bytes).ok()?;
        let after = wire.start.strip_suffix('\0').unwrap_or(&wire.start);
        let escapes = after.split('/').any(|segment| segment == ".." || segment == ".");
        if wire.v != VERSION || after.is_empty() || after.starts_with('/') || escapes {
            return None;
        }
        let revision = match wire.rv {
            ANY_REVISION => None,
            revision => Some(u64::try_from(revision).ok().filter(|&revision| revision > 0)?),
        };
        Some(Self { revision, after: after.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_trip_to_the_client() {
        for revision in [Some(7), None] {
            let token = ContinueToken { revision, after: "default/web-1".into() };
            assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        }
    }

    #[test]
    fn forged_tokens_are_refused() {
        let forge = |json: &str| URL_SAFE_NO_PAD.encode(json);
        for token in [
            "%%%".to_owned(),
            forge("{}"),
            forge(r#"{"v":"meta.k8s.io/v2","rv":1,"start":"a\u0000"}"#),
            forge(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a\u0000"}"#),
            forge(r#"{"v":"meta.k8s.io/v1","rv":-2,"start":"a\u0000"}"#),
            forge(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets/a\u0000"}"#),
            forge(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"/registry/secrets/a\u0000"}"#),
            forge(r#"{"v":"meta.k8s.io/v1","rv":1,"start":""}"#),
            "x".repeat(5000),
        ] {
            assert_eq!(ContinueToken::decode(&token).unwrap_err().code(), 400, "{token}");
        }
    }
}
