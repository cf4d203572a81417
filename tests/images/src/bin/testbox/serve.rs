//! The servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use test_images::{Probe, Verdict, hostname};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use crate::listen_address;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Port of the HTTP server.
    #[arg(long, default_value_t = 8080)]
    http: u16,
    /// Port of the TCP echo server.
    #[arg(long, default_value_t = 9000)]
    tcp: u16,
    /// Port of the UDP echo server.
    #[arg(long, default_value_t = 9000)]
    udp: u16,
    /// Seconds to go on serving after SIGTERM.
    #[arg(long, default_value_t = 0)]
    linger: u64,
}

/// What the HTTP server remembers.
#[derive(Default)]
struct Memory {
    /// By name: `healthy`, `ready`, or whatever a probe's path ends in.
    probes: Mutex<BTreeMap<String, Arc<Probe>>>,
    held: Mutex<Vec<Vec<u8>>>,
}

type Shared = State<Arc<Memory>>;

#[derive(Deserialize)]
struct Fail {
    times: i64,
}

#[derive(Deserialize)]
struct Load {
    #[serde(default)]
    milliseconds: u64,
    #[serde(default)]
    mebibytes: usize,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Exit {
    #[serde(default)]
    code: i32,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let bound = |port| async move {
        TcpListener::bind(listen_address(port)).await.with_context(|| format!("cannot listen on port {port}"))
    };
    let (http, tcp) = (bound(arguments.http).await?, bound(arguments.tcp).await?);
    let udp = UdpSocket::bind(listen_address(arguments.udp)).await;
    let udp = udp.with_context(|| format!("cannot bind port {}", arguments.udp))?;
    println!("{} serves HTTP on {}, TCP on {}, UDP on {}", hostname(), arguments.http, arguments.tcp, arguments.udp);
    tokio::spawn(echo_streams(tcp));
    tokio::spawn(echo_datagrams(udp));
    let service = router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(http, service) => served?,
        _ = terminate.recv() => {
            println!("asked to end");
            tokio::time::sleep(Duration::from_secs(arguments.linger)).await;
        }
    }
    Ok(())
}

fn router() -> Router {
    Router::new()
        .route("/hostname", get(|| async { hostname() }))
        .route("/probe/{name}", get(probe))
        .route("/probe/{name}/fail", post(fail))
        .route("/resolve", get(resolve))
        .route("/load", post(load))
        .route("/exit", post(exit))
        .fallback(any(echo))
        .with_state(Arc::new(Memory::default()))
}

/// What was asked, and by whom.
async fn echo(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Json<Value> {
    let headers: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    Json(json!({
        "hostname": hostname(), "peer": peer.ip().to_canonical().to_string(), "method": method.as_str(),
        "path": uri.path(), "query": uri.query(), "headers": headers, "body": body,
    }))
}

async fn probe(State(memory): Shared, Path(name): Path<String>) -> (StatusCode, &'static str) {
    match memory.probe(&name).ask() {
        Verdict::Well => (StatusCode::OK, "ok\n"),
        Verdict::Failing => (StatusCode::INTERNAL_SERVER_ERROR, "told to fail\n"),
    }
}

async fn fail(State(memory): Shared, Path(name): Path<String>, Query(fail): Query<Fail>) -> String {
    memory.probe(&name).fail_next(fail.times);
    format!("{name} fails {} times\n", fail.times)
}

async fn resolve(Query(target): Query<Target>) -> (StatusCode, String) {
    match test_images::resolve(&target.name).await {
        Ok(addresses) => (StatusCode::OK, addresses.iter().map(|address| format!("{address}\n")).collect()),
        Err(error) => (StatusCode::NOT_FOUND, format!("{}: {error}\n", target.name)),
    }
}

/// Keeps a processor busy, or takes memory and keeps it.
async fn load(State(memory): Shared, Query(load): Query<Load>) -> String {
    if load.milliseconds > 0 {
        std::thread::spawn(move || test_images::spin(Duration::from_millis(load.milliseconds)));
    }
    let mut held = memory.held.lock();
    held.push(vec![1; load.mebibytes << 20]);
    format!("holding {} MiB\n", held.iter().map(Vec::len).sum::<usize>() >> 20)
}

/// Ends the container with this code, a moment after the answer.
async fn exit(Query(exit): Query<Exit>) -> String {
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        #[expect(clippy::exit, reason = "ending with a code of the caller's choice is what was asked for")]
        std::process::exit(exit.code);
    });
    format!("ending with {}\n", exit.code)
}

/// Says each line back, with the host name in front.
async fn echo_streams(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // A peer that goes away is not this server's concern.
        tokio::spawn(async move { echo_lines(stream).await.unwrap_or_default() });
    }
}

async fn echo_lines(stream: TcpStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        write.write_all(format!("{}: {line}\n", hostname()).as_bytes()).await?;
    }
    Ok(())
}

async fn echo_datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; 65_536];
    loop {
        // An ICMP error about an earlier answer comes as an error of the next call.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let mut answer = format!("{}: ", hostname()).into_bytes();
        answer.extend_from_slice(&buffer[..length]);
        let _ = socket.send_to(&answer, peer).await;
    }
}

// === impl Memory ===

impl Memory {
    fn probe(&self, name: &str) -> Arc<Probe> {
        Arc::clone(self.probes.lock().entry(name.to_owned()).or_default())
    }
}
