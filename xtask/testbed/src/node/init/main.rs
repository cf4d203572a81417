//! PID 1 of a node: keeps the node's namespaces alive, reaps its orphans, and goes when its lifeline is cut.
//!
//! Standard input is the lifeline. When the run that made the node ends, by whatever cause, the kernel closes the
//! other end of that pipe, this process exits, and with PID 1 the kernel ends every process of the node. A node that
//! shall outlive its maker is started with the argument `stay` instead.
//!
//! The file is compiled by itself (see build.rs): it uses nothing but the standard library.

#![expect(unsafe_code, reason = "the standard library has no door to signal(2)")]

use std::io::{ErrorKind, Read as _};

const SIGCHLD: i32 = 17;
const SIG_IGN: usize = 1;

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

fn main() {
    reap_orphans();
    if std::env::args().nth(1).as_deref() == Some("stay") {
        loop {
            std::thread::park();
        }
    }
    wait_for_end_of_input();
}

/// Has the kernel reap every child and every orphan handed to PID 1: POSIX says so of a parent that ignores SIGCHLD.
fn reap_orphans() {
    // SAFETY: SIG_IGN installs no handler, so no code of ours runs in signal context.
    unsafe {
        signal(SIGCHLD, SIG_IGN);
    }
}

fn wait_for_end_of_input() {
    let mut byte = [0];
    loop {
        match std::io::stdin().read(&mut byte) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
