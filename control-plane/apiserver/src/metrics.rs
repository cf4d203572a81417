//! What the server counts, under Kubernetes' names.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sheave_api::kind::Kind;

/// The server's metrics.
#[derive(Default)]
pub(crate) struct Metrics {
    watches: Arc<AtomicI64>,
}

/// Counts something for as long as it lives.
pub(crate) struct Counted(Arc<AtomicI64>);

// === impl Metrics ===

impl Metrics {
    /// Counts a watch until the answer is dropped.
    pub(crate) fn watching(&self, _kind: &Kind) -> Counted {
        self.watches.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.watches))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
