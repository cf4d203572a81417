//! kubectl: the machine's own, and an old one for the API tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Requirement;
use crate::{process, workspace};

/// The two rows: some kubectl on the PATH, and Debian's 1.20 beside it.
pub(super) fn requirements() -> Vec<Requirement> {
    let old = unpacked();
    let any = any().map(|path| path.display().to_string());
    vec![
        row("kubectl", "the API tests; using a cluster", any),
        row("kubectl 1.20", "the API tests: an old client", old.is_file().then(|| old.display().to_string())),
    ]
}

/// The kubectl on the PATH; where there is none the unpacked one serves, which is not installed because a kubectl that
/// comes later would be overwritten.
pub(super) fn any() -> Option<PathBuf> {
    process::find("kubectl").or_else(|| Some(unpacked()).filter(|path| path.is_file()))
}

/// Where Debian's kubectl is unpacked.
fn unpacked() -> PathBuf {
    folder().join("usr/bin/kubectl")
}

fn folder() -> PathBuf {
    workspace::target_directory().join("kubectl-1.20")
}

fn row(name: &str, purpose: &'static str, found: Option<String>) -> Requirement {
    Requirement {
        name: name.to_owned(),
        purpose,
        found,
        how: format!("Debian's kubernetes-client, unpacked into {}", folder().display()),
        install: Box::new(unpack),
    }
}

/// Downloads the package and unpacks it below the target folder; nothing is installed.
fn unpack() -> Result<()> {
    if unpacked().is_file() {
        return Ok(());
    }
    let folder = folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    process::run(Command::new("apt-get").args(["download", "-q", "kubernetes-client"]).current_dir(&folder))?;
    let package = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let Some(package) = package else {
        bail!("apt-get left no package in {}: is kubernetes-client in the sources?", folder.display());
    };
    process::run(Command::new("dpkg").arg("-x").arg(&package).arg(&folder))?;
    std::fs::remove_file(package)?;
    Ok(())
}
