//! Figures for Prometheus: what the agent counts itself, and what the kernel programs count.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::engine::Engine;

/// The agent's figures.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Request, Counter>,
    seconds: Family<Verb, Histogram>,
    complaints: Gauge,
    endpoints: Gauge,
    used: Gauge,
    capacity: Gauge,
    synced: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verb {
    verb: &'static str,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sheave");
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let metrics = Self {
            registry: Mutex::default(),
            requests: Family::default(),
            seconds,
            complaints: Gauge::default(),
            endpoints: Gauge::default(),
            used: Gauge::default(),
            capacity: Gauge::default(),
            synced: Gauge::default(),
        };
        registry.register("cni_requests", "Requests of the CNI plugin", metrics.requests.clone());
        registry.register("cni_request_seconds", "Time to answer the CNI plugin", metrics.seconds.clone());
        registry.register(
            "complaints",
            "Things that are wrong at present, see `sheave-agent status`",
            metrics.complaints.clone(),
        );
        registry.register("endpoints", "Attached containers", metrics.endpoints.clone());
        registry.register("addresses_used", "Pod addresses in use", metrics.used.clone());
        registry.register("address_capacity", "Pods that there are addresses for", metrics.capacity.clone());
        registry.register("synced", "Whether the API server has told all nodes", metrics.synced.clone());
        Self { registry: Mutex::new(registry), ..metrics }
    }
}

impl Metrics {
    /// Counts a request of the plugin.
    pub(crate) fn request(&self, verb: &'static str, succeeded: bool, took: Duration) {
        let outcome = if succeeded { "success" } else { "failure" };
        self.requests.get_or_create(&Request { verb, outcome }).inc();
        self.seconds.get_or_create(&Verb { verb }).observe(took.as_secs_f64());
    }

    /// All figures in Prometheus' text form.
    ///
    /// # Errors
    /// When the programs' maps cannot be read.
    pub fn text(&self, engine: &Engine) -> anyhow::Result<String> {
        let description = engine.describe();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.complaints.set(number(description.complaints.len()));
        self.endpoints.set(number(description.endpoints.len()));
        self.used.set(number(description.addresses_used));
        self.capacity.set(i64::try_from(description.address_capacity).unwrap_or(i64::MAX));
        self.synced.set(description.synced.into());
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        // The programs' figures go before the mark that ends the text.
        let end = text.rfind("# EOF").unwrap_or(text.len());
        let mut programs = String::new();
        kernel_figures(&mut programs, engine)?;
        text.insert_str(end, &programs);
        Ok(text)
    }
}

/// From 1 ms to 8 s.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 14))
}

fn kernel_figures(text: &mut String, engine: &Engine) -> anyhow::Result<()> {
    let figures = engine.figures()?;
    header(text, "dropped_packets", "counter", "Packets that the kernel programs dropped");
    for (hook, reason, count) in figures.drops {
        let (hook, reason) = (hook.label(), reason.label());
        writeln!(text, "sheave_dropped_packets_total{{hook=\"{hook}\",reason=\"{reason}\"}} {count}")?;
    }
    header(text, "packets", "counter", "Packets that the kernel programs let go on, by where to");
    for (hook, path, traffic) in &figures.traffic {
        let (hook, path) = (hook.label(), path.label());
        writeln!(text, "sheave_packets_total{{hook=\"{hook}\",path=\"{path}\"}} {}", traffic.packets)?;
    }
    header(text, "bytes", "counter", "Bytes of those packets");
    for (hook, path, traffic) in &figures.traffic {
        let (hook, path) = (hook.label(), path.label());
        writeln!(text, "sheave_bytes_total{{hook=\"{hook}\",path=\"{path}\"}} {}", traffic.bytes)?;
    }
    header(text, "map_entries", "gauge", "Entries in use of a kernel map");
    for level in &figures.maps {
        writeln!(text, "sheave_map_entries{{map=\"{}\"}} {}", level.map, level.used)?;
    }
    header(text, "map_capacity", "gauge", "Entries that a kernel map has room for");
    for level in &figures.maps {
        writeln!(text, "sheave_map_capacity{{map=\"{}\"}} {}", level.map, level.capacity)?;
    }
    header(text, "lost_events", "counter", "Drops that were not told to a monitor, because it was too slow");
    writeln!(text, "sheave_lost_events_total {}", figures.lost_events)?;
    Ok(())
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    text.push_str(&format!("# HELP sheave_{name} {help}.\n# TYPE sheave_{name} {kind}\n"));
}
