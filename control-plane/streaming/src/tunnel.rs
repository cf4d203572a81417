//! SPDY/3.1 inside a WebSocket: the binary messages are one stream of bytes, however they are cut (KEP-4006).

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::websocket;

/// The subprotocol of port-forward from kubectl 1.31 on.
pub const PORT_FORWARD: &str = "SPDY/3.1+portforward.k8s.io";

/// Bytes of one message to the client.
const PIECE: usize = 32 * 1024;

/// Copies between the messages of a WebSocket and the bytes of `io`, until either side ends.
pub async fn tunnel<WS, IO>(socket: WebSocketStream<WS>, io: IO)
where
    WS: AsyncRead + AsyncWrite + Unpin,
    IO: AsyncRead + AsyncWrite,
{
    let (mut sink, mut source) = socket.split();
    let (mut input, mut output) = tokio::io::split(io);
    let to_runtime = async {
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(bytes) => {
                    if output.write_all(&bytes).await.is_err() || output.flush().await.is_err() {
                        break;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Text(_) | Message::Close(_) | Message::Frame(_) => break,
            }
        }
    };
    let to_client = async {
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = input.read(&mut buffer).await {
            if sink.send(websocket::binary(Bytes::copy_from_slice(&buffer[..count]))).await.is_err() {
                break;
            }
        }
    };
    // SPDY has no use for half a connection: the first end is the end.
    tokio::select! {
        () = to_runtime => {}
        () = to_client => {}
    }
    if let Ok(socket) = sink.reunite(source) {
        websocket::close(socket).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spdy::{Connection, Headers};

    #[tokio::test]
    async fn a_spdy_connection_does_not_notice_how_its_bytes_are_cut_into_messages() {
        let (client, kubelet) = tokio::io::duplex(1 << 16);
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move { tunnel(websocket::server(kubelet).await, near).await });
        let (_server, mut incoming) = Connection::spawn_server(far);
        let echo = tokio::spawn(async move {
            let (mut reader, mut writer) = incoming.next().await.unwrap().split();
            let all = reader.read_to_end(1 << 20).await.unwrap();
            writer.write(all.into()).await.unwrap();
            writer.finish().await.unwrap();
            incoming
        });
        // The client's end: every byte a message of its own.
        let (mut bytes, spdy) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let (mut sink, mut source) = websocket::client(client).await.split();
            loop {
                tokio::select! {
                    byte = bytes.read_u8() => match byte {
                        Ok(byte) => sink.send(websocket::binary(vec![byte])).await.unwrap(),
                        Err(_) => return,
                    },
                    message = source.next() => match message {
                        Some(Ok(Message::Binary(data))) => bytes.write_all(&data).await.unwrap(),
                        _ => return,
                    },
                }
            }
        });
        let connection = Connection::spawn_client(spdy);
        let (mut reader, mut writer) = connection.open(Headers::default().with("port", "80")).await.unwrap().split();
        writer.write(Bytes::from_static(b"GET / HTTP/1.1")).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(reader.read_to_end(100).await.unwrap(), b"GET / HTTP/1.1");
        drop(echo.await.unwrap());
    }
}
