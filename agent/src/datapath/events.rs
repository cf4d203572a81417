//! Dropped packets, one by one, while somebody listens.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};
use dataplane_common::DropEvent;
use zerocopy::FromBytes as _;

use super::{Datapath, DatapathError};
use crate::maps::MapError;

/// The stream of events. The descriptor becomes readable when there are some.
///
/// The programs tell events only while a stream is open; one that is not read fast enough loses events, which
/// [`Datapath::events_lost`] counts.
pub struct Events {
    ring: RingBuf<MapData>,
}

// === impl Datapath ===

impl Datapath {
    /// Opens the stream of events. Give it back with [`stop_events`](Self::stop_events).
    ///
    /// # Errors
    ///
    /// [`DatapathError::EventsTaken`] while there is another one.
    pub fn events(&mut self) -> Result<Events, DatapathError> {
        let ring = self.tables.take_events().ok_or(DatapathError::EventsTaken)?;
        self.tables.listen(true)?;
        Ok(Events { ring })
    }

    /// Closes the stream of events.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses; then the programs go on telling events, which costs a little.
    pub fn stop_events(&mut self, events: Events) -> Result<(), DatapathError> {
        self.tables.return_events(events.ring);
        Ok(self.tables.listen(false)?)
    }

    /// Events that did not fit since the maps were made.
    ///
    /// # Errors
    ///
    /// [`MapError`] when the kernel refuses a look-up.
    pub fn events_lost(&self) -> Result<u64, MapError> {
        self.tables.events_lost()
    }
}

// === impl Events ===

impl Events {
    /// The next event, if there is one already.
    pub fn next_event(&mut self) -> Option<DropEvent> {
        let bytes = self.ring.next()?;
        DropEvent::read_from_prefix(&bytes).ok().map(|(event, _)| event)
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
