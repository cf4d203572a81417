//! What the tests share: hosts in namespaces, a packet builder, a program runner, a BPF file system, `eventually!`.

pub mod bpffs;
pub mod eventually;
pub mod packet;
pub mod program;
pub mod requirement;
pub mod traffic;

pub use testbed;
