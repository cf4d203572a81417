//! An endpoint: an attached container, as the agent remembers it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sheave_cni::protocol::{Address, Attached, Attachment, Interface, PodReference};

use crate::netlink::MacAddress;

/// What pods send everything to. It is on no interface: a static neighbour entry in the pod gives it the Ethernet
/// address of the node's end.
pub const GATEWAY_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The same for IPv6.
pub const GATEWAY_IPV6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// How the names of the node's ends begin. Nothing else on a node may use it: what begins so is the agent's.
pub const INTERFACE_PREFIX: &str = "shv";

/// An attached container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// What is attached.
    pub attachment: Attachment,
    /// Whose container it is, if the runtime has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodReference>,
    /// Path of the container's network namespace, as the runtime sees it.
    pub namespace: String,
    /// Name of the node's end of the veth pair.
    pub host_interface: String,
    /// Ethernet address of the node's end.
    pub host_mac: MacAddress,
    /// Ethernet address of the container's end.
    pub pod_mac: MacAddress,
    /// The container's addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
}

// === impl Endpoint ===

impl Endpoint {
    /// An endpoint with these addresses. Name and Ethernet addresses of its interfaces follow from the attachment, so
    /// that they are found again by whoever knows it.
    pub fn new(attachment: Attachment, pod: Option<PodReference>, namespace: String, addresses: Vec<IpAddr>) -> Self {
        let host_interface = interface_name(&attachment);
        let (host_mac, pod_mac) = (mac(&attachment, b"host"), mac(&attachment, b"pod"));
        Self { attachment, pod, namespace, host_interface, host_mac, pod_mac, addresses }
    }

    /// For people: the pod's name where there is one.
    pub fn name(&self) -> String {
        match &self.pod {
            Some(pod) => format!("{}/{}", pod.namespace, pod.name),
            None => format!("{} of container {}", self.attachment.interface, self.attachment.container),
        }
    }

    /// What the plugin tells the runtime.
    pub fn attached(&self, mtu: u32) -> Attached {
        let interface = |name: &str, mac: MacAddress| Interface { name: name.to_owned(), mac: mac.to_string() };
        let with_gateway = |address: &IpAddr| Address { address: *address, gateway: gateway_for(*address) };
        Attached {
            host_interface: interface(&self.host_interface, self.host_mac),
            pod_interface: interface(&self.attachment.interface, self.pod_mac),
            mtu,
            addresses: self.addresses.iter().map(with_gateway).collect(),
        }
    }
}

/// The gateway of an address's family.
pub fn gateway_for(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { GATEWAY_IPV4.into() } else { GATEWAY_IPV6.into() }
}

/// Name of the node's end: 60 bits of a hash in the kernel's 15 bytes.
pub fn interface_name(attachment: &Attachment) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digits = hash(attachment, b"name").into_iter().take(12).map(|byte| char::from(DIGITS[usize::from(byte % 32)]));
    INTERFACE_PREFIX.chars().chain(digits).collect()
}

/// A locally administered unicast address.
fn mac(attachment: &Attachment, end: &[u8]) -> MacAddress {
    let [a, b, c, d, e, f, ..] = hash(attachment, end);
    MacAddress([(a | 0x02) & 0xfe, b, c, d, e, f])
}

fn hash(attachment: &Attachment, purpose: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in
        [purpose, attachment.network.as_bytes(), attachment.container.as_bytes(), attachment.interface.as_bytes()]
    {
        hash.update(part);
        // No name has a zero byte in it, so that no two attachments give the same bytes.
        hash.update([0]);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(container: &str, interface: &str) -> Attachment {
        Attachment { network: "pods".into(), container: container.into(), interface: interface.into() }
    }

    #[test]
    fn names_and_ethernet_addresses_differ_between_attachments_and_stay_for_one() {
        let ones = [attachment("a", "eth0"), attachment("b", "eth0"), attachment("a", "eth1"), attachment("aeth", "0")];
        let mut names: Vec<String> = ones.iter().map(interface_name).collect();
        assert_eq!(names, ones.iter().map(interface_name).collect::<Vec<_>>());
        assert!(names.iter().all(|name| name.len() == 15 && name.starts_with(INTERFACE_PREFIX)));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ones.len());
        for one in &ones {
            for end in [b"host".as_slice(), b"pod"] {
                assert_eq!(mac(one, end).0[0] & 0x03, 0x02, "locally administered, unicast");
            }
            assert_ne!(mac(one, b"host"), mac(one, b"pod"));
        }
    }
}
