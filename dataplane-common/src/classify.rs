//! From a frame to the counter that it belongs to.

use crate::{
    EtherType, Family, Fragment, IpFamily, IpProtocol, Ipv4, Ipv6, Link, Network, Outcome, PacketBytes, Protocol,
    Statistic, Transport,
};

/// Reads all headers of a frame and says what it is. The kernel programs and their host model are this function.
#[inline(always)]
pub fn classify<B: PacketBytes + ?Sized>(bytes: &B) -> Statistic {
    match Link::parse(bytes) {
        Err(malformed) => Statistic::link(Outcome::Malformed(malformed)),
        Ok(Link { ethertype: EtherType::IPV4, network }) => packet::<Ipv4, B>(bytes, Family::Ipv4, network),
        Ok(Link { ethertype: EtherType::IPV6, network }) => packet::<Ipv6, B>(bytes, Family::Ipv6, network),
        Ok(_) => Statistic::link(Outcome::NotIp),
    }
}

#[inline(always)]
fn packet<F: IpFamily, B: PacketBytes + ?Sized>(bytes: &B, family: Family, offset: usize) -> Statistic {
    let network = match F::parse(bytes, offset) {
        Ok(network) => network,
        Err(malformed) => return Statistic::network(family, malformed),
    };
    let outcome = match Transport::parse(bytes, &network) {
        Err(malformed) => Outcome::Malformed(malformed),
        Ok(transport) => outcome(&network, transport),
    };
    Statistic { family, protocol: protocol::<F>(network.protocol), outcome }
}

#[inline(always)]
const fn outcome<F: IpFamily>(network: &Network<'_, F>, transport: Transport<'_>) -> Outcome {
    match (network.fragment, transport) {
        (Fragment::First, _) => Outcome::FirstFragment,
        (Fragment::Later, _) | (_, Transport::Absent) => Outcome::LaterFragment,
        (_, Transport::Other) => Outcome::OtherProtocol,
        (_, Transport::Tcp(_) | Transport::Udp(_) | Transport::Icmpv4(_) | Transport::Icmpv6(_)) => Outcome::Transport,
    }
}

/// The protocol by its number; the other family's ICMP is just another protocol.
#[inline(always)]
fn protocol<F: IpFamily>(number: IpProtocol) -> Protocol {
    match number {
        IpProtocol::TCP => Protocol::Tcp,
        IpProtocol::UDP => Protocol::Udp,
        IpProtocol::ICMP if F::ICMP == IpProtocol::ICMP => Protocol::Icmpv4,
        IpProtocol::ICMPV6 if F::ICMP == IpProtocol::ICMPV6 => Protocol::Icmpv6,
        _ => Protocol::Other,
    }
}
