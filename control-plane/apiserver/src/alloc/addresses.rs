//! Cluster IPs: those that the user asks for, and free ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde_json::json;
use sheave_api::Document;
use sheave_api::field::{Cause, FieldError, Path};
use sheave_api::view::{Edit, View};
use sheave_store::Store;

use super::families::{family, family_of_range};
use super::reservation::address_key;
use super::{is_external_name, is_headless};
use crate::options::Options;

/// So many random addresses are tried before the whole range is searched.
const PROBES: u32 = 64;

/// Gives each family an address.
pub(super) fn complete(
    store: &Store,
    options: &Options,
    service: &mut Document,
    old: Option<&Document>,
    errors: &mut Vec<FieldError>,
) {
    if is_external_name(service) || is_headless(service) {
        return;
    }
    let held: Vec<IpAddr> = old.map(addresses_of).unwrap_or_default();
    let asked = addresses_of(service);
    let families: Vec<String> = service.texts("spec.ipFamilies").map(ToOwned::to_owned).collect();
    let mut addresses = Vec::new();
    for name in &families {
        let Some(range) = options.service_cidrs.iter().find(|range| family_of_range(range) == name) else { continue };
        let chosen = match asked.iter().find(|&&address| family(address) == name) {
            Some(&address) if held.contains(&address) => Ok(address),
            Some(&address) => check(store, range, address),
            None => {
                free(store, range).ok_or_else(|| format!("failed to allocate a serviceIP: the range {range} is full"))
            }
        };
        match chosen {
            Ok(address) => addresses.push(address.to_string()),
            Err(why) => errors.push(refused(&asked, &why)),
        }
    }
    if let (true, Some(first)) = (errors.is_empty(), addresses.first()) {
        service.put("spec.clusterIP", first.as_str());
        service.put("spec.clusterIPs", json!(addresses));
    }
}

fn addresses_of(service: &Document) -> Vec<IpAddr> {
    service.texts("spec.clusterIPs").filter_map(|address| address.parse().ok()).collect()
}

fn check(store: &Store, range: &IpNetwork, address: IpAddr) -> Result<IpAddr, String> {
    if !range.contains(address) || address == range.network() {
        return Err(format!(
            "failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. \
             The range of valid IPs is {range}"
        ));
    }
    match store.get(&address_key(address)) {
        None => Ok(address),
        Some(_) => Err(format!("failed to allocate IP {address}: provided IP is already allocated")),
    }
}

/// A free address, from the upper part of the range while there is one: the lower part is for addresses that users name
/// (KEP-3070).
fn free(store: &Store, range: &IpNetwork) -> Option<IpAddr> {
    let last = last_offset(range);
    let band = static_band(last);
    let is_free = |&address: &IpAddr| store.get(&address_key(address)).is_none();
    let probe = |_| nth(range, rand::random_range(band..=last));
    (0..PROBES).map(probe).find(is_free).or_else(|| {
        let start = rand::random_range(band..=last);
        (start..=last).chain(band..start).chain(1..band).map(|offset| nth(range, offset)).find(is_free)
    })
}

/// The largest usable offset: an IPv4 range ends before its broadcast address. Of a huge range a part is used, so that a
/// search of it ends.
fn last_offset(range: &IpNetwork) -> u128 {
    let host_bits = if range.is_ipv4() { 32 } else { 128 } - u32::from(range.prefix());
    let size = 1_u128 << host_bits.min(20);
    let reserved = if range.is_ipv4() { 2 } else { 1 };
    size.saturating_sub(reserved).max(1)
}

/// The first offset of the dynamic part: `min(max(16, size / 16), 256)`.
fn static_band(last: u128) -> u128 {
    let band = (last / 16).clamp(16, 256);
    if band < last { band } else { 1 }
}

/// The address `offset` after the network's own.
pub(crate) fn nth(range: &IpNetwork, offset: u128) -> IpAddr {
    match range.network() {
        // A range of IPv4 has offsets below 2^32.
        IpAddr::V4(base) => {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            IpAddr::V4(Ipv4Addr::from(u32::from(base).wrapping_add(offset)))
        }
        IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from(u128::from(base).wrapping_add(offset))),
    }
}

fn refused(asked: &[IpAddr], why: &str) -> FieldError {
    let shown: Vec<String> = asked.iter().map(|address| format!("{:?}", address.to_string())).collect();
    FieldError {
        path: Path::new("spec").child("clusterIPs"),
        cause: Cause::Invalid,
        message: format!("Invalid value: [{}]: {why}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stay_within_the_range() {
        for (range, first, last) in [
            ("10.96.0.0/12", "10.96.0.1", "10.111.255.254"),
            ("10.0.0.0/30", "10.0.0.1", "10.0.0.2"),
            ("fd00::/112", "fd00::1", "fd00::ffff"),
            ("fd00::/64", "fd00::1", "fd00::f:ffff"),
        ] {
            let range: IpNetwork = range.parse().unwrap();
            assert_eq!(nth(&range, 1).to_string(), first);
            assert_eq!(nth(&range, last_offset(&range)).to_string(), last);
            assert!(static_band(last_offset(&range)) <= last_offset(&range));
        }
    }
}
