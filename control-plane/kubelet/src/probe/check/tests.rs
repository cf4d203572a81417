//! Checks over the loopback device.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use ::http::{HeaderMap, HeaderValue, Request, Response};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::grpc::{HealthRequest, HealthResponse};
use super::*;
use crate::probe::{ExecError, Executed};

/// Generous, where a test is not about time.
const PATIENCE: Duration = Duration::from_secs(60);

/// No program runs in these tests.
struct NoExec;

impl Exec for NoExec {
    fn exec<'a>(&'a self, _: &'a str, _: Vec<String>, _: Duration) -> BoxFuture<'a, Result<Executed, ExecError>> {
        async { Err(ExecError::Runtime("no runtime".to_owned())) }.boxed()
    }
}

async fn check(probe: Value, port: u16, patience: Duration) -> Outcome {
    let container = json!({"name": "c", "ports": [{"name": "web", "containerPort": port}]});
    let container = serde_json::from_value(container).unwrap();
    let target = Target { container: &container, id: "id", address: Some(Ipv4Addr::LOCALHOST.into()) };
    Checker::new(Arc::new(NoExec)).check(&serde_json::from_value(probe).unwrap(), &target, patience).await
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port that nobody listens on.
async fn free_port() -> u16 {
    listen().await.1
}

/// Answers each request by its path; the requests can be read.
async fn serve(answers: &[(&'static str, &'static str)]) -> (u16, UnboundedReceiver<String>) {
    let (listener, port) = listen().await;
    let (sender, requests) = unbounded_channel();
    let answers: HashMap<_, _> = answers.iter().copied().collect();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, answers.clone(), sender.clone()));
        }
    });
    (port, requests)
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answers: HashMap<&'static str, &'static str>,
    requests: UnboundedSender<String>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let _ = requests.send(request);
    match answers.get(path.as_str()) {
        Some(&"never") => std::future::pending().await,
        Some(&"hang up") => {}
        Some(answer) => drop(stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await),
        None => drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await),
    }
}

fn get(path: &str, port: impl Into<Value>) -> Value {
    json!({"httpGet": {"path": path, "port": port.into()}})
}

#[tokio::test]
async fn answers_from_200_to_399_pass_and_redirects_are_followed_within_the_host() {
    let answers = [
        ("/ok", "200 OK\r\nContent-Length: 1000000"),
        ("/", "204 No Content"),
        ("/not-modified", "304 Not Modified"),
        ("/bad", "500 Internal Server Error"),
        ("/to-ok", "302 Found\r\nLocation: /ok"),
        ("/to-bad", "307 Temporary Redirect\r\nLocation: bad"),
        ("/elsewhere", "301 Moved Permanently\r\nLocation: http://elsewhere.example/"),
        ("/in-circles", "302 Found\r\nLocation: /in-circles"),
        ("/hang-up", "hang up"),
        ("/query?x=1", "200 OK"),
    ];
    let (port, _requests) = serve(&answers).await;
    let fail = |message: &str| Outcome::Fail(message.to_owned());
    let circles = format!("Get \"http://127.0.0.1:{port}/in-circles\": stopped after 10 redirects");
    let hang_up = format!("Get \"http://127.0.0.1:{port}/hang-up\": EOF");
    let table = [
        (get("/ok", port), Outcome::Pass),
        (get("ok", "web"), Outcome::Pass),
        (get("", port), Outcome::Pass),
        (get("/query?x=1", port), Outcome::Pass),
        (get("/not-modified", port), Outcome::Pass),
        (get("/bad", port), fail("HTTP probe failed with statuscode: 500")),
        (get("/absent", port), fail("HTTP probe failed with statuscode: 404")),
        (get("/to-ok", port), Outcome::Pass),
        (get("/to-bad", port), fail("HTTP probe failed with statuscode: 500")),
        (get("/elsewhere", port), Outcome::Pass),
        (get("/in-circles", port), fail(&circles)),
        (get("/hang-up", port), fail(&hang_up)),
        (get("/ok", "no-such-port"), Outcome::Unknown("port no-such-port not found".to_owned())),
        (json!({}), Outcome::Unknown("missing probe handler for container c".to_owned())),
    ];
    for (probe, expected) in table {
        assert_eq!(check(probe.clone(), port, PATIENCE).await, expected, "{probe}");
    }
}

#[tokio::test]
async fn a_request_has_the_probes_headers() {
    let (port, mut requests) = serve(&[("/", "200 OK")]).await;
    let plain = get("/", port);
    assert_eq!(check(plain, port, PATIENCE).await, Outcome::Pass);
    let request = requests.recv().await.unwrap().to_lowercase();
    assert!(request.contains("user-agent: kube-probe/1.35"), "{request}");
    assert!(request.contains(&format!("host: 127.0.0.1:{port}")), "{request}");
    let headers = json!([
        {"name": "Host", "value": "shop.example"}, {"name": "X-Probe", "value": "1"}, {"name": "X-Probe", "value": "2"},
        {"name": "User-Agent", "value": "mine"}, {"name": "Accept", "value": ""},
    ]);
    let probe = json!({"httpGet": {"path": "/", "port": port, "httpHeaders": headers}});
    assert_eq!(check(probe, port, PATIENCE).await, Outcome::Pass);
    let request = requests.recv().await.unwrap().to_lowercase();
    for line in ["host: shop.example", "x-probe: 1", "x-probe: 2", "user-agent: mine"] {
        assert_eq!(request.matches(&format!("{line}\r\n")).count(), 1, "{request}");
    }
    assert!(!request.contains("accept:"), "{request}");
}

#[tokio::test]
async fn a_certificate_is_not_checked() {
    let key = rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], key.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (sender, _requests) = unbounded_channel();
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, HashMap::from([("/", "200 OK\r\nContent-Length: 0")]), sender.clone()).await;
            }
        }
    });
    let probe = json!({"httpGet": {"path": "/", "port": port, "scheme": "HTTPS"}});
    assert_eq!(check(probe, port, PATIENCE).await, Outcome::Pass);
}

#[tokio::test]
async fn what_does_not_answer_fails_in_gos_words() {
    let port = free_port().await;
    let refused = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    let table = [
        (json!({"tcpSocket": {"port": port}}), refused.clone()),
        (get("/x", port), format!("Get \"http://127.0.0.1:{port}/x\": {refused}")),
        (
            json!({"grpc": {"port": port}}),
            format!("error: failed to connect service at \"127.0.0.1:{port}\": connection refused"),
        ),
        (
            json!({"tcpSocket": {"port": 1, "host": "no.such.host.invalid"}}),
            "dial tcp: lookup no.such.host.invalid: no such host".to_owned(),
        ),
    ];
    for (probe, message) in table {
        assert_eq!(check(probe.clone(), port, PATIENCE).await, Outcome::Fail(message), "{probe}");
    }
    let (port, _requests) = serve(&[("/", "never")]).await;
    let expected = format!(
        "Get \"http://127.0.0.1:{port}/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    );
    assert_eq!(check(get("/", port), port, Duration::from_millis(50)).await, Outcome::Fail(expected));
}

#[tokio::test]
async fn an_open_port_passes() {
    let (_listener, port) = listen().await;
    assert_eq!(check(json!({"tcpSocket": {"port": "web"}}), port, PATIENCE).await, Outcome::Pass);
}

/// A health service: `1` serves, `2` does not, `12` knows no such method, `5` knows no such service.
async fn serve_health() -> SocketAddr {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(health);
            let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http2.serve_connection(TokioIo::new(stream), service));
        }
    });
    (Ipv4Addr::LOCALHOST, port).into()
}

async fn health(
    request: Request<hyper::body::Incoming>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, Infallible> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    // Five bytes stand before each message: whether it is compressed, and its length.
    let asked = HealthRequest::decode(&body[5..]).unwrap().service;
    let mut trailers = HeaderMap::new();
    let mut answer = vec![0, 0, 0, 0];
    match asked.as_str() {
        "12" | "5" => {
            trailers.insert("grpc-status", asked.parse().unwrap());
            trailers.insert("grpc-message", HeaderValue::from_static("unknown"));
            answer.clear();
        }
        status => {
            let message = HealthResponse { status: status.parse().unwrap_or(1) }.encode_to_vec();
            answer.push(u8::try_from(message.len()).unwrap());
            answer.extend(message);
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
    }
    let body = Full::new(Bytes::from(answer)).with_trailers(async move { Some(Ok(trailers)) });
    Ok(Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap())
}

#[tokio::test]
async fn the_health_service_of_grpc_is_asked() {
    let port = serve_health().await.port();
    let fail = |message: &str| Outcome::Fail(message.to_owned());
    let table = [
        (json!({"port": port}), Outcome::Pass),
        (json!({"port": port, "service": "1"}), Outcome::Pass),
        (json!({"port": port, "service": "2"}), fail("service unhealthy (responded with \"NOT_SERVING\")")),
        (
            json!({"port": port, "service": "12"}),
            fail("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown"),
        ),
        (
            json!({"port": port, "service": "5"}),
            fail("error: health rpc failed: rpc error: code = NotFound desc = unknown"),
        ),
    ];
    for (action, expected) in table {
        assert_eq!(check(json!({"grpc": action}), port, PATIENCE).await, expected, "{action}");
    }
}
