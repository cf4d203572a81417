//! The environment, command and arguments of a container.
//!
//! All of it is pure: what it needs of the API server comes as [`Objects`](crate::source::Objects) and Services. An
//! error here is a container's `CreateContainerConfigError`.

mod command;
mod expand;
pub mod field;
mod service;
mod variables;

pub use command::{CommandLine, command_line};
pub use expand::{expand, expand_strictly};
pub use field::Addresses;
pub use variables::{Environment, EnvironmentError, Inputs, Skipped, environment};
