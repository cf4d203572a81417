//! What each controller does, told as scenarios against the real API server in one process.

mod cluster;
mod replica_sets;
