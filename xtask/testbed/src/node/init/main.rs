//! PID 1 of a node: keeps the node's namespaces alive, reaps its orphans, and goes when its lifeline is cut.
//!
//! Standard input is the lifeline. When the run that made the node ends, by whatever cause, the kernel closes the
//! other end of that pipe, this process exits, and with PID 1 the kernel ends every process of the node. A node that
//! shall outlive its maker is started with the argument `stay` instead.
//!
//! With the arguments `start PROGRAM ...` it is not PID 1 but starts a daemon in two steps. First it leaves a child
//! behind, which the kernel hands to PID 1. That child (`become PROGRAM ...`) writes its process id to standard output,
//! waits for the end of its standard input, by which time its starter knows it, and becomes the program. Standard error
//! is the daemon's log. What goes wrong is written to standard output as well; when nothing does, that just ends.
//!
//! The file is compiled by itself (see build.rs): it uses nothing but the standard library.

#![expect(unsafe_code, reason = "the standard library has no door to signal(2)")]

use std::env::ArgsOs;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::iter::Skip;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

type Arguments = Skip<ArgsOs>;

const SIGCHLD: i32 = 17;
const SIG_IGN: usize = 1;

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|argument| argument.to_str()) {
        Some("start") => report(leave_child(arguments)),
        Some("become") => report(become_program(arguments)),
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

/// Starts this program once more, in a process group of its own, out of reach of a terminal's Ctrl-C.
fn leave_child(arguments: Arguments) -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("become").args(arguments).process_group(0).spawn().map(drop)
}

/// Replaces this process by a program; returns only when that fails.
fn become_program(mut arguments: Arguments) -> io::Result<()> {
    let program = arguments.next().unwrap_or_default();
    println!("{}", std::process::id());
    wait_for_end_of_input();
    let log = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    // A copy of standard output that the program does not inherit: it is closed when the program begins.
    let report = io::stdout().as_fd().try_clone_to_owned()?;
    let error = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(log()?).stderr(log()?).exec();
    writeln!(File::from(report), "{error}")
}

fn report(done: io::Result<()>) {
    if let Err(error) = done {
        println!("{error}");
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
