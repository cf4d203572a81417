//! Subresources that somebody else answers: a node's kubelet, a pod, a service.
//!
//! ```text
//! log, exec, attach, portforward   checked and completed here, then asked of the pod's kubelet
//! pods|services|nodes/.../proxy    any request, passed on to the address behind the name
//! ```
//!
//! The kubelet knows this server by its own client certificate: no credential of the client leaves this process. An
//! upgrade is passed through as bytes, so this server knows nothing of SPDY or of a WebSocket's channels.

mod backend;
mod connector;
mod container;
mod kubelet;
mod log;
mod outbound;
mod proxy;
mod rewrite;
mod stream;

pub use connector::{Connect, ConnectFuture, Connection, Destination};

use http::request::Parts;
use http::{Method, Uri};
use hyper::upgrade::OnUpgrade;
use sheave_api::kind::SubresourceAction;

use crate::body::RequestBody;
use crate::call::Call;
use crate::reply::Reply;
use crate::status::StatusError;

/// What a connection needs of its request besides the [`Call`].
pub(crate) struct Inbound {
    method: Method,
    uri: Uri,
    /// There where the listener can leave HTTP.
    upgrade: Option<OnUpgrade>,
}

/// An inbound request with its body.
pub(crate) struct Request {
    pub(crate) inbound: Inbound,
    pub(crate) body: RequestBody,
}

// === impl Inbound ===

impl Inbound {
    pub(crate) fn of(parts: &mut Parts) -> Self {
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        Self { method: parts.method.clone(), uri: parts.uri.clone(), upgrade }
    }
}

/// Answers a request for one of the actions above.
pub(crate) async fn serve(call: &Call, action: SubresourceAction, request: Request) -> Result<Reply, StatusError> {
    match action {
        SubresourceAction::Log => log::serve(call, request).await,
        SubresourceAction::Proxy => proxy::serve(call, request).await,
        _ => stream::serve(call, action, request).await,
    }
}
