//! Jobs: run pods until enough of them succeed.

mod backoff;
mod count;
mod failure_policy;
mod indexes;
mod outcome;
mod per_index;
mod plan;
mod pods;

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::Selector;
use serde_json::json;

pub(crate) use self::outcome::outcome_of;
use self::outcome::{finished_at, is_finished};
use self::plan::{Create, FINALIZER, Observed, Plan, is_held};
use self::pods::{new_indexed_pod, new_pod};
use crate::object::claim::claim;
use crate::object::owner::{controller_key, is_deleted};
use crate::object::pod;
use crate::object::revisioned::wake_owners;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::recorder::Recorder;
use crate::runtime::slow_start::slow_start;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 5;
const LAGGING: Duration = Duration::from_secs(1);
/// One run makes at most this many pods.
const BURST: usize = 500;

struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    jobs: Cache<Job>,
    pods: Cache<Pod>,
    expectations: Expectations<Pod>,
    own: Expectations<Job>,
}

/// Adds the Job controller, which also removes Jobs whose `ttlSecondsAfterFinished` is over.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (jobs, pods) = (manager.cache::<Job>(), manager.cache::<Pod>());
    let queue = manager.queue::<ObjectKey>(name);
    jobs.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|job| queue.add(ObjectKey::of(job)))
    });
    pods.on_change({
        let (jobs, queue) = (jobs.clone(), queue.clone());
        move |change| wake_owners(change, &jobs, &queue)
    });
    let controller = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder(name),
        expectations: Expectations::new(pods.clone()),
        own: Expectations::new(jobs.clone()),
        jobs: jobs.clone(),
        pods: pods.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&jobs).and(&pods), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(job) = self.jobs.get(key) else {
            self.expectations.forget(key);
            self.own.forget(key);
            return self.release_orphans(key).await;
        };
        let Some(spec) = job.spec.as_ref() else { return Ok(Action::await_change()) };
        if spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller") {
            return Ok(Action::await_change());
        }
        if !self.expectations.are_met(key) || !self.own.are_met(key) {
            return Ok(Action::requeue(LAGGING));
        }
        let selector =
            Selector::try_from(spec.selector.clone().unwrap_or_default()).ok().filter(|it| !it.selects_all());
        let Some(selector) = selector else {
            return Err(Error::Invalid { object: format!("Job {key}"), reason: "its selector is empty".into() });
        };
        let pods = claim(&self.requests, job.as_ref(), &selector, &self.pods).await?;
        if is_finished(&job) || is_deleted(&job.metadata) {
            for pod in pods.iter().filter(|pod| is_held(pod)) {
                self.release(pod).await?;
            }
            return self.expire(key, &job).await;
        }
        let now = self.clock.time();
        self.execute(key, &job, Observed { job: &job, spec, pods: &pods, now: &now }.plan()).await
    }
}

impl Controller {
    async fn execute(&self, key: &ObjectKey, job: &Job, plan: Plan) -> Result<Action, Error> {
        if job.status.as_ref() != Some(&plan.status) {
            let updated = Job { status: Some(plan.status), ..job.clone() };
            match self.requests.replace_status(&updated).await {
                Ok(written) => self.own.wrote(key, &written),
                Err(error) if error.is_not_found() => return Ok(Action::await_change()),
                Err(error) => return Err(error),
            }
            match plan.tell {
                Some((true, reason, message)) => self.recorder.normal(job, &reason, message),
                Some((false, reason, message)) => self.recorder.warning(job, &reason, message),
                None => {}
            }
        }
        for pod in &plan.release {
            self.release(pod).await?;
        }
        for pod in &plan.delete {
            self.release(pod).await?;
            ignore_not_found(
                self.requests.delete::<Pod>(&ObjectKey::of(pod.as_ref()), &Deletion::of(pod.as_ref())).await,
            )?;
            self.expectations.deleted(key, pod);
            self.recorder.normal(job, "SuccessfulDelete", format!("Deleted pod: {}", pod::name(pod)));
        }
        self.create(key, job, &plan.create).await?;
        Ok(Action::requeue_if(plan.check_at.map(|at| self.clock.until(at))))
    }

    async fn create(&self, key: &ObjectKey, job: &Job, create: &Create) -> Result<(), Error> {
        let pods: Vec<Pod> = match create {
            Create::None => Vec::new(),
            Create::Count(count) => vec![new_pod(job); (*count).min(BURST)],
            Create::Indexes(indexes) => indexes.iter().take(BURST).map(|slot| new_indexed_pod(job, *slot)).collect(),
        };
        let pods = &pods;
        let results = slow_start(pods.len(), |index| async move {
            let created = self.requests.create(&pods[index]).await?;
            self.expectations.wrote(key, &created);
            self.recorder.normal(job, "SuccessfulCreate", format!("Created pod: {}", pod::name(&created)));
            Ok(())
        });
        let failure = results.await.into_iter().find_map(Result::err).filter(|error| !error.is_namespace_terminating());
        match failure {
            Some(error) => {
                self.recorder.warning(job, "FailedCreate", format!("Error creating: {}", error.message()));
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Takes the finalizer off a pod. A pod that changed meanwhile is left to the next run.
    async fn release(&self, pod: &Pod) -> Result<(), Error> {
        if !is_held(pod) {
            return Ok(());
        }
        let left: Vec<_> = pod.metadata.finalizers.iter().flatten().filter(|it| *it != FINALIZER).collect();
        let left = if left.is_empty() { json!(null) } else { json!(left) };
        let patch = json!({"metadata": {"resourceVersion": pod.metadata.resource_version, "finalizers": left}});
        ignore_not_found(self.requests.merge::<Pod>(&ObjectKey::of(pod), patch).await)
    }

    /// Pods of a Job that is gone have nobody left to count them.
    async fn release_orphans(&self, key: &ObjectKey) -> Result<Action, Error> {
        for pod in self.pods.in_namespace(&key.namespace).iter().filter(|pod| is_held(pod)) {
            if controller_key::<Job>(&pod.metadata).as_ref() == Some(key) {
                self.release(pod).await?;
            }
        }
        Ok(Action::await_change())
    }

    async fn expire(&self, key: &ObjectKey, job: &Job) -> Result<Action, Error> {
        let ttl = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished);
        let Some((at, ttl)) = finished_at(job).zip(ttl).filter(|_| !is_deleted(&job.metadata)) else {
            return Ok(Action::await_change());
        };
        let expires = at.saturating_add(SignedDuration::from_secs(i64::from(ttl))).unwrap_or(at);
        let left = self.clock.until(expires);
        if !left.is_zero() {
            return Ok(Action::requeue(left));
        }
        ignore_not_found(self.requests.delete::<Job>(key, &Deletion::of(job).background()).await)?;
        Ok(Action::await_change())
    }
}
