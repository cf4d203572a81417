//! The server's half of the opening handshake.

use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A handshake that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The subprotocol that both sides speak; empty when the client asked for none.
    pub protocol: String,
    accept: String,
}

/// A request that does not become a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A header is missing or is not what RFC 6455 asks.
    #[error("bad WebSocket handshake: {0}")]
    Malformed(&'static str),
    /// None of the client's subprotocols is spoken here.
    #[error("none of the WebSocket subprotocols is supported: {0:?}")]
    Protocol(Vec<String>),
}

/// A browser cannot set headers; its bearer token comes as a subprotocol, which nobody else may see.
const BEARER: &str = "base64url.bearer.authorization.k8s.io.";

/// Whether a request asks for a WebSocket.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket")
}

/// Takes a bearer token out of the subprotocols that a client offers.
pub fn without_bearer(headers: &mut HeaderMap) {
    let offered = protocols(headers);
    if !offered.iter().any(|protocol| protocol.starts_with(BEARER)) {
        return;
    }
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    let kept = offered.into_iter().filter(|protocol| !protocol.starts_with(BEARER)).collect::<Vec<_>>().join(", ");
    if let Ok(value) = HeaderValue::try_from(kept)
        && !value.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
}

// === impl Handshake ===

impl Handshake {
    /// Checks a request, and chooses the first of the client's subprotocols that is among `supported`. An empty string
    /// among them takes a client that offers none.
    ///
    /// # Errors
    /// When this cannot become a WebSocket.
    pub fn of(method: &Method, headers: &HeaderMap, supported: &[&str]) -> Result<Self, HandshakeError> {
        if *method != Method::GET || !is_upgrade(headers) {
            return Err(HandshakeError::Malformed(
                "it must be a GET with `Connection: Upgrade` and `Upgrade: websocket`",
            ));
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(HandshakeError::Malformed("`Sec-WebSocket-Version` must be 13"));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
        let key = key.ok_or(HandshakeError::Malformed("`Sec-WebSocket-Key` must be 16 bytes in base64"))?;
        let mut offered = protocols(headers);
        offered.retain(|protocol| !protocol.starts_with(BEARER));
        let protocol = if offered.is_empty() {
            supported.contains(&"").then(String::new)
        } else {
            offered.iter().find(|protocol| supported.contains(&protocol.as_str())).cloned()
        };
        let protocol = protocol.ok_or(HandshakeError::Protocol(offered))?;
        Ok(Self { protocol, accept: derive_accept_key(key.as_bytes()) })
    }

    /// The answer, `101 Switching Protocols`.
    pub fn response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        for (name, value) in [(SEC_WEBSOCKET_ACCEPT, &self.accept), (SEC_WEBSOCKET_PROTOCOL, &self.protocol)] {
            if let Ok(value) = HeaderValue::try_from(value)
                && !value.is_empty()
            {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The subprotocols that a client offers, over all headers.
fn protocols(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let protocols = values.flat_map(|value| value.split(',')).map(str::trim);
    protocols.filter(|protocol| !protocol.is_empty()).map(ToOwned::to_owned).collect()
}

fn has_token(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(protocols: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        for protocol in protocols {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::try_from(*protocol).unwrap());
        }
        headers
    }

    #[test]
    fn the_first_subprotocol_of_the_client_that_is_spoken_here_is_chosen() {
        let supported = &["v4.channel.k8s.io", "v5.channel.k8s.io", ""];
        for (offered, chosen) in [
            (&["v5.channel.k8s.io, v4.channel.k8s.io"][..], Some("v5.channel.k8s.io")),
            (&["v9", "v4.channel.k8s.io"], Some("v4.channel.k8s.io")),
            (&["base64url.bearer.authorization.k8s.io.c2VjcmV0", "v4.channel.k8s.io"], Some("v4.channel.k8s.io")),
            (&[], Some("")),
            (&["v9"], None),
        ] {
            let handshake = Handshake::of(&Method::GET, &headers(offered), supported);
            assert_eq!(handshake.ok().map(|it| it.protocol).as_deref(), chosen, "{offered:?}");
        }
    }

    #[test]
    fn the_answer_proves_that_the_key_was_read() {
        // The example of RFC 6455, section 1.3.
        let response: Response<()> = Handshake::of(&Method::GET, &headers(&["x"]), &["x"]).unwrap().response();
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "x");
    }

    #[test]
    fn a_bearer_token_among_the_subprotocols_is_taken_out() {
        let mut offered = headers(&["base64url.bearer.authorization.k8s.io.c2VjcmV0, v4.channel.k8s.io"]);
        without_bearer(&mut offered);
        assert_eq!(offered[SEC_WEBSOCKET_PROTOCOL], "v4.channel.k8s.io");
        let mut alone = headers(&["base64url.bearer.authorization.k8s.io.c2VjcmV0"]);
        without_bearer(&mut alone);
        assert!(!alone.contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        let mut without_key = headers(&[]);
        without_key.remove(SEC_WEBSOCKET_KEY);
        let mut old = headers(&[]);
        old.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        for (method, headers) in [
            (Method::POST, headers(&[])),
            (Method::GET, without_key),
            (Method::GET, old),
            (Method::GET, HeaderMap::new()),
        ] {
            assert!(Handshake::of(&method, &headers, &[""]).is_err(), "{method} {headers:?}");
        }
    }
}
