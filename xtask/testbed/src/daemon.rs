//! Long-running programs of a node: started under its PID 1, with a log, found again by name.
//!
//! A daemon belongs to the node, not to the process that starts it: it goes on when that ends, and ends with the node.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::cgroup::{Cgroup, CgroupError};
use crate::identity::ProcessIdentity;
use crate::node::{BootError, Node};
use crate::process::{CommandError, HostCommand, Process, open_process, send_signal, wait_for_end};

/// How long a killed daemon gets to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon to start.
#[derive(Debug)]
#[must_use = "nothing runs before `start`"]
pub struct DaemonCommand {
    name: String,
    files: DaemonFiles,
    cgroup: Cgroup,
    command: HostCommand,
}

/// A daemon that was started; it may have ended since. Dropping it does nothing to the daemon.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    identity: ProcessIdentity,
    descriptor: OwnedFd,
    log: PathBuf,
}

/// How a daemon came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ended when it was asked to.
    ByItself,
    /// It did not, and was killed.
    Killed,
}

/// Why a daemon does not run, or runs on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its node is down.
    #[error(transparent)]
    Node(#[from] BootError),
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The program that starts it.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It runs already.
    #[error("{name} runs already, as process {process}")]
    Running {
        /// The daemon.
        name: String,
        /// Its process id, as the machine sees it.
        process: u32,
    },
    /// Its log could not be opened.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It was not started.
    #[error("cannot start {name}: {reason}; its log is {log}", log = log.display())]
    Start {
        /// The daemon.
        name: String,
        /// Why.
        reason: String,
        /// Where it writes.
        log: PathBuf,
    },
    /// It could not be stopped.
    #[error("cannot stop {name}: {source}")]
    Stop {
        /// The daemon.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Where the machine keeps what it knows of a daemon, below the node's data folder.
#[derive(Clone, Debug)]
struct DaemonFiles {
    log: PathBuf,
    identity: PathBuf,
}

// === impl Node ===

impl Node {
    /// A daemon to run in this node. `name` names its log and its cgroup; one daemon of a name runs at a time.
    ///
    /// It gets none of this process's environment: a cluster shall not depend on the shell that it was started from.
    ///
    /// # Errors
    /// When the node is down.
    pub fn daemon(&self, name: &str, program: impl AsRef<OsStr>) -> Result<DaemonCommand, DaemonError> {
        let cgroup = self.daemon_cgroup().child(name);
        let files = DaemonFiles::of(&self.data(), name);
        let command = self.starter(cgroup.clone())?.arg(program);
        Ok(DaemonCommand { name: name.to_owned(), files, cgroup, command })
    }

    /// The daemon with this name, if it runs; also when another process started it.
    pub fn find_daemon(&self, name: &str) -> Option<Daemon> {
        let files = DaemonFiles::of(&self.data(), name);
        let identity: ProcessIdentity = fs::read_to_string(&files.identity).ok()?.trim().parse().ok()?;
        let daemon = Daemon::open(name, identity, files.log).ok()?;
        // Asked after it was opened: the descriptor then means that very process.
        identity.is_alive().then_some(daemon)
    }
}

// === impl DaemonCommand ===

impl DaemonCommand {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command = self.command.arg(argument);
        self
    }

    /// Adds several arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command = self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command = self.command.env(name, value);
        self
    }

    /// Hands the daemon an open file or socket, under the number that it has here.
    pub fn inherit(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.command = self.command.inherit(descriptor);
        self
    }

    /// Starts the daemon. What it writes is appended to its log.
    pub fn start(self) -> Result<Daemon, DaemonError> {
        let Self { name, files, cgroup, command } = self;
        if let Some(running) = files.running() {
            return Err(DaemonError::Running { name, process: running.id() });
        }
        cgroup.create()?;
        let log = files.open_log().map_err(|source| DaemonError::File { path: files.log.clone(), source })?;
        let mut starter = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let started = lead(&mut starter, &cgroup, |identity| {
            fs::write(&files.identity, identity.to_string())?;
            Daemon::open(&name, identity, files.log.clone())
        });
        started.map_err(|reason| DaemonError::Start { name, reason, log: files.log })
    }
}

// === impl Daemon ===

impl Daemon {
    fn open(name: &str, identity: ProcessIdentity, log: PathBuf) -> io::Result<Self> {
        Ok(Self { name: name.to_owned(), identity, descriptor: open_process(identity.id())?, log })
    }

    /// Its name in its node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id as the machine sees it.
    pub fn process(&self) -> u32 {
        self.identity.id()
    }

    /// What it has written, as a file of the machine.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        !wait_for_end(&self.descriptor, Duration::ZERO).unwrap_or(true)
    }

    /// Sends it a signal, and to nothing that it has started. A daemon that has ended is no error.
    pub fn signal(&self, signal: Signal) -> Result<(), DaemonError> {
        send_signal(&self.descriptor, signal).map_err(|source| self.cannot_stop(source))
    }

    /// Asks it to end, kills it when it does not within `patience`, and waits. What it has started runs on.
    pub fn stop(&self, patience: Duration) -> Result<Stopped, DaemonError> {
        self.signal(Signal::TERM)?;
        if wait_for_end(&self.descriptor, patience).map_err(|source| self.cannot_stop(source))? {
            return Ok(Stopped::ByItself);
        }
        self.kill()?;
        Ok(Stopped::Killed)
    }

    /// Kills it and waits for its end. What it has started runs on.
    pub fn kill(&self) -> Result<(), DaemonError> {
        self.signal(Signal::KILL)?;
        match wait_for_end(&self.descriptor, PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.cannot_stop(io::ErrorKind::TimedOut.into())),
            Err(source) => Err(self.cannot_stop(source)),
        }
    }

    /// The end of its log, for messages about it.
    pub fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn cannot_stop(&self, source: io::Error) -> DaemonError {
        DaemonError::Stop { name: self.name.clone(), source }
    }
}

// === impl DaemonFiles ===

impl DaemonFiles {
    fn of(data: &Path, name: &str) -> Self {
        let folder = data.join("daemons");
        Self { log: folder.join(format!("{name}.log")), identity: folder.join(format!("{name}.process")) }
    }

    fn running(&self) -> Option<ProcessIdentity> {
        let identity: ProcessIdentity = fs::read_to_string(&self.identity).ok()?.trim().parse().ok()?;
        identity.is_alive().then_some(identity)
    }

    fn open_log(&self) -> io::Result<File> {
        if let Some(folder) = self.log.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options().create(true).append(true).open(&self.log)
    }
}

/// Leads a daemon through its start, which node/init/main.rs describes: hears its process id, has `meet` make its
/// acquaintance while it waits, lets it become its program, and hears whether it could.
fn lead(
    starter: &mut Process,
    cgroup: &Cgroup,
    meet: impl FnOnce(ProcessIdentity) -> io::Result<Daemon>,
) -> Result<Daemon, String> {
    let text = |error: io::Error| error.to_string();
    let mut reports = BufReader::new(starter.stdout.take().ok_or("its starter has no output")?);
    let mut report = String::new();
    reports.read_line(&mut report).map_err(text)?;
    let inside = report.trim().parse().map_err(|_| report.trim().to_owned())?;
    let mut members = cgroup.processes().into_iter();
    let waiting = members.find(|process| id_in_own_namespace(*process) == Some(inside));
    let identity = waiting.and_then(ProcessIdentity::of).ok_or("it was killed before it began")?;
    let daemon = meet(identity).map_err(text)?;
    drop(starter.stdin.take());
    let mut failure = String::new();
    reports.read_to_string(&mut failure).map_err(text)?;
    if failure.is_empty() { Ok(daemon) } else { Err(failure.trim().to_owned()) }
}

/// A process's id in its own PID namespace (the last field of `NSpid`, proc_pid_status(5)).
fn id_in_own_namespace(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_whitespace().next_back()?.parse().ok()
}
