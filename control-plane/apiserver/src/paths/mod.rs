//! Everything that is no resource: discovery, health, version, metrics, keys.

mod discovery;
mod health;
mod issuer;
mod openapi;
mod version;

pub(crate) use health::Readiness;

use std::sync::Arc;

use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::json;

use crate::query::Query;
use crate::reply::Reply;
use crate::server::Inner;
use crate::status::StatusError;

/// The paths that `/` lists beside the API groups.
const OTHERS: &[&str] = &[
    "/.well-known/openid-configuration",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
];

/// Answers a request for a path.
pub(crate) fn serve(server: &Arc<Inner>, path: &str, parts: &Parts) -> Result<Reply, StatusError> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(StatusError::method_not_allowed());
    }
    let query = Query::parse(parts.uri.query());
    // `/apis/` is `/apis`.
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => health::serve(server, &segments, &query),
        ["version"] => Ok(Reply::json(StatusCode::OK, &version::version())),
        ["metrics"] => Ok(server.exposition()),
        ["openapi", rest @ ..] => openapi::serve(server, rest, &query, &parts.headers),
        ["openid", "v1", "jwks"] => Ok(issuer::keys(server)),
        [".well-known", "openid-configuration"] => Ok(issuer::configuration(server)),
        ["" | "index.html"] => Ok(Reply::json(StatusCode::OK, &json!({"paths": index(server)}))),
        _ => discovery::serve(server, path, &parts.headers),
    }
}

fn index(server: &Inner) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/apis".to_owned()];
    for group in server.registry.groups() {
        let base = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
        if !group.name.is_empty() {
            paths.push(base.clone());
        }
        paths.extend(group.versions.iter().map(|version| format!("{base}/{}", version.name)));
    }
    paths.extend(OTHERS.iter().map(|&path| path.to_owned()));
    paths.sort();
    paths
}
