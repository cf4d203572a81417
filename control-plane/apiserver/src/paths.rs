//! Everything that is no resource: health, version, discovery.

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;

use crate::reply::Reply;
use crate::server::Inner;
use crate::status::StatusError;

/// Answers a request for a path.
pub(crate) async fn serve(server: &Arc<Inner>, path: &str, parts: &Parts) -> Result<Reply, StatusError> {
    let _ = (server, parts);
    std::future::ready(()).await;
    match path {
        "/healthz" | "/livez" | "/readyz" => Ok(Reply::text(StatusCode::OK, "ok".to_owned())),
        _ => Err(StatusError::no_such_resource()),
    }
}
