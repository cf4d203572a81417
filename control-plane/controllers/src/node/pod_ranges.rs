//! Hands each node a piece of the cluster's pod addresses.

use std::collections::{BTreeMap, BTreeSet};

use crate::cidr::{Cidr, bits, from_bits};

/// Cuts one range into pieces of one size, and remembers who has which.
#[derive(Clone, Debug)]
pub(super) struct Ranges {
    whole: Cidr,
    piece_length: u8,
    taken: BTreeSet<u128>,
    /// Where the search for a free piece goes on: pieces are reused as late as possible.
    next: u128,
}

/// The pieces of every node, in every family.
#[derive(Clone, Debug)]
pub(super) struct Allocator {
    ranges: Vec<Ranges>,
    nodes: BTreeMap<String, Vec<Cidr>>,
}

/// The length of a node's piece, by family: 254 pod addresses each, and a /64 (`--node-cidr-mask-size-ipv4/-ipv6`).
const PIECE_LENGTH: (u8, u8) = (24, 64);
/// A range is cut into at most this many pieces.
const MOST_PIECES_BITS: u8 = 16;

// === impl Ranges ===

impl Ranges {
    /// Cuts `whole` into pieces of the family's usual size; one that is no larger than a piece is one piece.
    pub(super) fn new(whole: Cidr) -> Self {
        let usual = if whole.is_ipv6() { PIECE_LENGTH.1 } else { PIECE_LENGTH.0 };
        let piece_length =
            usual.clamp(whole.length(), whole.length().saturating_add(MOST_PIECES_BITS)).min(whole.width());
        Self { whole, piece_length, taken: BTreeSet::new(), next: 0 }
    }

    fn pieces(&self) -> u128 {
        1 << (self.piece_length - self.whole.length())
    }

    fn piece(&self, index: u128) -> Cidr {
        let shift = u32::from(self.whole.width() - self.piece_length);
        let offset = index.checked_shl(shift).unwrap_or(0);
        Cidr::new(from_bits(bits(self.whole.address()) + offset, self.whole.is_ipv6()), self.piece_length)
    }

    /// The pieces that have addresses in common with `range`, which somebody may have given out by hand.
    fn indexes(&self, range: Cidr) -> std::ops::Range<u128> {
        if !self.whole.overlaps(range) {
            return 0..0;
        }
        let shift = u32::from(self.whole.width() - self.piece_length);
        let offset = |address: u128| (address - bits(self.whole.address())).checked_shr(shift).unwrap_or(0);
        let first = bits(range.address()).max(bits(self.whole.address()));
        let last = bits(range.address()).saturating_add(range.size() - 1);
        let last = last.min(bits(self.whole.address()).saturating_add(self.whole.size() - 1));
        offset(first)..offset(last) + 1
    }

    fn take(&mut self) -> Option<Cidr> {
        let pieces = self.pieces();
        let free = (0..pieces).map(|step| (self.next + step) % pieces).find(|index| !self.taken.contains(index))?;
        self.taken.insert(free);
        self.next = (free + 1) % pieces;
        Some(self.piece(free))
    }

    fn occupy(&mut self, range: Cidr) {
        self.taken.extend(self.indexes(range));
    }

    fn release(&mut self, range: Cidr) {
        for index in self.indexes(range) {
            self.taken.remove(&index);
        }
    }
}

// === impl Allocator ===

impl Allocator {
    /// Cuts each of `ranges`, one per family.
    pub(super) fn new(ranges: &[Cidr]) -> Self {
        Self { ranges: ranges.iter().copied().map(Ranges::new).collect(), nodes: BTreeMap::new() }
    }

    /// Notes what a node has. Pieces that somebody else has too are nobody's to give out.
    pub(super) fn occupy(&mut self, node: &str, pieces: Vec<Cidr>) {
        for piece in &pieces {
            self.ranges.iter_mut().for_each(|ranges| ranges.occupy(*piece));
        }
        self.nodes.insert(node.to_owned(), pieces);
    }

    /// What `node` has, or gets now: a piece of each range. `None` when one of the ranges has none left.
    pub(super) fn allocate(&mut self, node: &str) -> Option<Vec<Cidr>> {
        if let Some(pieces) = self.nodes.get(node) {
            return Some(pieces.clone());
        }
        let mut taken = Vec::new();
        for index in 0..self.ranges.len() {
            match self.ranges[index].take() {
                Some(piece) => taken.push(piece),
                None => {
                    self.give_back(&taken);
                    return None;
                }
            }
        }
        self.nodes.insert(node.to_owned(), taken.clone());
        Some(taken)
    }

    /// Takes back what a node had that is gone, unless another node has it as well.
    pub(super) fn release(&mut self, node: &str) {
        if let Some(pieces) = self.nodes.remove(node) {
            self.give_back(&pieces);
            let others: Vec<Cidr> = self.nodes.values().flatten().copied().collect();
            for piece in others.into_iter().filter(|other| pieces.iter().any(|piece| piece.overlaps(*other))) {
                self.ranges.iter_mut().for_each(|ranges| ranges.occupy(piece));
            }
        }
    }

    fn give_back(&mut self, pieces: &[Cidr]) {
        for piece in pieces {
            self.ranges.iter_mut().for_each(|ranges| ranges.release(*piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn shown(pieces: Option<Vec<Cidr>>) -> String {
        pieces.map_or("none".into(), |pieces| pieces.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_node_gets_its_own_piece_of_each_range() {
        let mut allocator = Allocator::new(&[cidr("10.244.0.0/16"), cidr("fd00:10:244::/56")]);
        assert_eq!(shown(allocator.allocate("a")), "10.244.0.0/24 fd00:10:244::/64");
        assert_eq!(shown(allocator.allocate("b")), "10.244.1.0/24 fd00:10:244:1::/64");
        assert_eq!(shown(allocator.allocate("a")), "10.244.0.0/24 fd00:10:244::/64", "it keeps what it has");
    }

    #[test]
    fn what_nodes_have_already_is_not_given_out_again() {
        let mut allocator = Allocator::new(&[cidr("10.244.0.0/22")]);
        allocator.occupy("by-hand", vec![cidr("10.244.0.0/23")]);
        allocator.occupy("elsewhere", vec![cidr("192.168.0.0/24")]);
        assert_eq!(shown(allocator.allocate("a")), "10.244.2.0/24");
        assert_eq!(shown(allocator.allocate("b")), "10.244.3.0/24");
        assert_eq!(shown(allocator.allocate("c")), "none");
        allocator.release("by-hand");
        assert_eq!(shown(allocator.allocate("c")), "10.244.0.0/24");
    }

    #[test]
    fn a_node_that_gets_no_piece_of_one_range_gets_none_of_the_other() {
        let mut allocator = Allocator::new(&[cidr("10.244.0.0/16"), cidr("fd00::/64")]);
        assert_eq!(shown(allocator.allocate("a")), "10.244.0.0/24 fd00::/64");
        assert_eq!(shown(allocator.allocate("b")), "none");
        allocator.release("a");
        assert_eq!(shown(allocator.allocate("b")), "10.244.2.0/24 fd00::/64", "pieces are reused late");
    }

    #[test]
    fn a_piece_that_two_nodes_have_is_free_when_both_are_gone() {
        let mut allocator = Allocator::new(&[cidr("10.244.0.0/24")]);
        allocator.occupy("a", vec![cidr("10.244.0.0/24")]);
        allocator.occupy("b", vec![cidr("10.244.0.0/24")]);
        allocator.release("a");
        assert_eq!(shown(allocator.allocate("c")), "none");
        allocator.release("b");
        assert_eq!(shown(allocator.allocate("c")), "10.244.0.0/24");
    }

    #[test]
    fn odd_ranges_are_read_or_refused() {
        for (text, expected) in [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::/0", Some("::/0")),
            ("10.0.0.0", None),
            ("10.0.0.0/33", None),
            ("::/129", None),
            ("x/8", None),
            ("10.0.0.0/-1", None),
        ] {
            assert_eq!(text.parse::<Cidr>().ok().map(|cidr| cidr.to_string()).as_deref(), expected, "{text}");
        }
        for whole in ["0.0.0.0/0", "::/0", "10.0.0.7/32", "fd00::1/128"] {
            assert!(Allocator::new(&[cidr(whole)]).allocate("a").is_some(), "{whole}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_do_two_nodes_share_an_address(steps in proptest::collection::vec((0..12u8, proptest::bool::ANY), 0..200)) {
            let mut allocator = Allocator::new(&[cidr("10.244.0.0/21"), cidr("fd00::/61")]);
            let mut held = BTreeMap::<u8, Vec<Cidr>>::new();
            for (node, comes) in steps {
                if comes {
                    if let Some(pieces) = allocator.allocate(&node.to_string()) {
                        held.insert(node, pieces);
                    }
                } else {
                    allocator.release(&node.to_string());
                    held.remove(&node);
                }
                for (one, pieces) in &held {
                    for (two, others) in held.iter().filter(|(two, _)| *two != one) {
                        let shared = pieces.iter().any(|piece| others.iter().any(|other| piece.overlaps(*other)));
                        proptest::prop_assert!(!shared, "{one} and {two}");
                    }
                }
            }
        }
    }
}
