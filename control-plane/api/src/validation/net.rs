//! Addresses and ranges, in the words of `k8s.io/apimachinery/pkg/util/validation`.

use std::net::{IpAddr, Ipv6Addr};

use super::Place;
use crate::field::{Errors, quote};

/// The family of an address or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// As fields name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// The address that a text is, where it is well-formed.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// The family of an address.
pub(crate) fn family(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// The network and prefix length that a text is, where it is well-formed and has no bits beyond its prefix.
pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = parse_prefix(text)?;
    (masked(address, length) == address).then_some((address, length))
}

/// Whether an address is in a range.
pub(crate) fn contains((network, length): (IpAddr, u8), address: IpAddr) -> bool {
    family(network) == family(address) && masked(address, length) == network
}

/// An address in any well-formed writing.
pub(crate) fn ip(place: &Place<'_>, errors: &mut Errors) {
    if let Err(reason) = checked_ip(place.text()) {
        errors.invalid_text(place, reason);
    }
}

/// What keeps a text from being an address in its shortest writing.
pub(crate) fn canonical_ip(text: &str) -> Vec<String> {
    match checked_ip(text) {
        Err(reason) => vec![reason.to_owned()],
        Ok(address) if address.to_string() != text => {
            vec![format!("must be in canonical form ({})", quote(&address.to_string()))]
        }
        Ok(_) => Vec::new(),
    }
}

/// A range in any well-formed writing. `text` is the value without the white space that some fields allow around it.
pub(crate) fn cidr(place: &Place<'_>, text: &str, errors: &mut Errors) {
    let refuse = |errors: &mut Errors, reason: &str| errors.invalid_as(place, text, reason);
    match parse_prefix(text) {
        None if parse_prefix(&without_leading_zeros(text)).is_some() => {
            refuse(errors, "must not have leading 0s in IP or prefix length");
        }
        None => refuse(errors, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        Some((address, _)) if is_mapped(address) => refuse(errors, "must not have an IPv4-mapped IPv6 address"),
        Some((address, length)) if masked(address, length) != address => {
            refuse(errors, "must not have bits set beyond the prefix length");
        }
        Some(_) => {}
    }
}

/// A range in its shortest writing.
pub(crate) fn canonical_cidr(place: &Place<'_>, errors: &mut Errors) {
    let found = errors.len();
    cidr(place, place.text(), errors);
    if let Some((address, length)) = parse_cidr(place.text())
        && errors.len() == found
    {
        let canonical = format!("{address}/{length}");
        if place.text() != canonical {
            errors.invalid_text(place, format!("must be in canonical form ({})", quote(&canonical)));
        }
    }
}

/// An address that can be somebody's: not unspecified, loopback or link-local.
pub(crate) fn non_special_ip(place: &Place<'_>, errors: &mut Errors) {
    let Some(address) = parse_ip(place.text()) else {
        errors.invalid_text(place, "must be a valid IP address");
        return;
    };
    if address.is_unspecified() {
        errors.invalid_text(place, format!("may not be unspecified ({})", place.text()));
    }
    if address.is_loopback() {
        errors.invalid_text(place, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if is_link_local(address) {
        errors.invalid_text(place, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if is_link_local_multicast(address) {
        errors.invalid_text(place, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// An address in any well-formed writing that another machine can have.
pub(crate) fn reachable_ip(place: &Place<'_>, errors: &mut Errors) {
    if parse_ip(place.text()).is_some() {
        non_special_ip(place, errors);
    } else {
        ip(place, errors);
    }
}

/// At most one of each family. `families` are those of the well-formed elements.
pub(crate) fn at_most_one_per_family(place: &Place<'_>, families: &[Family], what: &str, errors: &mut Errors) {
    let count = |wanted: Family| families.iter().filter(|family| **family == wanted).count();
    if count(Family::V4) > 1 || count(Family::V6) > 1 {
        errors.invalid(place, format!("may specify no more than one {what} for each IP family"));
    }
}

fn checked_ip(text: &str) -> Result<IpAddr, &'static str> {
    match parse_ip(text) {
        None if parse_ip(&without_leading_zeros(text)).is_some() => Err("must not have leading 0s"),
        None => Err("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        Some(address) if is_mapped(address) => Err("must not be an IPv4-mapped IPv6 address"),
        Some(address) => Ok(address),
    }
}

fn parse_prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (length.len() > 1 && length.starts_with('0')) {
        return None;
    }
    let (address, length) = (parse_ip(address)?, length.parse().ok()?);
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (length <= bits).then_some((address, length))
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => Ipv6Addr::segments(&address)[0] & 0xff0f == 0xff02,
    }
}

/// The text with each number's leading zeros removed, as old parsers read it.
fn without_leading_zeros(text: &str) -> String {
    let number = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        stripped => stripped.to_owned(),
    };
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address = address.split('.').map(number).collect::<Vec<_>>().join(".");
    length.map_or(address.clone(), |length| format!("{address}/{}", number(length)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::check;

    fn refusal(rule: fn(&Place<'_>, &mut Errors), text: &str) -> String {
        let document = json!({ "f": text });
        let errors = check(&document, |root, errors| rule(&root.child("f"), errors));
        errors.iter().map(|error| error.message.rsplit(": ").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn addresses_are_refused_in_kubernetes_words() {
        let table = [
            ("10.0.0.1", ""),
            ("fd00::1", ""),
            ("FD00::1", ""),
            ("10.0.0.256", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
            ("", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
            ("010.0.0.1", "must not have leading 0s"),
            ("::ffff:1.2.3.4", "must not be an IPv4-mapped IPv6 address"),
        ];
        for (text, expected) in table {
            assert_eq!(refusal(ip, text), expected, "{text}");
        }
        assert_eq!(canonical_ip("FD00::1"), ["must be in canonical form (\"fd00::1\")"]);
    }

    #[test]
    fn ranges_are_refused_in_kubernetes_words() {
        let table = [
            ("10.0.0.0/8", ""),
            ("0.0.0.0/0", ""),
            ("fd00::/108", ""),
            ("10.0.0.0", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
            ("10.0.0.0/33", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
            ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
            ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
            ("::ffff:1.2.3.0/120", "must not have an IPv4-mapped IPv6 address"),
        ];
        for (text, expected) in table {
            assert_eq!(refusal(|place, errors| cidr(place, place.text(), errors), text), expected, "{text}");
        }
        assert_eq!(refusal(canonical_cidr, "FD00::/64"), "must be in canonical form (\"fd00::/64\")");
        assert_eq!(parse_cidr("0.0.0.0/0"), Some(("0.0.0.0".parse().unwrap(), 0)));
    }

    #[test]
    fn addresses_that_are_nobodys_are_refused() {
        for text in ["0.0.0.0", "::", "127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.5", "ff02::1", "x"] {
            assert!(!refusal(non_special_ip, text).is_empty(), "{text}");
        }
        for text in ["10.0.0.1", "fd00::1", "224.0.1.5"] {
            assert_eq!(refusal(non_special_ip, text), "", "{text}");
        }
    }
}
