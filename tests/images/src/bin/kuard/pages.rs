//! The HTTP server: a page for people, and the paths that probes and scripts use.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, OriginalUri, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use test_images::{Probe, Verdict, environment, hostname};

use crate::keygen::Keygen;
use crate::{log, memq};

/// What the handlers share.
pub(crate) struct Server {
    healthy: Probe,
    ready: Probe,
    keygen: Arc<Keygen>,
    held: Mutex<Vec<Vec<u8>>>,
}

type Shared = State<Arc<Server>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProbeChange {
    fail_next: i64,
}

#[derive(Deserialize)]
struct Allocation {
    /// Bytes.
    size: usize,
}

#[derive(Deserialize)]
struct Question {
    name: String,
}

/// The image's colour, which stands for its version.
pub(crate) fn colour() -> String {
    std::env::var("KUARD_COLOUR").unwrap_or_else(|_| "unknown".to_owned())
}

pub(crate) fn router(keygen: Arc<Keygen>) -> Router {
    let server = Server { healthy: Probe::default(), ready: Probe::default(), keygen, held: Mutex::default() };
    Router::new()
        .route("/", get(page))
        .route("/healthy", get(async |State(server): Shared| answer(&server.healthy)))
        .route("/healthy/", get(async |State(server): Shared| answer(&server.healthy)))
        .route("/ready", get(async |State(server): Shared| answer(&server.ready)))
        .route("/ready/", get(async |State(server): Shared| answer(&server.ready)))
        .route("/healthy/api", get(async |State(server): Shared| state(&server.healthy)).put(change_healthy))
        .route("/ready/api", get(async |State(server): Shared| state(&server.ready)).put(change_ready))
        .route("/env/api", get(env))
        .route("/mem/api", get(mem))
        .route("/mem/api/alloc", post(allocate))
        .route("/mem/api/clear", post(clear))
        .route("/dns/api", post(dns))
        .route("/keygen", get(async |State(server): Shared| Json(server.keygen.state())))
        .route("/fs/", get(async || files(Path(String::new())).await))
        .route("/fs/{*path}", get(files))
        .with_state(Arc::new(server))
        .nest("/memq/server", memq::router())
        .layer(middleware::from_fn(log_request))
}

/// The page: what a person wants to see of a pod.
async fn page(connection: Option<Extension<ConnectInfo<SocketAddr>>>) -> Html<String> {
    let peer = connection.map_or_else(String::new, |Extension(ConnectInfo(peer))| peer.to_string());
    Html(format!(
        "<!doctype html>\n<title>KUAR Demo</title>\n<h1 style=\"color:{colour}\">KUAR Demo</h1>\n\
         <p>version: {colour}<p>hostname: {hostname}<p>you are: {peer}\n\
         <p><a href=/env/api>env</a> <a href=/healthy/api>healthy</a> <a href=/ready/api>ready</a> <a href=/fs/>files</a>\n",
        colour = colour(),
        hostname = hostname(),
    ))
}

fn answer(probe: &Probe) -> (StatusCode, &'static str) {
    match probe.ask() {
        Verdict::Well => (StatusCode::OK, "ok"),
        Verdict::Failing => (StatusCode::INTERNAL_SERVER_ERROR, "fail"),
    }
}

fn state(probe: &Probe) -> Json<Value> {
    let (fail_next, asked) = probe.state();
    Json(json!({ "failNext": fail_next, "requests": asked }))
}

async fn change_healthy(State(server): Shared, Json(change): Json<ProbeChange>) {
    server.healthy.fail_next(change.fail_next);
}

async fn change_ready(State(server): Shared, Json(change): Json<ProbeChange>) {
    server.ready.fail_next(change.fail_next);
}

async fn env() -> Json<Value> {
    Json(json!({ "commandLine": std::env::args().collect::<Vec<_>>(), "env": environment() }))
}

async fn mem(State(server): Shared) -> Json<Value> {
    Json(json!({ "held": server.held.lock().iter().map(Vec::len).sum::<usize>() }))
}

async fn allocate(State(server): Shared, Query(allocation): Query<Allocation>) -> Json<Value> {
    server.held.lock().push(vec![1; allocation.size]);
    mem(State(server)).await
}

async fn clear(State(server): Shared) -> Json<Value> {
    server.held.lock().clear();
    mem(State(server)).await
}

async fn dns(Json(question): Json<Question>) -> Json<Value> {
    match test_images::resolve(&question.name).await {
        Ok(addresses) => Json(json!({ "result": addresses })),
        Err(error) => Json(json!({ "error": error.to_string() })),
    }
}

/// A file's bytes, or a folder's names.
async fn files(Path(path): Path<String>) -> Response {
    let path = std::path::Path::new("/").join(path);
    if path.is_dir() {
        let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        return Json(names).into_response();
    }
    match std::fs::read(&path) {
        Ok(bytes) => bytes.into_response(),
        Err(error) => (StatusCode::NOT_FOUND, format!("{}: {error}\n", path.display())).into_response(),
    }
}

async fn log_request(OriginalUri(uri): OriginalUri, request: Request, next: Next) -> Response {
    log(&format!("{} {uri}", request.method()));
    next.run(request).await
}
