//! `exec` and `attach` of a WebSocket client, carried on as SPDY streams to the runtime's streaming server.

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Raw;

use crate::spdy::{Connection, Headers, Reader, SpdyError, Writer};
use crate::websocket::{self, Channel, Codec, Message};

/// Which streams a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// The client writes to the process.
    pub stdin: bool,
    /// The client reads what the process writes.
    pub stdout: bool,
    /// And what it writes to stderr; never with a terminal, which has one output.
    pub stderr: bool,
    /// There is a terminal, whose size the client sends.
    pub terminal: bool,
}

/// The subprotocol of SPDY sessions, asked for in `X-Stream-Protocol-Version`.
pub const SPDY_PROTOCOL: &str = "v4.channel.k8s.io";

/// The streams of a session with the runtime.
struct Session {
    error: Reader,
    stdin: Option<Writer>,
    outputs: Vec<(Channel, Reader)>,
    resize: Option<Writer>,
}

/// The largest Status that is taken from the runtime.
const LARGEST_STATUS: usize = 64 * 1024;
/// Messages that wait to be sent to the client.
const WAITING: usize = 8;

/// Carries a session until it ends on either side.
///
/// The client's socket is closed with code 1000 after the Status; when the runtime is gone before it sent one, the
/// client gets a Status that says so.
pub async fn bridge<IO>(socket: WebSocketStream<IO>, codec: Codec, runtime: Connection, streams: Streams)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sink, source) = socket.split();
    let session = match Session::open(&runtime, streams).await {
        Ok(session) => session,
        Err(error) => {
            let status = codec.encode(Channel::Error, &internal_error(&error));
            let _ = sink.send(status).await;
            return reunite(sink, source).await;
        }
    };
    let (messages, waiting) = mpsc::channel(WAITING);
    // Tells the client that the session is there, as upstream does.
    let first = session.outputs.first().map_or(Channel::Error, |(channel, _)| *channel);
    let _ = messages.send(codec.encode(first, &[])).await;
    let outputs = outputs(session.outputs, session.error, codec, messages);
    let mut input = Input { codec, stdin: session.stdin, resize: session.resize };
    let mut source = source;
    let ended = {
        let sending = send(sink, waiting, outputs);
        tokio::pin!(sending);
        tokio::select! {
            sink = &mut sending => sink,
            () = input.receive(&mut source) => None,
        }
    };
    if let Some(sink) = ended {
        reunite(sink, source).await;
    }
    // Dropping the connection tells the runtime that the client is gone.
    drop(runtime);
}

async fn reunite<IO>(sink: SplitSink<WebSocketStream<IO>, Raw>, source: SplitStream<WebSocketStream<IO>>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if let Ok(socket) = sink.reunite(source) {
        websocket::close(socket).await;
    }
}

/// Sends what the process writes, then its Status. Gives the sink back to be closed; none when the client is gone.
async fn send<IO>(
    mut sink: SplitSink<WebSocketStream<IO>, Raw>,
    mut waiting: mpsc::Receiver<Raw>,
    outputs: impl Future<Output = Raw>,
) -> Option<SplitSink<WebSocketStream<IO>, Raw>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    tokio::pin!(outputs);
    let mut status = None;
    loop {
        tokio::select! {
            biased;
            message = waiting.recv() => match message {
                Some(message) => sink.send(message).await.ok()?,
                None => break,
            },
            last = &mut outputs, if status.is_none() => status = Some(last),
        }
    }
    // The outputs end before the Status comes: the runtime sends it last.
    let status = match status {
        Some(status) => status,
        None => outputs.await,
    };
    sink.send(status).await.ok()?;
    Some(sink)
}

/// Reads all outputs to their end, and then how it ended.
async fn outputs(outputs: Vec<(Channel, Reader)>, mut error: Reader, codec: Codec, messages: mpsc::Sender<Raw>) -> Raw {
    let copies = outputs.into_iter().map(|(channel, mut reader)| {
        let messages = messages.clone();
        async move {
            while let Ok(Some(data)) = reader.next().await {
                if messages.send(codec.encode(channel, &data)).await.is_err() {
                    return;
                }
            }
        }
    });
    futures::future::join_all(copies).await;
    drop(messages);
    let status = read_status(&mut error).await.unwrap_or_else(|lost| internal_error(&lost));
    codec.encode(Channel::Error, &in_version(codec.version, status))
}

/// The Status that the runtime sends last. Runtimes then reset the stream instead of ending it.
async fn read_status(error: &mut Reader) -> Result<Vec<u8>, SpdyError> {
    let mut status = Vec::new();
    loop {
        match error.next().await {
            Ok(Some(data)) => {
                let room = LARGEST_STATUS.saturating_sub(status.len()).min(data.len());
                status.extend_from_slice(&data[..room]);
            }
            Ok(None) => return Ok(status),
            Err(SpdyError::Reset(_)) if !status.is_empty() => return Ok(status),
            Err(lost) => return Err(lost),
        }
    }
}

/// Before version 4, the error channel carried the message alone, and nothing after a success.
fn in_version(version: u8, status: Vec<u8>) -> Vec<u8> {
    if version >= 4 {
        return status;
    }
    let Ok(parsed) = serde_json::from_slice::<serde_json::Value>(&status) else { return status };
    if parsed["status"] == "Success" {
        return Vec::new();
    }
    parsed["message"].as_str().unwrap_or("the command failed").as_bytes().to_vec()
}

/// A Status for the error channel.
fn internal_error(error: &SpdyError) -> Vec<u8> {
    let status = serde_json::json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("the stream to the container runtime failed: {error}"),
    });
    status.to_string().into_bytes()
}

// === impl Session ===

impl Session {
    /// Opens the streams in the order of upstream's clients: the server waits until it has all of them.
    async fn open(runtime: &Connection, streams: Streams) -> Result<Self, SpdyError> {
        let open = async |kind: &str| runtime.open(Headers::default().with("streamtype", kind)).await;
        let (error, errors) = open("error").await?.split();
        errors.finish().await?;
        let mut outputs = Vec::new();
        let stdin = if streams.stdin { Some(open("stdin").await?.split()) } else { None };
        for (wanted, kind, channel) in
            [(streams.stdout, "stdout", Channel::Stdout), (streams.stderr, "stderr", Channel::Stderr)]
        {
            if wanted {
                let (reader, writer) = open(kind).await?.split();
                writer.finish().await?;
                outputs.push((channel, reader));
            }
        }
        let resize = if streams.terminal { Some(open("resize").await?.split().1) } else { None };
        Ok(Self { error, stdin: stdin.map(|(_, writer)| writer), outputs, resize })
    }
}

/// What the client sends, on its way to the process.
struct Input {
    codec: Codec,
    stdin: Option<Writer>,
    resize: Option<Writer>,
}

// === impl Input ===

impl Input {
    /// Passes on what the client sends, until it closes the socket, breaks the protocol or is gone.
    async fn receive<IO>(&mut self, source: &mut SplitStream<WebSocketStream<IO>>)
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(Ok(raw)) = source.next().await {
            match self.codec.decode(raw) {
                Ok(Message::Data(channel, data)) => self.data(channel, data).await,
                Ok(Message::Close(channel)) => self.close(channel).await,
                Ok(Message::Control) => {}
                Ok(Message::End) => return,
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket client broke the subprotocol");
                    return;
                }
            }
        }
    }

    /// Bytes for a channel that the session does not have are dropped, as upstream does. A process that no longer reads
    /// its stdin is no reason to end: its output is still to come.
    async fn data(&mut self, channel: u8, data: Bytes) {
        let writer = match channel {
            0 => &mut self.stdin,
            4 => &mut self.resize,
            _ => return,
        };
        let Some(open) = writer else { return };
        if open.write(data).await.is_err() {
            *writer = None;
        }
    }

    async fn close(&mut self, channel: u8) {
        if channel == Channel::Stdin.number()
            && let Some(stdin) = self.stdin.take()
        {
            let _ = stdin.finish().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spdy::Incoming;

    /// A streaming server whose process answers what it reads in upper case, and then exits with 7.
    async fn runtime(mut incoming: Incoming, expected: usize) {
        let mut streams = std::collections::HashMap::new();
        while streams.len() < expected {
            let stream = incoming.next().await.unwrap();
            streams.insert(stream.headers.get("streamtype").unwrap().to_owned(), stream.split());
        }
        let (mut stdin, _) = streams.remove("stdin").unwrap();
        let (_, mut stdout) = streams.remove("stdout").unwrap();
        while let Some(data) = stdin.next().await.unwrap() {
            stdout.write(data.to_ascii_uppercase().into()).await.unwrap();
        }
        stdout.finish().await.unwrap();
        streams.remove("stderr").unwrap().1.finish().await.unwrap();
        // The Status comes in a packet of its own, after the client has seen the outputs end.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        for (kind, (_, mut writer)) in streams {
            if kind == "error" {
                let status =
                    &br#"{"metadata":{},"status":"Failure","message":"exit code 7","reason":"NonZeroExitCode"}"#[..];
                writer.write(Bytes::from_static(status)).await.unwrap();
                // As containerd does: dropped without an end, the stream is reset.
                continue;
            }
            writer.finish().await.unwrap();
        }
        // Until the kubelet has gone.
        while incoming.next().await.is_some() {}
    }

    async fn session(protocol: &str, messages: Vec<Raw>) -> Vec<Raw> {
        let codec = Codec::of(protocol);
        let (near, far) = tokio::io::duplex(1 << 16);
        let (_server, incoming) = Connection::spawn_server(far);
        let streams = Streams { stdin: true, stdout: true, stderr: true, terminal: false };
        tokio::spawn(runtime(incoming, 4));
        let (client, server) = tokio::io::duplex(1 << 16);
        let connection = Connection::spawn_client(near);
        tokio::spawn(async move { bridge(websocket::server(server).await, codec, connection, streams).await });
        let mut client = websocket::client(client).await;
        for message in messages {
            client.send(message).await.unwrap();
        }
        let mut received = Vec::new();
        while let Some(Ok(message)) = client.next().await {
            received.push(message);
        }
        received
    }

    #[tokio::test]
    async fn stdin_that_ends_lets_the_output_and_the_exit_code_come() {
        let messages = vec![Raw::binary(&b"\0hello"[..]), Raw::binary(&[255, 0][..])];
        let received = session("v5.channel.k8s.io", messages).await;
        let text = |message: &Raw| String::from_utf8_lossy(&message.clone().into_data()).into_owned();
        assert_eq!(received.iter().take(2).map(text).collect::<Vec<_>>(), ["\u{1}", "\u{1}HELLO"]);
        assert!(text(&received[2]).starts_with("\u{3}{"), "{received:?}");
        assert!(text(&received[2]).contains("NonZeroExitCode"), "{received:?}");
        assert!(matches!(&received[3], Raw::Close(Some(frame)) if u16::from(frame.code) == 1000), "{received:?}");
    }

    #[test]
    fn old_subprotocols_get_the_message_and_no_status() {
        let failed = br#"{"status":"Failure","message":"exit code 7"}"#.to_vec();
        assert_eq!(in_version(1, failed.clone()), b"exit code 7");
        assert_eq!(in_version(4, failed.clone()), failed);
        assert_eq!(in_version(1, br#"{"status":"Success"}"#.to_vec()), b"");
    }

    #[tokio::test]
    async fn a_runtime_that_is_gone_is_told_to_the_client() {
        let (near, far) = tokio::io::duplex(1 << 16);
        drop(far);
        let (client, server) = tokio::io::duplex(1 << 16);
        let connection = Connection::spawn_client(near);
        let streams = Streams { stdout: true, ..Streams::default() };
        let codec = Codec::of("v5.channel.k8s.io");
        tokio::spawn(async move { bridge(websocket::server(server).await, codec, connection, streams).await });
        let mut client = websocket::client(client).await;
        let status = client.next().await.unwrap().unwrap().into_data();
        assert_eq!(status[0], 3);
        assert!(String::from_utf8_lossy(&status).contains("the stream to the container runtime failed"));
    }
}
