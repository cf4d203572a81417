//! The Kubernetes API: REST, watch, patch, discovery, OpenAPI, authentication, authorization, admission.
//!
//! [`ApiServer`] is a `tower::Service` over a [`Store`](sheave_store::Store). A request takes this way:
//!
//! ```text
//! request  the path, taken apart
//! serve    who asks, what for, may they
//! dispatch the handler of verb and subresource
//! read     get, list, watch: presented bytes from the store's memory
//! write    decode, default, admission, validation, compare-and-swap
//! connect  logs, exec, port-forward, proxies: passed on to nodes, pods and services
//! ```
//!
//! Objects are documents: JSON from the wire to the store, served back without being encoded again.

mod admission;
mod alloc;
mod authn;
mod authz;
mod body;
mod bootstrap;
mod call;
mod connect;
mod convert;
mod dispatch;
mod document;
mod event_ttl;
mod in_flight;
mod input;
mod keys;
mod meta;
mod metrics;
mod negotiate;
mod options;
mod output;
mod paths;
mod query;
mod read;
mod reply;
mod request;
mod serve;
mod server;
mod status;
mod subresource;
mod write;

pub use authn::{Identity, RejectedCertificate, TokenKeys, TokenKeysError, UserInfo};
pub use body::{BoxError, RequestBody, ResponseBody};
pub use bootstrap::BootstrapError;
pub use connect::{Connect, ConnectFuture, Connection, Destination};
pub use options::Options;
pub use request::{ResourcePath, Target, Verb};
pub use server::ApiServer;
pub use status::{StatusCause, StatusDetails, StatusError};

use std::sync::Arc;

/// How a store must be opened to be served: its entries are presented with their resource version.
#[must_use]
pub fn store_options() -> sheave_store::Options {
    sheave_store::Options {
        present: Arc::new(|_, revision, stored| document::present(stored, revision.0)),
        ..sheave_store::Options::default()
    }
}
