//! Addresses for load balancers, and who has which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;

use crate::cidr::{Cidr, bits, from_bits};
use crate::runtime::key::ObjectKey;

/// Ranges of addresses as `--load-balancer-pool` writes them: CIDRs and `first-last` pairs, separated by commas, of
/// one or both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    ranges: Vec<Range>,
}

/// A text that is no pool of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither a CIDR such as 192.0.2.0/28 nor a range such as 192.0.2.10-192.0.2.20")]
pub struct InvalidPool {
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: IpAddr,
    last: IpAddr,
}

/// A pool and its tenants.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    pool: Pool,
    tenants: BTreeMap<IpAddr, ObjectKey>,
}

// === impl Pool ===

impl FromStr for Pool {
    type Err = InvalidPool;

    fn from_str(text: &str) -> Result<Self, InvalidPool> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let ranges = parts.map(Range::from_str).collect::<Result<Vec<_>, _>>()?;
        if ranges.is_empty() { Err(InvalidPool { text: text.to_owned() }) } else { Ok(Self { ranges }) }
    }
}

// === impl Range ===

impl Range {
    fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv6() == address.is_ipv6() && (bits(self.first)..=bits(self.last)).contains(&bits(address))
    }
}

impl FromStr for Range {
    type Err = InvalidPool;

    fn from_str(text: &str) -> Result<Self, InvalidPool> {
        let invalid = || InvalidPool { text: text.to_owned() };
        if let Some((first, last)) = text.split_once('-') {
            let first: IpAddr = first.trim().parse().map_err(|_| invalid())?;
            let last: IpAddr = last.trim().parse().map_err(|_| invalid())?;
            let ordered = first.is_ipv6() == last.is_ipv6() && first <= last;
            return if ordered { Ok(Self { first, last }) } else { Err(invalid()) };
        }
        let cidr: Cidr = text.parse().map_err(|_| invalid())?;
        Ok(Self { first: cidr.address(), last: cidr.nth(cidr.size() - 1) })
    }
}

// === impl Leases ===

impl Leases {
    /// Nobody has an address yet.
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, tenants: BTreeMap::new() }
    }

    /// The addresses of `tenant`, one for each family of `ipv6`, in that order. What it has already and what it asks
    /// for by name comes before any other. `Err` names what cannot be had; then it keeps what it had.
    pub(super) fn assign(
        &mut self,
        tenant: &ObjectKey,
        ipv6: &[bool],
        standing: &[IpAddr],
        asked: Option<IpAddr>,
    ) -> Result<Vec<IpAddr>, String> {
        let mut addresses = Vec::new();
        for ipv6 in ipv6 {
            let wish = asked.filter(|asked| asked.is_ipv6() == *ipv6);
            let address = match wish {
                Some(wish) if self.is_for(wish, tenant) => wish,
                Some(wish) => return Err(format!("the address {wish} is taken or not in the pool")),
                None => self.any(*ipv6, tenant, standing)?,
            };
            addresses.push(address);
        }
        self.release(tenant);
        self.tenants.extend(addresses.iter().map(|address| (*address, tenant.clone())));
        Ok(addresses)
    }

    /// Notes what a Service has from before. The first one to name an address has it.
    pub(super) fn restore(&mut self, tenant: &ObjectKey, addresses: &[IpAddr]) {
        for address in addresses {
            self.tenants.entry(*address).or_insert_with(|| tenant.clone());
        }
    }

    /// Takes back what `tenant` has. Whether that was anything.
    pub(super) fn release(&mut self, tenant: &ObjectKey) -> bool {
        let before = self.tenants.len();
        self.tenants.retain(|_, known| known != tenant);
        self.tenants.len() < before
    }

    fn any(&self, ipv6: bool, tenant: &ObjectKey, standing: &[IpAddr]) -> Result<IpAddr, String> {
        let kept = standing.iter().copied().find(|address| address.is_ipv6() == ipv6 && self.is_for(*address, tenant));
        kept.or_else(|| self.free(ipv6))
            .ok_or_else(|| format!("the pool has no free {} address", if ipv6 { "IPv6" } else { "IPv4" }))
    }

    fn is_for(&self, address: IpAddr, tenant: &ObjectKey) -> bool {
        let in_pool = self.pool.ranges.iter().any(|range| range.contains(address));
        in_pool && self.tenants.get(&address).is_none_or(|known| known == tenant)
    }

    /// The lowest free address. At most as many addresses are looked at as are taken, plus one.
    fn free(&self, ipv6: bool) -> Option<IpAddr> {
        let taken: BTreeSet<u128> = self.tenants.keys().filter(|it| it.is_ipv6() == ipv6).map(|it| bits(*it)).collect();
        let ranges = self.pool.ranges.iter().filter(|range| range.first.is_ipv6() == ipv6);
        let mut candidates = ranges.flat_map(|range| bits(range.first)..=bits(range.last));
        candidates.find(|candidate| !taken.contains(candidate)).map(|candidate| from_bits(candidate, ipv6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(pool: &str) -> Leases {
        Leases::new(pool.parse().unwrap())
    }

    fn assign(leases: &mut Leases, tenant: &str, asked: Option<&str>) -> Result<String, String> {
        let asked = asked.map(|asked| asked.parse().unwrap());
        leases.assign(&ObjectKey::new("a", tenant), &[false], &[], asked).map(|found| found[0].to_string())
    }

    #[test]
    fn each_service_gets_the_lowest_free_address_until_there_is_none() {
        let mut leases = leases("192.0.2.1-192.0.2.2, 192.0.2.8/31");
        for (tenant, expected) in [("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.8"), ("d", "192.0.2.9")] {
            assert_eq!(assign(&mut leases, tenant, None).unwrap(), expected);
        }
        assert_eq!(assign(&mut leases, "e", None).unwrap_err(), "the pool has no free IPv4 address");
        assert!(leases.release(&ObjectKey::new("a", "b")));
        assert_eq!(assign(&mut leases, "e", None).unwrap(), "192.0.2.2");
    }

    #[test]
    fn an_address_that_is_asked_for_must_be_free_and_in_the_pool() {
        let mut leases = leases("192.0.2.0/28");
        assert_eq!(assign(&mut leases, "a", Some("192.0.2.5")).unwrap(), "192.0.2.5");
        assert!(assign(&mut leases, "b", Some("192.0.2.5")).is_err());
        assert!(assign(&mut leases, "b", Some("192.0.3.5")).is_err());
        assert_eq!(assign(&mut leases, "a", Some("192.0.2.6")).unwrap(), "192.0.2.6");
        assert_eq!(assign(&mut leases, "b", Some("192.0.2.5")).unwrap(), "192.0.2.5", "a gave it back");
    }

    #[test]
    fn a_service_of_both_families_gets_both_or_none() {
        let mut dual = leases("192.0.2.0/31,2001:db8::/127");
        let key = |name: &str| ObjectKey::new("a", name);
        let both: Vec<IpAddr> = dual.assign(&key("a"), &[true, false], &[], None).unwrap();
        assert_eq!(both.iter().map(IpAddr::to_string).collect::<Vec<_>>(), ["2001:db8::", "192.0.2.0"]);
        let mut single = leases("192.0.2.0/31");
        assert!(single.assign(&key("a"), &[false, true], &[], None).is_err());
        assert_eq!(assign(&mut single, "b", None).unwrap(), "192.0.2.0");
    }

    #[test]
    fn a_service_keeps_what_its_status_says_after_a_restart() {
        let mut leases = leases("192.0.2.0/28");
        let (key, standing) = (ObjectKey::new("a", "web"), ["192.0.2.7".parse().unwrap()]);
        leases.restore(&key, &standing);
        assert_eq!(leases.assign(&key, &[false], &standing, None).unwrap(), standing);
        assert!(assign(&mut leases, "other", Some("192.0.2.7")).is_err());
    }

    #[test]
    fn a_pool_is_read_or_refused() {
        for (text, valid) in [
            ("10.0.0.0/8", true),
            ("fd00::1-fd00::9", true),
            ("", false),
            ("10.0.0.9-10.0.0.1", false),
            ("10.0.0.1-fd00::1", false),
            ("ten", false),
        ] {
            assert_eq!(text.parse::<Pool>().is_ok(), valid, "{text:?}");
        }
    }
}
