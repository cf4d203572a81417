//! `cargo xtask up`: a cluster of test hosts on this machine, step by step.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use cluster::{Cluster, Lifetime, Options, Programs};

use crate::place::{Name, Place};
use crate::{image, process, setup, workspace};

/// Options of `up`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// How many nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Do without the demo application. There is none in this version, so this changes nothing.
    #[arg(long)]
    no_demo: bool,
    /// The port on 127.0.0.1 of this machine where the API answers; the default cluster takes 16443, others a free one.
    #[arg(long)]
    port: Option<u16>,
    /// Programs without optimisation, which are built quicker.
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let began = Instant::now();
    let place = arguments.name.place()?;
    testbed::requirement::check().context("a cluster of test hosts cannot be made here")?;
    let mut report = |step: &str| println!("[{:6.1} s] {step}", began.elapsed().as_secs_f64());
    report("looking for what is missing on this machine");
    setup::run(&setup::Arguments::install())?;
    let profile = if arguments.debug { "debug" } else { "release" };
    report("building the programs");
    let programs = programs(profile)?;
    let cluster = Cluster::start(arguments.options(&place, programs), &mut report)?;
    write_kubeconfig(&place, &cluster)?;
    report("ready");
    print!("{}", cluster.kubectl().run(&["get", "nodes", "-o", "wide"])?);
    println!("in this version nothing answers at Services, and NetworkPolicies have no effect");
    if !arguments.no_demo {
        println!("there is no demo application in this version");
    }
    println!("images that can be run: `cargo xtask image --list`");
    println!("in a node: `cargo xtask exec{} n1 -- ip route`; from outside: `... exec client -- ...`", place.option());
    println!("export KUBECONFIG={}", place.kubeconfig().display());
    let own = process::find("kubectl").is_none().then(setup::kubectl).flatten();
    if let Some(folder) = own.as_deref().and_then(Path::parent) {
        println!("export PATH=$PATH:{}", folder.display());
    }
    Ok(())
}

/// Builds what a cluster runs: `sheave`, and the images for its pods.
pub(crate) fn programs(profile: &str) -> Result<Programs> {
    let images: Vec<_> = images::all().iter().collect();
    let packages = images.iter().flat_map(|image| image.cargo_packages());
    image::build(packages.chain(["sheave"]), profile)?;
    let images = image::make(&images, profile)?;
    let kubectl = setup::kubectl().context("there is no kubectl: run `cargo xtask setup`")?;
    Ok(Programs { sheave: workspace::programs(profile)?.join("sheave"), images, kubectl })
}

/// A copy of the administrator's kubeconfig at the place that is told to people; nobody else may read it.
fn write_kubeconfig(place: &Place, cluster: &Cluster) -> Result<()> {
    let (from, to) = (cluster.kubectl().kubeconfig(), place.kubeconfig());
    let text = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let copy = || {
        // Below the folder that `down` removes.
        let partial = place.folder().join("kubeconfig.partial");
        // One that a killed run left may be readable for others.
        let _ = fs::remove_file(&partial);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        std::io::Write::write_all(&mut file, &text)?;
        fs::rename(&partial, &to)
    };
    copy().with_context(|| format!("cannot write {}", to.display()))
}

// === impl Arguments ===

impl Arguments {
    fn options(&self, place: &Place, programs: Programs) -> Options {
        let default = if place.option().is_empty() { 16443 } else { 0 };
        Options {
            name: place.label.clone(),
            lifetime: Lifetime::UntilRemoved { data: place.data() },
            nodes: self.nodes,
            port: self.port.unwrap_or(default),
            programs,
            server_arguments: Vec::new(),
            node_arguments: Vec::new(),
        }
    }
}
