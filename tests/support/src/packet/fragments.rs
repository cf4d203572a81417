//! Splitting a packet as a sender or a router does.

use super::network::Network;
use super::transport::Transport;
use super::{Layer, Packet};

impl Packet {
    /// The fragments of the packet, each of which carries at most `size` bytes, a multiple of 8.
    ///
    /// The transport's checksum covers the whole, so that the receiver accepts what it puts together. IPv6's
    /// hop-by-hop and routing headers are in every fragment, others are split with the data (RFC 8200 section 4.5).
    ///
    /// # Panics
    ///
    /// When the packet is not IP or `size` is no multiple of 8.
    #[track_caller]
    #[must_use]
    pub fn fragments(&self, size: usize) -> Vec<Self> {
        assert!(size > 0 && size.is_multiple_of(8), "fragments carry multiples of 8 bytes, {size} is not");
        let (whole, protocol) = self.fragmentable();
        let pieces = whole.chunks(size).enumerate();
        pieces
            .map(|(position, piece)| {
                let offset = position * size;
                let fragment = Self { transport: Transport::Raw(protocol), ..self.unfragmentable() };
                fragment.payload(piece).fragment(offset, offset + piece.len() < whole.len())
            })
            .collect()
    }

    /// What is split: everything behind the headers that every fragment has, and the number of its first header.
    #[track_caller]
    fn fragmentable(&self) -> (Vec<u8>, u8) {
        let kept = self.unfragmentable();
        let bytes = self.sound_bytes().split_off(kept.offset_of(Layer::Transport));
        let split = match &self.network {
            Network::Ipv6(header) => header.extensions.iter().find(|extension| !extension.is_unfragmentable()),
            Network::Ipv4(_) => None,
            Network::Other(_) => panic!("a frame that is not IP cannot be split"),
        };
        (bytes, split.map_or_else(|| self.protocol(), |extension| extension.number))
    }

    /// The packet with only those headers that every fragment has.
    fn unfragmentable(&self) -> Self {
        let mut packet = self.clone();
        if let Network::Ipv6(header) = &mut packet.network {
            header.extensions = header.extensions.iter().take_while(|one| one.is_unfragmentable()).cloned().collect();
        }
        packet
    }
}
