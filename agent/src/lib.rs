//! The per-node agent as a library: the kernel programs' object, its loader, its maps, and the kernel probe.

pub mod loader;
pub mod maps;
mod object;
pub mod probe;
pub mod rights;
