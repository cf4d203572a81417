//! `GET pods/NAME/log`.

use bytes::Bytes;
use form_urlencoded::Serializer;
use futures::SinkExt as _;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sheave_api::field::{Cause, FieldError, Path};
use sheave_streaming::websocket::{self, Handshake};

use super::outbound::{self, Outbound};
use super::{Inbound, Request, container, kubelet, stream};
use crate::body::{self, ResponseBody};
use crate::call::Call;
use crate::query::Query;
use crate::reply::Reply;
use crate::status::StatusError;

/// `PodLogOptions`, as far as the kubelet sees them.
#[derive(Debug, Default, PartialEq, Eq)]
struct LogOptions {
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail_lines: Option<i64>,
    limit_bytes: Option<i64>,
    since_seconds: Option<i64>,
    since_time: Option<String>,
    stream: Option<String>,
}

/// The largest error text that is taken from a kubelet.
const LARGEST_ERROR: usize = 2048;
const WEBSOCKET: &[&str] = &["binary.k8s.io", "base64.binary.k8s.io", ""];

pub(super) async fn serve(call: &Call, request: Request) -> Result<Reply, StatusError> {
    let Request { mut inbound, .. } = request;
    let options = LogOptions::parse(&call.query, call.name())?;
    let pod = call.stored_object()?;
    let container = container::chosen(&pod, call.query.get("container").unwrap_or_default())?;
    if !stream::is_bound(&pod) {
        return Ok(Reply::stream("text/plain", body::full("")));
    }
    let destination = kubelet::of_pod(call, &pod, !call.query.flag("insecureSkipTLSVerifyBackend"))?;
    let namespace = call.namespace().unwrap_or_default();
    let path = format!("/containerLogs/{namespace}/{}/{container}?{}", call.name(), options.to_query());
    let mut headers = HeaderMap::new();
    if let Some(agent) = call.headers.get(USER_AGENT) {
        headers.insert(USER_AGENT, agent.clone());
    }
    let outbound = Outbound { destination, method: Method::GET, path, headers, body: body::full("") };
    let response = outbound::send(call, outbound).await.map_err(|error| error.of_kubelet())?;
    if response.status() != StatusCode::OK {
        return Err(refusal(call, response).await);
    }
    if websocket::is_upgrade(&call.headers) {
        return over_websocket(call, &mut inbound, response.into_body());
    }
    let mut answer = response.map(|body| body.map_err(Into::into).boxed_unsync());
    *answer.headers_mut() = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
    Ok(Reply::forwarded(answer))
}

/// The kubelet's refusal as a Status, as upstream's `GenericHttpResponseChecker` makes it.
async fn refusal(call: &Call, response: Response<Incoming>) -> StatusError {
    let code = response.status();
    let text = Limited::new(response.into_body(), LARGEST_ERROR).collect().await;
    let text = text.map(|text| String::from_utf8_lossy(&text.to_bytes()).trim().to_owned()).unwrap_or_default();
    match code {
        StatusCode::BAD_REQUEST => StatusError::bad_request(text),
        StatusCode::INTERNAL_SERVER_ERROR => StatusError::internal(text),
        StatusCode::NOT_FOUND => StatusError::new(code, "NotFound", text),
        code => {
            let message = format!("the node that runs pod {:?} refused its log: {code}: {text}", call.name());
            StatusError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
        }
    }
}

/// The log as messages: conformance reads it so.
fn over_websocket(call: &Call, inbound: &mut Inbound, log: Incoming) -> Result<Reply, StatusError> {
    let handshake = Handshake::of(&Method::GET, &call.headers, WEBSOCKET)
        .map_err(|error| StatusError::bad_request(error.to_string()))?;
    let upgrade = inbound.upgrade.take();
    let upgrade =
        upgrade.ok_or_else(|| StatusError::bad_request("this connection cannot be upgraded: use HTTP/1.1"))?;
    let is_base64 = handshake.protocol.starts_with("base64.");
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = websocket::server(TokioIo::new(upgraded)).await;
        send_messages(socket, log, is_base64).await;
    });
    let response: Response<Empty> = handshake.response();
    Ok(Reply::forwarded(response.map(|Empty| -> ResponseBody { body::full("") })))
}

/// An answer without a body.
#[derive(Default)]
struct Empty;

async fn send_messages<IO>(mut socket: websocket::Socket<IO>, mut log: Incoming, is_base64: bool)
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // The first message is empty: the client learns that the log is open.
    let mut next = Some(Bytes::new());
    while let Some(data) = next {
        if socket.send(websocket::data(data, is_base64)).await.is_err() {
            return;
        }
        next = loop {
            match log.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => break Some(data),
                    Err(_trailers) => {}
                },
                Some(Err(_)) | None => break None,
            }
        };
    }
    websocket::close(socket).await;
}

// === impl LogOptions ===

impl LogOptions {
    /// Reads and validates, all errors at once.
    fn parse(query: &Query, pod: &str) -> Result<Self, StatusError> {
        let text = |name: &str| query.get(name).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
        let options = Self {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            tail_lines: query.number("tailLines")?,
            limit_bytes: query.number("limitBytes")?,
            since_seconds: query.number("sinceSeconds")?,
            since_time: text("sinceTime"),
            stream: text("stream"),
        };
        let errors = options.errors();
        if errors.is_empty() { Ok(options) } else { Err(StatusError::invalid_kind("", "PodLogOptions", pod, &errors)) }
    }

    fn errors(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut refuse = |field: &str, cause, message: String| {
            errors.push(FieldError { path: Path::new(field), cause, message });
        };
        let at_least = |value: i64, least: i64| {
            let words = if least == 0 { "greater than or equal to 0" } else { "greater than 0" };
            (value < least).then(|| format!("Invalid value: {value}: must be {words}"))
        };
        for (field, value, least) in [
            ("tailLines", self.tail_lines, 0),
            ("limitBytes", self.limit_bytes, 1),
            ("sinceSeconds", self.since_seconds, 1),
        ] {
            if let Some(message) = value.and_then(|value| at_least(value, least)) {
                refuse(field, Cause::Invalid, message);
            }
        }
        if self.since_seconds.is_some() && self.since_time.is_some() {
            let message = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
            refuse("", Cause::Forbidden, message.to_owned());
        }
        if let Some(time) = self.since_time.as_deref().filter(|time| time.parse::<jiff::Timestamp>().is_err()) {
            refuse("sinceTime", Cause::Invalid, format!("Invalid value: {time:?}: must be a time as in RFC 3339"));
        }
        match self.stream.as_deref() {
            None | Some("All") => {}
            Some("Stdout" | "Stderr") if self.tail_lines.is_none() => {}
            Some("Stdout" | "Stderr") => {
                let message = "Forbidden: `tailLines` and specific `stream` are mutually exclusive for now";
                refuse("", Cause::Forbidden, message.to_owned());
            }
            Some(other) => {
                let message =
                    format!("Unsupported value: {other:?}: supported values: \"All\", \"Stderr\", \"Stdout\"");
                refuse("stream", Cause::NotSupported, message);
            }
        }
        errors
    }

    fn to_query(&self) -> String {
        let mut encoded = Serializer::new(String::new());
        for (name, value) in [("follow", self.follow), ("previous", self.previous), ("timestamps", self.timestamps)] {
            if value {
                encoded.append_pair(name, "true");
            }
        }
        for (name, value) in
            [("tailLines", self.tail_lines), ("limitBytes", self.limit_bytes), ("sinceSeconds", self.since_seconds)]
        {
            if let Some(value) = value {
                encoded.append_pair(name, &value.to_string());
            }
        }
        for (name, value) in [("sinceTime", &self.since_time), ("stream", &self.stream)] {
            if let Some(value) = value {
                encoded.append_pair(name, value);
            }
        }
        encoded.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<&str, &str>) {
        let parsed = LogOptions::parse(&Query::parse(Some(query)), "p").map(|options| options.to_query());
        assert_eq!(parsed.as_deref().map_err(StatusError::message), expected, "{query}");
    }

    #[test]
    fn options_are_checked_in_kubernetes_words() {
        check("container=c&follow=true&tailLines=5&timestamps=true", Ok("follow=true&timestamps=true&tailLines=5"));
        check("sinceTime=2026-01-01T00:00:00Z", Ok("sinceTime=2026-01-01T00%3A00%3A00Z"));
        check(
            "tailLines=-1",
            Err("PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"),
        );
        check(
            "limitBytes=0",
            Err("PodLogOptions \"p\" is invalid: limitBytes: Invalid value: 0: must be greater than 0"),
        );
        check(
            "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
            Err(
                "PodLogOptions \"p\" is invalid: : Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
            ),
        );
        check(
            "sinceTime=yesterday",
            Err(
                "PodLogOptions \"p\" is invalid: sinceTime: Invalid value: \"yesterday\": must be a time as in RFC 3339",
            ),
        );
        assert!(LogOptions::parse(&Query::parse(Some("tailLines=x")), "p").is_err());
    }
}
