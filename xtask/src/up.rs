//! `cargo xtask up` and `down`: a cluster of test hosts on this machine.

use anyhow::{Result, bail};

pub(crate) fn up() -> Result<()> {
    bail!("`cargo xtask up` needs `sheave node`, which this version does not have; `sheave server` runs by itself");
}

pub(crate) fn down() -> Result<()> {
    bail!("`cargo xtask down` needs `cargo xtask up`, which this version does not have");
}
