//! What the plugin asks for: ADD, DEL, CHECK, GC, STATUS.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};

use sheave_cni::protocol::{Attached, Attachment, PodReference};
use sheave_cni::{CniError, Code};
use tracing::{info, warn};

use super::Engine;
use crate::endpoint::{Endpoint, interface_name};
use crate::endpoints::ReserveError;
use crate::netlink::Netlink;
use crate::pool::NoAddress;
use crate::programs::PodPlace;
use crate::wiring::{self, Common, WiringError};

// === impl Engine ===

impl Engine {
    /// Attaches a container. When this returns, it sends and is reached, and the programs see all of it.
    ///
    /// # Errors
    /// A [`CniError`] for the runtime; then nothing of it is there.
    pub fn add(
        &self,
        attachment: Attachment,
        pod: Option<PodReference>,
        path: String,
        namespace: &File,
    ) -> Result<Attached, CniError> {
        let _turn = self.busy.wait_for(&attachment);
        let common = self.common()?;
        let endpoint = self.endpoints().reserve(attachment, pod, path).map_err(refused)?;
        let attached = self.connect(&endpoint, namespace.as_fd(), &common);
        let attached = attached.and_then(|()| Ok(self.endpoints().complete(&endpoint.attachment)?));
        match attached {
            Ok(()) => {
                info!(pod = endpoint.name(), addresses = ?endpoint.addresses, interface = endpoint.host_interface, "attached");
                Ok(endpoint.attached(common.mtu))
            }
            Err(error) => {
                warn!(pod = endpoint.name(), error = format!("{error:#}"), "cannot attach");
                self.undo(&endpoint);
                Err(failure(&error))
            }
        }
    }

    /// Takes an attachment back. One that is not there is no error.
    ///
    /// # Errors
    /// A [`CniError`] when something of it may still be there: the runtime calls again.
    pub fn del(&self, attachment: &Attachment) -> Result<(), CniError> {
        let _turn = self.busy.wait_for(attachment);
        let known = self.endpoints().get(attachment).cloned();
        let removed = match &known {
            Some(endpoint) => self.disconnect(endpoint),
            None => self.remove_stranger(&interface_name(attachment)),
        };
        removed.map_err(|error| failure(&error))?;
        if let Some(endpoint) = known {
            info!(pod = endpoint.name(), addresses = ?endpoint.addresses, "detached");
        }
        Ok(())
    }

    /// Compares an attachment with what the kernel has, and with the addresses that the runtime was told.
    ///
    /// # Errors
    /// A [`CniError`] that says all that differs.
    pub fn check(&self, attachment: &Attachment, addresses: &[IpAddr], namespace: &File) -> Result<(), CniError> {
        let _turn = self.busy.wait_for(attachment);
        let Some(endpoint) = self.endpoints().get(attachment).cloned() else {
            let container = &attachment.container;
            let message = format!(
                "{} of container {container} is not attached: the agent does not know it",
                attachment.interface
            );
            return Err(CniError::new(Code::Changed, message));
        };
        let mut found = wiring::differences(&endpoint, namespace.as_fd()).map_err(|error| failure(&error.into()))?;
        for address in addresses.iter().filter(|address| !endpoint.addresses.contains(address)) {
            found.push(format!("the address {address} of the previous result is not the container's"));
        }
        let places = self.programs().endpoints().map_err(|error| failure(&error))?;
        for address in &endpoint.addresses {
            if !places.iter().any(|place| place.addresses.contains(address)) {
                found.push(format!("the kernel programs do not know {address}"));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(CniError::new(Code::Changed, found.join("; "))) }
    }

    /// Takes back all attachments of a network but those that are valid, as many as possible.
    ///
    /// # Errors
    /// A [`CniError`] that says what is left.
    pub fn gc(&self, network: &str, valid: &[Attachment]) -> Result<(), CniError> {
        let stale: Vec<Attachment> = {
            let endpoints = self.endpoints();
            let attachments = endpoints.iter().map(|endpoint| &endpoint.attachment);
            attachments.filter(|it| it.network == network && !valid.contains(it)).cloned().collect()
        };
        let failures: Vec<String> =
            stale.iter().filter_map(|attachment| self.del(attachment).err()).map(|error| error.message).collect();
        if failures.is_empty() { Ok(()) } else { Err(CniError::new(Code::Failed, failures.join("; "))) }
    }

    /// Whether an ADD can succeed.
    ///
    /// # Errors
    /// A [`CniError`] that says what is missing.
    pub fn status(&self) -> Result<(), CniError> {
        self.common()?;
        let endpoints = self.endpoints();
        let full = u128::try_from(endpoints.pool().used()).unwrap_or(u128::MAX)
            >= endpoints
                .pool()
                .capacity()
                .saturating_mul(u128::try_from(endpoints.pool().networks().len()).unwrap_or(1));
        if full { Err(CniError::new(Code::NotAvailable, "all addresses of the node are in use")) } else { Ok(()) }
    }

    /// An interface of the agent's is gone without its doing: the container ended while nobody called DEL.
    pub fn link_gone(&self, interface: &str) {
        let known = self.endpoints().by_interface(interface).map(|endpoint| endpoint.attachment.clone());
        let Some(attachment) = known else {
            self.endpoints().remove_stranger(interface);
            return;
        };
        let _turn = self.busy.wait_for(&attachment);
        let Some(endpoint) = self.endpoints().get(&attachment).cloned() else { return };
        // The event may be about an earlier interface of that name.
        let is_there = Netlink::open().and_then(|mut netlink| netlink.link(interface));
        if matches!(is_there, Ok(None)) {
            match self.disconnect(&endpoint) {
                Ok(()) => info!(pod = endpoint.name(), "its interface is gone: detached"),
                Err(error) => warn!(pod = endpoint.name(), error = format!("{error:#}"), "cannot detach"),
            }
        }
    }

    /// What all pairs have in common, once the node's surroundings are known.
    fn common(&self) -> Result<Common, CniError> {
        let later = |message: String| CniError::new(Code::TryAgainLater, message);
        let site = self.site();
        let Some(own) = &site.known.own else {
            return Err(later("the agent does not know its Node object yet: it waits for the API server".to_owned()));
        };
        if own.pod_networks.is_empty() {
            return Err(later(format!("the node {} has no pod network yet: its spec.podCIDRs is empty", own.name)));
        }
        site.common.clone().ok_or_else(|| {
            let reason = site.complaints.first().cloned().unwrap_or_else(|| "it is being looked for".to_owned());
            later(format!("the agent does not know the node's uplink yet: {reason}"))
        })
    }

    fn connect(&self, endpoint: &Endpoint, namespace: BorrowedFd<'_>, common: &Common) -> anyhow::Result<()> {
        let interface = wiring::make_pair(endpoint, namespace, common.mtu)?;
        self.programs().add_endpoint(&place(endpoint, interface, common.mtu))?;
        Ok(wiring::set_up(endpoint, namespace, interface, common)?)
    }

    /// Takes everything of an endpoint out of the kernel, then writes it off.
    pub(super) fn disconnect(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        self.remove_places(&endpoint.addresses)?;
        wiring::remove_pair(&endpoint.host_interface)?;
        Ok(self.endpoints().release(&endpoint.attachment)?)
    }

    /// Undoes an endpoint that was not completed. What fails is tried again at the next DEL, and at the next start.
    pub(super) fn undo(&self, endpoint: &Endpoint) {
        if let Err(error) = self.disconnect(endpoint) {
            warn!(pod = endpoint.name(), error = format!("{error:#}"), "cannot undo what was begun");
        }
    }

    fn remove_stranger(&self, interface: &str) -> anyhow::Result<()> {
        if let Some(link) = Netlink::open()?.link(interface)? {
            self.programs().remove_endpoint(link.index)?;
            wiring::remove_pair(interface)?;
        }
        self.endpoints().remove_stranger(interface);
        Ok(())
    }

    /// Disconnects whoever has one of these addresses in the programs.
    fn remove_places(&self, addresses: &[IpAddr]) -> anyhow::Result<()> {
        let mut programs = self.programs();
        for place in programs.endpoints()? {
            if place.addresses.iter().any(|address| addresses.contains(address)) {
                programs.remove_endpoint(place.id)?;
            }
        }
        Ok(())
    }
}

/// An endpoint as the programs see it.
pub(super) fn place(endpoint: &Endpoint, interface: u32, mtu: u32) -> PodPlace {
    PodPlace {
        id: interface,
        interface,
        addresses: endpoint.addresses.clone(),
        mac: endpoint.pod_mac.0,
        host_mac: endpoint.host_mac.0,
        mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
    }
}

fn refused(error: ReserveError) -> CniError {
    let code = match &error {
        ReserveError::NoAddress(NoAddress::AllUsed(..)) => Code::NoAddress,
        ReserveError::NoAddress(NoAddress::AllFresh(..) | NoAddress::NoNetwork) => Code::TryAgainLater,
        ReserveError::Exists(_) => Code::InterfaceExists,
        ReserveError::Journal(_) => Code::Io,
    };
    CniError::new(code, error.to_string())
}

fn failure(error: &anyhow::Error) -> CniError {
    let code = match error.downcast_ref::<WiringError>() {
        Some(WiringError::InterfaceExists(_)) => Code::InterfaceExists,
        _ => Code::Failed,
    };
    CniError::new(code, format!("{error:#}"))
}
