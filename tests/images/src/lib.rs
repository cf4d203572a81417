//! What the programs of the test images share.

mod probe;
mod system;

pub use probe::{Probe, Verdict};
pub use system::{environment, hostname, resolve, spin};
