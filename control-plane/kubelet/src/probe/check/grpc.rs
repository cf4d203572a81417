//! The health service of gRPC (`grpc.health.v1.Health/Check`), without TLS.

use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::joined;
use crate::probe::verdict::Outcome;

/// As Kubernetes names itself.
const AGENT: &str = "kube-probe/1.35";

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// `HealthCheckRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HealthRequest {
    /// The service that is asked about; all of the server where it is empty.
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// `HealthCheckResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HealthResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub(super) status: i32,
}

/// `HealthCheckResponse.ServingStatus`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

pub(super) async fn check(host: &str, port: u16, service: Option<&str>, patience: Duration) -> Outcome {
    let place = joined(host, port);
    let connect = async {
        let endpoint = Endpoint::from_shared(format!("http://{place}")).map_err(|error| error.to_string())?;
        let endpoint = endpoint.user_agent(AGENT).map_err(|error| error.to_string())?;
        endpoint.connect().await.map_err(|error| root(&error))
    };
    let channel = match timeout(patience, connect).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(message)) => {
            return Outcome::Fail(format!("error: failed to connect service at \"{place}\": {message}"));
        }
        Err(_) => {
            let seconds = patience.as_secs();
            return Outcome::Fail(format!(
                "timeout: failed to connect service \"{place}\" within {seconds}s: context deadline exceeded"
            ));
        }
    };
    let ask = async {
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(|error| Status::unavailable(root(&error)))?;
        let request = HealthRequest { service: service.unwrap_or_default().to_owned() };
        let codec = ProstCodec::<HealthRequest, HealthResponse>::default();
        client.unary(Request::new(request), PathAndQuery::from_static(CHECK), codec).await
    };
    match timeout(patience, ask).await {
        Ok(Ok(response)) => match response.into_inner().status() {
            ServingStatus::Serving => Outcome::Pass,
            other => Outcome::Fail(format!("service unhealthy (responded with \"{}\")", words(other))),
        },
        Ok(Err(status)) => Outcome::Fail(refused(&status, patience)),
        Err(_) => Outcome::Fail(format!("timeout: health rpc did not complete within {}s", patience.as_secs())),
    }
}

fn refused(status: &Status, patience: Duration) -> String {
    match status.code() {
        Code::Unimplemented => format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            status.message()
        ),
        Code::DeadlineExceeded => format!("timeout: health rpc did not complete within {}s", patience.as_secs()),
        code => format!("error: health rpc failed: rpc error: code = {code:?} desc = {}", status.message()),
    }
}

fn words(serving: ServingStatus) -> &'static str {
    match serving {
        ServingStatus::Unknown => "UNKNOWN",
        ServingStatus::Serving => "SERVING",
        ServingStatus::NotServing => "NOT_SERVING",
        ServingStatus::ServiceUnknown => "SERVICE_UNKNOWN",
    }
}

/// The innermost cause: the outer ones only say that there was an error.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.downcast_ref::<std::io::Error>() {
        Some(error) => super::dial::words(error),
        None => innermost.to_string(),
    }
}
