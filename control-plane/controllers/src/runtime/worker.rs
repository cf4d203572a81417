//! Runs a reconcile function over a work queue, whatever it does.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::error::Error;
use super::metrics::{ControllerMetrics, Outcome};
use super::queue::{WorkKey, WorkQueue};

/// A level-triggered controller: brings the world closer to what the object behind a key asks for.
///
/// It is not told why it runs: what it does depends on the state it finds alone. One key never runs twice at once;
/// different keys do.
pub trait Reconciler: Send + Sync + 'static {
    /// What the queue holds.
    type Key: WorkKey;

    /// One run. An error is logged, counted and retried with back-off, and so is a panic.
    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Result<Action, Error>> + Send;
}

/// What is to happen to a key after a successful run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    after: Option<Duration>,
}

// === impl Action ===

impl Action {
    /// Nothing until something that the controller watches changes.
    pub fn await_change() -> Self {
        Self { after: None }
    }

    /// Another run after `delay`, or earlier if something changes.
    pub fn requeue(delay: Duration) -> Self {
        Self { after: Some(delay) }
    }

    /// Another run after `delay` if there is one.
    pub fn requeue_if(delay: Option<Duration>) -> Self {
        Self { after: delay }
    }

    /// The earlier of two wishes.
    pub fn or_earlier(self, other: Self) -> Self {
        let after = match (self.after, other.after) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { after }
    }

    /// The delay until the next run, if one is wanted.
    pub fn delay(self) -> Option<Duration> {
        self.after
    }
}

/// The futures of `workers` workers on `queue`; each ends when `stop` is cancelled and its current run is done.
pub fn workers<R: Reconciler>(
    reconciler: R,
    queue: &WorkQueue<R::Key>,
    metrics: &Arc<ControllerMetrics>,
    name: &'static str,
    workers: usize,
    stop: &CancellationToken,
) -> Vec<BoxFuture<'static, ()>> {
    let reconciler = Arc::new(reconciler);
    (0..workers)
        .map(|_| {
            let (reconciler, queue) = (reconciler.clone(), queue.clone());
            let (metrics, stop) = (metrics.clone(), stop.clone());
            async move {
                loop {
                    let work = tokio::select! {
                        () = stop.cancelled() => return,
                        work = queue.next() => work,
                    };
                    let started = Instant::now();
                    let outcome = run_once(reconciler.as_ref(), &queue, work.key(), name).await;
                    metrics.observe(outcome, started.elapsed());
                }
            }
            .boxed()
        })
        .collect()
}

async fn run_once<R: Reconciler>(reconciler: &R, queue: &WorkQueue<R::Key>, key: &R::Key, name: &str) -> Outcome {
    match AssertUnwindSafe(reconciler.reconcile(key)).catch_unwind().await {
        Ok(Ok(action)) => {
            queue.forget(key);
            if let Some(delay) = action.delay() {
                queue.add_after(key.clone(), delay);
            }
            Outcome::Success
        }
        Ok(Err(failure)) if failure.is_conflict() => {
            debug!(controller = name, %key, "object changed meanwhile, will retry");
            queue.retry(key.clone());
            Outcome::Conflict
        }
        Ok(Err(failure)) => {
            warn!(controller = name, %key, error = &failure as &dyn std::error::Error, "reconcile failed, will retry");
            queue.retry(key.clone());
            Outcome::Error
        }
        Err(payload) => {
            error!(controller = name, %key, panic = panic_message(payload.as_ref()), "reconcile panicked, will retry");
            queue.retry(key.clone());
            Outcome::Panic
        }
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "no message",
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::super::clock::Clock;
    use super::*;

    struct Scripted {
        runs: Arc<Mutex<Vec<String>>>,
    }

    impl Reconciler for Scripted {
        type Key = String;

        async fn reconcile(&self, key: &String) -> Result<Action, Error> {
            let earlier = {
                let mut runs = self.runs.lock();
                runs.push(key.clone());
                runs.iter().filter(|run| *run == key).count()
            };
            match (key.as_str(), earlier) {
                ("panics", 1) => panic!("on purpose"),
                ("fails", 1) => Err(Error::Invalid { object: "x".into(), reason: "on purpose".into() }),
                _ => Ok(Action::await_change()),
            }
        }
    }

    #[tokio::test]
    async fn a_run_that_panics_or_fails_is_counted_and_retried_and_stops_nobody_else() {
        let (metrics, stop) = (Arc::<ControllerMetrics>::default(), CancellationToken::new());
        let queue = WorkQueue::new(Clock::default(), metrics.clone());
        let runs = Arc::new(Mutex::new(Vec::new()));
        ["panics", "fails", "works"].into_iter().for_each(|key| queue.add(key.to_owned()));
        let mut workers = workers(Scripted { runs: runs.clone() }, &queue, &metrics, "test", 1, &stop);
        let worker = tokio::spawn(workers.remove(0));
        let deadline = Instant::now() + Duration::from_secs(30);
        while metrics.count(Outcome::Success) < 3 {
            assert!(Instant::now() < deadline, "still {:?}", runs.lock());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(runs.lock()[..3], ["panics", "fails", "works"]);
        assert_eq!((metrics.count(Outcome::Panic), metrics.count(Outcome::Error)), (1, 1));
        stop.cancel();
        worker.await.unwrap();
    }
}
