//! CronJobs: make Jobs by the clock.

mod plan;
mod times;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use self::plan::{Observed, Plan, job_name, note_start};
use crate::object::owner::{controller_key, controller_reference, is_controlled_by, uid};
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::{Cache, Index};
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::recorder::{Recorder, reference};
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 5;
const LAGGING: Duration = Duration::from_secs(1);
/// Tells for which time a job was made.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    cron_jobs: Cache<CronJob>,
    jobs: Cache<Job>,
    made: Expectations<Job>,
    own: Expectations<CronJob>,
}

/// Adds the CronJob controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (cron_jobs, jobs) = (manager.cache::<CronJob>(), manager.cache::<Job>());
    let queue = manager.queue::<ObjectKey>(name);
    cron_jobs.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|cron_job| queue.add(ObjectKey::of(cron_job)))
    });
    jobs.on_change({
        let queue = queue.clone();
        move |change| {
            let owners = change.sides().filter_map(|job| controller_key::<CronJob>(&job.metadata));
            owners.for_each(|key| queue.add(key));
        }
    });
    let controller = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder(name),
        made: Expectations::new(jobs.clone()),
        own: Expectations::new(cron_jobs.clone()),
        cron_jobs: cron_jobs.clone(),
        jobs: jobs.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&cron_jobs).and(&jobs), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(cron_job) = self.cron_jobs.get(key) else {
            self.made.forget(key);
            self.own.forget(key);
            return Ok(Action::await_change());
        };
        if !self.made.are_met(key) || !self.own.are_met(key) {
            return Ok(Action::requeue(LAGGING));
        }
        let jobs = self.jobs.find(&Index::Controller(uid(&cron_job.metadata).to_owned()));
        let plan = Observed { cron_job: &cron_job, jobs: &jobs, now: self.clock.now() }.plan();
        self.execute(key, &cron_job, plan).await
    }
}

impl Controller {
    async fn execute(&self, key: &ObjectKey, cron_job: &CronJob, plan: Plan) -> Result<Action, Error> {
        for (severity, reason, message) in plan.tell {
            self.recorder.report(reference(cron_job), severity, reason, message);
        }
        for job in plan.expired.iter().chain(&plan.replaced) {
            self.delete(key, cron_job, job).await?;
        }
        let mut status = plan.status;
        let started = match plan.start {
            Some((time, zone)) => self.start(key, cron_job, time, zone, &mut status).await,
            None => Ok(()),
        };
        if cron_job.status.as_ref() != Some(&status) {
            let updated = CronJob { status: Some(status), ..cron_job.clone() };
            match self.requests.replace_status(&updated).await {
                Ok(written) => self.own.wrote(key, &written),
                Err(error) if error.is_not_found() => return Ok(Action::await_change()),
                Err(error) => return Err(error),
            }
        }
        started?;
        Ok(Action::requeue_if(plan.check_at.map(|at| self.clock.until(at))))
    }

    async fn delete(&self, key: &ObjectKey, cron_job: &CronJob, job: &Job) -> Result<(), Error> {
        let job_key = ObjectKey::of(job);
        ignore_not_found(self.requests.delete::<Job>(&job_key, &Deletion::of(job).background()).await)?;
        self.made.deleted(key, job);
        self.recorder.normal(cron_job, "SuccessfulDelete", format!("Deleted job {}", job_key.name));
        Ok(())
    }

    /// Makes the job for `time` and notes it in `status`. One that is there already was made by a run that did not
    /// come to write its status.
    async fn start(
        &self,
        key: &ObjectKey,
        cron_job: &CronJob,
        time: Timestamp,
        zone: TimeZone,
        status: &mut CronJobStatus,
    ) -> Result<(), Error> {
        let job = new_job(cron_job, time, zone);
        let made = match self.requests.create(&job).await {
            Ok(made) => {
                self.made.wrote(key, &made);
                let name = made.metadata.name.as_deref().unwrap_or_default();
                self.recorder.normal(cron_job, "SuccessfulCreate", format!("Created job {name}"));
                Some(made)
            }
            Err(error) if error.is_already_exists() => {
                let standing: Option<Job> = self.requests.get(&ObjectKey::of(&job)).await?;
                standing.filter(|job| is_controlled_by(&job.metadata, uid(&cron_job.metadata)))
            }
            Err(error) if error.is_namespace_terminating() => return Ok(()),
            Err(error) => {
                self.recorder.warning(cron_job, "FailedCreate", format!("Error creating job: {}", error.message()));
                return Err(error);
            }
        };
        if let Some(made) = made {
            note_start(status, reference(&made), time);
        }
        Ok(())
    }
}

fn new_job(cron_job: &CronJob, time: Timestamp, zone: TimeZone) -> Job {
    let template = cron_job.spec.as_ref().map(|spec| spec.job_template.clone()).unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.to_owned(), rfc3339(time, zone));
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(cron_job, time)),
            namespace: cron_job.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(cron_job)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// As Go writes it: `Z` where there is no offset.
fn rfc3339(time: Timestamp, zone: TimeZone) -> String {
    let zoned = time.to_zoned(zone);
    let format = if zoned.offset() == Offset::UTC { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    zoned.strftime(format).to_string()
}
