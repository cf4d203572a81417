//! WebSockets (RFC 6455) as Kubernetes uses them: the handshake with its subprotocols, and channels in messages.

mod channel;
mod handshake;

pub use channel::{CHANNEL_CLOSE, Channel, ChannelError, Codec, Message};
pub use handshake::{Handshake, HandshakeError, is_upgrade, without_bearer};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The largest message that is taken; kubectl sends 32 KiB, client libraries up to a few hundred.
pub const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// The server's side of `io`, after the handshake.
pub async fn server<IO>(io: IO) -> WebSocketStream<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config())).await
}

/// The client's side of `io`, after the handshake.
pub async fn client<IO>(io: IO) -> WebSocketStream<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    WebSocketStream::from_raw_socket(io, Role::Client, Some(config())).await
}

/// Ends a WebSocket in order: a close frame with code 1000, then whatever the peer still sends, for a moment.
pub async fn close<IO>(mut socket: WebSocketStream<IO>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    use futures::StreamExt as _;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let end = async {
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), end).await;
}

/// A WebSocket over `IO`.
pub type Socket<IO> = WebSocketStream<IO>;

/// A message without channels: binary, or text in base64.
#[must_use]
pub fn data(data: Bytes, is_base64: bool) -> tokio_tungstenite::tungstenite::Message {
    use base64::Engine as _;
    if is_base64 {
        let text = base64::engine::general_purpose::STANDARD.encode(&data);
        return tokio_tungstenite::tungstenite::Message::text(text);
    }
    binary(data)
}

/// A binary message.
#[must_use]
pub fn binary(data: impl Into<Bytes>) -> tokio_tungstenite::tungstenite::Message {
    tokio_tungstenite::tungstenite::Message::Binary(data.into())
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE))
        .read_buffer_size(32 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * LARGEST_MESSAGE)
}
