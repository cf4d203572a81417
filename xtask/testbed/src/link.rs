//! Links, addresses, routes and neighbours of a namespace, by rtnetlink.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{
    BridgePortState, InfoBridgePort, InfoData, InfoPortData, InfoVeth, LinkAttribute, LinkInfo, LinkMessage, State,
};
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::namespace::{NamespaceError, NetworkNamespace};

/// How long the kernel gets to activate a link on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Largest packet of a link in bytes, Ethernet header not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu(pub u32);

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

/// A netlink conversation with one namespace.
#[derive(Debug)]
pub struct Links {
    handle: Handle,
    namespace: String,
}

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Interface name, at most 15 bytes.
    pub name: &'a str,
    /// Its address.
    pub mac: MacAddress,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum NextHop {
    /// Straight out of this interface.
    Link(u32),
    /// To a neighbour, out of this interface.
    Gateway(IpAddr, u32),
}

/// What the kernel did not do.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// No netlink socket.
    #[error("cannot open a netlink socket in {namespace}: {source}")]
    Open {
        /// The namespace.
        namespace: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A request was refused.
    #[error("cannot {request} in {namespace}: {source}")]
    Request {
        /// What was asked for.
        request: String,
        /// The namespace.
        namespace: String,
        /// The kernel's answer.
        #[source]
        source: rtnetlink::Error,
    },
    /// An interface that was set up does not send.
    #[error("{name} in {namespace} is up and yet sends nothing after {} seconds; is its peer up?", PATIENCE.as_secs())]
    NotActive {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// There is no such interface.
    #[error("no interface {name} in {namespace}")]
    NoSuchLink {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
    },
}

/// Whether an interface's carrier is there and acted upon, and a bridge whose port it is forwards for it.
fn is_active(link: &LinkMessage) -> bool {
    link.attributes.iter().all(|attribute| match attribute {
        LinkAttribute::OperState(state) => *state == State::Up,
        LinkAttribute::LinkInfo(infos) => infos.iter().all(|info| match info {
            LinkInfo::PortData(InfoPortData::BridgePort(port)) => {
                port.contains(&InfoBridgePort::State(BridgePortState::Forwarding))
            }
            _ => true,
        }),
        _ => true,
    })
}

// === impl Mtu ===

impl Mtu {
    /// Ethernet's usual 1500 bytes.
    pub const ETHERNET: Self = Self(1500);
}

// === impl NetworkNamespace ===

impl NetworkNamespace {
    /// Holds a netlink conversation with the namespace: the socket is opened and used on a thread in it.
    pub fn links<T: Send>(
        &self,
        conversation: impl AsyncFnOnce(&Links) -> Result<T, LinkError> + Send,
    ) -> Result<T, LinkError> {
        let open = |source| LinkError::Open { namespace: self.name().to_owned(), source };
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(open)?;
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection().map_err(open)?;
                tokio::spawn(connection);
                conversation(&Links { handle, namespace: self.name().to_owned() }).await
            })
        })?
    }
}

// === impl Links ===

impl Links {
    /// Makes a veth pair: one end here, up, as a port of the bridge `controller` if given; its peer directly in another
    /// namespace (moving it there afterwards costs tens of milliseconds of RCU grace period), still down.
    pub async fn add_veth(
        &self,
        here: VethEnd<'_>,
        peer: VethEnd<'_>,
        peer_namespace: BorrowedFd<'_>,
        mtu: Mtu,
        controller: Option<u32>,
    ) -> Result<(), LinkError> {
        let peer_message = LinkUnspec::new_with_name(peer.name)
            .address(peer.mac.0.to_vec())
            .mtu(mtu.0)
            .setns_by_fd(peer_namespace.as_raw_fd())
            .build();
        let mut message: LinkMessageBuilder<LinkVeth> = LinkVeth::new(here.name, peer.name)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer_message)))
            .address(here.mac.0.to_vec())
            .mtu(mtu.0)
            .up();
        if let Some(bridge) = controller {
            message = message.controller(bridge);
        }
        let request = format!("add the veth pair {} and {}", here.name, peer.name);
        self.check(request, self.handle.link().add(message.build()).execute().await)
    }

    /// Makes a bridge that neither speaks STP nor snoops on multicast, up.
    pub async fn add_bridge(&self, name: &str, mtu: Mtu) -> Result<(), LinkError> {
        let message = LinkBridge::new(name).mcast_snooping(false).mtu(mtu.0).up().build();
        self.check(format!("add the bridge {name}"), self.handle.link().add(message).execute().await)
    }

    /// Index of an interface.
    pub async fn index(&self, name: &str) -> Result<u32, LinkError> {
        Ok(self.link(name).await?.header.index)
    }

    /// Largest packet of an interface.
    pub async fn mtu(&self, name: &str) -> Result<Mtu, LinkError> {
        let link = self.link(name).await?;
        let mtu = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(bytes) => Some(Mtu(*bytes)),
            _ => None,
        });
        mtu.ok_or_else(|| self.no_such_link(name))
    }

    /// Sets an interface up.
    pub async fn set_up(&self, name: &str) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_name(name).up().build();
        self.check(format!("set {name} up"), self.handle.link().set(message).execute().await)
    }

    /// Waits until an interface that was set up sends and, as the port of a bridge, is forwarded for.
    ///
    /// The kernel activates the end of a veth pair that was set up first only later, on a queue of its own: what is
    /// sent before is dropped without a word.
    pub async fn wait_until_active(&self, name: &str) -> Result<(), LinkError> {
        let deadline = Instant::now() + PATIENCE;
        while !is_active(&self.link(name).await?) {
            if Instant::now() > deadline {
                return Err(LinkError::NotActive { name: name.to_owned(), namespace: self.namespace.clone() });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Changes the largest packet of an interface.
    pub async fn set_mtu(&self, name: &str, mtu: Mtu) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_name(name).mtu(mtu.0).build();
        self.check(format!("set the MTU of {name} to {}", mtu.0), self.handle.link().set(message).execute().await)
    }

    /// Removes an interface, with its peer if it is a veth.
    pub async fn delete(&self, name: &str) -> Result<(), LinkError> {
        let index = self.index(name).await?;
        self.check(format!("delete {name}"), self.handle.link().del(index).execute().await)
    }

    /// Makes an interface a port of a bridge, or of none. Its carrier stays either way.
    pub async fn set_controller(&self, name: &str, bridge: Option<u32>) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_name(name).controller(bridge.unwrap_or(0)).build();
        let request = format!("make {name} a port of bridge {bridge:?}");
        self.check(request, self.handle.link().set(message).execute().await)
    }

    /// Gives an interface an address. IPv6 addresses are usable at once (no duplicate address detection).
    pub async fn add_address(&self, link: u32, address: IpNetwork) -> Result<(), LinkError> {
        let mut add = self.handle.address().add(link, address.ip(), address.prefix());
        if address.is_ipv6() {
            add.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        self.check(format!("add the address {address}"), add.execute().await)
    }

    /// Adds a route.
    pub async fn add_route(&self, destination: IpNetwork, next_hop: NextHop) -> Result<(), LinkError> {
        let request = || format!("add a route to {destination} by {next_hop:?}");
        let invalid = |error| self.refused(request(), rtnetlink::Error::InvalidNla(format!("{error}")));
        let message = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination.network(), destination.prefix())
            .map_err(invalid)?;
        let message = match next_hop {
            NextHop::Link(link) if destination.is_ipv4() => message.output_interface(link).scope(RouteScope::Link),
            NextHop::Link(link) => message.output_interface(link),
            NextHop::Gateway(gateway, link) => message.gateway(gateway).map_err(invalid)?.output_interface(link),
        };
        self.check(request(), self.handle.route().add(message.build()).execute().await)
    }

    /// Names a neighbour's Ethernet address for good, so that nobody has to ask for it.
    pub async fn add_neighbour(&self, link: u32, address: IpAddr, mac: MacAddress) -> Result<(), LinkError> {
        let add = self.handle.neighbours().add(link, address).state(NeighbourState::Permanent);
        self.check(format!("add the neighbour {address}"), add.link_layer_address(&mac.0).execute().await)
    }

    async fn link(&self, name: &str) -> Result<LinkMessage, LinkError> {
        use futures::TryStreamExt as _;
        let mut found = std::pin::pin!(self.handle.link().get().match_name(name).execute());
        match found.try_next().await {
            Ok(Some(link)) => Ok(link),
            Ok(None) | Err(_) => Err(self.no_such_link(name)),
        }
    }

    fn check(&self, request: String, answer: Result<(), rtnetlink::Error>) -> Result<(), LinkError> {
        answer.map_err(|source| self.refused(request, source))
    }

    fn refused(&self, request: String, source: rtnetlink::Error) -> LinkError {
        LinkError::Request { request, namespace: self.namespace.clone(), source }
    }

    fn no_such_link(&self, name: &str) -> LinkError {
        LinkError::NoSuchLink { name: name.to_owned(), namespace: self.namespace.clone() }
    }
}
