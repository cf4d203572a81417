//! ConfigMaps, Secrets, Services and service-account tokens, as this node's pods need them.

mod objects;
mod references;

pub use objects::{Objects, SourceError};
pub use references::References;
