//! The per-node agent as a library: the datapath (kernel programs and their maps), and the kernel probe.

pub mod datapath;
pub mod loader;
pub mod maps;
mod object;
pub mod probe;
pub mod rights;
mod syscall;
