//! Where things are in this checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Cargo, as the one that runs us.
pub(crate) fn cargo() -> std::process::Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.current_dir(root());
    command
}

/// The folder that cargo builds into.
pub(crate) fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The folder of this workspace's programs; `profile` is `debug` or `release`.
///
/// Builds name their target, so that it has a folder of its own (`.cargo/config.toml` says why).
pub(crate) fn programs(profile: &str) -> Result<PathBuf> {
    let version = process::output("rustc", &["-vV"]).context("rustc does not say its version: run `rustc -vV`")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`rustc -vV` names no host")?;
    Ok(target_directory().join(host).join(profile))
}

/// `cargo metadata` of the workspace; with `dependencies`, of all that it builds on.
pub(crate) fn metadata(dependencies: bool) -> Result<serde_json::Value> {
    let mut command = cargo();
    command.args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"]);
    if !dependencies {
        command.arg("--no-deps");
    }
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cannot start cargo metadata")?;
    serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON: see its message above")
}
