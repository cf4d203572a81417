//! Watch fan-out: many watchers of one namespace, and how long each event takes to the last of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::Amount;
use super::server::Server;
use crate::report::Report;
use crate::sample::Sample;

/// Events written, one every ten milliseconds, so that deliveries do not queue behind each other.
const EVENTS: usize = 100;
/// What marks an event's number in the stream.
const MARK: &str = "event-number-";

pub(super) async fn run(report: &mut Report, amount: Amount) -> Result<()> {
    let server = Arc::new(Server::start().await?);
    let (deliveries, mut delivered) = mpsc::unbounded_channel();
    for _ in 0..amount.watchers {
        let mut connection = server.connect().await?;
        let path = "/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0";
        let response = connection.open("GET", path, Bytes::new()).await?;
        tokio::spawn(follow(response.into_body(), deliveries.clone(), connection));
    }
    let mut writer = server.connect().await?;
    let mut written = Vec::new();
    for number in 0..EVENTS {
        let body = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{MARK}{number:04}"}}}}"#);
        written.push(Instant::now());
        writer.call("POST", "/api/v1/namespaces/default/configmaps", Bytes::from(body)).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut sample = Sample::default();
    let expected = EVENTS * amount.watchers;
    while sample.len() < expected {
        let next = tokio::time::timeout(Duration::from_secs(30), delivered.recv()).await;
        let (number, at): (usize, Instant) =
            next.context("an event was not delivered within 30 s")?.context("closed")?;
        sample.push(at.duration_since(written[number]).as_secs_f64() * 1000.0);
    }
    let watchers = amount.watchers;
    let last = Sample::from_iter([sample.quantile(0.99)]);
    report.row(&format!("watch delivery, {watchers} watchers, write to arrival"), "ms", sample, None);
    report.row(&format!("watch delivery, {watchers} watchers, p99"), "ms", last, Some("< 20 ms"));
    Ok(())
}

/// Reads a watch stream and notes when each numbered event came. The connection is kept for as long as the stream.
async fn follow(
    mut body: hyper::body::Incoming,
    deliveries: mpsc::UnboundedSender<(usize, Instant)>,
    _connection: crate::connection::Connection,
) {
    let mut rest = String::new();
    while let Some(Ok(frame)) = body.frame().await {
        let now = Instant::now();
        let Ok(data) = frame.into_data() else { continue };
        rest.push_str(&String::from_utf8_lossy(&data));
        while let Some((line, after)) = rest.split_once('\n') {
            if let Some(number) = number_in(line) {
                let _ = deliveries.send((number, now));
            }
            rest = after.to_owned();
        }
    }
}

fn number_in(line: &str) -> Option<usize> {
    line.split_once(MARK)?.1.get(..4)?.parse().ok()
}
