//! Holds a pod's namespaces: waits to be told to end, and reaps what a shared process namespace leaves to PID 1.

#![expect(unsafe_code, reason = "the standard library has no door to signal(2)")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let end = end as extern "C" fn(libc::c_int) as *const () as libc::sighandler_t;
    // A parent that ignores SIGCHLD has its children reaped by the kernel.
    for (signal, handler) in [(libc::SIGTERM, end), (libc::SIGINT, end), (libc::SIGCHLD, libc::SIG_IGN)] {
        // SAFETY: the one handler does nothing but _exit(2), which is safe in signal context.
        if unsafe { libc::signal(signal, handler) } == libc::SIG_ERR {
            eprintln!("pause: cannot set the handler of signal {signal}: {}", std::io::Error::last_os_error());
            return ExitCode::FAILURE;
        }
    }
    loop {
        std::thread::park();
    }
}

extern "C" fn end(_signal: libc::c_int) {
    // SAFETY: _exit(2) is async-signal-safe.
    unsafe { libc::_exit(0) }
}
