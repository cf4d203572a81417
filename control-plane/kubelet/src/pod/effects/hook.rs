//! Hooks of a container's life: a program in it, an HTTP request to it, or a pause.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as Description, HTTPGetAction, LifecycleHandler};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Shared;

/// How long a program or a request may take: as long as the grace period lets it, at most this.
const PATIENCE: Duration = Duration::from_secs(3600);
/// As much of an answer as is looked at.
const STATUS_LINE: usize = 64;

// === impl Shared ===

impl Shared {
    /// Runs a hook to its end. The error is what users read.
    pub(super) async fn run_hook(
        &self,
        hook: &LifecycleHandler,
        description: &Description,
        id: &str,
        address: Option<IpAddr>,
    ) -> Result<(), String> {
        if let Some(exec) = &hook.exec {
            let command = exec.command.clone().unwrap_or_default();
            let ended =
                self.runtime.exec_sync(id, command.clone(), PATIENCE).await.map_err(|error| error.to_string())?;
            if ended.exit_code == 0 {
                return Ok(());
            }
            let output = [ended.stdout, ended.stderr].concat();
            let output = String::from_utf8_lossy(&output);
            return Err(format!(
                "Exec lifecycle hook ({command:?}) for Container \"{}\" failed - error: command exited with {}, message: {output:?}",
                description.name, ended.exit_code
            ));
        }
        if let Some(http) = &hook.http_get {
            return request(http, description, address).await.map_err(|error| {
                format!(
                    "HTTP lifecycle hook ({}) for Container \"{}\" failed - error: {error}",
                    http.path.clone().unwrap_or_default(),
                    description.name
                )
            });
        }
        if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(sleep.seconds.try_into().unwrap_or_default())).await;
        }
        Ok(())
    }
}

/// GETs over plain HTTP; any answer but an error of the server's or the client's will do.
async fn request(http: &HTTPGetAction, description: &Description, address: Option<IpAddr>) -> Result<(), String> {
    let port = port(&http.port, description).ok_or_else(|| format!("no port is called {:?}", http.port))?;
    let host = http.host.clone().filter(|host| !host.is_empty());
    let host = host.or_else(|| address.map(|address| address.to_string())).ok_or("the pod has no address")?;
    let path = http.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let target = match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port),
        Err(_) => tokio::net::lookup_host((host.as_str(), port))
            .await
            .map_err(|error| error.to_string())?
            .next()
            .ok_or("no such host")?,
    };
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\nUser-Agent: kube-lifecycle/1.35\r\n"
    );
    for header in http.http_headers.iter().flatten() {
        text.push_str(&format!("{}: {}\r\n", header.name, header.value));
    }
    text.push_str("\r\n");
    let mut stream = TcpStream::connect(target).await.map_err(|error| error.to_string())?;
    stream.write_all(text.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = [0; STATUS_LINE];
    let length = stream.read(&mut answer).await.map_err(|error| error.to_string())?;
    let line = String::from_utf8_lossy(&answer[..length]);
    let status = line.split_whitespace().nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(status) if status < 400 => Ok(()),
        Some(status) => Err(format!("HTTP probe failed with statuscode: {status}")),
        None => Err("the answer is not HTTP".to_owned()),
    }
}

fn port(port: &IntOrString, description: &Description) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = description.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())?
        }
    };
    u16::try_from(number).ok()
}
