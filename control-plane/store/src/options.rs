//! How a store is opened: limits, how much history it keeps, and the `present` hook.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::operation::{CommitError, Operation};
use crate::presented::Present;

/// How a store is opened. `Options::default()` suits a cluster of Kubernetes' tested size.
#[derive(Clone)]
pub struct Options {
    /// What one transaction may hold.
    pub limits: Limits,
    /// How far back ranges and watches can reach.
    pub history: History,
    /// Makes the served bytes of the stored ones. The default serves what is stored.
    pub present: Present,
}

/// What one transaction may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one key. At most 65,535, which is what the format can hold.
    pub key_bytes: usize,
    /// Bytes of one value.
    pub value_bytes: usize,
    /// Operations of one transaction.
    pub operations: usize,
    /// Bytes of all keys and values of one transaction.
    pub transaction_bytes: usize,
    /// Bytes of transactions that wait for the disk; past it, `commit` waits before it queues.
    pub waiting_bytes: usize,
}

/// How much history the store keeps by itself. What is older than any one of these is compacted away, in small steps;
/// [`Store::compact`](crate::Store::compact) may ask for less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// Age of the oldest event. After a restart, all that is on disk counts as written at the restart.
    pub age: Duration,
    /// Number of events.
    pub events: usize,
    /// Bytes that the history alone keeps in memory: superseded values and the events themselves.
    pub bytes: usize,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            history: History::default(),
            present: Arc::new(|_, _, stored| stored.clone()),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("limits", &self.limits).field("history", &self.history).finish_non_exhaustive()
    }
}

// === impl Limits ===

impl Default for Limits {
    /// The values of etcd's `--max-request-bytes` and `--max-txn-ops`, and of Kubernetes' own key lengths.
    fn default() -> Self {
        Self {
            key_bytes: 4 << 10,
            value_bytes: 3 << 19,
            operations: 128,
            transaction_bytes: 8 << 20,
            waiting_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// Checks a transaction by itself, before it queues. Gives its size in bytes.
    pub(crate) fn check(&self, operations: &[Operation]) -> Result<usize, CommitError> {
        if operations.len() > self.operations {
            let message = format!("{} operations; at most {} are allowed", operations.len(), self.operations);
            return Err(CommitError::Invalid(message));
        }
        for operation in operations {
            self.check_operation(operation)?;
        }
        refuse_twice_written(operations)?;
        let size = operations.iter().map(Operation::size).sum();
        at_most(size, self.transaction_bytes, || "the transaction".to_owned())?;
        Ok(size)
    }

    fn check_operation(&self, operation: &Operation) -> Result<(), CommitError> {
        let key = operation.key();
        if key.is_empty() {
            return Err(CommitError::Invalid("a key is empty".to_owned()));
        }
        let beginning = || key.chars().take(64).collect::<String>();
        at_most(key.len(), self.key_bytes.min(usize::from(u16::MAX)), || format!("the key {}...", beginning()))?;
        if let Operation::Put { value, .. } = operation {
            at_most(value.len(), self.value_bytes, || format!("the value of {key}"))?;
        }
        Ok(())
    }
}

fn at_most(size: usize, limit: usize, what: impl FnOnce() -> String) -> Result<(), CommitError> {
    if size <= limit { Ok(()) } else { Err(CommitError::TooLarge { what: what(), size, limit }) }
}

/// One revision cannot hold two states of a key.
fn refuse_twice_written(operations: &[Operation]) -> Result<(), CommitError> {
    if operations.len() < 2 {
        return Ok(());
    }
    let is_write = |operation: &&Operation| !matches!(operation, Operation::Check { .. });
    let mut keys = operations.iter().filter(is_write).map(Operation::key).collect::<Vec<_>>();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(CommitError::Invalid(format!("{} is written twice", pair[0]))),
        None => Ok(()),
    }
}

// === impl History ===

impl Default for History {
    /// Five minutes, as Kubernetes compacts etcd.
    fn default() -> Self {
        Self { age: Duration::from_secs(300), events: 100_000, bytes: 64 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expect;

    fn refused(operations: Vec<Operation>) -> String {
        let limits = Limits { key_bytes: 5, value_bytes: 4, operations: 3, transaction_bytes: 12, ..Limits::default() };
        limits.check(&operations).expect_err("the transaction is refused").to_string()
    }

    #[test]
    fn a_transaction_that_is_too_large_or_makes_no_sense_is_refused_with_its_reason() {
        assert_eq!(
            refused(vec![Operation::put("/1", "12345")]),
            "the value of /1 is 5 bytes long; at most 4 are allowed"
        );
        assert_eq!(
            refused(vec![Operation::put("/12345", "")]),
            "the key /12345... is 6 bytes long; at most 5 are allowed"
        );
        assert_eq!(refused(vec![Operation::put("", "")]), "invalid transaction: a key is empty");
        assert_eq!(
            refused(vec![Operation::put("/1", "123"), Operation::put("/2", "1234"), Operation::put("/3", "")]),
            "the transaction is 13 bytes long; at most 12 are allowed"
        );
        assert_eq!(
            refused((0..4).map(|n| Operation::put(n.to_string(), "")).collect()),
            "invalid transaction: 4 operations; at most 3 are allowed"
        );
        assert_eq!(
            refused(vec![Operation::put("/1", "1"), Operation::delete("/1", Expect::Any)]),
            "invalid transaction: /1 is written twice"
        );
    }

    #[test]
    fn a_key_may_be_checked_and_written_in_one_transaction() {
        let operations = [Operation::check("/1", Expect::Present), Operation::put("/1", "value")];
        assert_eq!(Limits::default().check(&operations).expect("valid"), 9);
    }

    #[test]
    fn a_long_key_of_wide_characters_is_shortened_between_characters() {
        let error = Limits::default().check(&[Operation::put("ä".repeat(4000), "")]).expect_err("too long");
        assert!(error.to_string().starts_with("the key ää"), "{error}");
    }
}
