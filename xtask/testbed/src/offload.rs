//! Checksum and segmentation offload of an interface, by the ethtool ioctls.
//!
//! With offload a veth carries packets without checksums and up to 64 KiB long, as no cable does. What must hold on a
//! real network card has to be tested with it off.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

use crate::namespace::{NamespaceError, NetworkNamespace};

/// Whether an interface leaves work to its (here: absent) hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Packets leave without L4 checksums.
    pub transmit_checksum: bool,
    /// TCP segments leave larger than the MTU.
    pub segmentation: bool,
}

/// An offload that could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum OffloadError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The ioctl failed.
    #[error("cannot {action} {feature} of {interface} in {namespace}: {source}")]
    Ethtool {
        /// `read` or `set`.
        action: &'static str,
        /// The feature, in ethtool(8)'s words.
        feature: &'static str,
        /// The interface.
        interface: String,
        /// The namespace.
        namespace: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A pair of commands of `linux/ethtool.h`.
struct Feature {
    name: &'static str,
    get: u32,
    set: u32,
}

/// `struct ethtool_value`, the argument of these commands.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// From `linux/sockios.h`.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

const TRANSMIT_CHECKSUM: Feature = Feature { name: "tx-checksumming", get: 0x16, set: 0x17 };
const SEGMENTATION: Feature = Feature { name: "tcp-segmentation-offload", get: 0x1e, set: 0x1f };

// === impl Offload ===

impl Offload {
    /// Real packets: checksums are right and no packet exceeds the MTU.
    pub const OFF: Self = Self { transmit_checksum: false, segmentation: false };
    /// A veth's default.
    pub const ON: Self = Self { transmit_checksum: true, segmentation: true };

    /// Sets an interface's offloads.
    pub fn set(self, namespace: &NetworkNamespace, interface: &str) -> Result<(), OffloadError> {
        namespace
            .run(|| {
                // Segmentation needs checksums: it goes first when both go, and comes last when both come.
                let segmentation = || change(&SEGMENTATION, interface, self.segmentation);
                let checksum = || change(&TRANSMIT_CHECKSUM, interface, self.transmit_checksum);
                if self.transmit_checksum {
                    checksum().and_then(|()| segmentation())
                } else {
                    segmentation().and_then(|()| checksum())
                }
            })?
            .map_err(|(feature, source)| refused("set", feature, interface, namespace, source))
    }

    /// Reads an interface's offloads.
    pub fn get(namespace: &NetworkNamespace, interface: &str) -> Result<Self, OffloadError> {
        namespace
            .run(|| {
                let transmit_checksum = read(&TRANSMIT_CHECKSUM, interface)?;
                Ok(Self { transmit_checksum, segmentation: read(&SEGMENTATION, interface)? })
            })?
            .map_err(|(feature, source)| refused("read", feature, interface, namespace, source))
    }
}

fn refused(
    action: &'static str,
    feature: &'static str,
    interface: &str,
    namespace: &NetworkNamespace,
    source: io::Error,
) -> OffloadError {
    let (interface, namespace) = (interface.to_owned(), namespace.name().to_owned());
    OffloadError::Ethtool { action, feature, interface, namespace, source }
}

fn change(feature: &Feature, interface: &str, on: bool) -> Result<(), (&'static str, io::Error)> {
    ethtool(interface, feature.set, u32::from(on)).map(|_| ()).map_err(|error| (feature.name, error))
}

fn read(feature: &Feature, interface: &str) -> Result<bool, (&'static str, io::Error)> {
    ethtool(interface, feature.get, 0).map(|data| data != 0).map_err(|error| (feature.name, error))
}

/// One ethtool command on an interface of the calling thread's network namespace; gives the value's data back.
fn ethtool(interface: &str, command: u32, data: u32) -> io::Result<u32> {
    let mut value = EthtoolValue { command, data };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() },
    };
    if interface.len() >= libc::IFNAMSIZ {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an interface name has at most 15 bytes"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    // Any socket will do; it only names the network namespace.
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    #[expect(unsafe_code, reason = "SIOCETHTOOL takes a pointer to a request that points to a value")]
    // SAFETY: request and value outlive the call, the value is laid out as these commands' `struct ethtool_value`,
    // and the name ends in a zero byte because it is shorter than the array.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}
