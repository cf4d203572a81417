//! What was read of a packet, without a reference into it.

use dataplane_common::{
    Carried, Content, DropEvent, DropReason, End, FlowEntry, FlowKey, Fragment, FragmentKey, IpAddress, IpProtocol,
    Malformed, Network, PacketBytes as _, is_neighbour_discovery,
};

use crate::family::Routed;
use crate::skb::Skb;

/// A packet's network layer.
pub(crate) struct Packet {
    pub(crate) source: IpAddress,
    pub(crate) destination: IpAddress,
    pub(crate) protocol: IpProtocol,
    pub(crate) fragment: Fragment,
    pub(crate) identification: u32,
    /// How many more routers may pass it on.
    pub(crate) hops: u8,
    /// The offset of the network header.
    pub(crate) network: usize,
    /// The offset of the transport header.
    pub(crate) transport: usize,
    /// The offset of the packet's end.
    pub(crate) end: usize,
}

/// What one packet needs that does not fit the 512 bytes of a program's stack: one per CPU, where no two programs run at
/// the same time.
pub(crate) struct Scratch {
    pub(crate) packet: Packet,
    /// The packet that an ICMP error quotes.
    pub(crate) quoted: Packet,
    pub(crate) key: FlowKey,
    pub(crate) reply_key: FlowKey,
    pub(crate) entry: FlowEntry,
    pub(crate) reply: FlowEntry,
    pub(crate) fragment: FragmentKey,
    pub(crate) event: DropEvent,
}

// === impl Packet ===

impl Packet {
    /// Ethernet's header; frames with VLAN tags are not ours.
    pub(crate) const NETWORK: usize = 14;

    /// Reads the network layer of an untagged frame.
    #[inline(always)]
    pub(crate) fn read<F: Routed>(&mut self, skb: &Skb) -> Result<(), DropReason> {
        let network = F::parse(skb, Self::NETWORK)?;
        self.set(&network, Self::NETWORK);
        let (source, destination) = (F::source(network.header), F::destination(network.header));
        if F::is_mapped(source) || F::is_mapped(destination) {
            return Err(DropReason::MappedAddress);
        }
        Ok(())
    }

    /// Reads the network layer at `offset` of what an ICMP error quotes, up to `end`, and the ports behind it.
    #[inline(always)]
    pub(crate) fn read_quoted<F: Routed>(&mut self, skb: &Skb, offset: usize, end: usize) -> Option<Carried> {
        let network = F::parse_quoted(skb, offset, end).ok()?;
        self.set(&network, offset);
        Carried::parse_quoted(skb, &network)
    }

    /// Keeps what of a network layer is needed later.
    #[inline(always)]
    fn set<F: Routed>(&mut self, network: &Network<'_, F>, offset: usize) {
        self.source = F::key(F::source(network.header));
        self.destination = F::key(F::destination(network.header));
        self.protocol = network.protocol;
        self.fragment = network.fragment;
        self.identification = network.identification;
        self.hops = F::hops(network.header);
        self.network = offset;
        self.transport = network.transport;
        self.end = network.end;
    }

    /// The address of one end.
    #[inline(always)]
    pub(crate) const fn end(&self, end: End) -> &IpAddress {
        match end {
            End::Source => &self.source,
            End::Destination => &self.destination,
        }
    }

    /// Whether it is for several receivers.
    #[inline(always)]
    pub(crate) fn is_multicast<F: Routed>(&self) -> bool {
        F::is_multicast(F::address(self.destination))
    }

    /// The network layer again, for the parsers.
    #[inline(always)]
    fn layer<'a, F: Routed>(&self, skb: &'a Skb) -> Result<Network<'a, F>, Malformed> {
        Ok(Network {
            header: skb.read(self.network).ok_or(Malformed::TruncatedIp)?,
            protocol: self.protocol,
            fragment: self.fragment,
            identification: self.identification,
            transport: self.transport,
            end: self.end,
        })
    }

    /// What it carries.
    #[inline(always)]
    pub(crate) fn content<F: Routed>(&self, skb: &Skb) -> Result<Content, Malformed> {
        Content::parse(skb, &self.layer::<F>(skb)?)
    }

    /// Whether it resolves a neighbour's hardware address.
    #[inline(always)]
    pub(crate) fn resolves_neighbour<F: Routed>(&self, skb: &Skb) -> bool {
        self.layer::<F>(skb).is_ok_and(|network| is_neighbour_discovery(skb, &network))
    }

    /// What its fragments have in common.
    #[inline(always)]
    pub(crate) const fn fragment_key(&self) -> FragmentKey {
        FragmentKey::new(self.source, self.destination, self.identification, self.protocol.0)
    }
}
