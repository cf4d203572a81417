//! The agent's end of the plugin's socket: a thread for each connection, one request on each.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead as _, BufReader, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recv, recvmsg};
use sheave_cni::protocol::{Answer, AnswerOutcome, LONGEST_LINE, Message, Request, VERSION};
use sheave_cni::{CniError, Code};
use tracing::{debug, warn};

use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::monitor;

/// How long a client may take over its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at a time; more wait in the kernel's queue.
const MOST: usize = 64;

/// The socket, listening.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
}

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {}: {source}", .path.display())]
pub struct ListenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

// === impl Server ===

impl Server {
    /// Opens the socket, for root only, in the place of one that a predecessor left.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn open(path: &Path) -> Result<Self, ListenError> {
        let open = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let new = path.with_extension("new");
            let _ = fs::remove_file(&new);
            let listener = UnixListener::bind(&new)?;
            fs::set_permissions(&new, Permissions::from_mode(0o600))?;
            // Renamed when it listens: whoever finds it is answered.
            fs::rename(&new, path)?;
            Ok(Self { listener })
        };
        open().map_err(|source| ListenError { path: path.to_owned(), source })
    }

    /// Answers for ever.
    pub fn serve(self, engine: Arc<Engine>, metrics: Arc<Metrics>) {
        let slots = Arc::new(());
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection of the plugin");
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            while Arc::strong_count(&slots) > MOST {
                thread::sleep(Duration::from_millis(1));
            }
            let (engine, metrics, slot) = (Arc::clone(&engine), Arc::clone(&metrics), Arc::clone(&slots));
            let work = move || {
                if let Err(error) = converse(stream, &engine, &metrics) {
                    debug!(%error, "a conversation with the plugin broke off");
                }
                drop(slot);
            };
            if let Err(error) = thread::Builder::new().name("request".to_owned()).spawn(work) {
                warn!(%error, "cannot start a thread for a request");
            }
        }
    }
}

fn converse(mut stream: UnixStream, engine: &Engine, metrics: &Metrics) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (line, file) = read_request(&stream)?;
    let began = Instant::now();
    let message = match parse(&line) {
        Ok(Message { request: Request::Monitor, .. }) => return monitor::stream(engine, stream),
        other => other,
    };
    let verb = message.as_ref().map_or("unreadable", |message| verb(&message.request));
    let added = match &message {
        Ok(Message { request: Request::Add { attachment, .. }, .. }) => Some(attachment.clone()),
        _ => None,
    };
    let answer = message.and_then(|message| answer(engine, message.request, file.as_ref()));
    metrics.request(verb, answer.is_ok(), began.elapsed());
    let succeeded = answer.is_ok();
    let mut line = serde_json::to_vec(&Answer::from(answer))?;
    line.push(b'\n');
    let told = if is_alone(&stream) { Err(io::ErrorKind::BrokenPipe.into()) } else { stream.write_all(&line) };
    // The runtime never heard of it, and may never call DEL.
    if let (Err(_), true, Some(attachment)) = (&told, succeeded, added)
        && let Err(error) = engine.del(&attachment)
    {
        warn!(%error, "cannot undo an ADD whose plugin was killed");
    }
    told
}

fn parse(line: &[u8]) -> Result<Message, CniError> {
    let value: serde_json::Value = serde_json::from_slice(line)
        .map_err(|error| CniError::new(Code::Decode, format!("the agent cannot read the request: {error}")))?;
    if value["version"] != VERSION {
        let theirs = &value["version"];
        let message = format!(
            "the plugin speaks version {theirs} of the agent's protocol, the agent version {VERSION}: install the plugin that belongs to the agent"
        );
        return Err(CniError::new(Code::TryAgainLater, message));
    }
    serde_json::from_value(value)
        .map_err(|error| CniError::new(Code::Decode, format!("the agent does not understand the request: {error}")))
}

fn answer(engine: &Engine, request: Request, file: Option<&File>) -> Result<AnswerOutcome, CniError> {
    let namespace =
        || file.ok_or_else(|| CniError::new(Code::Decode, "the request came without its network namespace"));
    match request {
        Request::Add { attachment, namespace: path, pod } => {
            engine.add(attachment, pod, path, namespace()?).map(AnswerOutcome::Attached)
        }
        Request::Check { attachment, addresses } => engine.check(&attachment, &addresses, namespace()?).map(done),
        Request::Del { attachment } => engine.del(&attachment).map(done),
        Request::Gc { network, valid } => engine.gc(&network, &valid).map(done),
        Request::Status => engine.status().map(done),
        Request::Describe => match serde_json::to_value(engine.describe()) {
            Ok(description) => Ok(AnswerOutcome::Described { description }),
            Err(error) => Err(CniError::new(Code::Failed, error.to_string())),
        },
        Request::Monitor => Err(CniError::new(Code::Decode, "a stream is no single answer")),
    }
}

fn done((): ()) -> AnswerOutcome {
    AnswerOutcome::Done
}

fn verb(request: &Request) -> &'static str {
    match request {
        Request::Add { .. } => "add",
        Request::Del { .. } => "del",
        Request::Check { .. } => "check",
        Request::Gc { .. } => "gc",
        Request::Status => "status",
        Request::Describe => "describe",
        Request::Monitor => "monitor",
    }
}

/// Reads a line, and takes the file that may come with its first byte.
fn read_request(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<File>)> {
    let mut first = [0; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut first)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::<OwnedFd>::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights);
        }
    }
    let mut line = first[..received.bytes].to_vec();
    let longest = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    BufReader::new(stream.take(longest)).read_until(b'\n', &mut line)?;
    Ok((line, files.pop().map(File::from)))
}

/// Whether the other side is gone: a plugin keeps its end open until it has its answer.
fn is_alone(stream: &UnixStream) -> bool {
    let mut byte = [0; 1];
    matches!(recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((0, _)))
}
