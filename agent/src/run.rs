//! The agent as a daemon: who runs in which thread, and in what order it begins.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::datapath::Datapath;
use crate::endpoint::INTERFACE_PREFIX;
use crate::engine::{Engine, Options};
use crate::metrics::Metrics;
use crate::netlink::{Event, Events};
use crate::settings::{NodesSource, Settings};
use crate::socket::Server;
use crate::sysctl::Sysctl;
use crate::watch::{self, Nodes};
use crate::{http, install};

/// How long an agent waits for its predecessor to end.
const PREDECESSOR: Duration = Duration::from_secs(30);
/// Changes within this time make one round.
const TOGETHER: Duration = Duration::from_millis(20);
/// A round without anything to do, to find what no event told.
const ROUND: Duration = Duration::from_secs(60);
/// Between two looks for flows that are over.
const COLLECTION: Duration = Duration::from_secs(10);
/// A round after failures.
const AGAIN: Duration = Duration::from_secs(1);

/// The right to be the node's agent, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why there is a new round.
enum Wake {
    /// The cluster's nodes have changed.
    Nodes(Nodes),
    /// The node's own network has.
    Network,
}

/// Runs until it is told to end. What is in the kernel stays.
///
/// # Errors
/// When it cannot begin.
pub fn run(settings: Settings) -> Result<()> {
    let _lock = Lock::take(&settings.state_dir, PREDECESSOR)?;
    // Before anything is read, so that no change after that is missed.
    let events = Events::open()?;
    let datapath = Datapath::open(settings.datapath.clone())?;
    for resized in datapath.resized() {
        warn!(
            map = resized.map,
            actual = resized.actual,
            configured = resized.configured,
            "keeps its size until `sheave-agent cleanup`"
        );
    }
    let engine = Arc::new(Engine::start(options(&settings), Box::new(datapath))?);
    let metrics = Arc::new(Metrics::default());
    let (wake, wakes) = channel();
    spawn("network-events", {
        let (engine, wake) = (Arc::clone(&engine), wake.clone());
        move || follow(events, &engine, &wake)
    })?;
    let socket = Server::open(&settings.socket)?;
    info!(socket = %settings.socket.display(), "answers the plugin");
    spawn("plugin", {
        let (engine, metrics) = (Arc::clone(&engine), Arc::clone(&metrics));
        move || socket.serve(engine, metrics)
    })?;
    install::plugins(&settings.install)?;
    spawn("converge", {
        let (engine, settings) = (Arc::clone(&engine), settings.clone());
        move || keep_converged(&engine, &settings, &wakes)
    })?;
    spawn("flow-garbage", {
        let engine = Arc::clone(&engine);
        move || loop {
            thread::sleep(COLLECTION);
            engine.collect_garbage();
        }
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(&settings, engine, metrics, wake))
}

/// Everything that waits for the network.
async fn serve(settings: &Settings, engine: Arc<Engine>, metrics: Arc<Metrics>, wake: Sender<Wake>) -> Result<()> {
    let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let tell = |nodes| wake.send(Wake::Nodes(nodes)).context("nobody takes the nodes any more");
    let watching = async {
        match &settings.nodes {
            NodesSource::File(path) => follow_file(path, tell).await,
            source => watch::watch_nodes(source, tell).await,
        }
    };
    tokio::select! {
        ended = watching => ended.and_then(|()| bail!("the watch of the nodes has ended")),
        ended = http::serve(settings.listen, engine, metrics) => ended,
        _ = end.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }?;
    info!("ends; the node's network goes on");
    Ok(())
}

/// Reads the file of nodes whenever it has changed.
async fn follow_file(path: &Path, tell: impl Fn(Nodes) -> Result<()>) -> Result<()> {
    let mut last = None;
    loop {
        match watch::read_file(path) {
            Ok(nodes) if last.as_ref() != Some(&nodes) => {
                tell(nodes.clone())?;
                last = Some(nodes);
            }
            Ok(_) => {}
            Err(problem) if last.is_none() => return Err(problem),
            Err(problem) => warn!(error = format!("{problem:#}"), "the nodes stay as they are"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Acts upon what the kernel tells.
fn follow(mut events: Events, engine: &Engine, wake: &Sender<Wake>) {
    loop {
        let batch = match events.wait() {
            Ok(batch) => batch,
            Err(problem) => {
                error!(%problem, "cannot hear of changes of the network any more: looking every minute");
                return;
            }
        };
        let mut look_around = false;
        for event in batch {
            match event {
                Event::LinkGone(link) if link.name.starts_with(INTERFACE_PREFIX) => engine.link_gone(&link.name),
                Event::LinkChanged(link) if link.name.starts_with(INTERFACE_PREFIX) => {}
                Event::Neighbour(neighbour) => engine.neighbour_changed(&neighbour),
                Event::LinkGone(_) | Event::LinkChanged(_) | Event::RoutesChanged | Event::Lost => look_around = true,
            }
        }
        if look_around && wake.send(Wake::Network).is_err() {
            return;
        }
    }
}

/// Brings the kernel to what is known, whenever either has changed.
fn keep_converged(engine: &Engine, settings: &Settings, wakes: &Receiver<Wake>) {
    let mut pause = ROUND;
    let mut is_installed = false;
    loop {
        match wakes.recv_timeout(pause) {
            Ok(first) => {
                thread::sleep(TOGETHER);
                for wake in std::iter::once(first).chain(wakes.try_iter()) {
                    if let Wake::Nodes(nodes) = wake {
                        let own = nodes.nodes.get(&settings.node_name).cloned();
                        engine.set_nodes(own, nodes.nodes.into_values().collect(), nodes.is_synced);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let converged = engine.converge();
        if !is_installed && engine.status().is_ok() {
            match install::configuration(settings) {
                Ok(()) => is_installed = true,
                Err(problem) => error!(%problem, "the node stays without network configuration"),
            }
        }
        pause = if converged.failures.is_empty() && is_installed { ROUND } else { AGAIN };
    }
}

fn options(settings: &Settings) -> Options {
    Options {
        journal: settings.journal(),
        uplink: settings.uplink.clone(),
        mtu: settings.mtu,
        masquerade_ports: settings.masquerade_ports.clone(),
        exclusions: settings.masquerade_exclusions.clone(),
        reuse_delay: settings.reuse_delay,
        sysctl: Sysctl::at(&settings.sysctl_root),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).context("cannot start a thread")
}

// === impl Lock ===

impl Lock {
    /// Waits for the right for so long.
    ///
    /// # Errors
    /// When another agent keeps it.
    pub fn take(state_dir: &Path, patience: Duration) -> Result<Self> {
        fs::create_dir_all(state_dir).with_context(|| format!("cannot make {}", state_dir.display()))?;
        let path = state_dir.join("lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        let began = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(_) if began.elapsed() < patience => thread::sleep(Duration::from_millis(20)),
                Err(problem) => {
                    return Err(problem)
                        .with_context(|| format!("another sheave-agent holds {}: one runs on a node", path.display()));
                }
            }
        }
    }
}
