//! What changes in the kernel without the agent's doing.

use std::io;

use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, protocols::NETLINK_ROUTE};

use super::link::{Link, link_of};
use super::neighbour::{Neighbour, neighbour_of};
use super::socket::{NetlinkError, messages};

/// Room for events that come faster than they are read, in bytes.
const BUFFER: u32 = 4 << 20;

/// A change of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface came or changed.
    LinkChanged(Link),
    /// An interface went.
    LinkGone(Link),
    /// A neighbour came, changed or went.
    Neighbour(Neighbour),
    /// A route or an address came, changed or went.
    RoutesChanged,
    /// Events were lost: look at everything again.
    Lost,
}

/// A subscription to changes in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
}

// === impl Events ===

impl Events {
    /// Subscribes. Changes from now on are reported; read the state after this to miss none.
    ///
    /// # Errors
    /// When the system has no file descriptor left.
    pub fn open() -> Result<Self, NetlinkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            // A smaller buffer loses events earlier, and that is reported.
            let _ = socket.set_rx_buf_sz(BUFFER);
            groups.into_iter().try_for_each(|group| socket.add_membership(group as u32))?;
            Ok(Self { socket })
        };
        open().map_err(|source| NetlinkError { request: "listen to changes of the network".to_owned(), source })
    }

    /// Waits for the next changes, at least one.
    ///
    /// # Errors
    /// When the socket is broken; lost events are an [`Event::Lost`].
    pub fn wait(&mut self) -> io::Result<Vec<Event>> {
        loop {
            let datagram = match self.socket.recv_from_full() {
                Ok((datagram, _)) => datagram,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(vec![Event::Lost]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let events: Vec<Event> =
                messages(&datagram).flatten().filter_map(|message| event(message.payload)).collect();
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

fn event(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Event> {
    let NetlinkPayload::InnerMessage(message) = payload else { return None };
    match &message {
        RouteNetlinkMessage::NewLink(_) => link_of(&message).map(Event::LinkChanged),
        RouteNetlinkMessage::DelLink(_) => link_of(&message).map(Event::LinkGone),
        RouteNetlinkMessage::NewNeighbour(_) | RouteNetlinkMessage::DelNeighbour(_) => {
            neighbour_of(&message).map(Event::Neighbour)
        }
        RouteNetlinkMessage::NewRoute(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::NewAddress(_)
        | RouteNetlinkMessage::DelAddress(_) => Some(Event::RoutesChanged),
        _ => None,
    }
}
