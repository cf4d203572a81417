//! Which addresses of the node's networks are free.
//!
//! Addresses are given out in turn, so that one comes back into use as late as possible, and never within
//! [`Pool::delay`] after it was freed: other nodes and clients may still remember who had it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;

/// Addresses of one IPv6 network that are given out at all. A /64 has more than anybody will list.
const MOST: u128 = 1 << 16;

/// The node's networks and what is in use of them. Time is what the caller says: seconds since any fixed moment.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    networks: Vec<IpNetwork>,
    /// How long an address stays unused after it was freed.
    delay: Duration,
    used: BTreeSet<IpAddr>,
    /// When each freed address was freed.
    freed: BTreeMap<IpAddr, u64>,
    /// The address that was given out last, of each network.
    last: BTreeMap<IpNetwork, u128>,
    /// Addresses of the node itself.
    excluded: BTreeSet<IpAddr>,
}

/// No address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// The node has no network at all.
    #[error("the node has no pod network yet: its spec.podCIDRs is empty")]
    NoNetwork,
    /// All are in use.
    #[error("all {0} addresses of {1} are in use")]
    AllUsed(u128, IpNetwork),
    /// Those that are not in use were freed only just now.
    #[error("all addresses of {0} are in use or were freed within the last {1:?}")]
    AllFresh(IpNetwork, Duration),
}

// === impl Pool ===

impl Pool {
    /// A pool without networks.
    pub fn new(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// The networks that addresses come from, at most one of each family counts: the first.
    pub fn networks(&self) -> &[IpNetwork] {
        &self.networks
    }

    /// Changes the networks. Addresses of former ones stay in use until they are freed.
    pub fn set_networks(&mut self, networks: &[IpNetwork]) {
        let first = |v4: bool| networks.iter().find(move |network| network.is_ipv4() == v4).copied();
        self.networks = [first(true), first(false)].into_iter().flatten().collect();
    }

    /// Addresses that must not be given out, because the node itself has them.
    pub fn exclude(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.excluded = addresses.into_iter().collect();
    }

    /// Takes one free address of each network; all or none.
    ///
    /// # Errors
    /// [`NoAddress`] of the first network that has none.
    pub fn take(&mut self, now: u64) -> Result<Vec<IpAddr>, NoAddress> {
        if self.networks.is_empty() {
            return Err(NoAddress::NoNetwork);
        }
        let found = self.networks.iter().map(|network| self.find(*network, now)).collect::<Result<Vec<_>, _>>()?;
        for (network, (offset, address)) in self.networks.clone().into_iter().zip(&found) {
            self.last.insert(network, *offset);
            self.occupy(*address);
        }
        Ok(found.into_iter().map(|(_, address)| address).collect())
    }

    /// Marks an address as in use, wherever it comes from.
    pub fn occupy(&mut self, address: IpAddr) {
        self.freed.remove(&address);
        self.used.insert(address);
    }

    /// Marks an address as free from `now` on.
    pub fn free(&mut self, address: IpAddr, now: u64) {
        if self.used.remove(&address) {
            self.freed.insert(address, now);
        }
    }

    /// Remembers where the turn is, after a restart.
    pub fn resume_after(&mut self, address: IpAddr) {
        if let Some(network) = self.networks.iter().find(|network| network.contains(address)) {
            self.last.insert(*network, offset_of(*network, address));
        }
    }

    /// How many addresses are in use.
    pub fn used(&self) -> usize {
        self.used.len()
    }

    /// How many addresses can be in use at once: the smallest network counts.
    pub fn capacity(&self) -> u128 {
        self.networks.iter().map(|network| usable(*network)).min().unwrap_or(0)
    }

    fn find(&self, network: IpNetwork, now: u64) -> Result<(u128, IpAddr), NoAddress> {
        let count = usable(network);
        let last = self.last.get(&network).copied().unwrap_or(0);
        let in_turn = (0..count).map(|step| 1 + (last + step) % count.max(1));
        let mut fresh = false;
        for offset in in_turn {
            let Some(address) = at(network, offset) else { continue };
            if self.used.contains(&address) || self.excluded.contains(&address) {
                continue;
            }
            if self.freed.get(&address).is_some_and(|freed| now.saturating_sub(*freed) < self.delay.as_secs()) {
                fresh = true;
                continue;
            }
            return Ok((offset, address));
        }
        Err(if fresh { NoAddress::AllFresh(network, self.delay) } else { NoAddress::AllUsed(count, network) })
    }
}

/// Addresses of a network that can be given out: from its second on, and in IPv4 up to the one before the last, since
/// the first and the last mean the network and everybody in it.
fn usable(network: IpNetwork) -> u128 {
    let bits = if network.is_ipv4() { 32 } else { 128 } - u32::from(network.prefix());
    let all = 1_u128.checked_shl(bits).unwrap_or(u128::MAX);
    all.saturating_sub(if network.is_ipv4() { 2 } else { 1 }).min(MOST)
}

fn at(network: IpNetwork, offset: u128) -> Option<IpAddr> {
    match network {
        IpNetwork::V4(network) => {
            let first = u32::from(network.network());
            first.checked_add(u32::try_from(offset).ok()?).map(|bits| IpAddr::V4(bits.into()))
        }
        IpNetwork::V6(network) => {
            let first = u128::from(network.network());
            first.checked_add(offset).map(|bits| IpAddr::V6(bits.into()))
        }
    }
}

fn offset_of(network: IpNetwork, address: IpAddr) -> u128 {
    match (network.network(), address) {
        (IpAddr::V4(first), IpAddr::V4(address)) => u128::from(u32::from(address).saturating_sub(first.into())),
        (IpAddr::V6(first), IpAddr::V6(address)) => u128::from(address).saturating_sub(first.into()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(10);

    fn pool(networks: &[&str]) -> Pool {
        let mut pool = Pool::new(DELAY);
        pool.set_networks(&networks.iter().map(|network| network.parse().unwrap()).collect::<Vec<_>>());
        pool
    }

    fn taken(pool: &mut Pool, now: u64) -> Vec<String> {
        pool.take(now).unwrap().iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn one_address_of_each_family_is_taken_in_turn() {
        let mut pool = pool(&["10.244.1.0/24", "fd00:10:244:1::/64", "10.9.0.0/24"]);
        assert_eq!(taken(&mut pool, 0), ["10.244.1.1", "fd00:10:244:1::1"]);
        assert_eq!(taken(&mut pool, 0), ["10.244.1.2", "fd00:10:244:1::2"]);
        pool.free("10.244.1.1".parse().unwrap(), 0);
        assert_eq!(taken(&mut pool, 1000), ["10.244.1.3", "fd00:10:244:1::3"], "the freed one waits for its turn");
        assert_eq!((pool.used(), pool.capacity()), (5, 254));
    }

    #[test]
    fn a_network_is_used_up_to_its_last_address_and_a_freed_one_only_after_the_delay() {
        let mut pool = pool(&["10.0.0.0/29"]);
        for last in 1..=6 {
            assert_eq!(taken(&mut pool, 0), [format!("10.0.0.{last}")]);
        }
        let network = "10.0.0.0/29".parse().unwrap();
        assert_eq!(pool.take(0), Err(NoAddress::AllUsed(6, network)));
        pool.free("10.0.0.4".parse().unwrap(), 100);
        assert_eq!(pool.take(109), Err(NoAddress::AllFresh(network, DELAY)));
        assert_eq!(taken(&mut pool, 110), ["10.0.0.4"]);
    }

    #[test]
    fn the_nodes_own_addresses_are_left_out() {
        let mut pool = pool(&["10.0.0.0/29"]);
        pool.exclude(["10.0.0.1".parse().unwrap()]);
        assert_eq!(taken(&mut pool, 0), ["10.0.0.2"]);
    }

    #[test]
    fn tiny_and_huge_networks_are_counted_right() {
        for (network, count) in [
            ("10.0.0.0/32", 0),
            ("10.0.0.0/31", 0),
            ("10.0.0.0/30", 2),
            ("0.0.0.0/0", MOST),
            ("fd00::/128", 0),
            ("fd00::/127", 1),
            ("::/0", MOST),
        ] {
            let mut pool = pool(&[network]);
            assert_eq!(pool.capacity(), count, "{network}");
            assert_eq!(pool.take(0).is_ok(), count > 0, "{network}");
        }
        assert_eq!(Pool::new(DELAY).take(0), Err(NoAddress::NoNetwork));
    }

    #[test]
    fn none_is_taken_when_one_family_is_used_up() {
        let mut pool = pool(&["10.0.0.0/30", "fd00::/127"]);
        assert_eq!(taken(&mut pool, 0), ["10.0.0.1", "fd00::1"]);
        assert!(pool.take(0).is_err());
        assert_eq!(pool.used(), 2);
    }
}
