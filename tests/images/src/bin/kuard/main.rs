//! A stand-in for the demo program of "Kubernetes: Up and Running": its flags, ports and paths as far as the book's
//! command lines use them. The pages are plain; the JSON behind them is what scripts and tests read.

mod keygen;
mod memq;
mod pages;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Kubernetes Up and Running demo, as a stand-in.
#[derive(Parser)]
struct Arguments {
    /// Where to serve HTTP.
    #[arg(long, default_value = ":8080")]
    address: String,
    /// Where to serve HTTPS, when there is a certificate.
    #[arg(long, default_value = ":8443")]
    tls_address: String,
    /// The folder of `kuard.crt` and `kuard.key`.
    #[arg(long, default_value = "/tls")]
    tls_dir: PathBuf,
    #[command(flatten)]
    keygen: keygen::Options,
}

fn main() -> ExitCode {
    let done = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match done.context("cannot start tokio").and_then(|runtime| runtime.block_on(run(Arguments::parse()))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kuard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    log(&format!("Starting kuard version: {}", pages::colour()));
    for secret in
        ["Config:", &format!("  address {}", arguments.address), &format!("  tls-dir {:?}", arguments.tls_dir)]
    {
        log(secret);
    }
    let keygen = Arc::new(keygen::Keygen::new(arguments.keygen));
    let router = pages::router(Arc::clone(&keygen));
    if let Some(acceptor) = tls::acceptor(&arguments.tls_dir)? {
        log(&format!("Serving HTTPS on {}", arguments.tls_address));
        tokio::spawn(tls::serve(listen(&arguments.tls_address).await?, acceptor, router.clone()));
    } else {
        log("Could not find certificates to serve TLS");
    }
    let listener = listen(&arguments.address).await?;
    log(&format!("Serving on HTTP on {}", arguments.address));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, service) => { served?; }
        code = keygen.run() => return Ok(code),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// `:8080` means all addresses.
async fn listen(address: &str) -> Result<TcpListener> {
    let whole = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
    TcpListener::bind(&whole).await.with_context(|| format!("cannot listen on {address}"))
}

/// A line as the program of the book logs it.
fn log(text: &str) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (hour, minute, second) = (now.as_secs() / 3600 % 24, now.as_secs() / 60 % 60, now.as_secs() % 60);
    println!("{hour:02}:{minute:02}:{second:02} {text}");
}
