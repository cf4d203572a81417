//! CronJobs, over a clock that the test moves.

use std::time::Duration;

use crate::with_nodes;

#[test]
fn a_cron_job_makes_jobs_by_the_clock_and_by_hand() {
    with_nodes(|cluster| {
        if cluster.version() < (1, 21) {
            return;
        }
        let create = "kubectl create cronjob tick --image=busybox --schedule='*/10 * * * *' -- date";
        cluster.says(create, "cronjob.batch/tick created");
        cluster.says("kubectl get cronjob tick", "tick */10 * * * *");
        cluster.clock.advance(Duration::from_secs(600));
        cluster.comes_to_say("kubectl get jobs --no-headers | grep -c '^tick-.*1/1'", "1");
        cluster.comes_to_say("kubectl describe cronjob.batch/tick", "Saw completed job: tick-");
        cluster.says("kubectl describe cronjob.batch/tick", "Created job tick-");
        cluster.comes_to_say("kubectl get cronjob tick -o jsonpath='{.status.lastSuccessfulTime}'", "Z");
        cluster.says("kubectl create job by-hand --from=cronjob/tick", "job.batch/by-hand created");
        cluster.says("kubectl wait --for=condition=complete job/by-hand --timeout=100s", "condition met");
        cluster.says("kubectl patch cronjob tick -p '{\"spec\":{\"suspend\":true}}'", "patched");
        cluster.comes_to_say("kubectl get cronjob tick --no-headers", "True");
        cluster.says("kubectl delete cronjob tick", "deleted");
        cluster.comes_to_say("kubectl get jobs,pods -o name | wc -l", "0");
    });
}
