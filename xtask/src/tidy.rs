//! `cargo xtask tidy`: the rules of CONTRIBUTING.md that a machine can hold.

mod dependencies;
mod duplicates;
mod maps;
mod sources;

use anyhow::{Result, bail};

use crate::workspace;

pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let mut complaints = sources::check(&root)?;
    complaints.extend(dependencies::check()?);
    complaints.extend(duplicates::check(&root)?);
    complaints.extend(maps::check(&root)?);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() {
        println!("tidy: nothing to complain of");
        return Ok(());
    }
    bail!("{} complaints: each names the file, the rule and the way out", complaints.len())
}
