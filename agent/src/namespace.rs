//! Work in another network namespace.

use std::io;
use std::os::fd::BorrowedFd;
use std::panic::resume_unwind;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `work` on a thread that has entered the namespace, and waits for it. Sockets that `work` opens stay in the
/// namespace and may be used outside. A panic of `work` goes on in the caller.
///
/// # Errors
/// When the file is no network namespace, or `CAP_SYS_ADMIN` is missing.
pub fn run_in<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let enter_and_work = || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        let spawned = thread::Builder::new().name("pod-network".to_owned()).spawn_scoped(scope, enter_and_work)?;
        spawned.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
