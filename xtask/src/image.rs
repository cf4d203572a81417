//! `cargo xtask image`: container images without a registry, as OCI archives.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use images::{Image, Workshop};

use crate::{process, workspace};

/// Options of `image`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The images to make, by name or reference; none: all.
    images: Vec<String>,
    /// Only print which images there are, and the references that they answer to.
    #[arg(long)]
    list: bool,
    /// Put optimised programs in.
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        for image in images::all() {
            println!("{:<14} {}", image.name, image.references.join(" "));
        }
        return Ok(());
    }
    let wanted = if arguments.images.is_empty() {
        images::all().iter().collect()
    } else {
        arguments.images.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?
    };
    let folder = ensure(&wanted, if arguments.release { "release" } else { "debug" })?;
    println!("all in {}", folder.display());
    Ok(())
}

/// Builds the programs that go into the images, and makes those that are not there. Gives the folder of all archives.
fn ensure(wanted: &[&Image], profile: &str) -> Result<PathBuf> {
    build(wanted.iter().flat_map(|image| image.cargo_packages()), profile)?;
    make(wanted, profile)
}

/// Builds programs of this workspace, in one call: with other packages beside them the same dependencies may be built
/// with other features.
pub(crate) fn build(packages: impl Iterator<Item = &'static str>, profile: &str) -> Result<()> {
    let packages: BTreeSet<_> = packages.collect();
    if packages.is_empty() {
        return Ok(());
    }
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--bins"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    if profile == "release" {
        cargo.arg("--release");
    }
    process::run(&mut cargo)
}

/// Makes the images that are not there, of programs that are built. Gives the folder of all archives.
pub(crate) fn make(wanted: &[&Image], profile: &str) -> Result<PathBuf> {
    let workshop = Workshop::new(workspace::target_directory().join("images"), workspace::programs(profile)?);
    for image in wanted {
        let began = Instant::now();
        let built = workshop.ensure(image).with_context(|| format!("cannot make image {}", image.name))?;
        let how = if built.is_new { format!("made in {:.1} s", began.elapsed().as_secs_f64()) } else { "there".into() };
        println!("image    {:<14} {how}", image.name);
    }
    Ok(workshop.folder().to_owned())
}

fn find(name: &str) -> Result<&'static Image> {
    images::find(name).with_context(|| format!("no image is called {name}: `cargo xtask image --list` shows all"))
}
