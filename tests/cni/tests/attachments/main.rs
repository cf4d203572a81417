//! Attachments: what runtimes call, what is left when something dies, and whether packets go.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a step of a test that fails is a panic with its message")]

mod churn;
mod interruption;
mod kernel;
mod reach;
mod verbs;

use cni_tests::{AgentPaths, Lab};
use testbed::Profile;

/// A laboratory with the programs of this package.
fn lab(label: &str, nodes: usize) -> Lab {
    let paths = AgentPaths {
        agent: env!("CARGO_BIN_EXE_cni-tests-agent").into(),
        plugin: env!("CARGO_BIN_EXE_cni-tests-plugin").into(),
    };
    Lab::start(label, nodes, Profile::Wire, paths)
}
