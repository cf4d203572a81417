//! Network namespaces with a name below `/run/netns`, behind a guard that removes the name again.
//!
//! A namespace lives as long as something refers to it: the bind mount below `/run/netns` (where `ip netns` and
//! `nsenter --net=` look too), the descriptor in [`NetworkNamespace`], a process or a socket in it. Work in a
//! namespace is done on a short-lived thread of its own, so that no thread is ever left in a foreign namespace.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// Where named network namespaces are bind-mounted, by the convention of iproute2 (ip-netns(8)).
const NAMED: &str = "/run/netns";

/// A network namespace of ours. Dropping it removes its name; the kernel ends it when nothing uses it any more.
#[derive(Debug)]
pub struct NetworkNamespace {
    name: String,
    descriptor: File,
    /// False for one that outlives this process.
    removed_on_drop: bool,
}

/// What went wrong with a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel made none.
    #[error("cannot make network namespace {name}: {source}; making one needs root (CAP_SYS_ADMIN)")]
    Create {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It has no entry below `/run/netns`, or one that is no namespace.
    #[error("cannot open network namespace {name}: {source}")]
    Open {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A thread could not move into it.
    #[error("cannot enter network namespace {name}: {source}; entering one needs root (CAP_SYS_ADMIN)")]
    Enter {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its entry below `/run/netns` stays.
    #[error("cannot remove network namespace {name}: {source}; `ip netns delete {name}` may tell more")]
    Remove {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl NetworkNamespace ===

impl NetworkNamespace {
    /// Makes a namespace with the given name and its loopback interface still down.
    ///
    /// # Errors
    /// Without the rights, and when the name is taken.
    pub fn create(name: impl Into<String>) -> Result<Self, NamespaceError> {
        let name = name.into();
        match on_own_thread(&name, || unshare_and_bind(&path_of(&name))) {
            Ok(descriptor) => Ok(Self { name, descriptor, removed_on_drop: true }),
            Err(source) => Err(NamespaceError::Create { name, source }),
        }
    }

    /// Opens a namespace that somebody else named; dropping it leaves the name.
    pub fn open(name: impl Into<String>) -> Result<Self, NamespaceError> {
        let name = name.into();
        match File::open(path_of(&name)) {
            Ok(descriptor) => Ok(Self { name, descriptor, removed_on_drop: false }),
            Err(source) => Err(NamespaceError::Open { name, source }),
        }
    }

    /// Lets the namespace outlive this value.
    pub fn keep(&mut self) {
        self.removed_on_drop = false;
    }

    /// Its name below `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread that has entered the namespace, and waits for it.
    ///
    /// Sockets made by `work` stay in the namespace and may be used outside, also by a tokio runtime. A panic of
    /// `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_own_thread(&self.name, || {
            enter_network(self.descriptor.as_fd())
                .map(|()| work())
                .map_err(|source| NamespaceError::Enter { name: self.name.clone(), source })
        })
    }
}

impl AsFd for NetworkNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        if self.removed_on_drop
            && let Err(error) = remove(&self.name)
        {
            // A drop has nobody to give its error to; the next run's sweep tries again.
            eprintln!("{error}");
        }
    }
}

/// Names of all entries below `/run/netns`, of whatever program.
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(NAMED).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Removes a name; one that is gone already is no error.
pub(crate) fn remove(name: &str) -> Result<(), NamespaceError> {
    let path = path_of(name);
    let failed = |source| NamespaceError::Remove { name: name.to_owned(), source };
    match rustix::mount::unmount(&path, UnmountFlags::DETACH) {
        // EINVAL: a bare file, left by a run that was killed between making the file and mounting on it.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(failed(error.into())),
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Gives the calling thread namespaces of its own.
///
/// Only for threads that end with the work: what is shared with the process's other threads (the working directory
/// and root, for a mount namespace) becomes this thread's own.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(
        !flags.contains(UnshareFlags::FILES),
        "would split the file descriptor table under the standard library"
    );
    #[expect(unsafe_code, reason = "rustix marks the call unsafe for the one flag that is refused above")]
    // SAFETY: the descriptor table stays shared, which is what the function's contract is about.
    unsafe {
        rustix::thread::unshare_unsafe(flags)?;
    }
    Ok(())
}

/// Runs `work` on a thread named after the host that it works in; a panic goes on in the caller.
pub(crate) fn on_own_thread<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let spawned = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work);
        match spawned.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            #[expect(clippy::panic, reason = "the standard library's own thread::scope panics here as well")]
            Err(error) => panic!("cannot start a thread for {name}: {error}"),
        }
    })
}

fn path_of(name: &str) -> PathBuf {
    Path::new(NAMED).join(name)
}

/// Moves the calling thread into a new network namespace and gives that a name.
fn unshare_and_bind(path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(NAMED)?;
    File::create_new(path)?;
    let bound = unshare(UnshareFlags::NEWNET)
        .and_then(|()| Ok(rustix::mount::mount_bind("/proc/thread-self/ns/net", path)?))
        .and_then(|()| File::open(path));
    if bound.is_err() {
        // Undoes what was begun; the first error is the one to report.
        let _ = rustix::mount::unmount(path, UnmountFlags::DETACH);
        let _ = std::fs::remove_file(path);
    }
    bound
}
