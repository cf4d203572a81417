//! A network namespace with a pair of veth links, for as long as something is tried on them.
#![expect(unsafe_code, reason = "leaving a namespace is a call about the whole thread")]

use std::io;
use std::thread;

use rtnetlink::LinkVeth;
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// The links' names; they are alone in their namespace.
const LINK: &str = "probe0";
const PEER: &str = "probe1";

/// A link to try things on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Its name in the namespace of the calling thread.
    pub(super) name: &'static str,
    /// Its index there.
    pub(super) index: u32,
}

/// Runs `try_it` in a thread whose network namespace has a pair of veth links. The namespace, the links, and what was
/// attached to them go with the thread.
pub(super) fn with_veth<T: Send>(try_it: impl FnOnce(Link) -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| make_veth().map(try_it));
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the probing thread panicked")))
    })
}

fn make_veth() -> io::Result<Link> {
    // SAFETY: only the network namespace is left, not the table of descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let made = handle.link().add(LinkVeth::new(LINK, PEER).build()).execute().await;
        connection.abort();
        made.map_err(io::Error::other)
    })?;
    let any_socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(Link { name: LINK, index: netdevice::name_to_index(any_socket, LINK)? })
}
