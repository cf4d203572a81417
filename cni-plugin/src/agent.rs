//! The client of the agent's socket; the agent's own command line uses it too.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::protocol::{Answer, AnswerOutcome, LONGEST_LINE, Message, Request};
use crate::{CniError, Code};

/// How long an answer is waited for. The agent answers in milliseconds; a burst of pods on a busy machine takes longer,
/// and runtimes wait for two minutes.
const PATIENCE: Duration = Duration::from_secs(60);

/// No answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no agent answers at {socket}: {source}; is the sheave-agent of this node running?")]
    Away {
        /// Path of the socket.
        socket: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The conversation broke off.
    #[error("the agent at {socket} did not answer: {reason}")]
    BrokenOff {
        /// Path of the socket.
        socket: String,
        /// Why.
        reason: String,
    },
}

/// Asks an agent, and hands it an open file along with the request.
///
/// # Errors
/// [`AskError`] when there is no answer. An answer that refuses is an [`AnswerOutcome::Refused`].
pub fn ask(socket: &Path, request: Request, file: Option<&File>) -> Result<AnswerOutcome, AskError> {
    let path = socket.display().to_string();
    let stream = UnixStream::connect(socket).map_err(|source| AskError::Away { socket: path.clone(), source })?;
    let answer = converse(stream, request, file);
    let broken_off = |reason| AskError::BrokenOff { socket: path.clone(), reason };
    let answer: Answer = answer.map_err(|error| broken_off(error.to_string()))?;
    match answer.outcome {
        // Of any version: the agent says in it which one it speaks.
        AnswerOutcome::Refused { error } => Ok(AnswerOutcome::Refused { error }),
        outcome if answer.version == crate::protocol::VERSION => Ok(outcome),
        _ => Err(broken_off(format!("it speaks version {} of the protocol", answer.version))),
    }
}

fn converse(mut stream: UnixStream, request: Request, file: Option<&File>) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&Message::from(request))?;
    line.push(b'\n');
    let sent = match file {
        Some(file) => send_with_file(&stream, &line, file)?,
        None => 0,
    };
    stream.write_all(&line[sent..])?;
    let mut answer = Vec::new();
    let longest = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    BufReader::new(stream.take(longest)).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(std::io::Error::other("it closed the connection"));
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// Sends the beginning of a line with a file on its first byte; gives how many bytes went out.
fn send_with_file(stream: &UnixStream, line: &[u8], file: &File) -> std::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(std::io::Error::other("no room for the namespace"));
    }
    Ok(sendmsg(stream, &[IoSlice::new(line)], &mut control, SendFlags::NOSIGNAL)?)
}

// === impl AskError ===

impl AskError {
    /// As an answer to a runtime: the same call may succeed once the agent is there.
    pub fn try_again_later(&self) -> CniError {
        CniError::new(Code::TryAgainLater, self.to_string())
    }
}
