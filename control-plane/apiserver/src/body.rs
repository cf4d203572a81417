//! Bodies: requests read whole up to a limit, answers whole or streamed.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use crate::status::StatusError;

/// Whatever went wrong inside a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request, wherever it came from.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of an answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// The largest request body, as upstream has it.
pub(crate) const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// The size from which collected pieces are sent on.
const CHUNK: usize = 64 * 1024;

/// A body of one piece.
pub(crate) fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body of pieces, each sent at once: a watch, a log.
pub(crate) fn streamed<S>(pieces: S) -> ResponseBody
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    BodyExt::boxed_unsync(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}

/// A body of many small pieces, sent in chunks; no more than one chunk is held, and each is made when the client has
/// taken the one before.
pub(crate) fn chunked(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> ResponseBody {
    let chunks = futures::stream::unfold(pieces, |mut pieces| async move {
        let chunk = next_chunk(&mut pieces)?;
        // Making a chunk may parse hundreds of objects: let other requests run in between.
        tokio::task::yield_now().await;
        Some((Ok(chunk), pieces))
    });
    streamed(chunks)
}

fn next_chunk(pieces: &mut impl Iterator<Item = Bytes>) -> Option<Bytes> {
    let first = pieces.next()?;
    if first.len() >= CHUNK {
        return Some(first);
    }
    let mut chunk = BytesMut::with_capacity(CHUNK + CHUNK / 4);
    chunk.extend_from_slice(&first);
    while chunk.len() < CHUNK {
        let Some(piece) = pieces.next() else { break };
        chunk.extend_from_slice(&piece);
    }
    Some(chunk.freeze())
}

/// Reads a request body to its end.
///
/// # Errors
/// 413 above [`LARGEST_BODY`], 400 when the client breaks off.
pub(crate) async fn read(mut body: RequestBody) -> Result<Bytes, StatusError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| StatusError::bad_request(format!("the request body ended early: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        if all.len() + data.len() > LARGEST_BODY {
            return Err(StatusError::too_large(LARGEST_BODY));
        }
        all.extend_from_slice(data);
    }
    Ok(all.freeze())
}
