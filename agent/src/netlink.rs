//! Links, addresses, routes and neighbours, by rtnetlink(7).
//!
//! Requests are made one after another by whoever needs the answer, on a socket of the calling thread's network
//! namespace: a pod's network is some ten requests of a few microseconds each, and nothing is gained by an event loop
//! in between. Events come from [`Events`], on a thread of their own.

mod events;
mod link;
mod neighbour;
mod route;
mod socket;

pub use events::{Event, Events};
pub use link::{Link, MacAddress, VethEnd};
pub use neighbour::Neighbour;
pub use route::{ROUTE_PROTOCOL, Route};
pub use socket::{Netlink, NetlinkError};
