//! What the agent asks of the kernel programs. The datapath does it; tests of what surrounds it need no programs.

use dataplane_common::{DropReason, Hook, Path, Traffic};

use crate::datapath::{Datapath, Events};
pub use crate::datapath::{Endpoint as PodPlace, Masquerading, Neighbour, NodeRoute, Uplink};
use crate::maps::FillLevel;

/// What is counted in the kernel, since the maps were made.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Dropped packets.
    pub drops: Vec<(Hook, DropReason, u64)>,
    /// Packets that went on.
    pub traffic: Vec<(Hook, Path, Traffic)>,
    /// How full maps are.
    pub maps: Vec<FillLevel>,
    /// Drops that no monitor was told of.
    pub lost_events: u64,
}

/// An error of the programs, with its causes.
pub type ProgramsError = anyhow::Error;

/// The kernel programs with their maps. Every operation says what should be, and may be repeated.
pub trait Programs: Send {
    /// Connects a pod; its interface passes nothing before this has returned.
    ///
    /// # Errors
    /// When the kernel refuses; then the pod is not connected.
    fn add_endpoint(&mut self, place: &PodPlace) -> Result<(), ProgramsError>;
    /// Disconnects a pod. One that is not there is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn remove_endpoint(&mut self, id: u32) -> Result<(), ProgramsError>;
    /// The pods that are connected.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn endpoints(&self) -> Result<Vec<PodPlace>, ProgramsError>;
    /// Makes this the uplink.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn set_uplink(&mut self, uplink: &Uplink) -> Result<(), ProgramsError>;
    /// The uplink, if there is one.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn uplink(&self) -> Result<Option<Uplink>, ProgramsError>;
    /// Makes another node's pods reachable.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn set_node(&mut self, node: &NodeRoute) -> Result<(), ProgramsError>;
    /// Forgets another node. One that is not there is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn remove_node(&mut self, node: &NodeRoute) -> Result<(), ProgramsError>;
    /// The other nodes, by next hop: a node is as many of these as it has addresses.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn nodes(&self) -> Result<Vec<NodeRoute>, ProgramsError>;
    /// Makes the masquerade what is given.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn set_masquerade(&mut self, masquerading: &Masquerading) -> Result<(), ProgramsError>;
    /// The masquerade, if there is one.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn masquerade(&self) -> Result<Option<Masquerading>, ProgramsError>;
    /// Takes in what is known of a neighbour; gives whether packets go to it.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn set_neighbour(&mut self, neighbour: &Neighbour) -> Result<bool, ProgramsError>;
    /// The neighbours that packets go to, as far as they are known.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn next_hops(&self) -> Result<Vec<Neighbour>, ProgramsError>;
    /// Removes flows that are over; gives how many entries went.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn collect_garbage(&mut self) -> Result<usize, ProgramsError>;
    /// What is counted in the kernel.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn figures(&self) -> Result<Figures, ProgramsError>;
    /// Opens the stream of drops; one at a time.
    ///
    /// # Errors
    /// When somebody has it, or the kernel refuses.
    fn open_events(&mut self) -> Result<Events, ProgramsError>;
    /// Gives the stream back.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn close_events(&mut self, events: Events) -> Result<(), ProgramsError>;
}

// === impl Programs ===

impl Programs for Datapath {
    fn add_endpoint(&mut self, place: &PodPlace) -> Result<(), ProgramsError> {
        Ok(Self::add_endpoint(self, place)?)
    }

    fn remove_endpoint(&mut self, id: u32) -> Result<(), ProgramsError> {
        Ok(Self::remove_endpoint(self, id)?)
    }

    fn endpoints(&self) -> Result<Vec<PodPlace>, ProgramsError> {
        Ok(Self::endpoints(self)?)
    }

    fn set_uplink(&mut self, uplink: &Uplink) -> Result<(), ProgramsError> {
        Ok(Self::set_uplink(self, uplink)?)
    }

    fn uplink(&self) -> Result<Option<Uplink>, ProgramsError> {
        Ok(Self::uplink(self)?)
    }

    fn set_node(&mut self, node: &NodeRoute) -> Result<(), ProgramsError> {
        Ok(Self::set_node(self, node)?)
    }

    fn remove_node(&mut self, node: &NodeRoute) -> Result<(), ProgramsError> {
        Ok(Self::remove_node(self, node)?)
    }

    fn nodes(&self) -> Result<Vec<NodeRoute>, ProgramsError> {
        Ok(Self::nodes(self)?)
    }

    fn set_masquerade(&mut self, masquerading: &Masquerading) -> Result<(), ProgramsError> {
        Ok(Self::set_masquerade(self, masquerading)?)
    }

    fn masquerade(&self) -> Result<Option<Masquerading>, ProgramsError> {
        Ok(Self::masquerade(self)?)
    }

    fn set_neighbour(&mut self, neighbour: &Neighbour) -> Result<bool, ProgramsError> {
        Ok(Self::set_neighbour(self, neighbour)?)
    }

    fn next_hops(&self) -> Result<Vec<Neighbour>, ProgramsError> {
        Ok(Self::next_hops(self)?)
    }

    fn collect_garbage(&mut self) -> Result<usize, ProgramsError> {
        Ok(Self::collect_garbage(self)?.removed)
    }

    fn figures(&self) -> Result<Figures, ProgramsError> {
        Ok(Figures {
            drops: self.drops()?,
            traffic: self.traffic()?,
            maps: self.fill_levels()?,
            lost_events: self.events_lost()?,
        })
    }

    fn open_events(&mut self) -> Result<Events, ProgramsError> {
        Ok(self.events()?)
    }

    fn close_events(&mut self, events: Events) -> Result<(), ProgramsError> {
        Ok(self.stop_events(events)?)
    }
}
