//! Liveness, readiness and startup probes.
//!
//! [`Prober::watch`] probes one running container until what it returns is dropped; a restarted container is another
//! one. What is learned goes through a channel, and what follows from it is the receiver's business.

mod check;
mod runtime;
mod schedule;
mod verdict;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use check::{Checker, Target};
use schedule::Schedule;

/// Which of a container's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Its failure ends the container.
    Liveness,
    /// Its failure takes the pod out of Services.
    Readiness,
    /// Until it has passed, the others wait; its failure ends the container.
    Startup,
}

/// The container that is probed.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The container as the pod's spec has it.
    pub container: Container,
    /// The runtime's id of the running container.
    pub id: String,
    /// When it started: initial delays count from there.
    pub started_at: Timestamp,
    /// Whether it has passed its startup probe before, as far as the pod's status knows.
    pub has_started: bool,
    /// The pod's address, which network probes go to.
    pub address: Option<IpAddr>,
}

/// Something that a probe has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The runtime's id of the container.
    pub container_id: String,
    /// Which probe.
    pub probe: Kind,
    /// What it found.
    pub finding: Finding,
}

/// What a probe has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It passes, often enough to count.
    Passes,
    /// It fails, often enough to count.
    Fails {
        /// How long the container gets to end, where the probe says so instead of the pod.
        grace: Option<Duration>,
    },
    /// It failed once: a warning event with this message. Comes before any [`Finding::Fails`] that it leads to.
    Unhealthy(String),
}

/// A program that ran in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub exit_code: i32,
    /// What it wrote, to either stream.
    pub output: Vec<u8>,
}

/// Why a program did not run to its end in a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// It took too long, and was ended.
    #[error("timed out")]
    TimedOut,
    /// The runtime could not run it. Says nothing about the container's health.
    #[error("{0}")]
    Runtime(String),
}

/// Runs programs in containers; the runtime's client does.
pub trait Exec: Send + Sync + 'static {
    /// Runs `command` in the container with this id to its end, or for `timeout`.
    fn exec<'a>(
        &'a self,
        container_id: &'a str,
        command: Vec<String>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Executed, ExecError>>;
}

/// Probes containers. Cheap to clone.
#[derive(Clone)]
pub struct Prober {
    checker: Arc<Checker>,
}

/// A container that is being probed, until this is dropped.
#[derive(Debug)]
pub struct Probing {
    _task: AbortOnDropHandle<()>,
    ends_container: CancellationToken,
}

// === impl Kind ===

impl Kind {
    /// As messages have it: `Liveness`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
            Self::Startup => "Startup",
        }
    }

    fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Startup => container.startup_probe.as_ref(),
        }
    }
}

// === impl Finding ===

impl Finding {
    /// The reason of the event for [`Finding::Unhealthy`].
    pub const REASON: &'static str = "Unhealthy";
}

// === impl Prober ===

impl Prober {
    /// `exec` runs programs in containers.
    #[must_use]
    pub fn new(exec: Arc<dyn Exec>) -> Self {
        Self { checker: Arc::new(Checker::new(exec)) }
    }

    /// Probes a running container and reports what it finds: each change of a verdict, and each failure. Nothing for a
    /// container without probes.
    #[must_use]
    pub fn watch(&self, subject: Subject, reports: UnboundedSender<Report>) -> Option<Probing> {
        let kinds = [Kind::Liveness, Kind::Readiness, Kind::Startup];
        if kinds.iter().all(|kind| kind.of(&subject.container).is_none()) {
            return None;
        }
        let ends_container = CancellationToken::new();
        let task = probe_all(Arc::clone(&self.checker), subject, reports, ends_container.clone());
        Some(Probing { _task: AbortOnDropHandle::new(tokio::spawn(task)), ends_container })
    }
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

// === impl Probing ===

impl Probing {
    /// Ends the probes that would end the container, because it is being ended. Its readiness still counts.
    pub fn end_liveness(&self) {
        self.ends_container.cancel();
    }
}

/// Whether a container counts as started and ready before its probes have found anything: with no startup probe it has
/// started, and with no readiness probe it is ready once it has started.
#[must_use]
pub fn initial(container: &Container) -> (bool, bool) {
    let has_started = container.startup_probe.is_none();
    (has_started, has_started && container.readiness_probe.is_none())
}

async fn probe_all(
    checker: Arc<Checker>,
    subject: Subject,
    reports: UnboundedSender<Report>,
    ends_container: CancellationToken,
) {
    let probe = |kind: Kind| probe(&checker, &subject, kind, &reports);
    if !subject.has_started {
        let has_ended = ends_container.run_until_cancelled(probe(Kind::Startup)).await;
        if has_ended == Some(false) {
            return;
        }
    }
    let liveness = ends_container.run_until_cancelled(probe(Kind::Liveness));
    futures::join!(liveness, probe(Kind::Readiness));
}

/// Probes until the probe's work is done. False when it has failed in a way that ends the container.
async fn probe(checker: &Checker, subject: &Subject, kind: Kind, reports: &UnboundedSender<Report>) -> bool {
    let Some(probe) = kind.of(&subject.container) else { return true };
    let target = Target { container: &subject.container, id: &subject.id, address: subject.address };
    let report = |finding| {
        let report = Report { container_id: subject.id.clone(), probe: kind, finding };
        // Whoever has dropped the receiver drops the probe soon.
        let _ = reports.send(report);
    };
    let schedule = Schedule::of(probe, subject.started_at);
    schedule::run(kind, probe, &schedule, || checker.check(probe, &target, schedule.timeout), report).await
}

#[cfg(test)]
mod tests;
