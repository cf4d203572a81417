//! `/healthz`, `/livez`, `/readyz`: the sum of some checks, or one of them.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use crate::query::Query;
use crate::reply::Reply;
use crate::server::Inner;
use crate::status::StatusError;

/// Whether the server takes new work.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    started: AtomicBool,
    stopping: AtomicBool,
}

/// A check: its name in `?verbose` and in paths, what it looks at, and which sums it belongs to.
struct Check {
    name: &'static str,
    passes: fn(&Inner) -> Result<(), &'static str>,
    sums: &'static [&'static str],
}

const CHECKS: &[Check] = &[
    Check { name: "ping", passes: |_| Ok(()), sums: &["healthz", "livez", "readyz"] },
    Check { name: "log", passes: |_| Ok(()), sums: &["healthz", "livez", "readyz"] },
    Check { name: "etcd", passes: store, sums: &["healthz", "livez", "readyz"] },
    Check { name: "etcd-readiness", passes: store, sums: &["readyz"] },
    Check { name: "informer-sync", passes: derived, sums: &["readyz"] },
    Check { name: "poststarthook/rbac/bootstrap-roles", passes: started, sums: &["healthz", "livez", "readyz"] },
    Check {
        name: "poststarthook/scheduling/bootstrap-system-priority-classes",
        passes: started,
        sums: &["healthz", "livez", "readyz"],
    },
    Check {
        name: "poststarthook/start-system-namespaces-controller",
        passes: started,
        sums: &["healthz", "livez", "readyz"],
    },
    Check { name: "shutdown", passes: running, sums: &["readyz"] },
];

// === impl Readiness ===

impl Readiness {
    pub(crate) fn set_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// Answers `/readyz`, `/readyz?verbose`, `/readyz?exclude=etcd` and `/readyz/etcd`.
pub(super) fn serve(server: &Inner, segments: &[&str], query: &Query) -> Result<Reply, StatusError> {
    let (sum, name) = (segments[0], segments[1..].join("/"));
    let checks = CHECKS.iter().filter(|check| check.sums.contains(&sum));
    if !name.is_empty() {
        let check = checks.into_iter().find(|check| check.name == name).ok_or_else(StatusError::no_such_resource)?;
        return Ok(report(server, sum, &[check], false));
    }
    let excluded: Vec<&str> = query.all("exclude").collect();
    let checks: Vec<&Check> = checks.filter(|check| !excluded.contains(&check.name)).collect();
    Ok(report(server, sum, &checks, query.get("verbose").is_some()))
}

/// `ok`, or a line for each check when one fails or the client asks.
fn report(server: &Inner, sum: &str, checks: &[&Check], verbose: bool) -> Reply {
    let outcomes: Vec<_> = checks.iter().map(|check| (check.name, (check.passes)(server))).collect();
    let failed = outcomes.iter().any(|(_, outcome)| outcome.is_err());
    let mut text = String::new();
    for (name, outcome) in &outcomes {
        match outcome {
            Ok(()) => text.push_str(&format!("[+]{name} ok\n")),
            Err(why) => text.push_str(&format!("[-]{name} failed: {why}\n")),
        }
    }
    match (failed, verbose) {
        (true, _) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{text}{sum} check failed\n")),
        (false, true) => Reply::text(StatusCode::OK, format!("{text}{sum} check passed\n")),
        (false, false) => Reply::text(StatusCode::OK, "ok".to_owned()),
    }
}

fn started(server: &Inner) -> Result<(), &'static str> {
    if server.readiness.started.load(Ordering::Acquire) { Ok(()) } else { Err("not finished") }
}

fn running(server: &Inner) -> Result<(), &'static str> {
    if server.readiness.stopping.load(Ordering::Acquire) { Err("process is shutting down") } else { Ok(()) }
}

/// Why there are no writes is in the log, which nobody reads who is not allowed to.
fn store(server: &Inner) -> Result<(), &'static str> {
    let Some(reason) = server.store.trouble() else { return Ok(()) };
    tracing::warn!(%reason, "a health check failed: the store takes no writes");
    Err("the store takes no writes")
}

fn derived(server: &Inner) -> Result<(), &'static str> {
    if server.authorizer.is_synced() { Ok(()) } else { Err("the roles have not been read") }
}
