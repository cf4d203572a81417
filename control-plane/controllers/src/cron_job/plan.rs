//! The next step of a CronJob, decided from what is observed alone.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sheave_api::schedule::Schedule;

use super::times::{Due, TOO_MANY, Times};
use crate::job::outcome_of;
use crate::object::owner::{is_deleted, uid};
use crate::runtime::recorder::Severity;

/// What the controller sees.
pub(super) struct Observed<'a> {
    pub(super) cron_job: &'a CronJob,
    /// The jobs that it controls.
    pub(super) jobs: &'a [Arc<Job>],
    pub(super) now: Timestamp,
}

/// What the controller is to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The status, but for a job that is started.
    pub(super) status: CronJobStatus,
    /// Finished jobs beyond the history that is kept.
    pub(super) expired: Vec<Arc<Job>>,
    /// Running jobs that make room for the one to start.
    pub(super) replaced: Vec<Arc<Job>>,
    /// The time for which a job is to start, with its time zone.
    pub(super) start: Option<(Timestamp, TimeZone)>,
    /// What users are told.
    pub(super) tell: Vec<(Severity, &'static str, String)>,
    /// When to look again although nothing changed.
    pub(super) check_at: Option<Timestamp>,
}

/// The name of the job for a time: a second one for the same time cannot be.
pub(super) fn job_name(cron_job: &CronJob, time: Timestamp) -> String {
    format!("{}-{}", cron_job.metadata.name.as_deref().unwrap_or_default(), time.as_second() / 60)
}

// === impl Observed ===

impl Observed<'_> {
    /// Decides on one step.
    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan { status: self.cron_job.status.clone().unwrap_or_default(), ..Plan::default() };
        let Some(spec) = self.cron_job.spec.as_ref() else { return plan };
        self.take_stock(&mut plan);
        self.trim_history(spec, &mut plan);
        if is_deleted(&self.cron_job.metadata) || spec.suspend == Some(true) {
            return plan;
        }
        match times(spec) {
            Ok(times) => self.schedule(spec, times, &mut plan),
            Err((reason, message)) => plan.tell.push((Severity::Warning, reason, message)),
        }
        plan
    }

    /// Brings the list of active jobs in line with the jobs that there are.
    fn take_stock(&self, plan: &mut Plan) {
        let mut active = plan.status.active.take().unwrap_or_default();
        for job in self.jobs {
            let name = name(job);
            let listed = active.iter().position(|known| known.uid.as_deref() == Some(uid(&job.metadata)));
            match (listed, outcome_of(job)) {
                (Some(index), Some(outcome)) => {
                    active.remove(index);
                    let message = format!("Saw completed job: {name}, condition: {outcome}");
                    plan.tell.push((Severity::Normal, "SawCompletedJob", message));
                }
                (None, None) if !self.is_for_last_start(job) => {
                    let message = format!("Saw a job that the controller did not create or forgot: {name}");
                    plan.tell.push((Severity::Warning, "UnexpectedJob", message));
                }
                (Some(_) | None, _) => {}
            }
            let completed = job.status.as_ref().and_then(|status| status.completion_time.clone());
            plan.status.last_successful_time = plan.status.last_successful_time.take().max(completed);
        }
        active.retain(|known| {
            let there = self.jobs.iter().any(|job| known.uid.as_deref() == Some(uid(&job.metadata)));
            if !there {
                let message = format!("Active job went missing: {}", known.name.as_deref().unwrap_or_default());
                plan.tell.push((Severity::Normal, "MissingJob", message));
            }
            there
        });
        plan.status.active = Some(active).filter(|active| !active.is_empty());
    }

    /// Whether the job was made by a run that ended before it could say so in the status.
    fn is_for_last_start(&self, job: &Job) -> bool {
        let prefix = self.cron_job.metadata.name.as_deref().unwrap_or_default();
        let minutes = name(job).strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
        minutes.is_some_and(|minutes| minutes.parse::<i64>().is_ok())
    }

    fn trim_history(&self, spec: &CronJobSpec, plan: &mut Plan) {
        let limits = [("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit)];
        for (outcome, limit) in limits {
            let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { continue };
            let ended = self.jobs.iter().filter(|job| outcome_of(job) == Some(outcome) && !is_deleted(&job.metadata));
            let mut ended: Vec<_> = ended.cloned().collect();
            ended.sort_by_key(|job| (started(job), name(job).to_owned()));
            let surplus = ended.len().saturating_sub(limit);
            plan.expired.extend(ended.into_iter().take(surplus));
        }
    }

    fn schedule(&self, spec: &CronJobSpec, times: Times, plan: &mut Plan) {
        let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
        let due = times.due(self.since(deadline), self.now);
        plan.check_at = due.next;
        if due.passed > TOO_MANY && deadline.is_none() {
            let message =
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            plan.tell.push((Severity::Warning, "TooManyMissedTimes", message.to_owned()));
        }
        let Some(time) = self.startable(due, deadline, &times.zone, plan) else { return };
        let running = plan.status.active.as_ref().is_some_and(|active| !active.is_empty());
        match spec.concurrency_policy.as_deref() {
            Some("Forbid") if running => {
                let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
                return plan.tell.push((Severity::Normal, "JobAlreadyActive", message.to_owned()));
            }
            Some("Replace") => {
                let active = plan.status.active.take().unwrap_or_default();
                let is_active = |job: &&Arc<Job>| is_listed(&active, job);
                plan.replaced = self.jobs.iter().filter(is_active).cloned().collect();
            }
            Some(_) | None => {}
        }
        plan.start = Some((time, times.zone));
    }

    /// Since when starts may be outstanding.
    fn since(&self, deadline: Option<SignedDuration>) -> Timestamp {
        let last = self.cron_job.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
        let since = last.or(self.cron_job.metadata.creation_timestamp.as_ref()).map_or(self.now, |time| time.0);
        let earliest = deadline.and_then(|deadline| self.now.checked_sub(deadline).ok());
        earliest.map_or(since, |earliest| since.max(earliest))
    }

    /// The time that is due, unless it is too late for it.
    fn startable(
        &self,
        due: Due,
        deadline: Option<SignedDuration>,
        zone: &TimeZone,
        plan: &mut Plan,
    ) -> Option<Timestamp> {
        let time = due.last?;
        let latest = deadline.and_then(|deadline| time.checked_add(deadline).ok());
        if latest.is_some_and(|latest| latest < self.now) {
            let time = time.to_zoned(zone.clone()).strftime("%a, %d %b %Y %H:%M:%S %z");
            plan.tell.push((
                Severity::Warning,
                "MissSchedule",
                format!("Missed scheduled time to start a job: {time}"),
            ));
            return None;
        }
        let handled = plan.status.last_schedule_time.as_ref().is_some_and(|last| last.0 == time);
        (!handled).then_some(time)
    }
}

/// Adds a job that was started to the status.
pub(super) fn note_start(status: &mut CronJobStatus, job: ObjectReference, time: Timestamp) {
    let active = status.active.get_or_insert_default();
    if !active.iter().any(|known| known.uid == job.uid) {
        active.push(job);
    }
    status.last_schedule_time = Some(Time(time));
}

/// The schedule in its zone: the one of this machine where none is named.
fn times(spec: &CronJobSpec) -> Result<Times, (&'static str, String)> {
    let zone = match spec.time_zone.as_deref() {
        None => TimeZone::system(),
        Some(zone) => {
            TimeZone::get(zone).map_err(|error| ("UnknownTimeZone", format!("invalid timeZone: {zone:?}: {error}")))?
        }
    };
    let schedule = Schedule::parse(&spec.schedule)
        .map_err(|error| ("UnparseableSchedule", format!("unparseable schedule: {:?} : {error}", spec.schedule)))?;
    Ok(Times { schedule, zone })
}

fn is_listed(active: &[ObjectReference], job: &Job) -> bool {
    active.iter().any(|known| known.uid.as_deref() == Some(uid(&job.metadata)))
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

fn started(job: &Job) -> Option<Time> {
    let status = job.status.as_ref().and_then(|status| status.start_time.clone());
    status.or_else(|| job.metadata.creation_timestamp.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan(spec: Value, status: Value, jobs: &[Value], now: &str) -> Plan {
        let mut spec = spec;
        spec["jobTemplate"] = json!({});
        spec["schedule"] = spec.get("schedule").cloned().unwrap_or_else(|| json!("*/10 * * * *"));
        let zone = spec.get("timeZone").cloned().unwrap_or_else(|| json!("UTC"));
        spec["timeZone"] = zone;
        let meta = json!({"name": "tick", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let cron_job = serde_json::from_value(json!({"metadata": meta, "spec": spec, "status": status})).unwrap();
        let jobs: Vec<_> = jobs.iter().map(|job| Arc::new(serde_json::from_value(job.clone()).unwrap())).collect();
        Observed { cron_job: &cron_job, jobs: &jobs, now: now.parse().unwrap() }.plan()
    }

    fn job(name: &str, ended: Option<&str>, minute: u32) -> Value {
        let conditions = ended.map(|kind| {
            json!([{"type": kind, "status": "True", "lastTransitionTime": format!("2026-01-01T00:{minute:02}:30Z")}])
        });
        let start = format!("2026-01-01T00:{minute:02}:00Z");
        json!({"metadata": {"name": name, "uid": name}, "status": {"startTime": start, "conditions": conditions}})
    }

    fn told(plan: &Plan) -> Vec<&str> {
        plan.tell.iter().map(|(_, reason, _)| *reason).collect()
    }

    fn start(plan: &Plan) -> Option<String> {
        plan.start.as_ref().map(|(time, _)| time.to_string())
    }

    #[test]
    fn a_job_starts_when_its_time_has_come_and_only_once() {
        let first = plan(json!({}), json!({}), &[], "2026-01-01T00:10:00Z");
        assert_eq!(start(&first).as_deref(), Some("2026-01-01T00:10:00Z"));
        assert_eq!(first.check_at, Some("2026-01-01T00:20:00Z".parse().unwrap()));
        let again = plan(json!({}), json!({"lastScheduleTime": "2026-01-01T00:10:00Z"}), &[], "2026-01-01T00:10:01Z");
        assert_eq!(start(&again), None);
    }

    #[test]
    fn what_runs_already_decides_by_the_policy() {
        let running = [job("tick-1", None, 10)];
        let status =
            json!({"active": [{"uid": "tick-1", "name": "tick-1"}], "lastScheduleTime": "2026-01-01T00:10:00Z"});
        for (policy, starts, replaced, said) in
            [("Allow", true, 0, &[][..]), ("Forbid", false, 0, &["JobAlreadyActive"]), ("Replace", true, 1, &[])]
        {
            let plan = plan(json!({"concurrencyPolicy": policy}), status.clone(), &running, "2026-01-01T00:20:00Z");
            assert_eq!((plan.start.is_some(), plan.replaced.len()), (starts, replaced), "{policy}");
            assert_eq!(told(&plan), said, "{policy}");
        }
    }

    #[test]
    fn a_suspended_one_starts_nothing_and_asks_for_no_later_look() {
        let plan = plan(json!({"suspend": true}), json!({}), &[], "2026-01-01T00:20:00Z");
        assert_eq!((start(&plan), plan.check_at), (None, None));
    }

    #[test]
    fn a_start_that_is_later_than_its_deadline_is_missed() {
        let spec = json!({"startingDeadlineSeconds": 30});
        assert!(plan(spec.clone(), json!({}), &[], "2026-01-01T00:10:20Z").start.is_some());
        let late = plan(spec, json!({}), &[], "2026-01-01T00:10:40Z");
        assert_eq!(start(&late), None, "nothing lies within the deadline");
        let many = plan(json!({"schedule": "* * * * *"}), json!({}), &[], "2026-01-02T00:00:00Z");
        assert_eq!(told(&many), ["TooManyMissedTimes"]);
        assert_eq!(start(&many).as_deref(), Some("2026-01-02T00:00:00Z"), "the last one starts all the same");
    }

    #[test]
    fn jobs_that_end_leave_the_list_and_the_oldest_leave_the_history() {
        let jobs = [
            job("tick-1", Some("Complete"), 10),
            job("tick-2", Some("Complete"), 20),
            job("tick-3", Some("Failed"), 30),
            job("tick-4", None, 40),
        ];
        let refer = |name: &str| json!({"uid": name, "name": name});
        let status = json!({"active": [refer("tick-3"), refer("tick-4"), refer("gone")],
                            "lastScheduleTime": "2026-01-01T00:40:00Z"});
        let spec = json!({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1});
        let plan = plan(spec, status, &jobs, "2026-01-01T00:45:00Z");
        assert_eq!(told(&plan), ["SawCompletedJob", "MissingJob"]);
        assert_eq!(plan.tell[0].2, "Saw completed job: tick-3, condition: Failed");
        assert_eq!(plan.expired.iter().map(|job| name(job)).collect::<Vec<_>>(), ["tick-1"]);
        let active = plan.status.active.unwrap();
        assert_eq!(active.iter().filter_map(|known| known.name.as_deref()).collect::<Vec<_>>(), ["tick-4"]);
    }

    #[test]
    fn what_cannot_be_understood_is_said_and_nothing_starts() {
        for (spec, reason) in [
            (json!({"schedule": "often"}), "UnparseableSchedule"),
            (json!({"timeZone": "Mars/Olympus"}), "UnknownTimeZone"),
        ] {
            let plan = plan(spec, json!({}), &[], "2026-01-01T00:20:00Z");
            assert_eq!((told(&plan), start(&plan)), (vec![reason], None));
        }
    }

    #[test]
    fn a_stranger_among_the_jobs_is_reported() {
        let plan = plan(json!({}), json!({}), &[job("by-hand", None, 1)], "2026-01-01T00:05:00Z");
        assert_eq!(told(&plan), ["UnexpectedJob"]);
    }
}
