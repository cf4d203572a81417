//! Bearer tokens of service accounts: signing, and finding out whose one is.
//!
//! A token is a JWT (RFC 7519) signed with ES256. ring signs; no JWT library does so with ring alone, and the format is a
//! few lines: `base64url(header).base64url(claims).base64url(signature)`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The keys of service-account tokens.
pub struct TokenKeys {
    pair: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

/// The keys cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the service-account key is not a P-256 private key in PKCS#8: {0}; remove it to have a new one made")]
pub struct TokenKeysError(String);

/// The claims of a service-account token (KEP-1205, KEP-2799).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: Vec<String>,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iss: String,
    pub(crate) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) kubernetes: Private,
    pub(crate) nbf: i64,
    pub(crate) sub: String,
}

/// What a token says of Kubernetes' objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Private {
    pub(crate) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Reference>,
    #[serde(rename = "serviceaccount")]
    pub(crate) service_account: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warnafter: Option<i64>,
}

/// An object by name and UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) uid: String,
}

/// A token that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is not a JWT signed with ES256")]
    Malformed,
    #[error("the token was signed with another key")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token was issued by {0:?}")]
    Issuer(String),
}

const LONGEST: usize = 16 * 1024;
/// Clocks may differ by so many seconds.
const LEEWAY: i64 = 5;

// === impl TokenKeys ===

impl TokenKeys {
    /// New keys.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<(Self, Vec<u8>), TokenKeysError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|error| TokenKeysError(error.to_string()))?;
        let pkcs8 = document.as_ref().to_vec();
        Ok((Self::from_pkcs8(&pkcs8)?, pkcs8))
    }

    /// The keys in a PEM file with a `PRIVATE KEY`, such as `sa.key`.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TokenKeysError> {
        use rustls_pki_types::pem::PemObject as _;
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map_err(|error| TokenKeysError(error.to_string()))?;
        Self::from_pkcs8(key.secret_pkcs8_der())
    }

    /// The keys in a PKCS#8 document.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, TokenKeysError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|error| TokenKeysError(error.to_string()))?;
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.public_key().as_ref()));
        Ok(Self { pair, key_id, random })
    }

    /// The JSON Web Key Set (RFC 7517) with which others check tokens.
    #[must_use]
    pub fn jwks(&self) -> Value {
        // An uncompressed point: 4, then x and y of 32 bytes each.
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
        json!({"keys": [{"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}]})
    }

    pub(crate) fn sign(&self, claims: &Claims) -> Option<String> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let claims = serde_json::to_vec(claims).ok()?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token, its signature, issuer and times checked.
    pub(crate) fn verify(&self, token: &str, issuer: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let claims = self.signed_claims(token)?;
        if claims.iss != issuer {
            return Err(TokenError::Issuer(claims.iss));
        }
        if now.as_second() >= claims.exp {
            return Err(TokenError::Expired);
        }
        if now.as_second() + LEEWAY < claims.nbf {
            return Err(TokenError::NotYet);
        }
        Ok(claims)
    }

    fn signed_claims(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: BTreeMap<String, Value> = decoded(header)?;
        if header.get("alg").and_then(Value::as_str) != Some("ES256") {
            return Err(TokenError::Malformed);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        decoded(claims)
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            aud: vec!["api".into()],
            exp: 2000,
            iat: 1000,
            iss: "me".into(),
            jti: "j".into(),
            kubernetes: Private {
                namespace: "default".into(),
                service_account: Reference { name: "a".into(), uid: "u".into() },
                ..Private::default()
            },
            nbf: 1000,
            sub: "system:serviceaccount:default:a".into(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_issuer_and_its_time() {
        let (keys, _) = TokenKeys::generate().unwrap();
        let token = keys.sign(&claims()).unwrap();
        assert_eq!(keys.verify(&token, "me", at(1500)).unwrap(), claims());
        assert!(matches!(keys.verify(&token, "other", at(1500)), Err(TokenError::Issuer(_))));
        assert!(matches!(keys.verify(&token, "me", at(2000)), Err(TokenError::Expired)));
        assert!(matches!(keys.verify(&token, "me", at(900)), Err(TokenError::NotYet)));
    }

    #[test]
    fn a_token_of_other_keys_or_with_other_claims_is_refused() {
        let (keys, pkcs8) = TokenKeys::generate().unwrap();
        let token = keys.sign(&claims()).unwrap();
        let (others, _) = TokenKeys::generate().unwrap();
        assert!(matches!(others.verify(&token, "me", at(1500)), Err(TokenError::Signature)));
        let again = TokenKeys::from_pkcs8(&pkcs8).unwrap();
        assert!(again.verify(&token, "me", at(1500)).is_ok());
        let parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { exp: 9000, ..claims() }).unwrap());
        let forged = format!("{}.{forged}.{}", parts[0], parts[2]);
        assert!(matches!(keys.verify(&forged, "me", at(1500)), Err(TokenError::Signature)));
    }

    #[test]
    fn nonsense_is_malformed() {
        let (keys, _) = TokenKeys::generate().unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        for token in ["", ".", "..", "a.b.c", &format!("{none}.e30."), &"x".repeat(20_000)] {
            assert!(matches!(keys.verify(token, "me", at(1)), Err(TokenError::Malformed)), "{token}");
        }
    }
}
