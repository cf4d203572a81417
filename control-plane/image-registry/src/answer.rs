//! Answers over HTTP.

use std::io::SeekFrom;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::layout::Blob;
use crate::library::{Missing, Shared};
use crate::range::{self, Part};
use crate::request::{Wanted, namespace};

const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Something that is not served: the status, the specification's code for it, and words.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

pub(crate) fn router(library: Shared) -> Router {
    Router::new().fallback(answer).with_state(library)
}

async fn answer(State(library): State<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let wanted = match (&parts.method, Wanted::parse(parts.uri.path())) {
        (&Method::GET | &Method::HEAD, Some(wanted)) => wanted,
        (&Method::GET | &Method::HEAD, None) => return Refusal::unknown_path().respond(),
        _ => return Refusal::read_only().respond(),
    };
    let registry = namespace(parts.uri.query());
    // Reading the folder anew is a matter of milliseconds and rare.
    let answered = match wanted {
        Wanted::Root => Ok(document(&json!({}))),
        Wanted::Tags { name } => {
            let tags = library.tags(registry.as_deref(), name);
            tags.map(|tags| document(&json!({ "name": name, "tags": tags }))).map_err(|missing| refuse(missing, name))
        }
        Wanted::Manifest { name, reference } => match library.manifest(registry.as_deref(), name, reference) {
            Ok(manifest) => content(&manifest.blob, &manifest.digest, &manifest.media_type, &parts.headers).await,
            Err(missing) => Err(refuse(missing, &format!("{name}:{reference}"))),
        },
        Wanted::Blob { digest } => match library.blob(digest) {
            Ok(blob) => content(&blob, digest, "application/octet-stream", &parts.headers).await,
            Err(missing) => Err(refuse(missing, digest)),
        },
    };
    let response = answered.unwrap_or_else(Refusal::respond);
    tracing::debug!(method = %parts.method, uri = %parts.uri, status = response.status().as_u16(), "asked for an image");
    response
}

/// The bytes of a blob, or the range of them that was asked for.
async fn content(blob: &Blob, digest: &str, media_type: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, bytes) = match range::parse(asked, blob.size) {
        Part::Whole => (StatusCode::OK, 0..blob.size),
        Part::Bytes(bytes) => (StatusCode::PARTIAL_CONTENT, bytes),
        Part::Unsatisfiable => return Err(Refusal::unsatisfiable(blob.size)),
    };
    let open = async {
        let mut file = File::open(&blob.file).await?;
        file.seek(SeekFrom::Start(blob.offset + bytes.start)).await?;
        Ok(file.take(bytes.end - bytes.start))
    };
    let reader = open.await.map_err(|error: std::io::Error| Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "UNKNOWN",
        message: format!("cannot read {}: {error}", blob.file.display()),
    })?;
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(reader, 64 << 10)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(VERSION, HeaderValue::from_static("registry/2.0"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
    let texts = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (DIGEST, digest.to_owned()),
        (header::ETAG, format!("\"{digest}\"")),
    ];
    for (name, text) in texts {
        headers.extend(HeaderValue::try_from(text).ok().map(|value| (name, value)));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, blob.size);
        headers.extend(HeaderValue::try_from(range).ok().map(|value| (header::CONTENT_RANGE, value)));
    }
    Ok(response)
}

fn document(value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    let headers = response.headers_mut();
    headers.insert(VERSION, HeaderValue::from_static("registry/2.0"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refuse(missing: Missing, what: &str) -> Refusal {
    let (code, message) = match missing {
        Missing::Repository => ("NAME_UNKNOWN", format!("no image of this folder is called {what}")),
        Missing::Manifest => ("MANIFEST_UNKNOWN", format!("{what} is not in this folder of images")),
        Missing::Blob => ("BLOB_UNKNOWN", format!("no image of this folder has {what}")),
    };
    Refusal { status: StatusCode::NOT_FOUND, code, message }
}

// === impl Refusal ===

impl Refusal {
    fn unknown_path() -> Self {
        let message = "a registry's paths begin with /v2/ and end in manifests, blobs or tags/list".to_owned();
        Self { status: StatusCode::NOT_FOUND, code: "UNSUPPORTED", message }
    }

    fn read_only() -> Self {
        let message = "images are put into the folder, not pushed: this registry is read-only".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: "UNSUPPORTED", message }
    }

    fn unsatisfiable(size: u64) -> Self {
        let message = format!("the range lies outside of {size} bytes");
        Self { status: StatusCode::RANGE_NOT_SATISFIABLE, code: "SIZE_INVALID", message }
    }

    /// The specification's form of an error.
    fn respond(self) -> Response {
        let mut response = document(&json!({ "errors": [{ "code": self.code, "message": self.message }] }));
        *response.status_mut() = self.status;
        response
    }
}

#[cfg(test)]
mod tests;
