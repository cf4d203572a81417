//! Durable writes and reads per second, with one client and with 64; etcd's puts of the same size beside the writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;

use super::Amount;
use super::etcd::Etcd;
use super::server::Server;
use crate::report::Report;
use crate::sample::Sample;

/// A stored object of a usual size.
const PAYLOAD: usize = 1_200;

pub(super) async fn run(report: &mut Report, amount: Amount) -> Result<()> {
    let server = Server::start().await?;
    let etcd = Etcd::start().await?;
    for clients in [1, 64] {
        let (mut ours, mut theirs) = (Sample::default(), Sample::default());
        let warm_up = Duration::from_millis(300);
        creates(&server, clients, warm_up).await?;
        etcd.puts(clients, warm_up, PAYLOAD).await?;
        for _ in 0..amount.runs {
            ours.push(creates(&server, clients, amount.duration).await?);
            theirs.push(etcd.puts(clients, amount.duration, PAYLOAD).await?);
        }
        let name = format!("durable creates through the API, {clients} clients");
        report.row_beside(&name, "1/s", ours, ("etcd raw puts", theirs), Some(">= 1.0 x"));
    }
    for clients in [1, 64] {
        let mut sample = Sample::default();
        for _ in 0..amount.runs {
            sample.push(gets(&server, clients, amount.duration).await?);
        }
        report.row(&format!("GET of one object, {clients} clients"), "1/s", sample, None);
    }
    Ok(())
}

/// ConfigMaps created per second by `clients` connections at once.
async fn creates(server: &Server, clients: usize, duration: Duration) -> Result<f64> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let data = "x".repeat(PAYLOAD);
    let end = Instant::now() + duration;
    let tasks = (0..clients).map(|_| {
        let data = data.clone();
        async move {
            let mut connection = server.connect().await?;
            let mut done = 0u64;
            while Instant::now() < end {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let body = format!(
                    r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"bench-{number}"}},"data":{{"x":"{data}"}}}}"#
                );
                connection.call("POST", "/api/v1/namespaces/default/configmaps", Bytes::from(body)).await?;
                done += 1;
            }
            anyhow::Ok(done)
        }
    });
    per_second(tasks, duration).await
}

/// One object read over and over.
async fn gets(server: &Server, clients: usize, duration: Duration) -> Result<f64> {
    let end = Instant::now() + duration;
    let tasks = (0..clients).map(|_| async move {
        let mut connection = server.connect().await?;
        let mut done = 0u64;
        while Instant::now() < end {
            connection.call("GET", "/api/v1/namespaces/default/configmaps/bench-1", Bytes::new()).await?;
            done += 1;
        }
        anyhow::Ok(done)
    });
    per_second(tasks, duration).await
}

/// Sums what the tasks did.
pub(super) async fn per_second<T>(tasks: impl Iterator<Item = T>, duration: Duration) -> Result<f64>
where
    T: Future<Output = Result<u64>>,
{
    let counts = futures::future::try_join_all(tasks).await?;
    let total = counts.into_iter().sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 operations")]
    let total = total as f64;
    Ok(total / duration.as_secs_f64())
}
