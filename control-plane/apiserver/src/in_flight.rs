//! How many requests are worked on at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::request::Verb;
use crate::status::StatusError;

/// Upstream's `--max-requests-inflight`.
const READS: i64 = 400;
/// Upstream's `--max-mutating-requests-inflight`.
const WRITES: i64 = 200;

/// Two limits, for reads and for writes, so that neither starves the other.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    reads: Arc<AtomicI64>,
    writes: Arc<AtomicI64>,
}

/// A place among the requests in flight, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted(Arc<AtomicI64>);

// === impl InFlight ===

impl InFlight {
    /// Takes a place. Administrators and long requests are counted, but never refused.
    pub(crate) fn admit(&self, verb: Verb, always: bool) -> Result<Admitted, StatusError> {
        let (counter, limit) = if verb.is_read() { (&self.reads, READS) } else { (&self.writes, WRITES) };
        let admitted = Admitted(Arc::clone(counter));
        let before = counter.fetch_add(1, Ordering::Relaxed);
        if before >= limit && !always {
            return Err(StatusError::too_many_requests("too many requests, please try again later", 1));
        }
        Ok(admitted)
    }

    /// Reads and writes in flight.
    pub(crate) fn current(&self) -> (i64, i64) {
        (self.reads.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_above_the_limit_is_told_to_wait() {
        let in_flight = InFlight::default();
        let admitted: Vec<_> = (0..WRITES).map(|_| in_flight.admit(Verb::Create, false).unwrap()).collect();
        let refused = in_flight.admit(Verb::Update, false).unwrap_err();
        assert_eq!((refused.code().as_u16(), refused.retry_after_seconds()), (429, Some(1)));
        assert!(in_flight.admit(Verb::Get, false).is_ok());
        assert!(in_flight.admit(Verb::Create, true).is_ok());
        drop(admitted);
        assert_eq!(in_flight.current(), (0, 0));
    }
}
