//! What went wrong with a cluster: at which step, why, and where its log is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use testbed::containerd::ContainerdError;
use testbed::{BootError, CommandError, DaemonError, NodeError, TopologyError};

/// A step that failed.
#[derive(Debug)]
pub struct StepError {
    step: String,
    cause: Box<Cause>,
    /// What the program behind it wrote.
    log: Option<PathBuf>,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The test hosts.
    #[error(transparent)]
    Topology(Box<TopologyError>),
    /// One of them.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// One of them is down.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A program that should run in one.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A command in one.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The container runtime.
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    /// A file of the cluster.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket on the machine's own loopback address.
    #[error("cannot listen on 127.0.0.1:{port}: {source}: choose another port, or end what has it")]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A path that nodes do not see.
    #[error("{path} is hidden in nodes, which have a {hidden} of their own: build and run in another folder")]
    Hidden {
        /// The program or folder.
        path: PathBuf,
        /// The folder that nodes have for themselves.
        hidden: &'static str,
    },
    /// A program that was asked to do something said no.
    #[error("`{command}` failed: {message}")]
    Program {
        /// The command line.
        command: String,
        /// What it wrote.
        message: String,
    },
    /// Something did not become so in time.
    #[error("{what} within {seconds} seconds{detail}")]
    TimedOut {
        /// What did not happen.
        what: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// The last that was seen.
        detail: String,
    },
    /// A program ended that should go on.
    #[error("{program} ended; its log ends:\n{last_words}")]
    Ended {
        /// Which.
        program: String,
        /// The end of its log.
        last_words: String,
    },
    /// A cluster whose making was cut short.
    #[error("the cluster {name} was never finished: `cargo xtask down --name {name}` removes what there is of it")]
    Unfinished {
        /// Its name.
        name: String,
    },
    /// A cluster that keeps its data elsewhere.
    #[error(
        "the cluster {name} that runs is not of this folder: take another name, or `cargo xtask down --name {name}` ends it"
    )]
    Elsewhere {
        /// Its name.
        name: String,
    },
    /// A cluster of that name exists and is another.
    #[error("the cluster {name} that runs has {running} nodes, not {wanted}: `cargo xtask down --name {name}` ends it")]
    OtherSize {
        /// Its name.
        name: String,
        /// How many nodes it has.
        running: usize,
        /// How many were asked for.
        wanted: usize,
    },
}

// === impl StepError ===

impl StepError {
    pub(crate) fn new(step: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self { step: step.into(), cause: Box::new(cause.into()), log: None }
    }

    pub(crate) fn with_log(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }

    /// The step, as words that go on after "cannot".
    pub fn step(&self) -> &str {
        &self.step
    }

    /// What the program behind the step wrote.
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {}: {}", self.step, self.cause)?;
        match &self.log {
            Some(log) => write!(formatter, "\nits log is {}", log.display()),
            None => Ok(()),
        }
    }
}

// Its words hold those of its cause, so it names no source.
impl std::error::Error for StepError {}

// === impl Cause ===

impl From<TopologyError> for Cause {
    fn from(error: TopologyError) -> Self {
        Self::Topology(Box::new(error))
    }
}

/// Puts the step's name on a failure.
pub(crate) trait Step<T> {
    /// `step` goes on after "cannot".
    fn step(self, step: &str) -> Result<T, StepError>;
}

impl<T, E: Into<Cause>> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::new(step, error))
    }
}

/// Reads or writes a file; a failure names it.
pub(crate) fn with_file<T>(path: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, Cause> {
    work(path).map_err(|source| Cause::File { path: path.to_owned(), source })
}
