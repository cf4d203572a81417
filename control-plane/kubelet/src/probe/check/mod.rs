//! One check of a container, by whichever of the four ways its probe names.

mod dial;
mod exec;
mod grpc;
mod http;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio_rustls::TlsConnector;

use super::Exec;
use super::verdict::Outcome;

/// As much of what a program writes or a server answers as is looked at, in bytes.
const MOST_OUTPUT: usize = 10 << 10;

/// Does checks.
pub(super) struct Checker {
    exec: Arc<dyn Exec>,
    tls: Result<TlsConnector, rustls::Error>,
}

/// What is checked.
pub(super) struct Target<'a> {
    pub(super) container: &'a Container,
    /// The runtime's id.
    pub(super) id: &'a str,
    /// The pod's address.
    pub(super) address: Option<IpAddr>,
}

// === impl Checker ===

impl Checker {
    pub(super) fn new(exec: Arc<dyn Exec>) -> Self {
        Self { exec, tls: tls::connector() }
    }

    /// Checks once.
    pub(super) async fn check(&self, probe: &Probe, target: &Target<'_>, timeout: Duration) -> Outcome {
        if let Some(action) = &probe.exec {
            return exec::check(self.exec.as_ref(), action, target, timeout).await;
        }
        if let Some(action) = &probe.http_get {
            return http::check(self.tls.as_ref(), action, target, timeout).await;
        }
        if let Some(action) = &probe.tcp_socket {
            let place = target.place(action.host.as_deref(), &action.port);
            return match place {
                Ok((host, port)) => match dial::dial(&host, port, timeout).await {
                    Ok(_) => Outcome::Pass,
                    Err(message) => Outcome::Fail(message),
                },
                Err(message) => Outcome::Unknown(message),
            };
        }
        if let Some(action) = &probe.grpc {
            return match target.place(None, &IntOrString::Int(action.port)) {
                Ok((host, port)) => grpc::check(&host, port, action.service.as_deref(), timeout).await,
                Err(message) => Outcome::Unknown(message),
            };
        }
        Outcome::Unknown(format!("missing probe handler for container {}", target.container.name))
    }
}

// === impl Target ===

impl Target<'_> {
    /// The host and the port of a check over the network.
    fn place(&self, host: Option<&str>, port: &IntOrString) -> Result<(String, u16), String> {
        let port = self.port(port)?;
        match (host.filter(|host| !host.is_empty()), self.address) {
            (Some(host), _) => Ok((host.to_owned(), port)),
            (None, Some(address)) => Ok((address.to_string(), port)),
            (None, None) => Err("the pod has no address yet".to_owned()),
        }
    }

    fn port(&self, port: &IntOrString) -> Result<u16, String> {
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => {
                let mut ports = self.container.ports.iter().flatten();
                let named = ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port);
                named.or_else(|| name.parse().ok())
            }
        };
        let valid = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
        valid.ok_or_else(|| match port {
            IntOrString::Int(number) => format!("invalid port number: {number}"),
            IntOrString::String(name) => format!("port {name} not found"),
        })
    }
}

/// A host and port as addresses are written: IPv6 in brackets.
fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests;
