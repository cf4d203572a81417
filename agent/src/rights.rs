//! What the kernel lets this process do with BPF and networking.

use std::fmt;

use rustix::thread::{CapabilitySet, capabilities};

/// A capability that the agent needs (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// `CAP_BPF`: create maps, load programs. Since kernel 5.8.
    Bpf,
    /// `CAP_NET_ADMIN`: load and attach networking programs, change links.
    NetAdmin,
    /// `CAP_PERFMON`: let programs compare and subtract packet pointers, read kernel types.
    Perfmon,
    /// `CAP_SYS_ADMIN`: make and enter namespaces. It stands for `CAP_BPF` and `CAP_PERFMON` as well.
    SysAdmin,
}

/// The rights that loading, attaching and reading the kernel programs takes.
pub const DATAPLANE: [Right; 3] = [Right::Bpf, Right::NetAdmin, Right::Perfmon];

/// A right is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("missing {}: run it as root, or grant the capabilities", names(.rights))]
pub struct MissingRights {
    /// What is missing, never empty.
    pub rights: Vec<Right>,
}

/// Checks that this process has all of `needed`.
///
/// A container or user namespace may still forbid what a capability allows; then the system call itself says so.
///
/// # Errors
///
/// [`MissingRights`] names what is missing.
pub fn require(needed: &[Right]) -> Result<(), MissingRights> {
    // Without an answer the system calls themselves have the last word.
    let Ok(sets) = capabilities(None) else { return Ok(()) };
    let rights: Vec<Right> = needed.iter().copied().filter(|right| !right.is_in(sets.effective)).collect();
    if rights.is_empty() { Ok(()) } else { Err(MissingRights { rights }) }
}

fn names(rights: &[Right]) -> String {
    rights.iter().map(Right::to_string).collect::<Vec<_>>().join(", ")
}

// === impl Right ===

impl Right {
    fn is_in(self, effective: CapabilitySet) -> bool {
        let sufficient = match self {
            Self::Bpf => CapabilitySet::BPF | CapabilitySet::SYS_ADMIN,
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::Perfmon => CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN,
            Self::SysAdmin => CapabilitySet::SYS_ADMIN,
        };
        effective.intersects(sufficient)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::SysAdmin => "CAP_SYS_ADMIN",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_stands_for_bpf_and_perfmon_but_not_for_net_admin() {
        let effective = CapabilitySet::SYS_ADMIN;
        assert!(Right::Bpf.is_in(effective) && Right::Perfmon.is_in(effective));
        assert!(!Right::NetAdmin.is_in(effective));
    }

    #[test]
    fn the_message_names_each_missing_right_and_the_way_out() {
        let message = MissingRights { rights: vec![Right::Bpf, Right::NetAdmin] }.to_string();
        assert_eq!(message, "missing CAP_BPF, CAP_NET_ADMIN: run it as root, or grant the capabilities");
    }
}
