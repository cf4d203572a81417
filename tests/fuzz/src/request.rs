//! Whole requests: `METHOD PATH CONTENT-TYPE`, a line break, and the body. Continue tokens, selectors and options are
//! parameters of the path. Every answer has a status, and every refusal is a `Status`.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use sheave_apiserver::{ApiServer, Identity, Options, ResponseBody, store_options};
use sheave_store::Store;
use tokio::runtime::Runtime;

/// Longer answers, such as lists of everything, are not read to their end.
const LONGEST_ANSWER: usize = 1 << 20;

static SERVER: LazyLock<(Runtime, ApiServer)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let store = Store::in_memory(store_options()).expect("a store in memory opens");
    let server = runtime.block_on(ApiServer::start(Arc::new(store), Options::default()));
    let server = server.expect("the bootstrap objects are made");
    (runtime, server)
});

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Some(request) = read(data) else { return };
    let (runtime, server) = &*SERVER;
    runtime.block_on(async {
        let response = server.handle(request).await;
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return;
        }
        let answer: Value = serde_json::from_slice(&collected(response).await).unwrap_or_default();
        assert_eq!(answer["kind"], "Status", "{status} without a Status");
        assert_eq!(answer["code"], status.as_u16());
        // 500 is a fault of the server's, but for the one that Kubernetes answers to groups without a user.
        assert_ne!(status.as_u16(), 500, "{answer}");
    });
}

/// Nothing that watches or lasts: an answer must end.
fn read(data: &[u8]) -> Option<Request<Full<Bytes>>> {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let line = std::str::from_utf8(&data[..end]).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    if path.contains("watch") || path.contains("follow") {
        return None;
    }
    let body = Bytes::copy_from_slice(data.get(end + 1..).unwrap_or_default());
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", words.next().unwrap_or("application/json"));
    let mut request = request.body(Full::new(body)).ok()?;
    request.extensions_mut().insert(Identity::admin());
    Some(request)
}

async fn collected(response: Response<ResponseBody>) -> Vec<u8> {
    let (mut body, mut read) = (response.into_body(), Vec::new());
    while read.len() < LONGEST_ANSWER
        && let Some(Ok(frame)) = body.frame().await
    {
        read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    read
}
