//! What every controller is made of: shared caches, work queues, workers, expectations, events and metrics.
//!
//! ```text
//! API server ──watch──> Cache (one per kind) ──change──> WorkQueue ──key──> Reconciler::reconcile
//!     ^                    └──────────────read────────────────────────────────┘ │
//!     └──────────────────────────── Requests, Recorder ─────────────────────────┘
//! ```

pub mod api;
pub mod cache;
pub mod clients;
pub mod clock;
pub mod correlator;
pub mod discovery;
pub mod error;
pub mod expectations;
pub mod key;
pub mod kinds;
pub mod manager;
pub mod metrics;
pub mod queue;
pub mod recorder;
pub mod slow_start;
pub mod watches;
pub mod worker;
