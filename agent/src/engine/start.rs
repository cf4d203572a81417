//! The first thing that an agent does: brings together what its predecessor wrote down and what the kernel has.

use std::sync::Mutex;

use tracing::{info, warn};

use super::attach::place;
use super::busy::Busy;
use super::{Engine, Options, Site};
use crate::endpoint::INTERFACE_PREFIX;
use crate::endpoints::Endpoints;
use crate::journal::JournalError;
use crate::netlink::{Link, Netlink, NetlinkError, Route};
use crate::programs::{Programs, ProgramsError};
use crate::wiring;

/// The agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its memory.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The kernel's refusal.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The programs.
    #[error("cannot bring the kernel programs to what the node has: {0:#}")]
    Programs(ProgramsError),
}

// === impl Engine ===

impl Engine {
    /// Takes over the node. Attached containers go on meanwhile: what is as it should be is not touched.
    ///
    /// # Errors
    /// [`StartError`]; then the node goes on as it was.
    pub fn start(options: Options, programs: Box<dyn Programs>) -> Result<Self, StartError> {
        let endpoints = Endpoints::open(&options.journal, options.reuse_delay)?;
        let engine = Self {
            options,
            endpoints: Mutex::new(endpoints),
            programs: Mutex::new(programs),
            site: Mutex::new(Site::default()),
            busy: Busy::default(),
        };
        engine.take_over()?;
        Ok(engine)
    }

    fn take_over(&self) -> Result<(), StartError> {
        // Not in the loop's head, where the lock would last as long as the loop.
        let incomplete = self.endpoints().incomplete();
        for endpoint in incomplete {
            warn!(pod = endpoint.name(), "was not completed: undone");
            self.undo(&endpoint);
        }
        let mut netlink = Netlink::open()?;
        let links: Vec<Link> = netlink
            .links()?
            .into_iter()
            .filter(|link| link.is_veth && link.name.starts_with(INTERFACE_PREFIX))
            .collect();
        let living: Vec<_> = self.endpoints().iter().cloned().collect();
        for endpoint in &living {
            match links.iter().find(|link| link.name == endpoint.host_interface) {
                Some(link) => {
                    let added = self.programs().add_endpoint(&place(endpoint, link.index, link.mtu));
                    added.map_err(StartError::Programs)?;
                }
                None => {
                    info!(pod = endpoint.name(), "its interface is gone: detached");
                    self.undo(endpoint);
                }
            }
        }
        let routes = netlink.own_routes()?;
        let known = |link: &&Link| living.iter().any(|endpoint| endpoint.host_interface == link.name);
        for link in links.iter().filter(|link| !known(link)) {
            self.meet_stranger(link, &routes)?;
        }
        self.forget_places(&links)?;
        info!(endpoints = self.endpoints().iter().count(), "took over the node");
        Ok(())
    }

    /// An interface of the agent's that the journal does not know: its pod may be alive, so that its addresses are not
    /// given out. One without addresses was only begun.
    fn meet_stranger(&self, link: &Link, routes: &[Route]) -> Result<(), StartError> {
        let addresses: Vec<_> = routes.iter().filter(|route| route.interface == link.index).collect();
        if addresses.is_empty() {
            warn!(interface = link.name, "belongs to nobody and leads to nobody: removed");
            return Ok(wiring::remove_pair(&link.name)?);
        }
        for route in addresses {
            warn!(interface = link.name, address = %route.destination.ip(), "is in use, and nobody wrote down by whom");
            self.endpoints().add_stranger(&link.name, route.destination.ip());
        }
        Ok(())
    }

    /// Disconnects in the programs who has no interface any more.
    fn forget_places(&self, links: &[Link]) -> Result<(), StartError> {
        let mut programs = self.programs();
        for place in programs.endpoints().map_err(StartError::Programs)? {
            if !links.iter().any(|link| link.index == place.interface) {
                programs.remove_endpoint(place.id).map_err(StartError::Programs)?;
            }
        }
        Ok(())
    }
}
