//! Whether the engine takes writes, and what happens when it does not.

use std::time::Duration;

use tokio::time::Instant;

use super::Committer;
use super::answer::Failure;
use crate::draft::Draft;
use crate::engine::EngineError;

/// The shortest pause before an attempt to recover the engine.
const RETRY: Duration = Duration::from_millis(20);
/// The longest pause, unless attempts take long themselves.
const RETRY_AT_MOST: Duration = Duration::from_secs(5);
/// How many times longer than an attempt the pause after it is: a full disk must not keep the thread busy.
const PAUSE_PER_ATTEMPT: u32 = 4;

/// State of the engine as far as the commit thread knows.
#[derive(Default)]
pub(super) enum Health {
    /// It takes writes.
    #[default]
    Well,
    /// An append failed; the engine must recover before the next one.
    Failed(Box<Failed>),
}

pub(super) struct Failed {
    reason: String,
    /// A group of which it is not known whether it is durable.
    unresolved: Option<Draft>,
    pause: Duration,
    next_attempt: Instant,
}

// === impl Health ===

impl Health {
    /// When to try again, if there is something to try.
    pub(super) fn next_attempt(&self) -> Option<Instant> {
        match self {
            Self::Well => None,
            Self::Failed(failed) => Some(failed.next_attempt),
        }
    }

    /// Why there are no writes.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Well => None,
            Self::Failed(failed) => Some(&failed.reason),
        }
    }
}

// === impl Failed ===

impl Failed {
    fn new(reason: String, unresolved: Option<Draft>, last_attempt: Duration) -> Box<Self> {
        let pause = RETRY.max(last_attempt * PAUSE_PER_ATTEMPT);
        Box::new(Self { reason, unresolved, pause, next_attempt: Instant::now() + pause })
    }
}

// === impl Committer ===

impl Committer {
    /// Makes a draft durable and publishes it, or says why not.
    pub(super) fn make_durable(&mut self, draft: Draft) -> Result<(), Failure> {
        match self.engine.append(&draft.group) {
            Ok(()) => {
                self.damage = None;
                self.publish(draft);
                Ok(())
            }
            Err(EngineError::Damaged(reason)) => {
                tracing::error!(%reason, "a write met damage");
                self.damage = Some(reason.clone());
                self.resolve(draft, reason)
            }
            Err(EngineError::Rejected(reason)) => {
                tracing::warn!(%reason, "a write was rejected");
                self.abandon(draft);
                self.health = Health::Failed(Failed::new(reason.clone(), None, self.last_recovery));
                Err(Failure { reason, is_certain: true })
            }
            Err(EngineError::Unknown(reason)) => {
                tracing::error!(%reason, "a write failed with unknown effect");
                self.resolve(draft, reason)
            }
        }
    }

    /// Tells everybody whether there are writes.
    pub(super) fn report(&self) {
        self.shared.set_trouble(self.health.reason().or(self.damage.as_deref()));
    }

    /// Asks the disk whether a draft that failed is there after all.
    fn resolve(&mut self, draft: Draft, reason: String) -> Result<(), Failure> {
        let last = draft.view.revision();
        self.health = Health::Failed(Failed::new(reason.clone(), Some(draft), self.last_recovery));
        self.recover();
        match self.health {
            Health::Well if self.view.revision() == last => Ok(()),
            Health::Well => Err(Failure { reason, is_certain: true }),
            Health::Failed(_) => Err(Failure { reason, is_certain: false }),
        }
    }

    /// The reason for which the engine takes no writes, after trying to change that.
    pub(super) fn ensure_well(&mut self) -> Result<(), Failure> {
        if self.health.next_attempt().is_some_and(|at| at <= Instant::now()) {
            self.recover();
        }
        self.still_well()
    }

    /// The reason for which the engine takes no writes. Changes nothing, so that a draft that exists stays valid.
    pub(super) fn still_well(&self) -> Result<(), Failure> {
        match &self.health {
            Health::Well => Ok(()),
            Health::Failed(failed) => Err(Failure { reason: failed.reason.clone(), is_certain: true }),
        }
    }

    /// Has the engine look at the disk, and takes what it finds as the truth.
    pub(super) fn recover(&mut self) {
        let Health::Failed(mut failed) = std::mem::take(&mut self.health) else { return };
        let begun = Instant::now();
        let unresolved = failed.unresolved.take();
        let found = self.engine.recover();
        self.last_recovery = begun.elapsed();
        match found {
            Ok(durable) if durable == self.view.revision() => {
                tracing::info!(revision = %durable, "the store takes writes again");
                unresolved.into_iter().for_each(|draft| self.abandon(draft));
            }
            Ok(durable) => match unresolved {
                Some(draft) if draft.view.revision() == durable => {
                    tracing::info!(revision = %durable, "the store takes writes again; the last one had become durable");
                    self.publish(draft);
                }
                unresolved => {
                    let reason = format!("the disk holds revision {durable}, memory {}", self.view.revision());
                    self.health = Health::Failed(failed.again(reason, unresolved, self.last_recovery));
                }
            },
            Err(error) => {
                let reason = error.to_string();
                self.health = Health::Failed(failed.again(reason, unresolved, self.last_recovery));
            }
        }
    }
}

impl Failed {
    /// The same failure after one more attempt, to be tried after a longer pause.
    fn again(mut self: Box<Self>, reason: String, unresolved: Option<Draft>, last_attempt: Duration) -> Box<Self> {
        tracing::warn!(%reason, "the store still takes no writes");
        self.reason = reason;
        self.unresolved = unresolved;
        self.pause = (self.pause * 2).min(RETRY_AT_MOST).max(last_attempt * PAUSE_PER_ATTEMPT);
        self.next_attempt = Instant::now() + self.pause;
        self
    }
}
