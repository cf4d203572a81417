//! Pods of this node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dataplane_common::{Hook, LinkAddresses, Owner, OwnerKind};

use super::{Datapath, DatapathError};

/// A pod's place in the network: one interface pair, and the addresses that it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A number of the caller's choice, unique among the endpoints of a node.
    pub id: u32,
    /// The index of the host-side interface.
    pub interface: u32,
    /// Addresses of the pod, of either family.
    pub addresses: Vec<IpAddr>,
    /// The hardware address of the pod's own interface.
    pub mac: [u8; 6],
    /// The hardware address of the host-side interface, which the pod sends to.
    pub host_mac: [u8; 6],
    /// The largest packet of the interface pair, in bytes.
    pub mtu: u16,
}

// === impl Datapath ===

impl Datapath {
    /// Connects a pod: attaches the program to its host-side interface, and then lets it send and be reached.
    ///
    /// For an endpoint that is there already everything is brought to what is given; addresses that are not given any
    /// more lose their owner. Attaching waits for an RCU grace period, 8 to 28 ms.
    ///
    /// # Errors
    ///
    /// [`DatapathError`]; what was begun is undone as far as it was new.
    pub fn add_endpoint(&mut self, endpoint: &Endpoint) -> Result<(), DatapathError> {
        self.attach(Hook::Pod, endpoint.interface)?;
        let link = LinkAddresses { destination: endpoint.mac, source: endpoint.host_mac };
        let owner = Owner::pod(endpoint.id, endpoint.interface, link, endpoint.mtu);
        for address in &endpoint.addresses {
            if let Err(error) = self.tables.owners.insert(&(*address).into(), &owner) {
                // The error is the one to report.
                let _ = self.remove_endpoint(endpoint.id);
                return Err(error.into());
            }
        }
        self.forget_addresses(|entry, address| {
            entry.endpoint() == endpoint.id && !endpoint.addresses.contains(&address)
        })
    }

    /// Disconnects a pod: from here on nothing that it sends goes on, and nothing reaches it but by the node's own
    /// routes. One that is not there is no error. Its program goes with its interface, or here if that still exists.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses.
    pub fn remove_endpoint(&mut self, id: u32) -> Result<(), DatapathError> {
        let found = self.endpoints()?.into_iter().find(|endpoint| endpoint.id == id);
        self.forget_addresses(|entry, _| entry.endpoint() == id)?;
        match found {
            Some(endpoint) => self.detach(endpoint.interface),
            None => Ok(()),
        }
    }

    /// The pods that are connected, as the maps have them: by id, addresses in order.
    ///
    /// # Errors
    ///
    /// [`DatapathError`] when the kernel refuses to read the map.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, DatapathError> {
        let mut endpoints = BTreeMap::new();
        for (address, owner) in self.tables.owners.entries()? {
            if owner.kind() == Some(OwnerKind::Pod) {
                let endpoint = endpoints.entry(owner.endpoint()).or_insert_with(|| Endpoint::without_addresses(&owner));
                endpoint.addresses.push(address.into());
            }
        }
        let sorted = endpoints.into_values().map(|mut endpoint| {
            endpoint.addresses.sort();
            endpoint
        });
        Ok(sorted.collect())
    }

    /// Removes the pod addresses for which `is_stale` says so.
    fn forget_addresses(&mut self, is_stale: impl Fn(&Owner, IpAddr) -> bool) -> Result<(), DatapathError> {
        for (address, owner) in self.tables.owners.entries()? {
            if owner.kind() == Some(OwnerKind::Pod) && is_stale(&owner, address.into()) {
                self.tables.owners.remove(&address)?;
            }
        }
        Ok(())
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn without_addresses(owner: &Owner) -> Self {
        let LinkAddresses { destination: mac, source: host_mac } = owner.link();
        let (id, interface, mtu) = (owner.endpoint(), owner.interface(), owner.mtu());
        Self { id, interface, addresses: Vec::new(), mac, host_mac, mtu }
    }
}
