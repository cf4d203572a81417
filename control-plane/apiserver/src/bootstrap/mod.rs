//! The objects that are there before the first user: made at every start where they are missing, through the same
//! handlers as everybody's.

mod kubernetes_service;
mod objects;
mod roles;
mod rules;
mod user_roles;

use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use sheave_api::Document;
use sheave_api::view::View;

use crate::authn::{Identity, TokenKeysError};
use crate::options::Options;
use crate::server::ApiServer;

/// A bootstrap object could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// There are no keys for tokens, and none can be made.
    #[error(transparent)]
    TokenKeys(#[from] TokenKeysError),
    /// The store could not be brought in order.
    #[error("cannot bring the reservations of services in order: {0}")]
    Repair(#[from] sheave_store::CommitError),
    /// The server refused an object of its own.
    #[error("cannot make the bootstrap object {path}: {status}: {message}")]
    Refused {
        /// The path of the collection.
        path: String,
        /// The HTTP status.
        status: StatusCode,
        /// The message of the Status.
        message: String,
    },
}

/// An object and the collection that it belongs to.
struct Wanted {
    /// The path of the collection, or of the object where it is applied.
    collection: String,
    object: Document,
    mode: Mode,
}

/// What happens when the object is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It stays as it is.
    Create,
    /// It is brought up to date.
    Apply,
}

/// So many objects are made at once; they share the store's commits.
const AT_ONCE: usize = 64;

/// Makes whatever is missing.
///
/// # Errors
/// When the store cannot be written, or an object is refused.
pub(crate) async fn bootstrap(server: &ApiServer, options: &Options) -> Result<(), BootstrapError> {
    // Each group needs the one before: accounts are made in namespaces.
    for group in objects::groups(options) {
        let mut outcomes =
            futures::stream::iter(group.into_iter().map(|wanted| ensure(server.clone(), wanted))).buffered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            outcome?;
        }
    }
    Ok(())
}

async fn ensure(server: ApiServer, wanted: Wanted) -> Result<(), BootstrapError> {
    let path = match wanted.mode {
        Mode::Create => format!("{}?fieldManager=sheave-bootstrap", wanted.collection),
        Mode::Apply => format!("{}?fieldManager=sheave-bootstrap&force=true", wanted.collection),
    };
    let body = Bytes::from(wanted.object.to_string());
    let mut request = Request::new(Full::new(body));
    let (method, content_type) = match wanted.mode {
        Mode::Create => (Method::POST, "application/json"),
        Mode::Apply => (Method::PATCH, "application/apply-patch+yaml"),
    };
    *request.method_mut() = method;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The paths are this module's own constants.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.extensions_mut().insert(Identity::apiserver());
    let response = server.handle(request).await;
    let status = response.status();
    if status.is_success() || status == StatusCode::CONFLICT {
        return Ok(());
    }
    let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let reply: Document = serde_json::from_slice(&body).unwrap_or_default();
    Err(BootstrapError::Refused { path, status, message: reply.text("message").to_owned() })
}
