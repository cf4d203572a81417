//! The objects that are there before the first user: made at every start where they are missing, through the same
//! handlers as everybody's.

mod objects;
mod roles;
mod rules;
mod user_roles;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use sheave_api::Document;
use sheave_api::view::View;

use crate::authn::{Identity, TokenKeysError};
use crate::server::ApiServer;

/// A bootstrap object could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// There are no keys for tokens, and none can be made.
    #[error(transparent)]
    TokenKeys(#[from] TokenKeysError),
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
    collection: String,
    object: Document,
}

/// So many objects are made at once; they share the store's commits.
const AT_ONCE: usize = 64;

/// Makes whatever is missing.
///
/// # Errors
/// When the store cannot be written, or an object is refused.
pub(crate) async fn bootstrap(server: &ApiServer) -> Result<(), BootstrapError> {
    // Each group needs the one before: accounts are made in namespaces.
    for group in objects::groups() {
        let mut outcomes =
            futures::stream::iter(group.into_iter().map(|wanted| ensure(server.clone(), wanted))).buffered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            outcome?;
        }
    }
    Ok(())
}

async fn ensure(server: ApiServer, wanted: Wanted) -> Result<(), BootstrapError> {
    let path = format!("{}?fieldManager=sheave-bootstrap", wanted.collection);
    let body = Bytes::from(wanted.object.to_string());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
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
