//! The conversation itself: a request, and its answers up to the one that ends them.

use std::io;

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A netlink conversation with the network namespace of the thread that opened it. It may be used from others.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// The kernel did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot {request}: {source}")]
pub struct NetlinkError {
    /// What was asked for, as the end of a sentence.
    pub request: String,
    /// The kernel's answer.
    #[source]
    pub source: io::Error,
}

// === impl Netlink ===

impl Netlink {
    /// Opens a conversation.
    ///
    /// # Errors
    /// When the system has no file descriptor left.
    pub fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Text beside an error number, and filters of a dump that the kernel heeds. Both since 4.20; without them
            // all still works.
            let _ = socket.set_ext_ack(true);
            let _ = socket.set_netlink_get_strict_chk(true);
            Ok(Self { socket, sequence: 0 })
        };
        open().map_err(|source| NetlinkError { request: "open a netlink socket".to_owned(), source })
    }

    /// Asks for one thing to be done.
    pub(super) fn request(
        &mut self,
        what: impl FnOnce() -> String,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        let answers = self.converse(message, NLM_F_REQUEST | NLM_F_ACK | flags);
        answers.map(drop).map_err(|source| NetlinkError { request: what(), source })
    }

    /// Asks for one object.
    pub(super) fn get(
        &mut self,
        what: impl FnOnce() -> String,
        message: RouteNetlinkMessage,
    ) -> Result<Option<RouteNetlinkMessage>, NetlinkError> {
        match self.converse(message, NLM_F_REQUEST | NLM_F_ACK) {
            Ok(answers) => Ok(answers.into_iter().next()),
            Err(source) => {
                let error = NetlinkError { request: what(), source };
                if error.is_absence() { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Asks for all objects of a kind. A dump that others disturbed is begun again.
    pub(super) fn dump(
        &mut self,
        what: impl Fn() -> String,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        loop {
            match self.converse(message.clone(), NLM_F_REQUEST | NLM_F_DUMP) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answers => return answers.map_err(|source| NetlinkError { request: what(), source }),
            }
        }
    }

    fn converse(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        let mut disturbed = false;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if self.take(&datagram, &mut answers, &mut disturbed)? {
                return if disturbed { Err(io::ErrorKind::Interrupted.into()) } else { Ok(answers) };
            }
        }
    }

    /// Reads one datagram; says whether it ends the conversation.
    fn take(&self, datagram: &[u8], answers: &mut Vec<RouteNetlinkMessage>, disturbed: &mut bool) -> io::Result<bool> {
        for message in messages(datagram) {
            let message = message?;
            if message.header.sequence_number != self.sequence {
                continue;
            }
            // NLM_F_DUMP_INTR: something changed while the kernel was listing.
            *disturbed |= message.header.flags & 0x10 != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                NetlinkPayload::Error(error) => {
                    return if error.code.is_none() { Ok(true) } else { Err(error.to_io()) };
                }
                NetlinkPayload::Done(_) => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }
}

/// The messages of one datagram.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = io::Result<NetlinkMessage<RouteNetlinkMessage>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest);
        let length = match &message {
            // Messages begin at multiples of four bytes.
            Ok(message) => usize::try_from(message.header.length).map_or(0, |length| length.next_multiple_of(4)),
            Err(_) => 0,
        };
        rest = if length == 0 { &[] } else { rest.get(length..).unwrap_or_default() };
        Some(message.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string())))
    })
}

// === impl NetlinkError ===

impl NetlinkError {
    /// Whether the object of the request is not there.
    pub fn is_absence(&self) -> bool {
        let absent = [libc::ENODEV, libc::ENOENT, libc::ESRCH, libc::ENXIO, libc::EADDRNOTAVAIL];
        self.source.raw_os_error().is_some_and(|number| absent.contains(&number))
    }

    /// Whether the object of the request is there already.
    pub fn is_presence(&self) -> bool {
        self.source.raw_os_error() == Some(libc::EEXIST)
    }
}

/// Takes "it is not there" for success: for removals.
pub(super) fn or_absent(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(error) if error.is_absence() => Ok(()),
        other => other,
    }
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").finish_non_exhaustive()
    }
}
