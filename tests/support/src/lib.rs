//! Test hosts in network namespaces, packet builder, program runner.

pub mod packet;
pub mod program;
