//! Connections to containers, and what keeps them from being made, in the words that Kubernetes' users search for.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::joined;

/// Connects, or says as Go would why not: `dial tcp 10.0.0.1:80: connect: connection refused`.
pub(super) async fn dial(host: &str, port: u16, patience: Duration) -> Result<TcpStream, String> {
    let place = joined(host, port);
    let connect = async {
        let addresses = lookup_host((host, port)).await;
        let addresses = addresses.map_err(|_| format!("dial tcp: lookup {host}: no such host"))?;
        let mut last = format!("dial tcp: lookup {host}: no such host");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = format!("dial tcp {address}: connect: {}", words(&error)),
            }
        }
        Err(last)
    };
    match timeout(patience, connect).await {
        Ok(connected) => connected,
        Err(_) => Err(format!("dial tcp {place}: i/o timeout")),
    }
}

/// The system's words for an error, as C and Go have them.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            text.to_lowercase()
        }
    }
}
