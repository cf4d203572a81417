//! Jobs.

use crate::with_nodes;

fn manifest(name: &str, spec: &str, annotations: &str) -> String {
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: {name}, labels: {{chapter: jobs}}}}
spec:
  {spec}
  template:
    metadata: {{labels: {{chapter: jobs}}, annotations: {{{annotations}}}}}
    spec: {{restartPolicy: Never, containers: [{{name: kuard, image: 'gcr.io/kuar-demo/kuard-amd64:1'}}]}}
"
    )
}

#[test]
fn one_shot_parallel_and_failing_jobs_end_as_kubernetes_says() {
    with_nodes(|cluster| {
        cluster.apply(&manifest("oneshot", "backoffLimit: 6", ""));
        cluster.says("kubectl wait --for=condition=complete job/oneshot --timeout=100s", "condition met");
        cluster.comes_to_say("kubectl get jobs oneshot --no-headers", "1/1");
        cluster.apply(&manifest("parallel", "completions: 5\n  parallelism: 2", ""));
        cluster.says("kubectl wait --for=condition=complete job/parallel --timeout=100s", "condition met");
        cluster.says("kubectl get job parallel --no-headers", "5/5");
        let described = cluster.run("kubectl describe jobs/parallel");
        described.succeeds().prints("Parallelism: 2").prints("Completions: 5").prints("5 Succeeded / 0 Failed");
        cluster.comes_to_say("kubectl describe jobs/parallel", "Job completed");
        cluster.says("kubectl get pods -l job-name=parallel --no-headers | grep -c Completed", "5");

        cluster.apply(&manifest("failing", "backoffLimit: 0", "simulated-nodes/exit-code: '3'"));
        cluster.says("kubectl wait --for=condition=failed job/failing --timeout=100s", "condition met");
        cluster.says("kubectl describe job failing", "BackoffLimitExceeded");
        cluster.says("kubectl get job failing --no-headers", "0/1");
        cluster.comes_to_say("kubectl get events", "Job has reached the specified backoff limit");
        cluster.says("kubectl delete jobs -l chapter=jobs", "job.batch \"oneshot\"");
        cluster.comes_to_say("kubectl get pods -l chapter=jobs -o name | wc -l", "0");
    });
}

#[test]
fn an_indexed_job_gives_up_on_one_index_and_runs_the_others() {
    with_nodes(|cluster| {
        if cluster.version() < (1, 29) {
            // Older kubectl validates with a schema of its own that lacks the fields.
            return;
        }
        cluster.apply(&manifest(
            "indexed",
            "completions: 3\n  parallelism: 3\n  completionMode: Indexed\n  backoffLimitPerIndex: 0",
            "simulated-nodes/runs: forever",
        ));
        cluster.comes_to_say("kubectl get pods -l job-name=indexed --no-headers | grep -c Running", "3");
        let pod = "kubectl get pods -l batch.kubernetes.io/job-completion-index=1 -o name";
        cluster.says(&format!("kubectl annotate $({pod}) simulated-nodes/exit-code=1"), "annotate");
        cluster.comes_to_say("kubectl get job indexed -o jsonpath='{.status.failedIndexes}'", "1");
        let others = "kubectl get pods -l 'batch.kubernetes.io/job-completion-index in (0,2)' -o name";
        cluster.says(&format!("kubectl annotate $({others}) simulated-nodes/exit-code=0"), "annotate");
        cluster.says("kubectl wait --for=condition=failed job/indexed --timeout=100s", "condition met");
        cluster.says("kubectl describe job indexed", "Job has failed indexes");
        cluster.says("kubectl get job indexed -o jsonpath='{.status.completedIndexes}'", "0,2");
    });
}
