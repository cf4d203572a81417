//! Takes everything away that an agent has ever made.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::endpoint::INTERFACE_PREFIX;
use crate::netlink::Netlink;
use crate::run::Lock;
use crate::settings::Settings;
use crate::sysctl::Sysctl;
use crate::{datapath, install};

/// Removes all that can be removed, and says what could not be.
pub(super) fn run(settings: &Settings) -> Result<()> {
    let lock = Lock::take(&settings.state_dir, Duration::ZERO).context("end the agent first")?;
    let steps: [(&str, Result<()>); 5] = [
        ("the network configuration and the plugin", install::remove(&settings.install).map_err(Into::into)),
        ("interfaces, routes and neighbours", network()),
        ("programs and maps", datapath::cleanup(&settings.datapath.pins).map_err(Into::into)),
        ("the ports of the masquerade", ports(settings)),
        ("files", files(settings)),
    ];
    drop(lock);
    let mut failures = Vec::new();
    for (what, outcome) in steps {
        match outcome {
            Ok(()) => println!("removed {what}"),
            Err(error) => failures.push(format!("{what}: {error:#}")),
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("cannot remove {}", failures.join("; ")) }
}

fn network() -> Result<()> {
    let mut netlink = Netlink::open()?;
    for link in netlink.links()?.iter().filter(|link| link.is_veth && link.name.starts_with(INTERFACE_PREFIX)) {
        netlink.delete_link(&link.name)?;
    }
    for route in netlink.own_routes()? {
        netlink.delete_route(&route)?;
    }
    for neighbour in netlink.neighbours()?.iter().filter(|neighbour| neighbour.is_managed) {
        netlink.forget_neighbour(neighbour.interface, neighbour.address)?;
    }
    Ok(())
}

fn ports(settings: &Settings) -> Result<()> {
    let Some(ports) = &settings.masquerade_ports else { return Ok(()) };
    Ok(Sysctl::at(&settings.sysctl_root).release_ports(ports)?)
}

fn files(settings: &Settings) -> Result<()> {
    for file in [&settings.socket, &settings.journal(), &settings.state_dir.join("lock")] {
        absent(fs::remove_file(file), file)?;
    }
    // Only when nothing of somebody else's is in it.
    match fs::remove_dir(&settings.state_dir) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => absent(other, &settings.state_dir),
    }
}

fn absent(removed: io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("cannot remove {}", path.display())),
    }
}
