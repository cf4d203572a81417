//! A server for each test, and raw requests to it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use sheave_apiserver::{ApiServer, Identity, Options, store_options};
use sheave_store::Store;

/// An empty store in memory.
pub(crate) fn store() -> Arc<Store> {
    Arc::new(Store::in_memory(store_options()).expect("a store in memory opens"))
}

/// A server over an empty store in memory, with its bootstrap objects.
pub(crate) async fn server() -> ApiServer {
    server_over(store()).await
}

/// A server over this store, with its bootstrap objects.
pub(crate) async fn server_over(store: Arc<Store>) -> ApiServer {
    let advertise = "192.0.2.1:6443".parse().expect("an address");
    let options = Options { advertise, ..Options::default() };
    ApiServer::start(store, options).await.expect("the bootstrap objects are made")
}

/// A client that may do everything.
pub(crate) async fn client() -> kube::Client {
    server().await.client(Identity::admin())
}

/// A raw request as the administrator; gives status and body.
pub(crate) async fn send(server: &ApiServer, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    send_as(server, method, path, &[("content-type", "application/json")], body).await
}

/// As [`send`] with headers of its own.
pub(crate) async fn send_as(
    server: &ApiServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, Value) {
    request(server, &Identity::admin(), method, path, headers, body).await
}

/// As [`send_as`] on behalf of somebody.
pub(crate) async fn request(
    server: &ApiServer,
    identity: &Identity,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a valid request");
    request.extensions_mut().insert(identity.clone());
    let response = server.handle(request).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    let value =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}
