//! What the tests share: hosts in namespaces, a packet builder, a program runner, `eventually!`.

pub mod eventually;
pub mod packet;
pub mod program;
pub mod requirement;
pub mod traffic;

pub use testbed;
