//! Channels: the first byte of each message says where the rest belongs (`k8s.io/apimachinery/.../wsstream`,
//! KEP-4006 for version 5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes};
use tokio_tungstenite::tungstenite::Message as Raw;

/// The channel of an `exec` or `attach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// 0, from the client.
    Stdin,
    /// 1, to the client.
    Stdout,
    /// 2, to the client.
    Stderr,
    /// 3, to the client: how it ended.
    Error,
    /// 4, from the client: `{"Width":80,"Height":24}`.
    Resize,
}

/// In version 5, a message on this channel closes the channel that its payload names.
pub const CHANNEL_CLOSE: u8 = 255;

/// How a subprotocol writes channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    /// 1 to 5.
    pub version: u8,
    /// Text messages: a digit for the channel, the rest in base64.
    pub is_base64: bool,
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Bytes for a channel, by its number.
    Data(u8, Bytes),
    /// The client will send nothing more on a channel.
    Close(u8),
    /// The client wants to end.
    End,
    /// Nothing for us: a ping, a pong.
    Control,
}

/// A message that the subprotocol does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Text on a binary subprotocol, or the other way round.
    #[error("the subprotocol does not allow this type of message")]
    Type,
    /// No channel.
    #[error("a message without a channel")]
    Empty,
    /// Not base64.
    #[error("a message that is not base64")]
    Base64,
    /// A close signal without the one channel that it is for.
    #[error("a close signal must name one channel")]
    Close,
}

// === impl Channel ===

impl Channel {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Stdin => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::Error => 3,
            Self::Resize => 4,
        }
    }
}

// === impl Codec ===

impl Codec {
    /// Every subprotocol of `exec` and `attach`, the best first.
    pub const REMOTE_COMMAND: &[&str] = &[
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
        "v4.base64.channel.k8s.io",
        "v3.channel.k8s.io",
        "v2.channel.k8s.io",
        "channel.k8s.io",
        "base64.channel.k8s.io",
        "",
    ];

    /// The codec of a subprotocol.
    #[must_use]
    pub fn of(protocol: &str) -> Self {
        let version = protocol.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse().ok());
        Self { version: version.unwrap_or(1), is_base64: protocol.contains("base64.") }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the subprotocol does not allow it.
    pub fn decode(self, raw: Raw) -> Result<Message, ChannelError> {
        let (channel, data) = match raw {
            Raw::Ping(_) | Raw::Pong(_) | Raw::Frame(_) => return Ok(Message::Control),
            Raw::Close(_) => return Ok(Message::End),
            Raw::Binary(mut bytes) if !self.is_base64 => {
                let channel = *bytes.first().ok_or(ChannelError::Empty)?;
                bytes.advance(1);
                (channel, bytes)
            }
            Raw::Text(text) if self.is_base64 => {
                let (digit, data) = text.as_bytes().split_first().ok_or(ChannelError::Empty)?;
                let channel = digit.checked_sub(b'0').filter(|channel| *channel < 10).ok_or(ChannelError::Empty)?;
                (channel, STANDARD.decode(data).map_err(|_| ChannelError::Base64)?.into())
            }
            Raw::Binary(_) | Raw::Text(_) => return Err(ChannelError::Type),
        };
        match (self.version, channel, data.as_ref()) {
            (5.., CHANNEL_CLOSE, [closed]) => Ok(Message::Close(*closed)),
            (5.., CHANNEL_CLOSE, _) => Err(ChannelError::Close),
            _ => Ok(Message::Data(channel, data)),
        }
    }

    /// Writes a message.
    #[must_use]
    pub fn encode(self, channel: Channel, data: &[u8]) -> Raw {
        if self.is_base64 {
            let mut text = String::with_capacity(1 + data.len().div_ceil(3) * 4);
            text.push(char::from(b'0' + channel.number()));
            STANDARD.encode_string(data, &mut text);
            return Raw::text(text);
        }
        let mut bytes = Vec::with_capacity(1 + data.len());
        bytes.push(channel.number());
        bytes.extend_from_slice(data);
        Raw::binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subprotocols_have_their_codecs() {
        for (protocol, version, is_base64) in [
            ("v5.channel.k8s.io", 5, false),
            ("v4.channel.k8s.io", 4, false),
            ("v4.base64.channel.k8s.io", 4, true),
            ("base64.channel.k8s.io", 1, true),
            ("channel.k8s.io", 1, false),
            ("", 1, false),
        ] {
            assert_eq!(Codec::of(protocol), Codec { version, is_base64 }, "{protocol}");
        }
    }

    #[test]
    fn messages_are_read_as_the_subprotocol_has_them() {
        let (five, four, text) =
            (Codec::of("v5.channel.k8s.io"), Codec::of("v4.channel.k8s.io"), Codec::of("base64.channel.k8s.io"));
        let data = |channel, bytes: &'static [u8]| Ok(Message::Data(channel, Bytes::from_static(bytes)));
        for (codec, raw, expected) in [
            (five, Raw::binary(&b"\0ls\n"[..]), data(0, b"ls\n")),
            (five, Raw::binary(&[255, 0][..]), Ok(Message::Close(0))),
            (five, Raw::binary(&[255][..]), Err(ChannelError::Close)),
            (five, Raw::binary(&[255, 0, 1][..]), Err(ChannelError::Close)),
            (four, Raw::binary(&[255, 0][..]), data(255, &[0])),
            (four, Raw::binary(&[0][..]), data(0, b"")),
            (four, Raw::binary(&[][..]), Err(ChannelError::Empty)),
            (four, Raw::text("0bHM="), Err(ChannelError::Type)),
            (text, Raw::text("0bHM="), data(0, b"ls")),
            (text, Raw::text("0!"), Err(ChannelError::Base64)),
            (text, Raw::text("xbHM="), Err(ChannelError::Empty)),
            (text, Raw::text(""), Err(ChannelError::Empty)),
            (text, Raw::binary(&[0][..]), Err(ChannelError::Type)),
            (five, Raw::Ping(Bytes::new()), Ok(Message::Control)),
            (five, Raw::Close(None), Ok(Message::End)),
        ] {
            assert_eq!(codec.decode(raw.clone()), expected, "{codec:?} {raw:?}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for codec in Codec::REMOTE_COMMAND.iter().map(|protocol| Codec::of(protocol)) {
            let raw = codec.encode(Channel::Stderr, b"oh");
            assert_eq!(codec.decode(raw), Ok(Message::Data(2, Bytes::from_static(b"oh"))), "{codec:?}");
        }
    }
}
