//! Pods: what is wanted of them, what is known of them, what is done about it.
//!
//! [`plan`] is pure; [`effects`] do what it says; the worker of each pod goes round between them.

pub mod admission;
pub mod backoff;
pub mod container;
pub mod dns;
pub mod effects;
mod health;
pub mod hosts;
mod manager;
mod message;
pub mod place;
pub mod plan;
pub mod sandbox;
pub mod spec;
pub mod state;
mod view;
mod worker;

pub use manager::Manager;
pub use spec::container_hash;
pub use view::{PodView, Pods};
pub use worker::Desired;
