//! The way out of this process. How connections are made, and with which certificates, is the caller's business.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A node's kubelet: TLS, with this server's own client certificate.
    Kubelet {
        /// An address or a name of the node.
        host: String,
        /// The kubelet's port.
        port: u16,
        /// Whether its certificate must be of this cluster and name `host`.
        is_verified: bool,
    },
    /// A pod, a service's endpoint, or another port of a node: plain, or TLS without a look at the certificate, because
    /// this server cannot know who should have signed it.
    Backend {
        /// Its address.
        host: String,
        /// Its port.
        port: u16,
        /// Whether to speak TLS.
        is_tls: bool,
    },
}

/// A connection of either kind.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

/// A connection on its way.
pub type ConnectFuture = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send>>;

/// Makes connections to nodes, pods and services.
pub trait Connect: fmt::Debug + Send + Sync {
    /// Connects; TLS, where the destination asks for it, is done when the future ends. HTTP/1.1 is spoken over it.
    ///
    /// # Errors
    /// When nobody answers in time, or the peer is not who it should be.
    fn connect(&self, destination: Destination) -> ConnectFuture;
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

// === impl Destination ===

impl Destination {
    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        let (Self::Kubelet { host, port, .. } | Self::Backend { host, port, .. }) = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_either_family_makes_an_authority() {
        for (host, expected) in [("10.0.0.1", "10.0.0.1:80"), ("fd00::1", "[fd00::1]:80"), ("n1", "n1:80")] {
            let destination = Destination::Backend { host: host.to_owned(), port: 80, is_tls: false };
            assert_eq!(destination.authority(), expected);
        }
    }
}
