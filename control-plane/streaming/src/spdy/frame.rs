//! Frames: eight bytes of head, then what the type says.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::headers::{Deflater, HeaderError, Headers, Inflater};

/// A stream's number: odd from the client, even from the server, 0 for the connection itself.
pub type StreamId = u32;

/// One frame. Data may come in several pieces of one frame on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a stream.
    SynStream {
        /// Its number.
        stream: StreamId,
        /// The sender will send nothing on it.
        fin: bool,
        /// What it is for.
        headers: Headers,
    },
    /// Answers a `SynStream`.
    SynReply {
        /// Its number.
        stream: StreamId,
        /// The sender will send nothing on it.
        fin: bool,
        /// The answer's headers.
        headers: Headers,
    },
    /// Ends a stream at once.
    Reset {
        /// Its number.
        stream: StreamId,
        /// Why: 1 protocol error, 2 invalid stream, 3 refused, 5 cancelled.
        status: u32,
    },
    /// To be answered with the same number.
    Ping(u32),
    /// The sender takes no more streams.
    GoAway {
        /// The last stream that it has taken.
        last: StreamId,
        /// Why: 0 for no error.
        status: u32,
    },
    /// Further headers of a stream.
    Headers {
        /// Its number.
        stream: StreamId,
        /// The sender will send nothing more on it.
        fin: bool,
        /// The headers.
        headers: Headers,
    },
    /// So many bytes more may be sent. Read, and not heeded: see the module.
    WindowUpdate {
        /// The stream, or 0.
        stream: StreamId,
        /// Bytes.
        delta: u32,
    },
    /// Bytes of a stream.
    Data {
        /// Its number.
        stream: StreamId,
        /// Nothing follows on it.
        fin: bool,
        /// The bytes.
        data: Bytes,
    },
    /// A control frame that is skipped: settings, credentials, and what is not known.
    Other(u16),
}

/// Bytes that are no frame of SPDY/3.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another version.
    #[error("a control frame of SPDY version {0}")]
    Version(u16),
    /// A control frame larger than any that is meant.
    #[error("a control frame of {0} bytes; the limit is {LARGEST_CONTROL}")]
    TooLarge(usize),
    /// A control frame whose length does not fit its type.
    #[error("a control frame of type {kind} with {length} bytes")]
    Length {
        /// The type.
        kind: u16,
        /// The length in its head.
        length: usize,
    },
    /// A stream frame for stream 0.
    #[error("a frame of type {0} for stream 0")]
    StreamZero(u16),
    /// Its header block.
    #[error(transparent)]
    Headers(#[from] HeaderError),
}

/// Takes frames out of the bytes of one direction.
#[derive(Default)]
pub struct Decoder {
    inflater: Inflater,
    /// A data frame of which some bytes are still to come.
    unfinished: Option<Unfinished>,
}

/// Writes the frames of one direction.
#[derive(Default)]
pub struct Encoder {
    deflater: Deflater,
}

#[derive(Clone, Copy)]
struct Unfinished {
    stream: StreamId,
    fin: bool,
    remaining: usize,
}

/// The largest control frame that is read.
pub(super) const LARGEST_CONTROL: usize = 64 * 1024;
/// The largest data frame that is written; longer data is cut.
pub(super) const LARGEST_DATA: usize = 32 * 1024;

const HEAD: usize = 8;
const VERSION: u16 = 3;
const FIN: u8 = 1;
const CONTROL: u32 = 1 << 31;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;
/// What errors call a data frame, which has no type.
const DATA: u16 = 0;

// === impl Decoder ===

impl Decoder {
    /// The next frame in `buffer`, or none before more bytes have come. After an error the connection cannot go on.
    ///
    /// # Errors
    /// When the bytes are no SPDY/3.1.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if let Some(unfinished) = self.unfinished.take() {
            return Ok(self.data(unfinished, buffer));
        }
        let Some(head) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, d, flags, x, y, z] = *head;
        let first = u32::from_be_bytes([a, b, c, d]);
        let length = usize::from(x) << 16 | usize::from(y) << 8 | usize::from(z);
        if first & CONTROL == 0 {
            if first == 0 {
                return Err(FrameError::StreamZero(DATA));
            }
            buffer.advance(HEAD);
            return Ok(self.data(Unfinished { stream: first, fin: flags & FIN != 0, remaining: length }, buffer));
        }
        let (version, kind) = (u16::from_be_bytes([a & 0x7f, b]), u16::from_be_bytes([c, d]));
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        if length > LARGEST_CONTROL {
            return Err(FrameError::TooLarge(length));
        }
        if buffer.len() < HEAD + length {
            return Ok(None);
        }
        buffer.advance(HEAD);
        let payload = buffer.split_to(length).freeze();
        self.control(kind, flags & FIN != 0, &payload).map(Some)
    }

    /// The bytes of a data frame that have come so far; only its last piece ends the stream.
    fn data(&mut self, mut frame: Unfinished, buffer: &mut BytesMut) -> Option<Frame> {
        if frame.remaining > 0 && buffer.is_empty() {
            self.unfinished = Some(frame);
            return None;
        }
        let data = buffer.split_to(buffer.len().min(frame.remaining)).freeze();
        frame.remaining -= data.len();
        if frame.remaining > 0 {
            self.unfinished = Some(frame);
        }
        Some(Frame::Data { stream: frame.stream, fin: frame.fin && frame.remaining == 0, data })
    }

    fn control(&mut self, kind: u16, fin: bool, payload: &[u8]) -> Result<Frame, FrameError> {
        let error = FrameError::Length { kind, length: payload.len() };
        Ok(match kind {
            SYN_STREAM => {
                // Number, associated stream, priority and slot, then the headers.
                let (head, block) = payload.split_at_checked(10).ok_or(error)?;
                let stream = stream_of(kind, number(head, 0))?;
                Frame::SynStream { stream, fin, headers: self.inflater.inflate(block)? }
            }
            SYN_REPLY | HEADERS => {
                let (head, block) = payload.split_at_checked(4).ok_or(error)?;
                let stream = stream_of(kind, number(head, 0))?;
                let headers = self.inflater.inflate(block)?;
                match kind {
                    SYN_REPLY => Frame::SynReply { stream, fin, headers },
                    _ => Frame::Headers { stream, fin, headers },
                }
            }
            RST_STREAM | GOAWAY | WINDOW_UPDATE if payload.len() == 8 => {
                let (stream, value) = (number(payload, 0) & !CONTROL, number(payload, 4));
                match kind {
                    RST_STREAM => Frame::Reset { stream, status: value },
                    GOAWAY => Frame::GoAway { last: stream, status: value },
                    _ => Frame::WindowUpdate { stream, delta: value & !CONTROL },
                }
            }
            PING if payload.len() == 4 => Frame::Ping(number(payload, 0)),
            RST_STREAM | GOAWAY | WINDOW_UPDATE | PING => return Err(error),
            other => Frame::Other(other),
        })
    }
}

/// Four bytes at `at`; 0 where they are not there, which the callers have checked.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |chunk| u32::from_be_bytes(*chunk))
}

fn stream_of(kind: u16, number: u32) -> Result<StreamId, FrameError> {
    let stream = number & !CONTROL;
    if stream == 0 { Err(FrameError::StreamZero(kind)) } else { Ok(stream) }
}

// === impl Encoder ===

impl Encoder {
    /// Appends a frame to `buffer`. [`Frame::Other`] is not written.
    ///
    /// # Errors
    /// When its headers are too large.
    pub fn encode(&mut self, frame: &Frame, buffer: &mut BytesMut) -> Result<(), HeaderError> {
        match frame {
            Frame::SynStream { stream, fin, headers } => {
                let block = self.deflater.deflate(headers)?;
                control(buffer, SYN_STREAM, *fin, 10 + block.len());
                buffer.put_u32(*stream);
                buffer.put_u32(0);
                buffer.put_u16(0);
                buffer.put_slice(&block);
            }
            Frame::SynReply { stream, fin, headers } => self.headers(SYN_REPLY, *stream, *fin, headers, buffer)?,
            Frame::Headers { stream, fin, headers } => self.headers(HEADERS, *stream, *fin, headers, buffer)?,
            Frame::Reset { stream, status } => two(buffer, RST_STREAM, *stream, *status),
            Frame::GoAway { last, status } => two(buffer, GOAWAY, *last, *status),
            Frame::WindowUpdate { stream, delta } => two(buffer, WINDOW_UPDATE, *stream, *delta),
            Frame::Ping(id) => {
                control(buffer, PING, false, 4);
                buffer.put_u32(*id);
            }
            Frame::Data { stream, fin, data } => put_data(buffer, *stream, *fin, data),
            Frame::Other(_) => {}
        }
        Ok(())
    }

    fn headers(
        &mut self,
        kind: u16,
        stream: StreamId,
        fin: bool,
        headers: &Headers,
        buffer: &mut BytesMut,
    ) -> Result<(), HeaderError> {
        let block = self.deflater.deflate(headers)?;
        control(buffer, kind, fin, 4 + block.len());
        buffer.put_u32(stream);
        buffer.put_slice(&block);
        Ok(())
    }
}

fn put_data(buffer: &mut BytesMut, stream: StreamId, fin: bool, data: &[u8]) {
    let mut rest = data;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(LARGEST_DATA));
        buffer.put_u32(stream & !CONTROL);
        put_flags_and_length(buffer, fin && after.is_empty(), piece.len());
        buffer.put_slice(piece);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

fn control(buffer: &mut BytesMut, kind: u16, fin: bool, length: usize) {
    buffer.put_u16(VERSION | 0x8000);
    buffer.put_u16(kind);
    put_flags_and_length(buffer, fin, length);
}

/// Lengths of 24 bits: everything written here is far shorter.
fn put_flags_and_length(buffer: &mut BytesMut, fin: bool, length: usize) {
    let length = u32::try_from(length).unwrap_or_default() & 0x00ff_ffff;
    buffer.put_u32(u32::from(if fin { FIN } else { 0 }) << 24 | length);
}

fn two(buffer: &mut BytesMut, kind: u16, first: u32, second: u32) {
    control(buffer, kind, false, 8);
    buffer.put_u32(first);
    buffer.put_u32(second);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(decoder: &mut Decoder, bytes: &[u8], step: usize) -> Result<Vec<Frame>, FrameError> {
        let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(step.max(1)) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = decoder.decode(&mut buffer)? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    /// Pieces of the same data frame, put together again.
    fn joined(frames: Vec<Frame>) -> Vec<Frame> {
        let mut all: Vec<Frame> = Vec::new();
        for frame in frames {
            match (all.last_mut(), frame) {
                (Some(Frame::Data { stream, fin, data }), Frame::Data { stream: next, fin: last, data: more })
                    if *stream == next && !*fin =>
                {
                    *data = [data.as_ref(), more.as_ref()].concat().into();
                    *fin = last;
                }
                (_, frame) => all.push(frame),
            }
        }
        all
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let stream = 1..0x7fff_ffff_u32;
        let headers = prop::collection::vec(("[a-z]{1,9}", "[ -~]{0,40}"), 0..5)
            .prop_map(|pairs| pairs.iter().fold(Headers::default(), |all, (name, value)| all.with(name, value)));
        prop_oneof![
            (stream.clone(), any::<bool>(), headers.clone()).prop_map(|(stream, fin, headers)| Frame::SynStream {
                stream,
                fin,
                headers
            }),
            (stream.clone(), any::<bool>(), headers.clone()).prop_map(|(stream, fin, headers)| Frame::SynReply {
                stream,
                fin,
                headers
            }),
            (stream.clone(), any::<bool>(), headers).prop_map(|(stream, fin, headers)| Frame::Headers {
                stream,
                fin,
                headers
            }),
            (stream.clone(), any::<u32>()).prop_map(|(stream, status)| Frame::Reset { stream, status }),
            (stream.clone(), any::<u32>()).prop_map(|(last, status)| Frame::GoAway { last, status }),
            (stream.clone(), 0..0x7fff_ffff_u32).prop_map(|(stream, delta)| Frame::WindowUpdate { stream, delta }),
            any::<u32>().prop_map(Frame::Ping),
            // Closed each time, so that neighbours are not taken for pieces of one.
            (stream, prop::collection::vec(any::<u8>(), 0..70_000)).prop_map(|(stream, data)| Frame::Data {
                stream,
                fin: true,
                data: data.into()
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_come_back_however_the_bytes_are_cut(
            frames in prop::collection::vec(frame(), 1..12),
            step in prop_oneof![1..12_usize, 100..9000_usize],
        ) {
            let (mut encoder, mut bytes) = (Encoder::default(), BytesMut::new());
            for frame in &frames {
                encoder.encode(frame, &mut bytes).unwrap();
            }
            prop_assert_eq!(joined(decode_all(&mut Decoder::default(), &bytes, step).unwrap()), frames);
        }

        #[test]
        fn no_bytes_bring_the_decoder_down(bytes in prop::collection::vec(any::<u8>(), 0..4000), step in 1..500_usize) {
            let _ = decode_all(&mut Decoder::default(), &bytes, step);
        }

        #[test]
        fn no_control_frame_brings_the_decoder_down(
            kind in 0..12_u16,
            flags in any::<u8>(),
            payload in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = BytesMut::new();
            control(&mut bytes, kind, flags & 1 == 1, payload.len());
            bytes.put_slice(&payload);
            let _ = decode_all(&mut Decoder::default(), &bytes, 7);
        }
    }

    #[test]
    fn frames_that_are_none_are_named() {
        for (bytes, error) in [
            (&[0x80, 2, 0, 1, 0, 0, 0, 0][..], FrameError::Version(2)),
            (&[0x80, 3, 0, 1, 0, 1, 0, 1], FrameError::TooLarge(65_537)),
            (&[0x80, 3, 0, 6, 0, 0, 0, 2, 0, 0], FrameError::Length { kind: PING, length: 2 }),
            (&[0x80, 3, 0, 1, 0, 0, 0, 1, 0], FrameError::Length { kind: SYN_STREAM, length: 1 }),
            (&[0, 0, 0, 0, 0, 0, 0, 1], FrameError::StreamZero(DATA)),
            (&[0x80, 3, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0], FrameError::StreamZero(SYN_REPLY)),
        ] {
            assert_eq!(decode_all(&mut Decoder::default(), bytes, 100).unwrap_err(), error, "{bytes:?}");
        }
    }

    #[test]
    fn a_large_data_frame_is_handed_on_as_it_comes() {
        let mut decoder = Decoder::default();
        let mut buffer = BytesMut::from(&[0, 0, 0, 5, FIN, 0xff, 0xff, 0xff, b'a', b'b'][..]);
        let piece = decoder.decode(&mut buffer).unwrap();
        assert_eq!(piece, Some(Frame::Data { stream: 5, fin: false, data: Bytes::from_static(b"ab") }));
        assert_eq!(decoder.decode(&mut buffer).unwrap(), None);
    }
}
