//! A whole cluster on this machine: `sheave server` in one test host, containerd and `sheave node` in others.
//!
//! `cargo xtask up` starts one that stays; end-to-end tests and benchmarks start one for themselves. Every part is
//! started only when it does not run, so that starting a cluster twice is harmless and starting one that lost a part
//! brings that part back.
//!
//! # Assumptions
//! Root (see [`testbed::requirement`]); the programs are built and lie where nodes see them, which is nearly everywhere
//! (see [`Programs`]).

mod control;
mod error;
mod machine;
mod network;
mod options;
mod start;

pub use control::Kubectl;
pub use error::{Cause, StepError};
pub use options::{Lifetime, Options, Programs};
pub use start::Cluster;
