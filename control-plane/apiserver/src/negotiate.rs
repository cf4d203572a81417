//! Content negotiation: what the body is, and in which shape and format the client wants its answer.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use sheave_api::decode::Format;

use crate::query::Query;
use crate::status::StatusError;

/// What an answer is written in. Protobuf is understood but never answered: clients that prefer it accept JSON too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerFormat {
    Json,
    Yaml,
}

/// Which form of the objects is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects themselves.
    Whole,
    /// `meta.k8s.io Table` of the given version.
    Table(&'static str),
    /// `meta.k8s.io PartialObjectMetadata` or its list, of the given version.
    Metadata(&'static str),
}

/// The outcome of negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) format: AnswerFormat,
    pub(crate) shape: Shape,
    /// Indented for a person: `?pretty=true`, or a browser or curl asking.
    pub(crate) pretty: bool,
}

/// A clause of `Accept`: the media type and its parameters.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

pub(crate) const BODY_TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const ANSWER_TYPES: &str = "application/json, application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// The format of the request body. A missing Content-Type is JSON: `kubectl scale --current-replicas` sends none.
pub(crate) fn body_format(headers: &HeaderMap) -> Result<Format, StatusError> {
    match media_type(headers) {
        None | Some("" | "application/json") => Ok(Format::Json),
        Some("application/yaml") => Ok(Format::Yaml),
        Some(PROTOBUF) => Ok(Format::Protobuf),
        Some(_) => Err(StatusError::unsupported_media_type(BODY_TYPES)),
    }
}

/// The Content-Type without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim())
}

/// Picks the first clause of `Accept` that can be served.
pub(crate) fn accepted(headers: &HeaderMap, query: &Query) -> Result<Accepted, StatusError> {
    let pretty = query.get("pretty").map_or_else(|| is_person(headers), |_| query.flag("pretty"));
    let clauses = accept_clauses(headers);
    if clauses.is_empty() {
        return Ok(Accepted { format: AnswerFormat::Json, shape: Shape::Whole, pretty });
    }
    clauses
        .iter()
        .find_map(Clause::answer)
        .map(|(format, shape)| Accepted { format, shape, pretty })
        .ok_or_else(|| StatusError::not_acceptable(ANSWER_TYPES))
}

/// The clauses of every `Accept` header, the client's favourite first (`q`, then the order written).
fn accept_clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|clause| !clause.trim().is_empty())
        .map(Clause::parse)
        .collect();
    clauses.sort_by(|a, b| b.quality().total_cmp(&a.quality()));
    clauses
}

/// Upstream indents for browsers, curl and wget.
fn is_person(headers: &HeaderMap) -> bool {
    let agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|person| agent.starts_with(person))
}

/// The Content-Type of an answer.
pub(crate) fn content_type(format: AnswerFormat) -> HeaderValue {
    match format {
        AnswerFormat::Json => HeaderValue::from_static("application/json"),
        AnswerFormat::Yaml => HeaderValue::from_static("application/yaml"),
    }
}

// === impl Clause ===

impl<'a> Clause<'a> {
    fn parse(clause: &'a str) -> Self {
        let mut parts = clause.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|part| part.split_once('=')).collect();
        Self { media, parameters }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|&(_, value)| value)
    }

    fn quality(&self) -> f32 {
        self.parameter("q").and_then(|q| q.parse().ok()).unwrap_or(1.0)
    }

    fn is_json(&self) -> bool {
        self.media == "application/json"
    }

    fn is_any(&self) -> bool {
        matches!(self.media, "*/*" | "application/*")
    }

    /// What this clause gets, if it can be served.
    fn answer(&self) -> Option<(AnswerFormat, Shape)> {
        let format = match self.media {
            _ if self.is_json() || self.is_any() => AnswerFormat::Json,
            "application/yaml" => AnswerFormat::Yaml,
            _ => return None,
        };
        Some((format, self.shape()?))
    }

    fn shape(&self) -> Option<Shape> {
        let Some(form) = self.parameter("as") else { return Some(Shape::Whole) };
        if self.parameter("g") != Some("meta.k8s.io") {
            return None;
        }
        let version = match self.parameter("v")? {
            "v1" => "meta.k8s.io/v1",
            "v1beta1" => "meta.k8s.io/v1beta1",
            _ => return None,
        };
        match form {
            "Table" => Some(Shape::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Shape::Metadata(version)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(accept: &str) -> Result<(AnswerFormat, Shape), u16> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        accepted(&headers, &Query::default()).map(|it| (it.format, it.shape)).map_err(|error| error.code().as_u16())
    }

    #[test]
    fn the_first_clause_that_can_be_served_wins() {
        let json = AnswerFormat::Json;
        assert_eq!(negotiate("application/json"), Ok((json, Shape::Whole)));
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf,application/json"), Ok((json, Shape::Whole)));
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf, */*"), Ok((json, Shape::Whole)));
        assert_eq!(
            negotiate("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Ok((json, Shape::Table("meta.k8s.io/v1")))
        );
        assert_eq!(
            negotiate(
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
            ),
            Ok((json, Shape::Metadata("meta.k8s.io/v1")))
        );
        assert_eq!(negotiate("application/yaml"), Ok((AnswerFormat::Yaml, Shape::Whole)));
        assert_eq!(negotiate("application/yaml;q=0.5,application/json"), Ok((json, Shape::Whole)));
    }

    #[test]
    fn what_cannot_be_served_is_not_acceptable() {
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf"), Err(406));
        assert_eq!(negotiate("application/json;as=Table;v=v2;g=meta.k8s.io"), Err(406));
        assert_eq!(negotiate("text/html"), Err(406));
    }

    #[test]
    fn no_accept_header_means_json() {
        let accepted = accepted(&HeaderMap::new(), &Query::default()).unwrap();
        assert_eq!((accepted.format, accepted.shape), (AnswerFormat::Json, Shape::Whole));
    }
}
