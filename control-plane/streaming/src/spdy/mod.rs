//! SPDY/3.1 as Kubernetes speaks it (draft-mbelshe-httpbis-spdy-00 with the 3.1 changes).
//!
//! The peers are Go's `moby/spdystream` in containerd and kubectl. They open streams, send data and close; they neither
//! send nor heed `WINDOW_UPDATE`, so a sender that waited for windows would stand still after 64 KiB. What bounds memory
//! here is the connection itself: a stream that nobody reads holds a few pieces, and then nothing more is read from the
//! peer.

mod connection;
mod dictionary;
mod frame;
mod headers;
mod stream;

pub use connection::{Connection, Incoming};
pub use frame::{Decoder, Encoder, Frame, FrameError, StreamId};
pub use headers::{HeaderError, Headers};
pub use stream::{Event, Reader, Stream, Writer};

/// Why a connection or a stream does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpdyError {
    /// The peer sent what is no SPDY/3.1.
    #[error("the peer broke the SPDY/3.1 protocol: {0}")]
    Frame(#[from] FrameError),
    /// The connection is gone.
    #[error("the SPDY connection was lost: {0}")]
    Lost(String),
    /// The peer ended the stream early.
    #[error("the peer reset the stream (SPDY status {0})")]
    Reset(u32),
    /// The stream was not answered in time.
    #[error("the peer did not answer a new stream within {0:?}")]
    NoReply(std::time::Duration),
    /// All identifiers are used up.
    #[error("the SPDY connection has no stream identifiers left")]
    NoIdentifiers,
}
