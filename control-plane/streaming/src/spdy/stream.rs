//! One stream of a connection: two directions that end each for itself.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::SpdyError;
use super::connection::Shared;
use super::frame::{Frame, LARGEST_DATA, StreamId};
use super::headers::Headers;

/// A stream with both its directions.
pub struct Stream {
    /// What the side that opened it said of it.
    pub headers: Headers,
    reader: Reader,
    writer: Writer,
}

/// What comes from the peer.
pub struct Reader {
    events: mpsc::Receiver<Event>,
    is_ended: bool,
    /// Keeps the connection alive while somebody reads.
    _shared: Arc<Shared>,
}

/// What goes to the peer. Dropped before [`finish`](Self::finish), it resets the stream.
pub struct Writer {
    stream: StreamId,
    shared: Arc<Shared>,
    is_finished: bool,
}

/// What happened on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes came.
    Data(Bytes),
    /// The peer will send nothing more.
    End,
    /// The peer has ended the stream, for this SPDY status.
    Reset(u32),
}

/// `CANCEL`: the sender has lost interest.
const CANCEL: u32 = 5;

// === impl Stream ===

impl Stream {
    pub(super) fn new(
        stream: StreamId,
        headers: Headers,
        events: mpsc::Receiver<Event>,
        shared: &Arc<Shared>,
        is_finished: bool,
    ) -> Self {
        let reader = Reader { events, is_ended: false, _shared: Arc::clone(shared) };
        Self { headers, reader, writer: Writer { stream, shared: Arc::clone(shared), is_finished } }
    }

    /// Both directions, for tasks of their own.
    #[must_use]
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

// === impl Reader ===

impl Reader {
    /// The next bytes; none when the peer has closed its direction.
    ///
    /// # Errors
    /// When the stream was reset, or the connection lost before the stream ended.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SpdyError> {
        if self.is_ended {
            return Ok(None);
        }
        match self.events.recv().await {
            Some(Event::Data(data)) => Ok(Some(data)),
            Some(Event::End) => {
                self.is_ended = true;
                Ok(None)
            }
            Some(Event::Reset(status)) => Err(SpdyError::Reset(status)),
            None => Err(SpdyError::Lost("it ended before the stream did".to_owned())),
        }
    }

    /// Everything up to the end, but at most `limit` bytes; what is longer is read and dropped.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, SpdyError> {
        let mut all = Vec::new();
        while let Some(data) = self.next().await? {
            let room = limit.saturating_sub(all.len()).min(data.len());
            all.extend_from_slice(&data[..room]);
        }
        Ok(all)
    }
}

// === impl Writer ===

impl Writer {
    /// Sends bytes; waits while the connection is full.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write(&mut self, mut data: Bytes) -> Result<(), SpdyError> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(LARGEST_DATA));
            self.shared.send(Frame::Data { stream: self.stream, fin: false, data: piece }).await?;
        }
        Ok(())
    }

    /// Closes this direction; the other one stays open.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn finish(mut self) -> Result<(), SpdyError> {
        if self.is_finished {
            return Ok(());
        }
        self.is_finished = true;
        self.shared.finished(self.stream);
        self.shared.send(Frame::Data { stream: self.stream, fin: true, data: Bytes::new() }).await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished {
            self.shared.try_send(Frame::Reset { stream: self.stream, status: CANCEL });
            self.shared.finished(self.stream);
        }
    }
}
