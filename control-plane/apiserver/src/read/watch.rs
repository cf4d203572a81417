//! WATCH: initial objects where they are asked for, then every change, bookmarks in between, an end in time.
//!
//! | `resourceVersion` | `sendInitialEvents` | starts with |
//! |---|---|---|
//! | absent or 0 | absent | every object as `ADDED` |
//! | N | absent | what happened after N |
//! | any | true | every object as `ADDED`, then a bookmark that says so (KEP-3157) |
//! | absent or 0 | false | what happens from now on |
//! | N | false | what happened after N |

use std::time::Duration;
use std::vec;

use bytes::{Bytes, BytesMut};
use sheave_store::{Entry, Range, Revision, Store, Watch, WatchError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::list::prefix;
use super::page::require_seen;
use super::rendering::Rendering;
use super::selection::Selection;
use super::watch_event::frame;
use super::watch_frames::Frames;
use crate::body::{self, BoxError};
use crate::call::Call;
use crate::query::ListOptions;
use crate::reply::Reply;
use crate::status::StatusError;

/// A watch under way.
struct Session {
    source: Watch,
    frames: Frames,
    /// The objects of the beginning that have not been sent.
    initial: Option<Initial>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    shutdown: CancellationToken,
    finished: bool,
    _counted: crate::metrics::Counted,
}

/// What a watch begins with.
struct Initial {
    entries: vec::IntoIter<Entry>,
    revision: Revision,
    closing_bookmark: bool,
}

const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// A last bookmark comes so long before the end, as upstream's does.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// A watch without `timeoutSeconds` ends after a random time in this range, so that not all end together.
const DEFAULT_TIMEOUT: std::ops::Range<u64> = 1800..3600;
const CHUNK: usize = 64 * 1024;

/// Answers a WATCH.
pub(crate) fn watch(call: &Call) -> Result<Reply, StatusError> {
    let options = ListOptions::parse(&call.query, true)?;
    let mut selection = Selection::parse(&call.kind, &options)?;
    if let Some(name) = &call.path.name {
        selection = selection.named(name);
    }
    let rendering = Rendering::new(&call.kind, call.accepted, &call.query)?;
    let session = match Session::open(call, &options, selection, rendering) {
        Ok(session) => session,
        Err(error) if error.code() == http::StatusCode::GONE => return Ok(ended_at_once(&error)),
        Err(error) => return Err(error),
    };
    let lines = futures::stream::unfold(session, |mut session| async move {
        let chunk = session.next().await?;
        Some((Ok::<_, BoxError>(chunk), session))
    });
    Ok(Reply::stream("application/json", body::streamed(lines)))
}

/// Upstream opens a watch from a lost revision with 200 and says so in its only event.
fn ended_at_once(error: &StatusError) -> Reply {
    Reply::stream("application/json", body::full(frame("ERROR", &error.to_json())))
}

// === impl Session ===

impl Session {
    fn open(
        call: &Call,
        options: &ListOptions,
        selection: Selection,
        rendering: Rendering,
    ) -> Result<Self, StatusError> {
        let store = &call.server.store;
        let prefix = prefix(call, &selection);
        let (initial, after) = Initial::find(store, &prefix, options)?;
        let source = store.watch(&prefix, after).map_err(|error| refused(error, after))?;
        let deadline = Instant::now() + timeout(options);
        Ok(Self {
            source,
            frames: Frames::new(selection, rendering, call.server.events_of(&call.kind)),
            initial,
            bookmarks: options.allow_bookmarks,
            next_bookmark: next_bookmark(deadline),
            deadline,
            shutdown: call.server.shutdown.clone(),
            finished: false,
            _counted: call.server.metrics.watching(&call.kind),
        })
    }

    /// The next lines; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.finished {
            return None;
        }
        if let Some(chunk) = self.next_initial() {
            return Some(chunk);
        }
        loop {
            let wake = if self.bookmarks { self.next_bookmark.min(self.deadline) } else { self.deadline };
            tokio::select! {
                events = self.source.next() => match events {
                    Ok(events) => {
                        let lines = self.frames.of_events(&events);
                        if !lines.is_empty() {
                            return Some(lines);
                        }
                    }
                    Err(error) => return self.end_with(error),
                },
                () = sleep_until(wake) => {
                    if wake == self.deadline {
                        return None;
                    }
                    self.next_bookmark = next_bookmark(self.deadline);
                    return Some(self.frames.bookmark(self.source.progress(), false));
                }
                () = self.shutdown.cancelled() => return None,
            }
        }
    }

    /// A chunk of initial objects, the closing bookmark after the last.
    fn next_initial(&mut self) -> Option<Bytes> {
        let initial = self.initial.as_mut()?;
        let mut chunk = BytesMut::new();
        while chunk.len() < CHUNK {
            let Some(entry) = initial.entries.next() else {
                if initial.closing_bookmark {
                    chunk.extend_from_slice(&self.frames.bookmark(initial.revision, true));
                }
                self.initial = None;
                break;
            };
            if let Some(line) = self.frames.of_initial(&entry) {
                chunk.extend_from_slice(&line);
            }
        }
        (!chunk.is_empty()).then(|| chunk.freeze())
    }

    fn end_with(&mut self, error: WatchError) -> Option<Bytes> {
        self.finished = true;
        match error {
            WatchError::Closed => None,
            error => Some(frame("ERROR", &refused(error, self.source.progress()).to_json())),
        }
    }
}

// === impl Initial ===

impl Initial {
    /// What to begin with, and the revision after which changes follow.
    fn find(store: &Store, prefix: &str, options: &ListOptions) -> Result<(Option<Self>, Revision), StatusError> {
        let version = options.resource_version.filter(|&version| version != 0);
        if let Some(version) = version {
            require_seen(store, version)?;
        }
        match (options.send_initial_events, version) {
            (Some(false) | None, Some(version)) => Ok((None, Revision(version))),
            (Some(false), None) => Ok((None, store.revision())),
            (Some(true), _) | (None, None) => {
                let found = store.range(&Range::prefix(prefix)).map_err(StatusError::internal)?;
                let closing_bookmark = options.send_initial_events == Some(true) && options.allow_bookmarks;
                let revision = found.revision;
                let initial = Self { entries: found.entries.into_iter(), revision, closing_bookmark };
                Ok((Some(initial), revision))
            }
        }
    }
}

fn refused(error: WatchError, after: Revision) -> StatusError {
    match error {
        WatchError::Compacted { oldest } | WatchError::Lagged { oldest } => StatusError::too_old(after.0, oldest.0),
        WatchError::Future { current } => StatusError::too_large_resource_version(after.0, current.0),
        WatchError::Closed => StatusError::unavailable("the store is closed"),
    }
}

fn timeout(options: &ListOptions) -> Duration {
    let seconds =
        options.timeout_seconds.filter(|&seconds| seconds > 0).unwrap_or_else(|| rand::random_range(DEFAULT_TIMEOUT));
    Duration::from_secs(seconds)
}

/// In a minute, or shortly before the end when that is sooner.
fn next_bookmark(deadline: Instant) -> Instant {
    let now = Instant::now();
    let last = deadline.checked_sub(LAST_BOOKMARK).unwrap_or(deadline);
    let next = now + BOOKMARK_PERIOD;
    match (next < last, now < last) {
        (true, _) => next,
        (false, true) => last,
        // The last one has been sent: nothing wakes the watch before its end.
        (false, false) => deadline + BOOKMARK_PERIOD,
    }
}
