//! What a machine must have for a topology.

use rustix::thread::UnshareFlags;

use crate::cgroup::Hierarchies;
use crate::namespace::{on_own_thread, unshare};

/// Why this process can build no topology here, as one sentence with a way out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unmet(String);

/// Says whether this process can build a topology on this machine.
pub fn check() -> Result<(), Unmet> {
    let user = rustix::process::geteuid();
    if !user.is_root() {
        return Err(Unmet(format!("it needs root and runs as user {}: run it with `sudo -E`", user.as_raw())));
    }
    let namespaces = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWCGROUP;
    on_own_thread("requirement", || unshare(namespaces)).map_err(|error| {
        Unmet(format!("it cannot make namespaces: {error}: a container has to be privileged for it"))
    })?;
    Hierarchies::discover().map(|_| ()).map_err(|error| Unmet(error.to_string()))
}
