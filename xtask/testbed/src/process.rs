//! Programs started in a host: with its namespaces, in its cgroup.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::ThreadNameSpaceType;

use crate::cgroup::{Cgroup, CgroupError};
use crate::namespace::{NetworkNamespace, enter_network, on_own_thread};
use crate::node::{BootError, Init, join};

/// Where programs of a system are.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run in a host. Like [`std::process::Command`], whose words it uses.
///
/// In a node or pod the program is looked up in the node's file system, and begins in `/`.
#[must_use = "a command does nothing before `spawn`, `output` or `status`"]
pub struct HostCommand {
    entrance: Entrance,
    command: Command,
    inherited: Vec<OwnedFd>,
}

/// A running program in a host. Dropping it kills the program; [`Process::detach`] lets it run on.
#[derive(Debug)]
pub struct Process {
    /// The program's standard input, if it was asked to be piped.
    pub stdin: Option<ChildStdin>,
    /// The program's standard output, if it was asked to be piped.
    pub stdout: Option<ChildStdout>,
    /// The program's standard error, if it was asked to be piped.
    pub stderr: Option<ChildStderr>,
    id: u32,
    descriptor: OwnedFd,
    /// Waits from the start: an unreaped process would keep its node's PID namespace from ending.
    waiter: Option<JoinHandle<io::Result<ExitStatus>>>,
}

/// Why a program does not run in a host.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The node it should run in is down.
    #[error(transparent)]
    Node(#[from] BootError),
    /// Its cgroup cannot be joined.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its cgroup is frozen: a program started there would never begin.
    #[error("{host} is frozen: thaw it before starting {program}")]
    Frozen {
        /// Name of the host.
        host: String,
        /// What was to be started.
        program: String,
    },
    /// A namespace could not be entered, or the program not be started.
    #[error("cannot {action} {program} in {host}: {source}")]
    Start {
        /// `start` or `wait for`.
        action: &'static str,
        /// Name of the host.
        host: String,
        /// What was to be started.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// All that a process joins to be in a host.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    pub(crate) host: String,
    pub(crate) network: Arc<NetworkNamespace>,
    /// PID 1 of the node, for the namespaces other than the network's; a plain namespace host has none.
    pub(crate) init: Option<Arc<Init>>,
    pub(crate) cgroup: Cgroup,
}

// === impl HostCommand ===

impl HostCommand {
    pub(crate) fn new(entrance: Entrance, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        if entrance.init.is_some() {
            command.current_dir("/");
        }
        Self { entrance, command, inherited: Vec::new() }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds several arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Takes away all of this process's environment, but for a search path for programs.
    pub fn clean_env(mut self) -> Self {
        self.command.env_clear().env("PATH", SEARCH_PATH);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the folder that the program begins in, as seen in the host.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Hands the program an open file or socket, under the number that it has here.
    ///
    /// So a program can listen where its host is not: on an address of the machine, say.
    pub fn inherit(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.inherited.push(descriptor.into());
        self
    }

    /// Sets standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Sets standard output.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Sets standard error.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// Starts the program.
    pub fn spawn(mut self) -> Result<Process, CommandError> {
        let mut child = self.enter_and("start", Command::spawn)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let id = child.id();
        let opened = open_process(id).map_err(|source| self.failed("start", source));
        let waiter = Some(thread::spawn(move || child.wait()));
        Ok(Process { stdin, stdout, stderr, id, descriptor: opened?, waiter })
    }

    /// Runs the program to its end and collects what it writes.
    pub fn output(mut self) -> Result<Output, CommandError> {
        self.enter_and("wait for", Command::output)
    }

    /// Runs the program to its end.
    pub fn status(mut self) -> Result<ExitStatus, CommandError> {
        self.enter_and("wait for", Command::status)
    }

    fn enter_and<T: Send>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&mut Command) -> io::Result<T> + Send,
    ) -> Result<T, CommandError> {
        let (host, program) = (self.entrance.host.clone(), self.shown());
        if self.entrance.cgroup.is_frozen() {
            return Err(CommandError::Frozen { host, program });
        }
        // Opened before the mount namespace is entered, where the cgroups have other paths.
        let members = self.entrance.cgroup.open_members()?;
        let inherited = std::mem::take(&mut self.inherited);
        #[expect(unsafe_code, reason = "a process joins a cgroup only by itself")]
        // SAFETY: the closure makes system calls and neither allocates nor locks.
        unsafe {
            self.command.pre_exec(move || {
                join(&members)?;
                inherited.iter().try_for_each(|descriptor| Ok(fcntl_setfd(descriptor, FdFlags::empty())?))
            });
        }
        let (entrance, command) = (&self.entrance, &mut self.command);
        let done = on_own_thread(&host, || entrance.enter().and_then(|()| work(command)));
        done.map_err(|source| CommandError::Start { action, host, program, source })
    }

    fn failed(&self, action: &'static str, source: io::Error) -> CommandError {
        CommandError::Start { action, host: self.entrance.host.clone(), program: self.shown(), source }
    }

    fn shown(&self) -> String {
        self.command.get_program().to_string_lossy().into_owned()
    }
}

impl fmt::Debug for HostCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} in {}", self.command, self.entrance.host)
    }
}

// === impl Process ===

impl Process {
    /// Process id as the machine sees it, outside the node's PID namespace.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal. A program that has ended is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        send_signal(&self.descriptor, signal)
    }

    /// Whether the program has not ended.
    pub fn is_running(&self) -> bool {
        self.waiter.as_ref().is_some_and(|waiter| !waiter.is_finished())
    }

    /// Waits for the program's end.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        self.stdin = None;
        self.join_waiter()
    }

    /// Kills the program and waits for its end.
    pub fn kill(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.join_waiter()
    }

    /// Lets the program run on, and gives its process id. It ends with its host, at the latest.
    pub fn detach(mut self) -> u32 {
        self.waiter = None;
        self.id
    }

    fn join_waiter(&mut self) -> io::Result<ExitStatus> {
        let joined = self.waiter.take().map(JoinHandle::join);
        match joined {
            Some(Ok(status)) => status,
            Some(Err(_)) | None => Err(io::Error::other("the program's end was already waited for")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.waiter.is_some() && self.signal(Signal::KILL).is_ok() {
            // Its exit status is nobody's concern.
            let _ = self.join_waiter();
        }
    }
}

// === impl Entrance ===

impl Entrance {
    /// Moves the calling thread into the host. It must be one that ends with the work.
    fn enter(&self) -> io::Result<()> {
        if let Some(init) = &self.init {
            let all = ThreadNameSpaceType::MOUNT
                | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
                | ThreadNameSpaceType::PROCESS_ID
                | ThreadNameSpaceType::CONTROL_GROUP;
            init.enter(all)?;
        }
        enter_network(self.network.as_fd())
    }
}

/// Waits for a child on a thread of its own, so that it never stays a zombie.
pub(crate) fn reap_in_background(mut child: Child) {
    thread::spawn(move || child.wait());
}

/// Waits for the end of a process, whoever started it. False when it has not come in time.
///
/// A process's descriptor becomes readable when the process ends (pidfd_open(2)).
pub(crate) fn wait_for_end(process: &OwnedFd, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match rustix::event::poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// Sends a signal to a process. One that has ended is no error.
pub(crate) fn send_signal(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(process, signal) {
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A descriptor that goes on meaning the process when its id is used again.
pub(crate) fn open_process(id: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}
