//! Answers in a form for people: indented JSON, YAML.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use sheave_api::Document;

use crate::body;
use crate::negotiate::{Accepted, AnswerFormat, content_type};
use crate::reply::Reply;
use crate::status::StatusError;

/// Writes a JSON document anew. The whole document is held for that, which streamed JSON is not.
pub(crate) async fn reformat(reply: Reply, accepted: Accepted) -> Result<Reply, StatusError> {
    let (mut parts, streamed) = reply.into_response().into_parts();
    let bytes = streamed.collect().await.map_err(StatusError::internal)?.to_bytes();
    let written = match accepted.format {
        AnswerFormat::Json => indented(&bytes)?,
        AnswerFormat::Yaml => yaml(&bytes)?,
    };
    parts.headers.insert(http::header::CONTENT_TYPE, content_type(accepted.format));
    Ok(Reply::forwarded(http::Response::from_parts(parts, body::full(written))))
}

fn indented(bytes: &Bytes) -> Result<String, StatusError> {
    let document: Document = serde_json::from_slice(bytes).map_err(StatusError::internal)?;
    let mut text = serde_json::to_string_pretty(&document).map_err(StatusError::internal)?;
    text.push('\n');
    Ok(text)
}

fn yaml(bytes: &Bytes) -> Result<String, StatusError> {
    let document: Document = serde_json::from_slice(bytes).map_err(StatusError::internal)?;
    serde_yaml_ng::to_string(&document).map_err(StatusError::internal)
}
