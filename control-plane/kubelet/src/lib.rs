//! The node: pods become containers through CRI, and what happens to them becomes their status.

pub mod environment;
pub mod probe;
pub mod resource;
pub mod security;
pub mod server;
pub mod source;
pub mod volume;
