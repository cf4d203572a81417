//! PID 1 of a node: keeps the node's namespaces alive, reaps its orphans, and goes when its lifeline is cut.
//!
//! Standard input is the lifeline. When the run that made the node ends, by whatever cause, the kernel closes the
//! other end of that pipe, this process exits, and with PID 1 the kernel ends every process of the node. A node that
//! shall outlive its maker is started with the argument `stay` instead.
//!
//! With the arguments `start PROGRAM ...` it is not PID 1 but starts a daemon: it writes the daemon's process id and
//! ends, so that the kernel hands the daemon to PID 1. What it cannot start it names instead.
//!
//! The file is compiled by itself (see build.rs): it uses nothing but the standard library.

#![expect(unsafe_code, reason = "the standard library has no door to signal(2)")]

use std::env::ArgsOs;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

const SIGCHLD: i32 = 17;
const SIG_IGN: usize = 1;

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

fn main() {
    let mut arguments = std::env::args_os();
    match arguments.nth(1).as_ref().and_then(|argument| argument.to_str()) {
        Some("start") => start(arguments),
        Some("stay") => {
            reap_orphans();
            loop {
                std::thread::park();
            }
        }
        _ => {
            reap_orphans();
            wait_for_end_of_input();
        }
    }
}

/// Starts a program in a process group of its own, out of reach of a terminal's Ctrl-C. Standard error is its log.
fn start(mut arguments: ArgsOs) {
    let program = arguments.next().unwrap_or_default();
    let start = || -> io::Result<u32> {
        let log = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::null()).stdout(log()?).stderr(log()?).process_group(0);
        Ok(command.spawn()?.id())
    };
    match start() {
        Ok(process) => println!("{process}"),
        Err(error) => println!("{error}"),
    }
}

/// Has the kernel reap every child and every orphan handed to PID 1: POSIX says so of a parent that ignores SIGCHLD.
fn reap_orphans() {
    // SAFETY: SIG_IGN installs no handler, so no code of ours runs in signal context.
    unsafe {
        signal(SIGCHLD, SIG_IGN);
    }
}

/// Reads the lifeline until its other end is closed.
fn wait_for_end_of_input() {
    let mut byte = [0];
    loop {
        match io::stdin().read(&mut byte) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
