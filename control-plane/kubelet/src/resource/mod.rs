//! Requests and limits as control groups, and the quality of service that follows from them.
//!
//! [`qos`] and [`container`] are arithmetic over a pod's spec; [`pod`] adds a pod up; [`cgroup`] is the pod's folder in
//! every hierarchy of the machine. The containers' own groups are the runtime's, below the pod's.

mod amount;
pub mod cgroup;
pub mod container;
pub mod pod;
pub mod qos;

pub use amount::{Capacity, Resource, limit, request};
pub use cgroup::{CgroupError, Hierarchies, PodCgroups};
pub use container::linux_resources;
pub use qos::{Qos, oom_score_adj, qos};
