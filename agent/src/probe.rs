//! What this kernel supports of what Sheave uses, found by trying.
//!
//! Version numbers say little: distributions carry features back and configure others away. So each feature is tried,
//! with programs of two instructions, in a network namespace and a cgroup of its own that vanish afterwards.

mod cgroup;
mod helpers;
mod hooks;
mod maps;
mod report;
mod sandbox;
mod system;

use std::io;

pub use report::{Finding, Group, Report, Support};

use crate::rights::{self, MissingRights, Right};

/// The probe could not be made at all. A single feature that cannot be tried is part of the report instead.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Without these rights every answer would be "no".
    #[error("cannot probe this kernel")]
    Rights(#[from] MissingRights),
    /// No network namespace of its own could be made for trying hooks.
    #[error("cannot make a network namespace with a pair of veth links to try hooks on")]
    Sandbox(#[source] io::Error),
}

/// Tries everything; takes a second or two, because the kernel waits for a grace period whenever a program goes.
///
/// # Errors
///
/// [`ProbeError`] when rights are missing or a throw-away namespace cannot be made.
pub fn run() -> Result<Report, ProbeError> {
    rights::require(&[Right::Bpf, Right::NetAdmin, Right::Perfmon, Right::SysAdmin])?;
    let mut findings = system::findings();
    findings.extend(sandbox::with_veth(hooks::findings).map_err(ProbeError::Sandbox)?);
    findings.extend(cgroup::findings());
    findings.extend(maps::findings());
    findings.extend(helpers::findings());
    findings.extend(system::kernel_functions());
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(Report { kernel: release, findings })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    use super::*;

    /// Capabilities belong to a thread, so that this one can give its own up.
    #[test]
    fn without_rights_the_probe_says_which_are_missing_instead_of_no_to_everything() {
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        let outcome = std::thread::spawn(move || set_capabilities(None, none).map(|()| run())).join().unwrap();
        let error = outcome.unwrap().unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert_eq!(error.to_string(), "cannot probe this kernel");
        assert!(cause.starts_with("missing CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN"), "{cause}");
    }
}
