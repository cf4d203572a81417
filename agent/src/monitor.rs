//! Drops, live: from the kernel programs' events to the command line, by way of the agent, which alone reads them.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use sheave_cni::protocol::{Answer, AnswerOutcome};
use sheave_cni::{CniError, Code};

use crate::datapath::Events;
use crate::engine::Engine;

/// How long the programs' events are waited for before it is looked whether anybody still listens.
const LOOK_AROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// A dropped packet: a line of `sheave-agent monitor --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drop {
    /// When, in nanoseconds since the machine was started.
    pub time: u64,
    /// Where: `pod` for a packet that a pod sent, `uplink` for one from the network.
    pub hook: String,
    /// Index of the interface.
    pub interface: u32,
    /// Why.
    pub reason: String,
    /// Who sent it, if it was IP.
    pub source: Option<SocketAddr>,
    /// To whom.
    pub destination: Option<SocketAddr>,
    /// Number of the protocol.
    pub protocol: u8,
    /// Length of the frame in bytes.
    pub length: u32,
}

/// Sends a line for each dropped packet until the other side goes.
pub(crate) fn stream(engine: &Engine, mut stream: UnixStream) -> io::Result<()> {
    let mut events = match engine.open_events() {
        Ok(events) => events,
        Err(error) => {
            let error = CniError::new(Code::Failed, format!("{error:#}"));
            return write_line(&mut stream, &Answer::from(AnswerOutcome::Refused { error }));
        }
    };
    let outcome =
        write_line(&mut stream, &Answer::from(AnswerOutcome::Done)).and_then(|()| pump(&mut events, &mut stream));
    engine.close_events(events);
    outcome
}

fn pump(events: &mut Events, stream: &mut UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    loop {
        let mut ready = [PollFd::new(&*events, PollFlags::IN), PollFd::new(&*stream, PollFlags::IN | PollFlags::RDHUP)];
        poll(&mut ready, Some(&LOOK_AROUND))?;
        if !ready[1].revents().is_empty() {
            return Ok(());
        }
        while let Some(event) = events.next_event() {
            write_line(stream, &Drop::from(&event))?;
        }
    }
}

fn write_line(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

// === impl Drop ===

impl From<&dataplane_common::DropEvent> for Drop {
    fn from(event: &dataplane_common::DropEvent) -> Self {
        let socket = |(address, port): (IpAddr, u16)| SocketAddr::new(address, port);
        Self {
            time: event.time(),
            hook: event.hook().map_or("unknown", |hook| hook.label()).to_owned(),
            interface: event.interface(),
            reason: event.reason().map_or_else(|| "unknown".to_owned(), |reason| reason.label().to_owned()),
            source: event.source().map(socket),
            destination: event.destination().map(socket),
            protocol: event.protocol(),
            length: event.length(),
        }
    }
}

impl std::fmt::Display for Drop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>12}.{:06} {:6} ", self.time / 1_000_000_000, self.time / 1000 % 1_000_000, self.hook)?;
        match (self.source, self.destination) {
            (Some(source), Some(destination)) => write!(f, "{source} -> {destination} protocol {} ", self.protocol)?,
            _ => write!(f, "a frame that is not IP ")?,
        }
        write!(f, "{} bytes, interface {}: {}", self.length, self.interface, self.reason)
    }
}
