//! containerd's own event stream. Its CRI has none in version 1.6, and a list every second would notice the end of a
//! container half a second late on average. With another runtime the stream is not there, and the list is all.
//!
//! The messages are the few fields needed of `api/services/events/v1/events.proto` and `api/events/task.proto`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tracing::debug;

use super::{Observer, Runtime};

/// Pause before the stream is opened again after it broke.
const PAUSE: Duration = Duration::from_secs(1);
/// containerd's CRI plugin hears of an end when we do: how long it may take to take note, and how often it is asked.
const SETTLED: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_millis(10);

#[derive(Clone, PartialEq, prost::Message)]
struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    filters: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(message, optional, tag = "4")]
    event: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// A process of a container ended: its first one when `id` is the container's.
#[derive(Clone, PartialEq, prost::Message)]
struct TaskExit {
    #[prost(string, tag = "1")]
    container_id: String,
    #[prost(string, tag = "2")]
    id: String,
}

/// Has the observer list at once when a container ends, until `stop`.
pub(super) async fn follow(runtime: Runtime, observer: Observer, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match subscribe(&runtime, &observer).await {
            Err(status) if status.code() == Code::Unimplemented => {
                debug!("the runtime has no containerd events: what ends is noticed within a second");
                return;
            }
            Err(status) => debug!(%status, "containerd's events broke off"),
            Ok(()) => debug!("containerd's events ended"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn subscribe(runtime: &Runtime, observer: &Observer) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(runtime.channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let filters = vec![r#"namespace==k8s.io,topic=="/tasks/exit""#.to_owned()];
    let path = PathAndQuery::from_static("/containerd.services.events.v1.Events/Subscribe");
    let codec: ProstCodec<SubscribeRequest, Envelope> = ProstCodec::default();
    let mut events =
        client.server_streaming(Request::new(SubscribeRequest { filters }), path, codec).await?.into_inner();
    while let Some(envelope) = events.message().await? {
        let event = envelope.event.unwrap_or_default();
        let exit: TaskExit = prost::Message::decode(event.value.as_slice()).unwrap_or_default();
        if !exit.id.is_empty() && exit.id == exit.container_id {
            tokio::spawn(list_when_noted(runtime.clone(), observer.clone(), exit.id));
        }
    }
    Ok(())
}

/// Lists as soon as the CRI plugin knows that the container, or the sandbox, has ended.
async fn list_when_noted(runtime: Runtime, observer: Observer, id: String) {
    let noted = async {
        loop {
            let container = runtime.container(&id).await;
            let sandbox_runs = || async { matches!(runtime.sandbox(&id).await, Ok(Some(sandbox)) if sandbox.ready) };
            let runs = match container {
                Ok(Some(container)) => container.is_running(),
                Ok(None) | Err(_) => sandbox_runs().await,
            };
            if !runs {
                return;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let _ = tokio::time::timeout(SETTLED, noted).await;
    observer.list_soon();
}
