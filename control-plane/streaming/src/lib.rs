//! The streams of `exec`, `attach` and `port-forward`, on their way from a client to a container runtime.
//!
//! ```text
//! client ──HTTP upgrade──▶ API server ──the same bytes──▶ kubelet ──▶ the runtime's streaming server
//!                          forward                        forward, or one of:
//!                                                         tunnel          SPDY/3.1 inside a WebSocket, unwrapped
//!                                                         remote_command  WebSocket channels, translated to SPDY/3.1
//! ```
//!
//! - [`forward`]: an HTTP request to another server, and the bytes of both directions once it has been upgraded.
//! - [`spdy`]: SPDY/3.1 as Kubernetes speaks it.
//! - [`websocket`]: the handshake, and the channels that Kubernetes multiplexes over one WebSocket.
//! - [`remote_command`]: `exec` and `attach` of a WebSocket client, over SPDY streams.
//! - [`tunnel`]: port-forward of kubectl 1.31 and later.

pub mod forward;
pub mod remote_command;
pub mod spdy;
pub mod tunnel;
pub mod websocket;
