//! Where the server listens, and what it does with a connection.

use std::net::SocketAddr;
use std::os::fd::{FromRawFd as _, RawFd};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use sheave_apiserver::{ApiServer, RejectedCertificate};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::tls::{Acceptor, ClientCertificate};

/// How long a client may take over the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of an HTTP/1.1 request may take.
const HEADER: Duration = Duration::from_secs(30);
/// How long requests may take after the server was told to end.
const DRAIN: Duration = Duration::from_secs(10);
/// After a failed accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// One `--listen`: an address and port, or `fd:N` for a socket that is open and listening already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Bind this.
    Address(SocketAddr),
    /// Take this descriptor over.
    Descriptor(RawFd),
}

impl FromStr for Listen {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(number) = text.strip_prefix("fd:") else {
            let address = text.parse().with_context(|| {
                format!("{text:?} is neither ADDRESS:PORT (such as 0.0.0.0:6443 or [::]:6443) nor fd:NUMBER")
            })?;
            return Ok(Self::Address(address));
        };
        match number.parse() {
            Ok(number) if number > 2 => Ok(Self::Descriptor(number)),
            Ok(_) | Err(_) => bail!("{text:?}: a descriptor to listen on is a number above 2"),
        }
    }
}

impl Listen {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the address is taken or not this machine's, or the descriptor is no listening TCP socket.
    pub async fn open(self) -> Result<TcpListener> {
        match self {
            Self::Address(address) => {
                TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
            }
            Self::Descriptor(number) => take_over(number).with_context(|| format!("cannot listen on fd:{number}")),
        }
    }
}

fn take_over(number: RawFd) -> Result<TcpListener> {
    if !std::path::Path::new("/proc/self/fd").join(number.to_string()).exists() {
        bail!("no such descriptor is open in this process");
    }
    #[expect(unsafe_code, reason = "a descriptor handed over by the parent process has no other way in")]
    // SAFETY: the descriptor is open, and the command line gives it to this listener alone.
    let listener = unsafe { std::net::TcpListener::from_raw_fd(number) };
    listener.local_addr().context("it is not a TCP socket")?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// Accepts connections until `shutdown`, then lets the open requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    acceptor: Arc<Acceptor>,
    server: ApiServer,
    shutdown: CancellationToken,
) {
    let graceful = Arc::new(GracefulShutdown::new());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        let watcher = graceful.watcher();
        let (acceptor, server) = (Arc::clone(&acceptor), server.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(stream, &acceptor, server, watcher).await {
                debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    let Some(graceful) = Arc::into_inner(graceful) else { return };
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("some requests did not end within {DRAIN:?} and are cut off");
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: &Acceptor,
    server: ApiServer,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let (stream, certificate) =
        tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await.context("handshake")??;
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().extend(certificate.clone().map(extensions).unwrap_or_default());
        let server = server.clone();
        async move { Ok::<_, std::convert::Infallible>(server.handle(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1000);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    watcher.watch(connection).await.map_err(|error| anyhow::anyhow!(error))
}

fn extensions(certificate: ClientCertificate) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    match certificate {
        ClientCertificate::Known(identity) => drop(extensions.insert(identity)),
        ClientCertificate::Rejected => drop(extensions.insert(RejectedCertificate)),
    }
    extensions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_a_descriptor_is_taken_and_nothing_else() {
        assert_eq!("[::1]:6443".parse::<Listen>().unwrap(), Listen::Address("[::1]:6443".parse().unwrap()));
        assert_eq!("fd:3".parse::<Listen>().unwrap(), Listen::Descriptor(3));
        for text in ["", "6443", "fd:", "fd:0", "fd:-1", "localhost", "1.2.3.4"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_descriptor_that_is_not_open_is_refused_by_number() {
        let error = Listen::Descriptor(9999).open().await.unwrap_err();
        assert!(format!("{error:#}").contains("fd:9999"), "{error:#}");
    }
}
