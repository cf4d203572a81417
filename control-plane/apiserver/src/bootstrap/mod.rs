//! The objects that are there before the first user: made at every start where they are missing, through the same
//! handlers as everybody's.

mod controller_roles;
mod kubernetes_service;
mod namespaced_roles;
mod objects;
mod reconcile;
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
use reconcile::{Repair, repair};

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
    /// It gets what it lacks, and keeps the rest: a default role or binding.
    Reconcile,
}

/// What the server said.
struct Answer {
    path: String,
    status: StatusCode,
    body: Document,
}

const MANAGER: &str = "fieldManager=sheave-bootstrap";

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

/// Tries to bring an object up to date that somebody else is changing.
const TRIES: usize = 8;

async fn ensure(server: ApiServer, wanted: Wanted) -> Result<(), BootstrapError> {
    let Wanted { collection, object, mode } = wanted;
    match mode {
        Mode::Create => create(&server, &collection, &object).await,
        Mode::Apply => {
            let path = format!("{collection}?{MANAGER}&force=true");
            send(&server, Method::PATCH, &path, &object).await.accept(&[])
        }
        Mode::Reconcile => reconcile_object(&server, &collection, &object).await,
    }
}

async fn create(server: &ApiServer, collection: &str, object: &Document) -> Result<(), BootstrapError> {
    let answer = send(server, Method::POST, &format!("{collection}?{MANAGER}"), object).await;
    answer.accept(&[StatusCode::CONFLICT])
}

async fn reconcile_object(server: &ApiServer, collection: &str, wanted: &Document) -> Result<(), BootstrapError> {
    let path = format!("{collection}/{}", wanted.text("metadata.name"));
    for _ in 0..TRIES {
        let found = send(server, Method::GET, &path, &Document::Null).await;
        if found.status == StatusCode::NOT_FOUND {
            return create(server, collection, wanted).await;
        }
        let written = match repair(&found.body, wanted) {
            Repair::Nothing => return Ok(()),
            Repair::Update(object) => send(server, Method::PUT, &format!("{path}?{MANAGER}"), &object).await,
            Repair::Replace => {
                send(server, Method::DELETE, &path, &Document::Null).await.accept(&[StatusCode::NOT_FOUND])?;
                return create(server, collection, wanted).await;
            }
        };
        if written.status != StatusCode::CONFLICT {
            return written.accept(&[]);
        }
    }
    tracing::warn!(path, "a default role is being changed by somebody else; it stays as they leave it");
    Ok(())
}

/// A request to the server in its own name; null is no body.
async fn send(server: &ApiServer, method: Method, path: &str, object: &Document) -> Answer {
    let body = if object.is_null() { Bytes::new() } else { Bytes::from(object.to_string()) };
    let content_type = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The paths are this module's own constants.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.extensions_mut().insert(Identity::apiserver());
    let response = server.handle(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Answer { path: path.to_owned(), status, body: serde_json::from_slice(&body).unwrap_or_default() }
}

// === impl Answer ===

impl Answer {
    /// Success, or one of these refusals.
    fn accept(self, refusals: &[StatusCode]) -> Result<(), BootstrapError> {
        if self.status.is_success() || refusals.contains(&self.status) {
            return Ok(());
        }
        let message = self.body.text("message").to_owned();
        Err(BootstrapError::Refused { path: self.path, status: self.status, message })
    }
}
