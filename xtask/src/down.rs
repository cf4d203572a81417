//! `cargo xtask down`: ends a cluster of test hosts, also a crashed one, and removes everything of it.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, Result};

use crate::place::Name;

/// Options of `down`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let place = arguments.name.place()?;
    let existed = place.folder().exists() || place.open().is_ok();
    testbed::remove(&place.cluster, &place.data())?;
    for path in [place.kubeconfig(), place.folder()] {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    if existed {
        println!("cluster {} is gone, and its data with it", place.label);
    } else {
        println!("there was no cluster {}", place.label);
    }
    Ok(())
}
