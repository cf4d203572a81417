//! End-to-end walks: a person at a terminal with the real kubectl, in front of a cluster of test hosts.
//!
//! All walks of one test program share a cluster; each has a namespace of its own. The programs of the cluster are the
//! debug build's: `cargo xtask test e2e` builds them, with the images, before it runs the walks.

#![expect(clippy::panic, reason = "a failed expectation of a test is a panic with its message")]

mod bed;
mod stage;

pub use bed::{Bed, Walk, programs, run};
pub use stage::Stage;

/// Walks by the names of their functions.
#[macro_export]
macro_rules! walks {
    ($($module:ident :: $walk:ident),+ $(,)?) => {
        vec![$($crate::Walk { name: stringify!($walk), run: $module::$walk }),+]
    };
}
