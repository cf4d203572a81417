//! What the store promises, one sentence per test, through its public interface and on a real file.

#![expect(clippy::panic, reason = "clippy sees the tests of a crate, not the functions that they share")]

mod contention;
mod leases;
mod model;
mod ranges;
mod restart;
mod scratch;
mod transactions;
mod watches;
