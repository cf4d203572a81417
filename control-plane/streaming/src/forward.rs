//! One request to another server over a connection of its own, and the bytes of both directions after an upgrade.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ForwardError(#[from] hyper::Error);

/// Whatever a body may fail with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Sends `request` over `io`, as HTTP/1.1. The answer may be `101 Switching Protocols`: see [`splice`].
///
/// # Errors
/// When the server breaks off or answers what is no HTTP.
pub async fn send<IO, B>(io: IO, request: Request<B>) -> Result<Response<Incoming>, ForwardError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a forwarded connection ended early");
        }
    });
    Ok(sender.send_request(request).await?)
}

/// Connects the two ends of an upgrade once both are there: bytes go both ways, and each direction ends for itself.
pub fn spawn_splice(client: OnUpgrade, server: OnUpgrade) {
    tokio::spawn(async move {
        let (client, server) = match tokio::try_join!(client, server) {
            Ok(ends) => ends,
            Err(error) => {
                tracing::debug!(%error, "an upgrade did not come about");
                return;
            }
        };
        if let Err(error) = splice(client, server).await {
            tracing::debug!(%error, "an upgraded connection ended early");
        }
    });
}

/// Copies between two ends until both directions have ended.
///
/// # Errors
/// When reading or writing fails.
pub async fn splice(client: Upgraded, server: Upgraded) -> std::io::Result<()> {
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Whether `response` has left HTTP.
#[must_use]
pub fn is_upgraded<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// Whether a request asks to leave HTTP.
#[must_use]
pub fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) && connection_names(headers).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

/// Takes out what belongs to one connection (RFC 9110, section 7.6.1). An upgrade is asked for anew.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let upgrade = asks_for_upgrade(headers).then(|| headers.get(UPGRADE).cloned()).flatten();
    let named: Vec<HeaderName> = connection_names(headers).filter_map(|name| name.parse().ok()).collect();
    let fixed = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    for name in named.into_iter().chain(fixed) {
        headers.remove(name);
    }
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

fn connection_names(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn headers_of_one_connection_stay_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
            ("upgrade", "h2c"),
        ] {
            headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn an_upgrade_is_asked_for_anew() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
        strip_hop_by_hop(&mut headers);
        assert_eq!(
            (&headers[CONNECTION], &headers[UPGRADE]),
            (&"Upgrade".parse().unwrap(), &"SPDY/3.1".parse().unwrap())
        );
    }

    #[tokio::test]
    async fn an_answer_comes_with_its_body() {
        let (near, mut far) = tokio::io::duplex(4096);
        let server = tokio::spawn(async move {
            let mut head = vec![0; 4096];
            let count = far.read(&mut head).await.unwrap();
            far.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone").await.unwrap();
            String::from_utf8(head[..count].to_vec()).unwrap()
        });
        let request = Request::get("/exec/abc").header("host", "node").body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = send(near, request).await.unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "none");
        assert!(server.await.unwrap().starts_with("GET /exec/abc HTTP/1.1\r\n"));
    }
}
