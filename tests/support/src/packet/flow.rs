//! From `"10.0.0.1:4000 -> 10.96.0.1:80"` to two endpoints.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Sender and receiver, of one family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    source_port: u16,
    destination_port: u16,
}

// === impl Flow ===

impl Flow {
    #[track_caller]
    pub(super) fn with_ports(flow: &str) -> Self {
        let (source, destination): (SocketAddr, SocketAddr) = endpoints(flow, "10.0.0.1:4000 -> 10.96.0.1:80");
        Self {
            source: source.ip(),
            destination: destination.ip(),
            source_port: source.port(),
            destination_port: destination.port(),
        }
        .checked(flow)
    }

    #[track_caller]
    pub(super) fn without_ports(flow: &str) -> Self {
        let (source, destination) = endpoints(flow, "10.0.0.1 -> 10.0.0.2");
        Self { source, destination, source_port: 0, destination_port: 0 }.checked(flow)
    }

    pub(super) const fn ports(&self) -> (u16, u16) {
        (self.source_port, self.destination_port)
    }

    pub(super) const fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }

    #[track_caller]
    fn checked(self, flow: &str) -> Self {
        assert_eq!(self.source.is_ipv6(), self.destination.is_ipv6(), "the flow {flow:?} mixes IPv4 and IPv6");
        self
    }
}

#[track_caller]
fn endpoints<T: FromStr<Err: fmt::Display>>(flow: &str, example: &str) -> (T, T) {
    let Some((source, destination)) = flow.split_once(" -> ") else {
        panic!("the flow {flow:?} is not written like {example:?}");
    };
    (endpoint(source, flow), endpoint(destination, flow))
}

#[track_caller]
fn endpoint<T: FromStr<Err: fmt::Display>>(text: &str, flow: &str) -> T {
    match text.trim().parse() {
        Ok(endpoint) => endpoint,
        Err(error) => panic!("{text:?} in the flow {flow:?}: {error}"),
    }
}
