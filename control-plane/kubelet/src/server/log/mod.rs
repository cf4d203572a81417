//! `containerLogs`: a container's log file in CRI's format, from where the client wants it, as long as it wants it.

mod file;
mod line;
mod options;
mod tail;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{ContainerState, ContainerStatusRequest};
use tokio::sync::mpsc;
use tonic::transport::Channel;

use super::Node;
use super::answer::{self, Answer, BoxError, Refusal};
use super::containers::{self, Place};
use file::LogFile;
use options::LogOptions;

/// Pieces that wait for the client; nothing more is read before it has taken one.
const WAITING: usize = 8;
/// How often a log that is followed is looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// Answers a log.
pub(super) async fn serve(node: &Node, place: &Place<'_>, query: Option<&str>) -> Result<Answer, Refusal> {
    let options = LogOptions::parse(query).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let pod = containers::pod(node, place.namespace, place.pod)?;
    let container = containers::logged(node, &pod, place, options.previous).await?;
    let follow = Follow { runtime: node.runtime.clone(), container: container.id };
    let path = follow.path().await?;
    let file = LogFile::open(&path).await.map_err(|error| {
        Refusal::internal(format!("failed to open the log of container {:?}: {error}", place.container))
    })?;
    let (pieces, waiting) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        if let Err(error) = copy(file, &options, &follow, &pieces).await {
            let _ = pieces.send(Err(error)).await;
        }
    });
    Ok(answer::streamed(tokio_stream::wrappers::ReceiverStream::new(waiting)))
}

/// A container whose log is read.
struct Follow {
    runtime: RuntimeServiceClient<Channel>,
    container: String,
}

/// Copies until the log's end, the client's limit, or the client is gone.
async fn copy(
    mut file: LogFile,
    options: &LogOptions,
    follow: &Follow,
    pieces: &mpsc::Sender<Result<Bytes, BoxError>>,
) -> Result<(), BoxError> {
    if let Some(lines) = options.tail_lines {
        file.skip_to_last(lines).await?;
    }
    let mut writer = options.writer(jiff::Timestamp::now());
    let mut was_running = true;
    loop {
        while let Some(line) = file.next_line(!options.follow || !was_running).await? {
            writer.add(&line);
            if writer.is_large() && !send(writer.take(), pieces).await {
                return Ok(());
            }
            if writer.is_done() {
                break;
            }
        }
        if !send(writer.take(), pieces).await || writer.is_done() {
            return Ok(());
        }
        if file.move_on().await? {
            continue;
        }
        if !options.follow || !was_running {
            return Ok(());
        }
        // What it wrote between the last read and its end is read once more.
        was_running = follow.is_running().await;
        if was_running {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = pieces.closed() => return Ok(()),
            }
        }
    }
}

/// Whether the client is still there.
async fn send(piece: Bytes, pieces: &mpsc::Sender<Result<Bytes, BoxError>>) -> bool {
    piece.is_empty() || pieces.send(Ok(piece)).await.is_ok()
}

// === impl Follow ===

impl Follow {
    async fn path(&self) -> Result<PathBuf, Refusal> {
        let request = ContainerStatusRequest { container_id: self.container.clone(), verbose: false };
        let status = self.runtime.clone().container_status(request).await?.into_inner().status.unwrap_or_default();
        if status.log_path.is_empty() {
            return Err(Refusal::internal("the container runtime keeps no log of this container"));
        }
        Ok(status.log_path.into())
    }

    /// A runtime that does not answer is no reason to end the log.
    async fn is_running(&self) -> bool {
        let request = ContainerStatusRequest { container_id: self.container.clone(), verbose: false };
        match self.runtime.clone().container_status(request).await {
            Ok(answer) => {
                let state = answer.into_inner().status.unwrap_or_default().state;
                state == i32::from(ContainerState::ContainerRunning)
            }
            Err(status) => status.code() != tonic::Code::NotFound,
        }
    }
}
