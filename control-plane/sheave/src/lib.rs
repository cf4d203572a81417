//! The control plane as one process: API server, controllers and scheduler over one data directory; and the node.
//!
//! [`server::Server`] is what `sheave server` runs, [`node::Node`] what `sheave node` runs; tests run the same in their
//! own process.

pub mod cluster;
pub mod files;
pub mod joining;
pub mod kubeconfig;
pub mod listen;
pub mod node;
mod nodes;
pub mod pki;
pub mod server;
mod signing;
mod tls;
pub mod token;
