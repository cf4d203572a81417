//! What of a log the client wants, and how it is written for it.

use bytes::{Bytes, BytesMut};
use jiff::{SignedDuration, Timestamp};

use super::line::{Line, Stream};

/// The options of a request, under the names of `PodLogOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogOptions {
    pub(super) follow: bool,
    pub(super) previous: bool,
    pub(super) tail_lines: Option<usize>,
    timestamps: bool,
    limit_bytes: Option<usize>,
    since_seconds: Option<i64>,
    since_time: Option<Timestamp>,
    stream: Option<Stream>,
}

/// Options that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {value:?} is not {expected}")]
pub(super) struct InvalidOption {
    name: String,
    value: String,
    expected: &'static str,
}

/// Writes lines for a client.
#[derive(Debug)]
pub(super) struct LogWriter {
    timestamps: bool,
    since: Option<Timestamp>,
    stream: Option<Stream>,
    /// Bytes that the client still takes.
    remaining: Option<usize>,
    /// The next line begins, rather than goes on.
    is_new_line: bool,
    written: BytesMut,
}

/// From here on, what was written is sent.
const LARGE: usize = 32 * 1024;

// === impl LogOptions ===

impl LogOptions {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, InvalidOption> {
        let mut options = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            options.set(&name, &value).map_err(|expected| InvalidOption {
                name: name.into_owned(),
                value: value.into_owned(),
                expected,
            })?;
        }
        Ok(options)
    }

    /// Sets one option; says what its value should have been.
    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let flag = || value.parse().map_err(|_| "true or false");
        match name {
            "follow" => self.follow = flag()?,
            "previous" => self.previous = flag()?,
            "timestamps" => self.timestamps = flag()?,
            "tailLines" => self.tail_lines = Some(value.parse().map_err(|_| "a number of lines")?),
            "limitBytes" => {
                let limit = value.parse().ok().filter(|limit| *limit > 0);
                self.limit_bytes = Some(limit.ok_or("a number of bytes above 0")?);
            }
            "sinceSeconds" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                self.since_seconds = Some(seconds.ok_or("a number of seconds above 0")?);
            }
            "sinceTime" => self.since_time = Some(value.parse().map_err(|_| "a time as in RFC 3339")?),
            "stream" => {
                self.stream = match value {
                    "All" => None,
                    "Stdout" => Some(Stream::Stdout),
                    "Stderr" => Some(Stream::Stderr),
                    _ => return Err("All, Stdout or Stderr"),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A writer for a request that came at `now`.
    pub(super) fn writer(&self, now: Timestamp) -> LogWriter {
        let before = |seconds| now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        LogWriter {
            timestamps: self.timestamps,
            since: self.since_seconds.map(before).or(self.since_time),
            stream: self.stream,
            remaining: self.limit_bytes,
            is_new_line: true,
            written: BytesMut::new(),
        }
    }
}

// === impl LogWriter ===

impl LogWriter {
    /// Writes a line of the file, if the client wants it. What is not in CRI's format is left out, as upstream does.
    pub(super) fn add(&mut self, raw: &[u8]) {
        let Some(line) = Line::parse(raw) else { return };
        let is_old = self.since.is_some_and(|since| line.time < since);
        if is_old || self.stream.is_some_and(|stream| stream != line.stream) {
            return;
        }
        if self.timestamps && self.is_new_line {
            // Nine digits always, so that lines sort.
            let time = format!("{} ", line.time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ"));
            self.put(time.as_bytes());
        }
        self.put(line.text);
        if !line.is_partial {
            self.put(b"\n");
        }
        self.is_new_line = !line.is_partial;
    }

    fn put(&mut self, bytes: &[u8]) {
        let taken = self.remaining.map_or(bytes.len(), |remaining| bytes.len().min(remaining));
        if let Some(remaining) = &mut self.remaining {
            *remaining -= taken;
        }
        self.written.extend_from_slice(&bytes[..taken]);
    }

    pub(super) fn is_large(&self) -> bool {
        self.written.len() >= LARGE
    }

    /// The client takes nothing more.
    pub(super) fn is_done(&self) -> bool {
        self.remaining == Some(0)
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Bytes {
        self.written.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[&str] = &[
        "2026-11-24T06:00:00.1Z stdout F first",
        "not in the format",
        "2026-11-24T06:00:01Z stdout P sec",
        "2026-11-24T06:00:01.000000001Z stdout F ond",
        "2026-11-24T06:00:02Z stderr F third",
    ];

    fn check(query: &str, expected: &str) {
        let options = LogOptions::parse(Some(query)).unwrap();
        let mut writer = options.writer("2026-11-24T06:00:03Z".parse().unwrap());
        LOG.iter().for_each(|line| writer.add(line.as_bytes()));
        assert_eq!(String::from_utf8_lossy(&writer.take()), expected, "{query}");
    }

    #[test]
    fn the_client_gets_what_it_asks_for() {
        check("", "first\nsecond\nthird\n");
        check("sinceSeconds=2", "second\nthird\n");
        check("sinceTime=2026-11-24T06:00:02Z", "third\n");
        check("stream=Stderr", "third\n");
        check("limitBytes=8", "first\nse");
        check(
            "timestamps=true",
            "2026-11-24T06:00:00.100000000Z first\n2026-11-24T06:00:01.000000000Z second\n\
             2026-11-24T06:00:02.000000000Z third\n",
        );
    }

    #[test]
    fn options_that_cannot_be_are_refused() {
        for query in
            ["follow=x", "tailLines=-1", "limitBytes=0", "sinceSeconds=0", "sinceTime=yesterday", "stream=Stdin"]
        {
            assert!(LogOptions::parse(Some(query)).is_err(), "{query}");
        }
    }
}
