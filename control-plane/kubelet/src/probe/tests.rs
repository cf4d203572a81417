//! Probes over time, which stands still while nothing is to be done.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::*;

/// Runs no program: the probe's command says what would come of it, one letter for each check.
///
/// `+` ends with 0, `-` with 1, `t` takes too long, `?` cannot be run. The last letter stays.
#[derive(Default)]
struct Script(AtomicUsize);

impl Exec for Script {
    fn exec<'a>(
        &'a self,
        _container_id: &'a str,
        command: Vec<String>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Executed, ExecError>> {
        async move {
            let letters = command[0].as_bytes();
            let index = self.0.fetch_add(1, Ordering::Relaxed).min(letters.len() - 1);
            match letters[index] {
                b'+' => Ok(Executed::default()),
                b'-' => Ok(Executed { exit_code: 1, output: b"no such file\n".to_vec() }),
                b't' => {
                    tokio::time::sleep(timeout).await;
                    Err(ExecError::TimedOut)
                }
                _ => Err(ExecError::Runtime("container not running".to_owned())),
            }
        }
        .boxed()
    }
}

struct Watched {
    reports: UnboundedReceiver<Report>,
    probing: Option<Probing>,
    begin: Instant,
}

impl Watched {
    fn start(container: Value, has_started: bool) -> Self {
        let mut container = container;
        container["name"] = json!("c");
        let subject = Subject {
            container: serde_json::from_value(container).unwrap(),
            id: "id".to_owned(),
            started_at: Timestamp::now(),
            has_started,
            address: None,
        };
        let (sender, reports) = unbounded_channel();
        let probing = Prober::new(Arc::new(Script::default())).watch(subject, sender);
        Self { reports, probing, begin: Instant::now() }
    }

    /// Everything that is found out within a time: second, probe, finding.
    async fn within(&mut self, seconds: u64) -> Vec<String> {
        let end = self.begin + Duration::from_secs(seconds);
        let mut shown = Vec::new();
        while let Ok(Some(report)) = tokio::time::timeout_at(end, self.reports.recv()).await {
            let second = self.begin.elapsed().as_secs();
            let finding = match report.finding {
                Finding::Passes => "passes".to_owned(),
                Finding::Fails { grace: None } => "fails".to_owned(),
                Finding::Fails { grace: Some(grace) } => format!("fails, {} s to end", grace.as_secs()),
                Finding::Unhealthy(message) => message,
            };
            shown.push(format!("{second} {}: {finding}", report.probe.as_str()));
        }
        shown
    }
}

fn exec(script: &str) -> Value {
    json!({"exec": {"command": [script]}, "periodSeconds": 5})
}

fn with(mut probe: Value, fields: Value) -> Value {
    probe.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    probe
}

#[tokio::test(start_paused = true)]
async fn a_container_without_probes_is_not_watched() {
    assert!(Watched::start(json!({}), false).probing.is_none());
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_and_goes_with_the_thresholds() {
    let probe = with(exec("-++---+"), json!({"successThreshold": 2, "failureThreshold": 2, "initialDelaySeconds": 3}));
    let mut watched = Watched::start(json!({"readinessProbe": probe}), false);
    let failed = "Readiness: Readiness probe failed: no such file\n";
    let expected = [
        format!("3 {failed}"),
        "13 Readiness: passes".to_owned(),
        format!("18 {failed}"),
        format!("23 {failed}"),
        "23 Readiness: fails".to_owned(),
        format!("28 {failed}"),
        "38 Readiness: passes".to_owned(),
    ];
    assert_eq!(watched.within(100).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_not_live_gets_the_probes_own_grace_and_is_probed_no_more() {
    let probe = with(exec("+-"), json!({"failureThreshold": 1, "terminationGracePeriodSeconds": 7}));
    let mut watched = Watched::start(json!({"livenessProbe": probe}), false);
    let expected =
        ["0 Liveness: passes", "5 Liveness: Liveness probe failed: no such file\n", "5 Liveness: fails, 7 s to end"];
    assert_eq!(watched.within(100).await, expected);
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_probed_before_the_startup_probe_has_passed() {
    let container = |startup: &str| {
        json!({
            "startupProbe": with(exec(startup), json!({"failureThreshold": 3})),
            "livenessProbe": exec("+"),
            "readinessProbe": exec("+"),
        })
    };
    let mut watched = Watched::start(container("--+"), false);
    let failed = "Startup: Startup probe failed: no such file\n";
    let expected = [
        format!("0 {failed}"),
        format!("5 {failed}"),
        "10 Startup: passes".to_owned(),
        "10 Liveness: passes".to_owned(),
        "10 Readiness: passes".to_owned(),
    ];
    assert_eq!(watched.within(100).await, expected);
    let mut watched = Watched::start(container("-"), false);
    let expected =
        [format!("0 {failed}"), format!("5 {failed}"), format!("10 {failed}"), "10 Startup: fails".to_owned()];
    assert_eq!(watched.within(100).await, expected);
    let mut watched = Watched::start(container("-"), true);
    assert_eq!(watched.within(3).await, ["0 Liveness: passes", "0 Readiness: passes"]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_takes_too_long_fails_and_one_that_cannot_be_made_counts_neither_way() {
    let probe = with(exec("+t?t+"), json!({"failureThreshold": 2, "timeoutSeconds": 2}));
    let mut watched = Watched::start(json!({"readinessProbe": probe}), false);
    let expected = [
        "0 Readiness: passes",
        "7 Readiness: Readiness probe failed: command timed out: \"+t?t+\" timed out after 2s",
        "12 Readiness: Readiness probe errored and resulted in unknown state: container not running",
        "19 Readiness: Readiness probe failed: command timed out: \"+t?t+\" timed out after 2s",
        "19 Readiness: fails",
        "24 Readiness: passes",
    ];
    let seen = watched.within(30).await;
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    for (seen, expected) in seen.iter().zip(expected) {
        let tail = |line: &str| line.split_once(' ').map(|(_, tail)| tail.to_owned());
        assert_eq!(tail(seen), tail(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_being_ended_is_probed_for_readiness_alone() {
    let probes =
        json!({"livenessProbe": exec("+"), "readinessProbe": with(exec("+--"), json!({"failureThreshold": 1}))});
    let mut watched = Watched::start(probes, false);
    watched.within(3).await;
    watched.probing.as_ref().unwrap().end_liveness();
    let seen = watched.within(100).await;
    assert!(!seen.is_empty() && seen.iter().all(|line| line.contains("Readiness")), "{seen:?}");
    watched.probing = None;
    assert_eq!(watched.within(200).await, Vec::<String>::new());
}

#[test]
fn before_any_finding_a_container_is_what_it_has_no_probe_for() {
    let initial = |fields: Value| {
        let mut container = fields;
        container["name"] = json!("c");
        initial(&serde_json::from_value(container).unwrap())
    };
    assert_eq!(initial(json!({})), (true, true));
    assert_eq!(initial(json!({"livenessProbe": exec("+")})), (true, true));
    assert_eq!(initial(json!({"readinessProbe": exec("+")})), (true, false));
    assert_eq!(initial(json!({"startupProbe": exec("+")})), (false, false));
}
