//! A connection: one task that reads frames, one that writes them, and the streams between.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::SpdyError;
use super::frame::{Decoder, Encoder, Frame, StreamId};
use super::headers::Headers;
use super::stream::{Event, Stream};

/// A SPDY connection. It ends when this and every stream of it are dropped.
pub struct Connection {
    shared: Arc<Shared>,
}

/// The streams that the peer opens, in order.
pub struct Incoming {
    streams: mpsc::Receiver<Stream>,
}

/// What the streams of a connection share.
pub(super) struct Shared {
    outgoing: mpsc::Sender<Frame>,
    state: Mutex<State>,
    /// Ends the reading task with the last handle.
    _reading: DropGuard,
}

struct State {
    next: Option<StreamId>,
    streams: HashMap<StreamId, Entry>,
    /// Why the connection is over.
    lost: Option<SpdyError>,
}

/// A stream as the reading task knows it.
struct Entry {
    /// Where its events go; none once the peer has closed its direction.
    events: Option<mpsc::Sender<Event>>,
    /// Whoever waits for the peer's answer.
    replied: Option<oneshot::Sender<Result<(), SpdyError>>>,
    /// This side has closed its direction.
    is_finished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// Frames that wait to be written.
const OUTGOING: usize = 16;
/// Pieces of a stream that wait to be read, each no larger than [`READ`].
const PIECES: usize = 8;
/// Bytes read at once.
const READ: usize = 32 * 1024;
/// Streams that are open at once; port-forward needs two for each connection.
const STREAMS: usize = 2000;
/// How long the peer may take to answer a new stream, as client-go has it.
const REPLY: Duration = Duration::from_secs(30);
/// `REFUSED_STREAM`.
const REFUSED: u32 = 3;
/// `PROTOCOL_ERROR`.
const PROTOCOL: u32 = 1;

// === impl Connection ===

impl Connection {
    /// The client's side of `io`, which has been upgraded to SPDY/3.1. Streams that the server opens are refused.
    pub fn spawn_client<IO>(io: IO) -> Self
    where
        IO: AsyncRead + AsyncWrite + Send + 'static,
    {
        spawn(io, Role::Client).0
    }

    /// The server's side of `io`.
    pub fn spawn_server<IO>(io: IO) -> (Self, Incoming)
    where
        IO: AsyncRead + AsyncWrite + Send + 'static,
    {
        spawn(io, Role::Server)
    }

    /// Opens a stream, and waits for the peer's answer.
    ///
    /// # Errors
    /// When the peer refuses, does not answer, or is gone.
    pub async fn open(&self, headers: Headers) -> Result<Stream, SpdyError> {
        let (events, receiver) = mpsc::channel(PIECES);
        let (replied, reply) = oneshot::channel();
        let stream = {
            let mut state = self.shared.state.lock();
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            let stream = state.next.ok_or(SpdyError::NoIdentifiers)?;
            state.next = stream.checked_add(2).filter(|next| *next < 1 << 31);
            let entry = Entry { events: Some(events), replied: Some(replied), is_finished: false };
            state.streams.insert(stream, entry);
            stream
        };
        self.shared.send(Frame::SynStream { stream, fin: false, headers: headers.clone() }).await?;
        let opened = Stream::new(stream, headers, receiver, &self.shared, false);
        match tokio::time::timeout(REPLY, reply).await {
            Ok(Ok(answer)) => answer.map(|()| opened),
            Ok(Err(_)) => Err(self.shared.lost()),
            Err(_) => Err(SpdyError::NoReply(REPLY)),
        }
    }
}

// === impl Incoming ===

impl Incoming {
    /// The next stream that the peer opens; none when the connection is over.
    pub async fn next(&mut self) -> Option<Stream> {
        self.streams.recv().await
    }
}

fn spawn<IO>(io: IO, role: Role) -> (Connection, Incoming)
where
    IO: AsyncRead + AsyncWrite + Send + 'static,
{
    let (input, output) = tokio::io::split(io);
    let (outgoing, frames) = mpsc::channel(OUTGOING);
    let (accepted, streams) = mpsc::channel(PIECES);
    let reading = CancellationToken::new();
    let first = if role == Role::Client { 1 } else { 2 };
    let shared = Arc::new(Shared {
        outgoing,
        state: Mutex::new(State { next: Some(first), streams: HashMap::new(), lost: None }),
        _reading: reading.clone().drop_guard(),
    });
    tokio::spawn(write(output, frames));
    let weak = Arc::downgrade(&shared);
    tokio::spawn(async move {
        let accepted = (role == Role::Server).then_some(accepted);
        let why = tokio::select! {
            why = read(input, &weak, accepted) => why,
            () = reading.cancelled() => return,
        };
        if let Some(shared) = weak.upgrade() {
            shared.close(why);
        }
    });
    (Connection { shared }, Incoming { streams })
}

/// Writes frames until the last sender is gone; frames that are ready go out together.
async fn write<IO: AsyncWrite + Unpin>(mut output: IO, mut frames: mpsc::Receiver<Frame>) {
    let (mut encoder, mut buffer) = (Encoder::default(), BytesMut::new());
    while let Some(frame) = frames.recv().await {
        let mut next = Some(frame);
        while let Some(frame) = next {
            if let Err(error) = encoder.encode(&frame, &mut buffer) {
                tracing::debug!(%error, "a SPDY frame cannot be written");
                return;
            }
            next = if buffer.len() < READ { frames.try_recv().ok() } else { None };
        }
        if output.write_all(&buffer).await.is_err() || output.flush().await.is_err() {
            return;
        }
        buffer.clear();
    }
    let _ = output.shutdown().await;
}

/// Reads frames until the peer is gone; says why.
async fn read<IO: AsyncRead + Unpin>(
    mut input: IO,
    shared: &Weak<Shared>,
    accepted: Option<mpsc::Sender<Stream>>,
) -> SpdyError {
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::with_capacity(READ));
    loop {
        loop {
            let frame = match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return error.into(),
            };
            let Some(shared) = shared.upgrade() else { return SpdyError::Lost("nobody reads it".to_owned()) };
            shared.take(frame, accepted.as_ref()).await;
        }
        buffer.reserve(READ);
        // `reserve` may have made much more room than that.
        match (&mut input).take(READ as u64).read_buf(&mut buffer).await {
            Ok(0) => return SpdyError::Lost("the peer closed it".to_owned()),
            Ok(_) => {}
            Err(error) => return SpdyError::Lost(error.to_string()),
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(super) async fn send(&self, frame: Frame) -> Result<(), SpdyError> {
        self.outgoing.send(frame).await.map_err(|_| self.lost())
    }

    /// Sends if there is room; for what the peer can do without.
    pub(super) fn try_send(&self, frame: Frame) {
        let _ = self.outgoing.try_send(frame);
    }

    /// This side will send nothing more on a stream.
    pub(super) fn finished(&self, stream: StreamId) {
        let mut state = self.state.lock();
        let Some(entry) = state.streams.get_mut(&stream) else { return };
        entry.is_finished = true;
        if entry.events.is_none() {
            state.streams.remove(&stream);
        }
    }

    fn lost(&self) -> SpdyError {
        self.state.lock().lost.clone().unwrap_or_else(|| SpdyError::Lost("it cannot be written to".to_owned()))
    }

    /// The connection is over: everybody who waits learns it.
    fn close(&self, why: SpdyError) {
        let mut state = self.state.lock();
        for (_, entry) in state.streams.drain() {
            if let Some(replied) = entry.replied {
                let _ = replied.send(Err(why.clone()));
            }
        }
        state.lost = Some(why);
    }

    async fn take(self: &Arc<Self>, frame: Frame, accepted: Option<&mpsc::Sender<Stream>>) {
        match frame {
            Frame::SynStream { stream, fin, headers } => self.accept(stream, fin, headers, accepted).await,
            Frame::SynReply { stream, fin, .. } => {
                let replied = self.state.lock().streams.get_mut(&stream).and_then(|entry| entry.replied.take());
                if let Some(replied) = replied {
                    let _ = replied.send(Ok(()));
                }
                self.deliver(stream, Bytes::new(), fin).await;
            }
            Frame::Headers { stream, fin, .. } => self.deliver(stream, Bytes::new(), fin).await,
            Frame::Data { stream, fin, data } => self.deliver(stream, data, fin).await,
            Frame::Reset { stream, status } => self.reset(stream, status).await,
            // A number of the other parity is the peer's own; ours are never sent.
            Frame::Ping(id) => self.try_send(Frame::Ping(id)),
            Frame::GoAway { .. } | Frame::WindowUpdate { .. } | Frame::Other(_) => {}
        }
    }

    async fn accept(
        self: &Arc<Self>,
        stream: StreamId,
        fin: bool,
        headers: Headers,
        accepted: Option<&mpsc::Sender<Stream>>,
    ) {
        let Some(accepted) = accepted else {
            return self.try_send(Frame::Reset { stream, status: REFUSED });
        };
        let (events, receiver) = mpsc::channel(PIECES);
        {
            let mut state = self.state.lock();
            if state.streams.len() >= STREAMS || stream.is_multiple_of(2) || state.streams.contains_key(&stream) {
                let status = if state.streams.len() >= STREAMS { REFUSED } else { PROTOCOL };
                return self.try_send(Frame::Reset { stream, status });
            }
            state.streams.insert(stream, Entry { events: Some(events), replied: None, is_finished: false });
        }
        if self.send(Frame::SynReply { stream, fin: false, headers: Headers::default() }).await.is_err() {
            return;
        }
        // Nobody accepts any more: dropping the stream resets it.
        let _ = accepted.send(Stream::new(stream, headers, receiver, self, false)).await;
        self.deliver(stream, Bytes::new(), fin).await;
    }

    /// Hands bytes to whoever reads the stream, and waits until there is room: nothing more is read meanwhile.
    async fn deliver(&self, stream: StreamId, data: Bytes, fin: bool) {
        let events = self.state.lock().streams.get(&stream).and_then(|entry| entry.events.clone());
        let Some(events) = events else { return };
        if !data.is_empty() {
            // Nobody reads it any more: the bytes are dropped.
            let _ = events.send(Event::Data(data)).await;
        }
        if fin {
            let _ = events.send(Event::End).await;
            let mut state = self.state.lock();
            let Some(entry) = state.streams.get_mut(&stream) else { return };
            entry.events = None;
            if entry.is_finished {
                state.streams.remove(&stream);
            }
        }
    }

    async fn reset(&self, stream: StreamId, status: u32) {
        let Some(entry) = self.state.lock().streams.remove(&stream) else { return };
        if let Some(replied) = entry.replied {
            let _ = replied.send(Err(SpdyError::Reset(status)));
        }
        if let Some(events) = entry.events {
            let _ = events.send(Event::Reset(status)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, Connection, Incoming) {
        let (near, far) = tokio::io::duplex(4096);
        let (server, incoming) = Connection::spawn_server(far);
        (Connection::spawn_client(near), server, incoming)
    }

    #[tokio::test]
    async fn a_stream_carries_bytes_both_ways_and_ends_each_way_for_itself() {
        let (client, _server, mut incoming) = pair();
        let (opened, accepted) =
            tokio::join!(client.open(Headers::default().with("streamType", "data")), incoming.next());
        let (mut from_server, mut to_server) = opened.unwrap().split();
        let accepted = accepted.unwrap();
        assert_eq!(accepted.headers.get("streamtype"), Some("data"));
        let (mut from_client, mut to_client) = accepted.split();
        let sent = vec![7; 200_000];
        let (written, read) = tokio::join!(
            async {
                to_server.write(sent.clone().into()).await?;
                to_server.finish().await
            },
            from_client.read_to_end(1 << 20)
        );
        written.unwrap();
        assert_eq!(read.unwrap(), sent);
        to_client.write(Bytes::from_static(b"still open")).await.unwrap();
        to_client.finish().await.unwrap();
        assert_eq!(from_server.read_to_end(100).await.unwrap(), b"still open");
    }

    #[tokio::test]
    async fn a_dropped_stream_is_reset_and_a_dropped_connection_is_lost() {
        let (client, server, mut incoming) = pair();
        let (opened, accepted) = tokio::join!(client.open(Headers::default()), incoming.next());
        let (mut reader, writer) = opened.unwrap().split();
        let (other, unfinished) = accepted.unwrap().split();
        drop(unfinished);
        assert_eq!(reader.next().await, Err(SpdyError::Reset(5)));
        drop(other);
        let (opened, accepted) = tokio::join!(client.open(Headers::default()), incoming.next());
        let (mut reader, _writer) = opened.unwrap().split();
        drop((accepted, server, incoming));
        assert!(matches!(reader.next().await, Err(SpdyError::Lost(_) | SpdyError::Reset(_))));
        drop(writer);
    }

    #[tokio::test]
    async fn a_server_that_goes_away_does_not_leave_a_new_stream_waiting() {
        let (near, far) = tokio::io::duplex(4096);
        let client = Connection::spawn_client(near);
        let (opened, ()) = tokio::join!(client.open(Headers::default()), async { drop(far) });
        assert!(matches!(opened.err(), Some(SpdyError::Lost(_))));
    }

    #[tokio::test]
    async fn a_peer_that_floods_a_stream_is_made_to_wait() {
        let (mut raw, far) = tokio::io::duplex(4096);
        let (_server, mut incoming) = Connection::spawn_server(far);
        let (mut encoder, mut bytes) = (Encoder::default(), BytesMut::new());
        encoder.encode(&Frame::SynStream { stream: 1, fin: false, headers: Headers::default() }, &mut bytes).unwrap();
        raw.write_all(&bytes).await.unwrap();
        let _held = incoming.next().await.unwrap();
        let mut flood = BytesMut::new();
        encoder.encode(&Frame::Data { stream: 1, fin: false, data: vec![0; 16 << 20].into() }, &mut flood).unwrap();
        let mut written = 0;
        // Whatever the peer writes, only the queue and the buffers take it.
        while let Ok(Ok(more)) = tokio::time::timeout(Duration::from_millis(200), raw.write(&flood[written..])).await {
            written += more;
        }
        assert!(written < 1 << 20, "{written} bytes were taken though nobody reads them");
    }
}
