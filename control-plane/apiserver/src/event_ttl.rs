//! Events go by themselves: each hangs on a lease of the store, whose end deletes it. The lease survives a restart with
//! what is left of its time.

use std::time::Duration;

use sheave_api::kind::Kind;
use sheave_store::{LeaseError, LeaseId, Store};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::status::StatusError;

/// The leases of events. Many events share one: a lease is a write of its own.
pub(crate) struct EventLeases {
    /// How long an event stays after it was last written.
    ttl: Duration,
    current: Mutex<Option<Shared>>,
}

struct Shared {
    lease: LeaseId,
    granted: Instant,
    /// How many events it was given to.
    events: usize,
}

/// A lease is given out for this part of its time, and lives so much longer.
const SHARE: u32 = 60;
/// Events per lease, all of which its end deletes in one transaction.
const MOST_EVENTS: usize = 1000;

// === impl EventLeases ===

impl EventLeases {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { ttl, current: Mutex::default() }
    }

    /// The lease for an object of `kind` that is written now; none for what stays until somebody deletes it.
    pub(crate) async fn lease(&self, store: &Store, kind: &Kind) -> Result<Option<LeaseId>, StatusError> {
        if kind.gvk.kind != "Event" || !matches!(kind.gvk.group.as_str(), "" | "events.k8s.io") {
            return Ok(None);
        }
        let mut current = self.current.lock().await;
        if let Some(shared) = current.as_mut()
            && shared.granted.elapsed() < self.ttl / SHARE
            && shared.events < MOST_EVENTS
        {
            shared.events += 1;
            return Ok(Some(shared.lease));
        }
        let granted = Instant::now();
        let lease = store.grant_lease(self.ttl + self.ttl / SHARE).await.map_err(|error| refused(&error))?;
        *current = Some(Shared { lease, granted, events: 1 });
        Ok(Some(lease))
    }
}

fn refused(error: &LeaseError) -> StatusError {
    StatusError::internal(format!("an event could not get its time to live: {error}"))
}
