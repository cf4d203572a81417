//! Names of clusters and hosts: what a namespace, cgroup or folder is called, and whose it is.
//!
//! Everything that outlives a process (a bind mount below `/run/netns`, a cgroup, a data folder) is named
//! `sheave-<cluster>` or `sheave-<cluster>-<role>`. The cluster of a test run ends in its owner's process id and start
//! time, `wire.4711.98765.0`, so that leftovers of a killed run can be told from the things of a live one. A cluster
//! that shall stay has a plain name, `dev`, and no owner.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::identity::ProcessIdentity;

/// What every name begins with.
const PREFIX: &str = "sheave-";

/// The longest label: with owner and role the name still fits a host name's 64 bytes.
const LABEL_LENGTH: usize = 20;

/// Name of one cluster or topology: a label, and for a test run the owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterName(String);

/// Name of one host: its cluster and its role. Also its UTS host name and its entry below `/run/netns`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName {
    cluster: ClusterName,
    role: Role,
}

/// What a host is within its cluster. Nodes and pods count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The bridge that joins all others.
    Fabric,
    /// Where the control plane runs.
    Server,
    /// Somebody outside the cluster.
    Client,
    /// A cluster node.
    Node(u8),
    /// A pod on a node.
    Pod {
        /// Number of the node.
        node: u8,
        /// Number of the pod on that node.
        pod: u8,
    },
}

/// A label that cannot name a cluster.
#[derive(Debug, thiserror::Error)]
#[error("cluster name {label:?}: take 1 to {LABEL_LENGTH} of a-z, 0-9 and `-`, with a letter or digit at both ends")]
pub struct InvalidName {
    label: String,
}

// === impl ClusterName ===

impl ClusterName {
    /// A cluster that belongs to no process and stays until it is removed by name.
    pub fn persistent(label: &str) -> Result<Self, InvalidName> {
        let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        let well_formed = bytes.len() <= LABEL_LENGTH
            && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
            && ends_well(bytes.first())
            && ends_well(bytes.last());
        if well_formed { Ok(Self(label.to_owned())) } else { Err(InvalidName { label: label.to_owned() }) }
    }

    /// A cluster that belongs to this process; each call gives another name.
    pub fn of_this_run(label: &str) -> Result<Self, InvalidName> {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        let Self(label) = Self::persistent(label)?;
        let owner = ProcessIdentity::of_this_process();
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        Ok(Self(format!("{label}.{owner}.{sequence}")))
    }

    /// The owner, unless the cluster is persistent.
    pub fn owner(&self) -> Option<ProcessIdentity> {
        let (_, owner_and_sequence) = self.0.split_once('.')?;
        let (owner, _) = owner_and_sequence.rsplit_once('.')?;
        owner.parse().ok()
    }

    /// The name without the prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cluster that a cgroup or data folder belongs to.
    pub(crate) fn from_folder(folder: &str) -> Option<Self> {
        Some(Self(folder.strip_prefix(PREFIX)?.to_owned()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.0)
    }
}

// === impl HostName ===

impl HostName {
    /// The host with this role in this cluster.
    pub fn new(cluster: &ClusterName, role: Role) -> Self {
        Self { cluster: cluster.clone(), role }
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Its role there.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Reads a name as [`fmt::Display`] writes it; nothing for names of other programs.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let without_prefix = name.strip_prefix(PREFIX)?;
        // A label may hold hyphens, a role too: the shortest tail that is a role would split `n1-p2` wrongly.
        let hyphens = without_prefix.match_indices('-').map(|(position, _)| position);
        hyphens.into_iter().find_map(|position| {
            let (cluster, role) = without_prefix.split_at(position);
            Some(Self { cluster: ClusterName(cluster.to_owned()), role: Role::parse(&role[1..])? })
        })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.cluster, self.role)
    }
}

// === impl Role ===

impl Role {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str, letter| text.strip_prefix(letter).and_then(|digits| digits.parse().ok());
        Some(match text {
            "fabric" => Self::Fabric,
            "server" => Self::Server,
            "client" => Self::Client,
            _ => match text.split_once('-') {
                Some((node, pod)) => Self::Pod { node: number(node, 'n')?, pod: number(pod, 'p')? },
                None => Self::Node(number(text, 'n')?),
            },
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fabric => formatter.write_str("fabric"),
            Self::Server => formatter.write_str("server"),
            Self::Client => formatter.write_str("client"),
            Self::Node(node) => write!(formatter, "n{node}"),
            Self::Pod { node, pod } => write!(formatter, "n{node}-p{pod}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_was_written() {
        let clusters = [ClusterName::persistent("dev").unwrap(), ClusterName::persistent("a-n1-b").unwrap()];
        let roles = [Role::Fabric, Role::Server, Role::Client, Role::Node(12), Role::Pod { node: 3, pod: 4 }];
        for cluster in clusters.into_iter().chain([ClusterName::of_this_run("wire-profile").unwrap()]) {
            for role in roles {
                let name = HostName::new(&cluster, role);
                let read = HostName::parse(&name.to_string()).expect("our own name");
                assert_eq!(read.to_string(), name.to_string());
            }
        }
    }

    #[test]
    fn names_of_other_programs_are_not_ours() {
        for name in ["cni-1234", "sheave", "sheave-", "sheave-dev", "sheave-dev-x1", "docker-sheave-dev-n1"] {
            assert_eq!(HostName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn labels_that_cannot_be_host_names_are_refused() {
        for label in ["", "Dev", "a.b", "-a", "a-", "a_b", "a/b", "twenty-one-characters"] {
            let error = ClusterName::persistent(label).unwrap_err();
            assert!(error.to_string().contains("1 to 20"), "{error}");
        }
    }

    #[test]
    fn every_name_fits_a_host_name() {
        let cluster = ClusterName::of_this_run("twenty-characters-ab").unwrap();
        assert!(HostName::new(&cluster, Role::Pod { node: 189, pod: 250 }).to_string().len() <= 64);
    }

    #[test]
    fn the_owner_is_found_in_the_name_and_is_this_process() {
        let cluster = ClusterName::of_this_run("own").unwrap();
        assert_eq!(cluster.owner(), Some(ProcessIdentity::of_this_process()));
        assert!(cluster.owner().unwrap().is_alive());
        assert_eq!(ClusterName::persistent("dev").unwrap().owner(), None);
    }

    #[test]
    fn two_clusters_of_one_run_have_different_names() {
        assert_ne!(ClusterName::of_this_run("a").unwrap(), ClusterName::of_this_run("a").unwrap());
    }
}
