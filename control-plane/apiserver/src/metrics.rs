//! What the server counts, under the names that Kubernetes' dashboards and alerts use.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use sheave_api::kind::Kind;

use crate::body;
use crate::in_flight::InFlight;
use crate::reply::Reply;
use crate::request::{ResourcePath, Verb};

/// The server's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    in_flight: Family<InFlightLabels, Gauge>,
    watches: Family<WatchLabels, Gauge>,
    revision: Gauge,
}

/// What a request is counted under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
    component: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
    component: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InFlightLabels {
    request_kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    group: String,
    version: String,
    resource: String,
}

/// Counts something for as long as it lives.
pub(crate) struct Counted(Gauge);

/// Upstream's buckets of `apiserver_request_duration_seconds`, the coarser half.
const SECONDS: [f64; 14] = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0, 6.0, 15.0, 60.0];

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let in_flight = Family::default();
        let watches = Family::default();
        let revision = Gauge::default();
        registry.register("apiserver_request", "Requests by verb, resource and code", requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Time from request to answer; of a watch, to its beginning",
            durations.clone(),
        );
        registry.register("apiserver_current_inflight_requests", "Requests being worked on", in_flight.clone());
        registry.register("apiserver_longrunning_requests", "Watches under way", watches.clone());
        registry.register("apiserver_storage_revision", "The store's revision", revision.clone());
        Self { registry, requests, durations, in_flight, watches, revision }
    }
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, labels: Labels, code: StatusCode, after: Duration) {
        self.requests.get_or_create(&labels.with_code(code)).inc();
        self.durations.get_or_create(&labels).observe(after.as_secs_f64());
    }

    /// Counts a watch until the answer is dropped.
    pub(crate) fn watching(&self, kind: &Kind) -> Counted {
        let labels = WatchLabels {
            group: kind.gvk.group.clone(),
            version: kind.gvk.version.clone(),
            resource: kind.plural.clone(),
        };
        let gauge = self.watches.get_or_create(&labels).clone();
        gauge.inc();
        Counted(gauge)
    }

    /// The metrics as text, in Prometheus' own format: what others count in this process comes after.
    pub(crate) fn exposition(&self, in_flight: &InFlight, revision: u64, others: &str) -> Reply {
        let (reads, writes) = in_flight.current();
        self.in_flight.get_or_create(&InFlightLabels { request_kind: "readOnly" }).set(reads);
        self.in_flight.get_or_create(&InFlightLabels { request_kind: "mutating" }).set(writes);
        self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        Reply::stream("text/plain; version=0.0.4; charset=utf-8", body::full(classic(&text) + others))
    }
}

/// From OpenMetrics, where the type of `x_total` is said of `x`, to the older format that Kubernetes answers with.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().filter(|line| *line != "# EOF").peekable();
    while let Some(line) = lines.next() {
        let typed = lines.peek().copied().filter(|_| line.starts_with("# HELP ")).unwrap_or(line);
        let counter = typed.strip_prefix("# TYPE ").and_then(|it| it.strip_suffix(" counter"));
        match counter {
            Some(name) => out.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl Labels ===

impl Labels {
    pub(crate) fn of_resource(verb: Verb, path: &ResourcePath) -> Self {
        let scope = match (&path.name, &path.namespace) {
            (Some(_), _) => "resource",
            (None, Some(_)) => "namespace",
            (None, None) => "cluster",
        };
        Self {
            verb: verb.as_str().to_ascii_uppercase(),
            group: path.group.clone(),
            version: path.version.clone(),
            resource: path.resource.clone(),
            subresource: path.subresource.clone().unwrap_or_default(),
            scope: scope.to_owned(),
            component: "apiserver".to_owned(),
        }
    }

    /// Only paths that are served are named: anybody can ask for any path.
    pub(crate) fn of_path(verb: &str, path: &str) -> Self {
        let first = path.split('/').nth(1).unwrap_or_default();
        let known = ["healthz", "livez", "readyz", "version", "metrics", "api", "apis", "openapi", "openid"];
        let resource = if known.contains(&first) { format!("/{first}") } else { String::new() };
        Self {
            verb: verb.to_ascii_uppercase(),
            subresource: resource,
            component: "apiserver".to_owned(),
            ..Self::default()
        }
    }

    fn with_code(&self, code: StatusCode) -> RequestLabels {
        let Self { verb, group, version, resource, subresource, scope, component } = self.clone();
        RequestLabels { verb, group, version, resource, subresource, scope, component, code: code.as_u16() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_name_of_their_samples() {
        let open = "# HELP a Some.\n# TYPE a counter\na_total 1\n# HELP b Other.\n# TYPE b gauge\nb 2\n# EOF\n";
        let classic_text =
            "# HELP a_total Some.\n# TYPE a_total counter\na_total 1\n# HELP b Other.\n# TYPE b gauge\nb 2\n";
        assert_eq!(classic(open), classic_text);
    }
}
