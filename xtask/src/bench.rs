//! `cargo xtask bench`: measurements, each beside its baseline in the same run.

use anyhow::{Result, bail};

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure.
    what: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let what = arguments.what.as_deref().unwrap_or("all");
    bail!("`cargo xtask bench {what}`: there is no such measurement in this version");
}
