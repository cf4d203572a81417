//! Where one walk takes place: a terminal whose kubectl is in a namespace of the walk's own.

use std::ops::Deref;
use std::sync::Arc;

use api_tests::{Kubectl, Outcome, Terminal};
use cluster::Cluster;
use serde_json::Value;

/// A terminal in front of a cluster, in a namespace of its own.
pub struct Stage {
    terminal: Terminal,
    cluster: Arc<Cluster>,
    namespace: String,
}

// === impl Stage ===

impl Stage {
    pub(crate) fn open(cluster: &Arc<Cluster>, walk: &str) -> Self {
        let namespace: String = walk.replace('_', "-").chars().take(63).collect();
        let namespace = namespace.trim_end_matches('-').to_owned();
        let text = std::fs::read_to_string(cluster.kubectl().kubeconfig()).expect("the administrator's kubeconfig");
        let mut kubeconfig: Value = serde_json::from_str(&text).expect("a kubeconfig in JSON");
        kubeconfig["contexts"][0]["context"]["namespace"] = namespace.as_str().into();
        let terminal = Terminal::open(&Kubectl::newest(), &kubeconfig.to_string());
        let stage = Self { terminal, cluster: Arc::clone(cluster), namespace };
        stage.run(&format!("kubectl create namespace {}", stage.namespace)).succeeds();
        // A pod that comes before its namespace's service account is refused.
        stage.wait("kubectl get serviceaccount default", |outcome| outcome.code == 0);
        stage
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The walk's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Applies a manifest.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        self.file("manifest.yaml", manifest);
        self.run("kubectl apply -f manifest.yaml").succeeds();
    }

    /// Makes a pod of one container; `container` holds more of its fields in YAML's flow style, and `pod` more of the
    /// pod's.
    #[track_caller]
    pub fn pod(&self, name: &str, image: &str, container: &str, pod: &str) {
        let separator = |more: &str| if more.is_empty() { "" } else { ", " };
        self.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec: {{terminationGracePeriodSeconds: 2, \
             containers: [{{name: main, image: '{image}'{}{container}}}]{}{pod}}}\n",
            separator(container),
            separator(pod),
        ));
    }

    /// Runs a command line until it prints `text`; runs of blanks count as one.
    #[track_caller]
    pub fn until(&self, line: &str, text: &str) -> Outcome {
        self.wait(line, |outcome| squeeze(&outcome.stdout).contains(&squeeze(text)))
    }

    /// Waits until a pod's row begins so, its name apart: `1/1 Running 0`.
    #[track_caller]
    pub fn row(&self, pod: &str, row: &str) -> Outcome {
        self.until(&format!("kubectl get pod {pod} --no-headers"), &format!("{pod} {row}"))
    }

    /// A field of an object.
    #[track_caller]
    pub fn field(&self, object: &str, path: &str) -> String {
        let outcome = self.run(&format!("kubectl get {object} -o jsonpath='{{{path}}}'"));
        outcome.succeeds();
        outcome.stdout
    }

    /// Waits until a field of an object is so.
    #[track_caller]
    pub fn field_is(&self, object: &str, path: &str, value: &str) {
        self.wait(&format!("kubectl get {object} -o jsonpath='{{{path}}}'"), |outcome| outcome.stdout == value);
    }
}

impl Deref for Stage {
    type Target = Terminal;

    fn deref(&self) -> &Terminal {
        &self.terminal
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = self.run(&format!("kubectl delete namespace {} --wait=false", self.namespace));
            return;
        }
        // What a person would look at first.
        println!("{}", self.run("kubectl get pods -o wide; kubectl get events --sort-by=.metadata.creationTimestamp"));
    }
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
