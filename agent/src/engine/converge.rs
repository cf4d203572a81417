//! Fetch, plan, apply: brings routes, nodes and uplink in the kernel to what is known of the cluster.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tracing::{debug, info, warn};

use super::Engine;
use crate::desired::{Desired, Known, UplinkFacts};
use crate::endpoint::INTERFACE_PREFIX;
use crate::netlink::{self, Netlink};
use crate::plan::{Actual, Change, plan};
use crate::programs::Neighbour;
use crate::uplink;
use crate::wiring::{self, Common};

/// How a round went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converged {
    /// Changes that were made.
    pub changes: usize,
    /// Changes that failed, and what cannot be: to be tried again.
    pub failures: Vec<String>,
}

// === impl Engine ===

impl Engine {
    /// One round. To be called whenever something has changed, and again after failures.
    pub fn converge(&self) -> Converged {
        match self.try_converge() {
            Ok(converged) => converged,
            Err(error) => {
                let reason = format!("{error:#}");
                self.complain(vec![reason.clone()]);
                Converged { changes: 0, failures: vec![reason] }
            }
        }
    }

    fn try_converge(&self) -> anyhow::Result<Converged> {
        let mut netlink = Netlink::open()?;
        let (known, is_complete) = self.look_around(&mut netlink)?;
        let desired = Desired::new(&known);
        let actual = self.actual(&mut netlink)?;
        let mut converged = Converged { changes: 0, failures: desired.complaints.clone() };
        for change in plan(&desired, &actual, is_complete) {
            debug!(?change, "changing");
            match self.apply(&mut netlink, &change) {
                Ok(()) => converged.changes += 1,
                Err(error) => converged.failures.push(format!("{error:#}")),
            }
        }
        if let Some(uplink) = &known.uplink {
            self.converge_neighbours(&mut netlink, uplink, is_complete)?;
        }
        self.complain(converged.failures.clone());
        Ok(converged)
    }

    /// Finds the uplink and what follows from it, once this node is known.
    fn look_around(&self, netlink: &mut Netlink) -> anyhow::Result<(Known, bool)> {
        let (own, is_synced) = {
            let site = self.site();
            (site.known.own.clone(), site.is_synced)
        };
        let Some(own) = own else { return Ok((Known::default(), false)) };
        let uplink = uplink::find(netlink, self.options.uplink.as_deref(), &own.addresses)?;
        let common = Common { mtu: self.options.mtu.unwrap_or(uplink.mtu), sources: sources(&own.addresses, &uplink) };
        let before = self.site().common.clone();
        if before.as_ref() != Some(&common) {
            self.options.sysctl.forward(&uplink.name)?;
            if let Some(ports) = &self.options.masquerade_ports {
                self.options.sysctl.reserve_ports(ports)?;
            }
            info!(uplink = uplink.name, mtu = common.mtu, sources = ?common.sources, "the node's surroundings are known");
            self.set_host_routes(netlink, &common)?;
        }
        self.endpoints().exclude(uplink.addresses.iter().copied());
        let mut site = self.site();
        site.known.uplink = Some(uplink);
        site.known.masquerade = self.masquerade_settings();
        site.common = Some(common);
        Ok((site.known.clone(), is_synced))
    }

    /// Sets the routes to the node's own pods again, which name the address that the node speaks with.
    fn set_host_routes(&self, netlink: &mut Netlink, common: &Common) -> anyhow::Result<()> {
        let endpoints: Vec<_> = self.endpoints().iter().cloned().collect();
        for endpoint in endpoints {
            if let Some(link) = netlink.link(&endpoint.host_interface)?.filter(|link| link.is_up) {
                wiring::set_host_routes(netlink, &endpoint, link.index, common)?;
            }
        }
        Ok(())
    }

    fn actual(&self, netlink: &mut Netlink) -> anyhow::Result<Actual> {
        let pods: BTreeSet<u32> = netlink
            .links()?
            .into_iter()
            .filter(|link| link.name.starts_with(INTERFACE_PREFIX))
            .map(|link| link.index)
            .collect();
        let routes = netlink.own_routes()?.into_iter().filter(|route| !pods.contains(&route.interface)).collect();
        let programs = self.programs();
        Ok(Actual { uplink: programs.uplink()?, masquerade: programs.masquerade()?, nodes: programs.nodes()?, routes })
    }

    fn apply(&self, netlink: &mut Netlink, change: &Change) -> anyhow::Result<()> {
        match change {
            Change::SetUplink(uplink) => self.programs().set_uplink(uplink)?,
            Change::SetMasquerade(masquerading) => self.programs().set_masquerade(masquerading)?,
            Change::SetNode(node) => self.programs().set_node(node)?,
            Change::RemoveNode(node) => self.programs().remove_node(node)?,
            Change::SetRoute(route) => netlink.set_route(route)?,
            Change::DeleteRoute(route) => netlink.delete_route(route)?,
        }
        Ok(())
    }

    /// Tells the programs the Ethernet addresses of the nodes that packets go to, and has the kernel keep them known:
    /// what the programs send directly does not keep the kernel's own entries alive.
    fn converge_neighbours(
        &self,
        netlink: &mut Netlink,
        uplink: &UplinkFacts,
        is_complete: bool,
    ) -> anyhow::Result<()> {
        let wanted: Vec<IpAddr> = self.programs().next_hops()?.into_iter().map(|hop| hop.address).collect();
        let known = netlink.neighbours()?;
        let on_uplink = || known.iter().filter(|neighbour| neighbour.interface == uplink.interface);
        for address in &wanted {
            let is_kept = on_uplink().any(|neighbour| neighbour.address == *address && neighbour.is_managed);
            if !is_kept && uplink.networks.iter().any(|network| network.contains(*address)) {
                netlink.manage_neighbour(uplink.interface, *address)?;
            }
        }
        for neighbour in on_uplink() {
            if neighbour.is_managed && is_complete && !wanted.contains(&neighbour.address) {
                netlink.forget_neighbour(uplink.interface, neighbour.address)?;
            }
            self.tell_neighbour(uplink, neighbour)?;
        }
        Ok(())
    }

    /// A neighbour has come, changed or gone.
    pub fn neighbour_changed(&self, neighbour: &netlink::Neighbour) {
        let Some(uplink) = self.site().known.uplink.clone() else { return };
        if neighbour.interface == uplink.interface
            && let Err(error) = self.tell_neighbour(&uplink, neighbour)
        {
            warn!(neighbour = %neighbour.address, error = format!("{error:#}"), "cannot tell the programs");
        }
    }

    fn tell_neighbour(&self, uplink: &UplinkFacts, neighbour: &netlink::Neighbour) -> anyhow::Result<()> {
        let Some(source) = uplink.mac else { return Ok(()) };
        self.programs().set_neighbour(&Neighbour {
            address: neighbour.address,
            interface: uplink.interface,
            mtu: u16::try_from(uplink.mtu).unwrap_or(u16::MAX),
            mac: neighbour.mac.map(|mac| mac.0),
            source_mac: source.0,
        })?;
        Ok(())
    }

    /// Replaces what is wrong at present; only what is new goes to the log.
    fn complain(&self, complaints: Vec<String>) {
        let mut site = self.site();
        for complaint in complaints.iter().filter(|complaint| !site.complaints.contains(complaint)) {
            warn!("{complaint}");
        }
        site.complaints = complaints;
    }
}

/// With which addresses the node speaks to its pods: those that the cluster knows it by, as far as it has them.
fn sources(own: &[IpAddr], uplink: &UplinkFacts) -> Vec<IpAddr> {
    let of_family = |v4: bool| {
        let fits = |address: &&IpAddr| address.is_ipv4() == v4 && uplink.addresses.contains(address);
        own.iter().find(fits).or_else(|| uplink.addresses.iter().find(fits)).copied()
    };
    [true, false].into_iter().filter_map(of_family).collect()
}
