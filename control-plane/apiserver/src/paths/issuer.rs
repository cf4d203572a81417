//! What others need to check service-account tokens (OpenID Connect Discovery 1.0).

use http::StatusCode;
use serde_json::json;

use crate::body;
use crate::reply::Reply;
use crate::server::Inner;

/// `/openid/v1/jwks`
pub(super) fn keys(server: &Inner) -> Reply {
    Reply::stream("application/jwk-set+json", body::full(server.authenticator.keys.jwks().to_string()))
}

/// `/.well-known/openid-configuration`
pub(super) fn configuration(server: &Inner) -> Reply {
    let configuration = json!({
        "issuer": server.authenticator.issuer,
        "jwks_uri": format!("https://{}/openid/v1/jwks", server.options.advertise),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    Reply::json(StatusCode::OK, &configuration)
}
