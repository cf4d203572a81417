//! One packet through one kernel program, by `BPF_PROG_TEST_RUN`: tables, and random packets against the host's model.
//!
//! Needs root, because it loads programs into the kernel; nothing is attached to any link.
#![cfg(test)]

mod counting;
mod datapath;
mod independent;
mod probing;
mod random;
mod runner;
mod subject;
