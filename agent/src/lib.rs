//! The per-node agent as a library: the datapath (kernel programs and their maps), the pods' interfaces and addresses,
//! the routes between nodes, and the kernel probe.

pub mod command;
pub mod datapath;
pub mod desired;
pub mod endpoint;
pub mod endpoints;
pub mod engine;
mod http;
pub mod install;
pub mod journal;
pub mod loader;
pub mod maps;
pub mod metrics;
pub mod monitor;
pub mod namespace;
pub mod netlink;
pub mod node;
mod object;
pub mod plan;
pub mod pool;
pub mod probe;
pub mod programs;
pub mod rights;
pub mod run;
pub mod service;
pub mod settings;
pub mod socket;
mod syscall;
pub mod sysctl;
pub mod uplink;
pub mod watch;
pub mod wiring;
