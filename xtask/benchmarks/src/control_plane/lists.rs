//! A LIST of many pods: bytes per second, and how much memory it takes beside that of the objects.

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;

use super::Amount;
use super::server::Server;
use crate::report::Report;
use crate::sample::Sample;

/// Connections that fill the server.
const WRITERS: usize = 32;

pub(super) async fn run(report: &mut Report, amount: Amount) -> Result<()> {
    let server = Server::start().await?;
    let pods = amount.pods;
    fill(&server, pods).await?;
    let stored = server.process.resident_mib()?;
    report.row(&format!("memory with {pods} pods stored (RSS)"), "MiB", Sample::from_iter([stored]), None);
    let (mut rate, mut time) = (Sample::default(), Sample::default());
    let mut connection = server.connect().await?;
    let mut highest = stored;
    for _ in 0..amount.runs {
        let started = Instant::now();
        let body = connection.call("GET", "/api/v1/namespaces/default/pods", Bytes::new()).await?;
        let seconds = started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let megabytes = body.len() as f64 / 1e6;
        rate.push(megabytes / seconds);
        time.push(seconds * 1000.0);
        highest = highest.max(server.process.resident_mib()?);
    }
    report.row(&format!("LIST of {pods} pods"), "ms", time, None);
    report.row(&format!("LIST of {pods} pods"), "MB/s", rate, None);
    let extra = Sample::from_iter([highest - stored]);
    report.row(&format!("LIST of {pods} pods, extra memory"), "MiB", extra, None);
    Ok(())
}

/// Creates `pods` pods.
async fn fill(server: &Server, pods: usize) -> Result<()> {
    let writers = (0..WRITERS).map(|writer| async move {
        let mut connection = server.connect().await?;
        for number in (writer..pods).step_by(WRITERS) {
            let body = format!(
                r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web-{number}","labels":{{"app":"web"}}}},"spec":{{"containers":[{{"name":"web","image":"nginx:1.25","ports":[{{"containerPort":80}}],"resources":{{"requests":{{"cpu":"100m","memory":"64Mi"}}}}}}]}}}}"#
            );
            connection.call("POST", "/api/v1/namespaces/default/pods", Bytes::from(body)).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(writers).await?;
    Ok(())
}
