//! Starting a node: namespaces, mounts and PID 1 in one go.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

use super::mounts::{self, MountError};
use crate::cgroup::{Cgroup, CgroupError, Hierarchies};
use crate::namespace::{NamespaceError, NetworkNamespace, enter_network, on_own_thread, unshare};
use crate::process::{open_process, reap_in_background, send_signal, wait_for_end};

/// The program of PID 1, compiled by build.rs.
const NODE_INIT: &[u8] = include_bytes!(env!("NODE_INIT"));

/// How long a killed PID 1 gets to take its node's processes along.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a node is started from.
#[derive(Debug)]
pub(crate) struct Blueprint {
    /// Host name.
    pub(crate) name: String,
    /// Folder for what the node writes; survives the node's death.
    pub(crate) data: PathBuf,
    pub(crate) hierarchies: Hierarchies,
    /// The root of the node's cgroup namespace.
    pub(crate) cgroup: Cgroup,
    /// Whether the node ends with this process.
    pub(crate) ends_with_us: bool,
}

/// PID 1 of a running node. Holds all its namespaces alive.
#[derive(Debug)]
pub(crate) struct Init {
    descriptor: OwnedFd,
    process: u32,
    /// PID 1 ends when this is closed, at the latest by the kernel at the end of this process.
    _lifeline: Option<ChildStdin>,
}

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Its network namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its mount table.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Its other namespaces, or PID 1.
    #[error("cannot {action}: {source}")]
    Start {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It has no PID 1.
    #[error("no process is PID 1 of {name}: the node was killed, or never started")]
    Down {
        /// Name of the node.
        name: String,
    },
}

// === impl Blueprint ===

impl Blueprint {
    /// Starts the node in the given network namespace.
    ///
    /// The thread that does it takes on the node's namespaces itself, one after another; when a step fails, what was
    /// made goes with the thread.
    pub(crate) fn boot(&self, network: &NetworkNamespace) -> Result<Init, BootError> {
        self.init_cgroup().create()?;
        self.daemon_cgroup().create()?;
        // Opened here: in the node's mount namespace the cgroups have other paths, and for a while there is no /proc.
        let program = program_in_memory()?;
        let (node, own) = (self.cgroup.open_members()?, self.init_cgroup().open_members()?);
        let mut command = self.init_command(program, node, own);
        let mut started = None;
        let booted = on_own_thread(&self.name, || self.boot_on_this_thread(network, &mut command, &mut started));
        if let Some(mut child) = started {
            if booted.is_err() {
                // It may be gone already, and is killed only so that nothing of a half-made node stays.
                let _ = child.kill();
            }
            // Not on the thread above: one whose children are of another PID namespace can start no thread.
            reap_in_background(child);
        }
        // Not earlier: PID 1 comes through the node's own cgroup.
        self.cgroup.pass_on_controllers();
        booted
    }

    fn boot_on_this_thread(
        &self,
        network: &NetworkNamespace,
        init: &mut Command,
        started: &mut Option<Child>,
    ) -> Result<Init, BootError> {
        let namespaces = UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWPID;
        step("enter the network namespace", enter_network(network.as_fd()))?;
        step("make mount, UTS and PID namespaces", unshare(namespaces))?;
        step("set the host name", rustix::system::sethostname(self.name.as_bytes()).map_err(io::Error::from))?;
        mounts::hide_machine(&self.data)?;
        mounts::write_identity(&self.name)?;
        let child = started.insert(step("start PID 1", spawn_when_not_busy(init))?);
        let init = step("open PID 1", Init::open(child.id(), child.stdin.take()))?;
        step("enter the cgroup namespace", init.enter(ThreadNameSpaceType::CONTROL_GROUP))?;
        mounts::mount_cgroups(&self.hierarchies)?;
        Ok(init)
    }

    /// Finds PID 1 of a node that another process started.
    pub(crate) fn find(&self) -> Result<Init, BootError> {
        let members = self.init_cgroup().processes();
        let found = members.first().and_then(|process| Init::open(*process, None).ok());
        found.ok_or_else(|| BootError::Down { name: self.name.clone() })
    }

    /// Where programs started in the node by name live, below the node's cgroup so that limits of pods beside them
    /// can be set (cgroup v2: no processes in inner nodes).
    pub(crate) fn daemon_cgroup(&self) -> Cgroup {
        self.cgroup.child("system")
    }

    /// PID 1 is alone in a cgroup of its own: so it is found again, also by another process.
    fn init_cgroup(&self) -> Cgroup {
        self.cgroup.child("init")
    }

    /// The command that becomes PID 1, given the members files of the node's cgroup and of its own.
    fn init_command(&self, program: String, node: Vec<File>, own: Vec<File>) -> Command {
        let mut command = Command::new(program);
        command.arg0(format!("init of {}", self.name)).stdout(Stdio::null()).stderr(Stdio::null());
        if self.ends_with_us {
            command.stdin(Stdio::piped());
        } else {
            command.arg("stay").stdin(Stdio::null());
        }
        // A cgroup namespace has its maker's cgroup as root: the node's, before PID 1 moves on to its own below.
        let before_exec = move || {
            join(&node)?;
            unshare(UnshareFlags::NEWCGROUP)?;
            join(&own)?;
            mounts::mount_proc()?;
            Ok(rustix::process::setsid().map(|_| ())?)
        };
        #[expect(unsafe_code, reason = "a process joins a cgroup and makes a cgroup namespace only by itself")]
        // SAFETY: the closure makes system calls and neither allocates nor locks.
        unsafe {
            command.pre_exec(before_exec);
        }
        command
    }
}

// === impl Init ===

impl Init {
    fn open(process: u32, lifeline: Option<ChildStdin>) -> io::Result<Self> {
        Ok(Self { descriptor: open_process(process)?, process, _lifeline: lifeline })
    }

    /// Process id as the machine sees it.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    /// Moves the calling thread into namespaces of the node. It must be one that ends with the work.
    pub(crate) fn enter(&self, namespaces: ThreadNameSpaceType) -> io::Result<()> {
        if namespaces.contains(ThreadNameSpaceType::MOUNT) {
            // A thread that shares its root and working directory with others may not change mount namespaces.
            unshare(UnshareFlags::FS)?;
        }
        Ok(rustix::thread::move_into_thread_name_spaces(self.descriptor.as_fd(), namespaces)?)
    }

    /// Kills PID 1 and with it every process of the node, and waits until all are gone.
    pub(crate) fn kill(&self) -> io::Result<()> {
        send_signal(&self.descriptor, Signal::KILL)?;
        if wait_for_end(&self.descriptor, PATIENCE)? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Whether PID 1 still runs.
    pub(crate) fn is_running(&self) -> bool {
        !wait_for_end(&self.descriptor, Duration::ZERO).unwrap_or(true)
    }
}

/// Takes the calling process into a cgroup, by the files of [`Cgroup::open_members`]. Makes system calls only.
pub(crate) fn join(members: &[File]) -> io::Result<()> {
    for mut file in members {
        file.write_all(b"0")?;
    }
    Ok(())
}

/// A path to the program of PID 1, which is on no disk.
pub(super) fn program_in_memory() -> Result<String, BootError> {
    static PROGRAM: OnceLock<File> = OnceLock::new();
    let make = || -> io::Result<File> {
        let mut file = File::from(rustix::fs::memfd_create("node-init", MemfdFlags::CLOEXEC)?);
        file.write_all(NODE_INIT)?;
        // Linux refuses to execute what is open for writing: the entry in /proc opens it once more, for reading.
        File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
    };
    let program = match PROGRAM.get() {
        Some(program) => program,
        None => {
            let made = step("copy the program of PID 1 into memory", make())?;
            PROGRAM.get_or_init(|| made)
        }
    };
    Ok(format!("/proc/self/fd/{}", program.as_raw_fd()))
}

/// Starts a program that another thread's child may still hold open for writing, between its fork and its exec.
fn spawn_when_not_busy(command: &mut Command) -> io::Result<Child> {
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(1));
            }
            spawned => return spawned,
        }
    }
}

fn step<T>(action: &'static str, result: io::Result<T>) -> Result<T, BootError> {
    result.map_err(|source| BootError::Start { action, source })
}
