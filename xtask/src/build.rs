//! `cargo xtask build`: the whole workspace; the agent's build script builds and embeds the kernel programs.

use anyhow::Result;

use crate::{process, workspace};

/// Options of `build`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Optimised binaries.
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--workspace", "--locked"]);
    if arguments.release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)?;
    let profile = if arguments.release { "release" } else { "debug" };
    println!("built into {}/<host>/{profile}", workspace::target_directory().display());
    Ok(())
}
