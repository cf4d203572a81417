//! The control plane as one process: API server, controllers and scheduler over one data directory.
//!
//! [`server::Server`] is what `sheave server` runs; tests run the same in their own process.

pub mod cluster;
pub mod files;
pub mod kubeconfig;
pub mod listen;
mod nodes;
pub mod pki;
pub mod server;
mod tls;
