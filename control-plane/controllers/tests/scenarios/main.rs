//! What each controller does, told as scenarios against the real API server in one process.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on says why and stops")]

mod cluster;
mod cluster_roles;
mod cron_jobs;
mod daemon_sets;
mod deployments;
mod disruption;
mod endpoints;
mod garbage;
mod jobs;
mod load_balancers;
mod namespaces;
mod nodes;
mod replica_sets;
mod scale;
mod stateful_sets;
