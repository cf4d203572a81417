//! A laboratory: nodes with an agent each, and a container runtime that does nothing but call CNI plugins.

#![expect(clippy::expect_used, reason = "a step of a test that fails is a panic with its message")]

mod agent;
mod pod;
mod runtime;

pub use agent::{AgentPaths, Lab};
pub use pod::Pod;
pub use runtime::{Called, Runtime, VERSIONS};
