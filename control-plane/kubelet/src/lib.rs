//! The node: pods become containers through CRI, and what happens to them becomes their status.

pub mod credentials;
pub mod environment;
pub mod event;
pub mod garbage;
pub mod image;
mod kubelet;
pub mod node;
pub mod pod;
pub mod probe;
pub mod resource;
pub mod runtime;
pub mod security;
pub mod server;
pub mod source;
pub mod status;
pub mod volume;

pub use kubelet::{Kubelet, Options, StartError};

/// As the API writes times: in whole seconds.
fn seconds(timestamp: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(timestamp.as_second()).unwrap_or(timestamp)
}
