//! Real TCP and UDP between nodes, through the programs attached as the agent attaches them.
//!
//! The nodes are connected by the profile `wire`: every checksum is filled in and no packet is longer than the MTU, so
//! that a program that spoils a checksum or counts on offload fails here.
#![cfg(test)]

mod cluster;
mod counting;
mod pairs;
mod path_mtu;
mod restart;
