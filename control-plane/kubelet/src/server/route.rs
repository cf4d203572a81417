//! From a path to what answers it.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::access::{AccessError, User};
use super::answer::{self, Answer, Refusal};
use super::containers::Place;
use super::{Node, log, metrics, session, summary};

/// Answers a request, whatever it is.
pub(super) async fn answer(node: &Node, user: Option<User>, request: Request<Incoming>) -> Answer {
    let authorization = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let access = node.access.check(user, authorization, request.method(), request.uri().path()).await;
    if let Err(error) = access {
        let code = match error {
            AccessError::Unauthorized => StatusCode::UNAUTHORIZED,
            AccessError::Forbidden { .. } => StatusCode::FORBIDDEN,
            AccessError::ApiServer(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        return Refusal::new(code, error.to_string()).into();
    }
    dispatch(node, request).await.unwrap_or_else(Answer::from)
}

async fn dispatch(node: &Node, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let path = request.uri().path().to_owned();
    let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (get, post) = (request.method() == Method::GET, request.method() == Method::POST);
    match segments.as_slice() {
        ["containerLogs", namespace, pod, container] if get => {
            log::serve(node, &Place { namespace, pod, container }, request.uri().query()).await
        }
        ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] if get || post => {
            session::exec(node, &Place { namespace, pod, container }, request).await
        }
        ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] if get || post => {
            session::attach(node, &Place { namespace, pod, container }, request).await
        }
        ["portForward", namespace, pod] | ["portForward", namespace, pod, _] if get || post => {
            session::port_forward(node, namespace, pod, request).await
        }
        ["run", namespace, pod, container] | ["run", namespace, pod, _, container] if post => {
            session::run(node, &Place { namespace, pod, container }, request.uri().query()).await
        }
        ["pods"] if get => Ok(pods(node)),
        ["healthz"] | ["healthz", "ping"] if get => Ok(answer::text("ok")),
        ["metrics"] if get => metrics::serve(node).await,
        ["stats", "summary"] if get => summary::serve(node).await,
        ["containerLogs" | "exec" | "attach" | "portForward" | "run", ..]
        | ["pods" | "healthz" | "metrics" | "stats"] => {
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed"))
        }
        _ => Err(Refusal::not_found("404 page not found")),
    }
}

/// A segment without its percent signs; bytes that are no text name nothing.
fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn pods(node: &Node) -> Answer {
    let items: Vec<_> = node.pods.pods();
    let items: Vec<&k8s_openapi::api::core::v1::Pod> = items.iter().map(AsRef::as_ref).collect();
    answer::json(&serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}
