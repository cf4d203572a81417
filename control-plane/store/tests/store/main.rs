//! What the store promises, one sentence per test, through its public interface and on a real file.

mod leases;
mod ranges;
mod restart;
mod scratch;
mod transactions;
mod watches;
