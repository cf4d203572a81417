//! Programs on interfaces: attached so that they stay, and replaced without a gap.
//!
//! From kernel 6.6 on a program is attached by a TCX link, and the link is pinned under its hook and the interface's
//! index. Below that it is a filter of the classic `clsact` queueing discipline, which stays by itself; which
//! interfaces have one is known from the maps.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use aya::programs::links::Link;
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, TcError};
use aya_obj::generated::bpf_attach_type::BPF_TCX_INGRESS;
use dataplane_common::{Hook, NextHop, OwnerKind};

use super::{Datapath, DatapathError, classifier_mut, program_of};
use crate::syscall;

/// How programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// By TCX links where the kernel has them (6.6), else by `clsact`.
    #[default]
    Auto,
    /// By `clsact`, as below kernel 6.6.
    Clsact,
}

/// Where links are pinned, below the folder of the pins.
const LINKS: &str = "links";

/// The filter's place among those of `clsact`: before everybody who does not ask for a place.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// Detaches all programs whose links are pinned below `pins`, and removes the maps. Filters of `clsact` go with the
/// interfaces that have them, or by [`Datapath::cleanup`]. What is not there is no error.
///
/// # Errors
///
/// [`DatapathError::Pin`] names the first pin that could not be removed; all others are.
pub fn cleanup(pins: &Path) -> Result<(), DatapathError> {
    let mut outcome = Ok(());
    for folder in [pins.join(LINKS), pins.to_owned()] {
        let removed = remove_folder(&folder);
        outcome = outcome.and(removed);
    }
    outcome
}

fn remove_folder(folder: &Path) -> Result<(), DatapathError> {
    let mut outcome = Ok(());
    for pin in entries(folder)? {
        if !pin.is_dir() {
            outcome = outcome.and(remove_pin(&pin));
        }
    }
    outcome.and(match fs::remove_dir(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DatapathError::Pin { action: "remove", path: folder.to_owned(), source })
        }
        _ => Ok(()),
    })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DatapathError> {
    let failed = |source| DatapathError::Pin { action: "list", path: folder.to_owned(), source };
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

fn remove_pin(path: &Path) -> Result<(), DatapathError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DatapathError::Pin { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

// === impl Datapath ===

impl Datapath {
    /// Attaches a hook's program to an interface, or replaces the one that is there.
    pub(super) fn attach(&mut self, hook: Hook, interface: u32) -> Result<(), DatapathError> {
        match self.attach {
            AttachMode::Clsact => self.attach_filter(hook, interface),
            AttachMode::Auto => match self.attach_link(hook, interface) {
                // Kernels below 6.6 do not know the kind of attachment.
                Err(DatapathError::Attach { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => {
                    self.attach_filter(hook, interface)
                }
                outcome => outcome,
            },
        }
    }

    /// Takes a program off an interface; one that is gone, or never had one, is no error.
    pub(super) fn detach(&mut self, interface: u32) -> Result<(), DatapathError> {
        for hook in Hook::ALL {
            remove_pin(&self.link_path(hook, interface))?;
        }
        let filter = filter_at(interface).map(Link::detach);
        // Without a filter there, which is usual, this fails; and so it does when the interface is gone.
        drop(filter);
        Ok(())
    }

    /// Gives every attached program's place to the one that was just loaded.
    pub(super) fn replace_programs(&mut self) -> Result<(), DatapathError> {
        for path in entries(&self.pins.join(LINKS))? {
            let Some((hook, interface)) = parse_pin(&path) else { continue };
            match self.update_link(hook, &path) {
                // The interface is gone, and left its link without effect.
                Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => remove_pin(&path)?,
                Err(source) => {
                    return Err(DatapathError::Attach { program: program_of(hook), interface, source });
                }
                Ok(()) => {}
            }
        }
        if self.attach == AttachMode::Clsact {
            for (hook, interface) in self.known_places()? {
                // An interface that is gone has nothing to replace.
                if name_of(interface).is_ok() {
                    self.attach_filter(hook, interface)?;
                }
            }
        }
        Ok(())
    }

    /// The interfaces that the maps speak of.
    fn known_places(&self) -> Result<Vec<(Hook, u32)>, DatapathError> {
        let owners = self.tables.owners.entries()?.into_iter();
        let pods = owners.filter(|(_, owner)| owner.kind() == Some(OwnerKind::Pod));
        let mut places: Vec<_> = pods.map(|(_, owner)| (Hook::Pod, owner.interface())).collect();
        let uplink = self.tables.next_hops.get(NextHop::OUTSIDE)?.interface();
        places.extend((uplink != 0).then_some((Hook::Uplink, uplink)));
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    fn attach_link(&mut self, hook: Hook, interface: u32) -> Result<(), DatapathError> {
        let path = self.link_path(hook, interface);
        match self.update_link(hook, &path) {
            Ok(()) => return Ok(()),
            // No link yet, or that of an interface that had the same index and is gone.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOLINK)) => remove_pin(&path)?,
            Err(source) => return Err(DatapathError::Attach { program: program_of(hook), interface, source }),
        }
        let program = self.program(hook)?;
        let failed = |source| DatapathError::Attach { program: program_of(hook), interface, source };
        let descriptor = program.fd().map_err(|error| failed(io::Error::other(error)))?;
        let link = syscall::link(&descriptor.as_fd(), interface, BPF_TCX_INGRESS, 0).map_err(failed)?;
        let unpinnable = |source| DatapathError::Pin { action: "pin a link at", path: path.clone(), source };
        fs::create_dir_all(self.pins.join(LINKS)).map_err(unpinnable)?;
        syscall::pin(&link, &path).map_err(unpinnable)
    }

    /// Replaces the program of a pinned link.
    fn update_link(&self, hook: Hook, path: &Path) -> io::Result<()> {
        let link = syscall::open_pinned(path)?;
        let program = self.program(hook).map_err(io::Error::other)?;
        syscall::update(&link, &program.fd().map_err(io::Error::other)?.as_fd())
    }

    fn attach_filter(&mut self, hook: Hook, interface: u32) -> Result<(), DatapathError> {
        let failed = |source| DatapathError::Attach { program: program_of(hook), interface, source };
        let name = name_of(interface).map_err(failed)?;
        let program = classifier_mut(&mut self.ebpf, program_of(hook))?;
        // Where it is already, which is usual after a restart, this fails; attaching then tells what is really wrong.
        let _ = qdisc_add_clsact(&name);
        let link = match filter_at(interface).and_then(|filter| replace(program, filter)) {
            Ok(link) => link,
            Err(_) => attach_new(program, &name).map_err(failed)?,
        };
        // The filter shall outlive this process, and aya has no other way to let go of one.
        #[expect(clippy::mem_forget, reason = "dropping the link would detach the filter")]
        std::mem::forget(link);
        Ok(())
    }

    fn link_path(&self, hook: Hook, interface: u32) -> PathBuf {
        self.pins.join(LINKS).join(format!("{}-{interface}", hook.label()))
    }
}

/// Hook and interface of a pinned link's name.
fn parse_pin(path: &Path) -> Option<(Hook, u32)> {
    let (hook, interface) = path.file_name()?.to_str()?.split_once('-')?;
    Some((Hook::ALL.into_iter().find(|known| known.label() == hook)?, interface.parse().ok()?))
}

/// Our filter at an interface, whether or not it is there.
fn filter_at(interface: u32) -> io::Result<SchedClassifierLink> {
    let name = name_of(interface)?;
    SchedClassifierLink::attached(&name, TcAttachType::Ingress, PRIORITY, HANDLE, None)
}

fn replace(program: &mut SchedClassifier, filter: SchedClassifierLink) -> io::Result<SchedClassifierLink> {
    let link = program.attach_to_link(filter).map_err(io::Error::other)?;
    program.take_link(link).map_err(io::Error::other)
}

fn attach_new(program: &mut SchedClassifier, name: &str) -> io::Result<SchedClassifierLink> {
    let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
    let attached = program.attach_with_options(name, TcAttachType::Ingress, TcAttachOptions::Netlink(options));
    let link = attached.map_err(|error| match error {
        ProgramError::TcError(TcError::IoError(error)) => error,
        error => io::Error::other(error),
    })?;
    program.take_link(link).map_err(io::Error::other)
}

fn name_of(interface: u32) -> io::Result<String> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
    Ok(rustix::net::netdevice::index_to_name(socket, interface)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_tell_hook_and_interface() {
        for (name, expected) in [
            ("pod-12", Some((Hook::Pod, 12))),
            ("uplink-2", Some((Hook::Uplink, 2))),
            ("pod-", None),
            ("xdp-2", None),
            ("flows", None),
        ] {
            assert_eq!(parse_pin(&Path::new("/sys/fs/bpf/sheave/links").join(name)), expected, "{name}");
        }
    }
}
