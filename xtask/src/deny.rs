//! `cargo xtask deny`: licences, bans and sources of every dependency, checked without a download.

use anyhow::{Result, bail};

use crate::{process, workspace};

pub(crate) fn run() -> Result<()> {
    if process::find("cargo-deny").is_none() {
        bail!("cargo-deny is missing: run `cargo xtask setup`");
    }
    let mut cargo = workspace::cargo();
    cargo.args(["deny", "--offline", "--locked", "check", "bans", "licenses", "sources"]);
    process::run(&mut cargo)
}
