//! The CNI plugin (specification 1.1.0, configurations from 0.3.1 on).
//!
//! All that needs knowledge of the node happens in the agent. The plugin reads what the runtime says, refuses what is
//! wrong before anything has begun, hands the rest to the agent's socket ([`protocol`]), and puts the answer into the
//! form of the version that the configuration asks for. It keeps no state and writes no file.

pub mod agent;
mod answer;
mod configuration;
mod environment;
mod error;
mod namespace;
pub mod protocol;
mod verb;
mod version;

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

pub use error::{CniError, Code};
pub use version::CniVersion;

/// The longest configuration that is read, in bytes. Runtimes add the previous result and port mappings to it.
const LONGEST_CONFIGURATION: u64 = 1 << 20;

/// What one call of the plugin comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What goes to standard output: a result, an error, or nothing.
    pub output: String,
    /// Whether the verb succeeded.
    pub succeeded: bool,
}

/// The plugin as a program: takes its environment and standard input, writes to standard output.
pub fn main() -> ExitCode {
    let mut input = Vec::new();
    let outcome = match std::io::stdin().take(LONGEST_CONFIGURATION).read_to_end(&mut input) {
        Ok(_) => run(|name| std::env::var_os(name), &input),
        Err(error) => Outcome::failure(
            CniVersion::default(),
            &CniError::new(Code::Io, format!("cannot read the network configuration from standard input: {error}")),
        ),
    };
    // Nobody is left to hear that standard output is closed; the exit status still says how it went.
    let _ = std::io::stdout().write_all(outcome.output.as_bytes());
    if outcome.succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One call: `variable` looks `CNI_*` up, `input` is the configuration.
pub fn run(variable: impl Fn(&str) -> Option<OsString>, input: &[u8]) -> Outcome {
    // Errors are written in the version of the configuration as far as that can be known.
    let version = configuration::version_of(input).unwrap_or_default();
    match verb::run(variable, input) {
        Ok(output) => Outcome { output, succeeded: true },
        Err(error) => Outcome::failure(version, &error),
    }
}

// === impl Outcome ===

impl Outcome {
    fn failure(version: CniVersion, error: &CniError) -> Self {
        Self { output: error.document(version), succeeded: false }
    }
}
