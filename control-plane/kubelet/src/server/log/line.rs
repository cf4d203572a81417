//! One line of a log in CRI's format: `2026-11-24T06:00:00.123456789Z stdout F the text`.
//!
//! A runtime cuts long lines into pieces: all but the last are tagged `P`, and belong together.

use jiff::Timestamp;

/// Which of a process's outputs a line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// A line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) time: Timestamp,
    pub(super) stream: Stream,
    /// More of the same line follows.
    pub(super) is_partial: bool,
    /// Without the line feed.
    pub(super) text: &'a [u8],
}

// === impl Line ===

impl<'a> Line<'a> {
    /// A line of the file, with or without its line feed; none for what is not in the format.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (time, rest) = word(line)?;
        let (stream, rest) = word(rest)?;
        let (tags, text) = word(rest).unwrap_or((rest, &[]));
        let stream = match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let is_partial = match tags.split(|byte| *byte == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        let time = std::str::from_utf8(time).ok()?.parse().ok()?;
        Some(Self { time, stream, is_partial, text })
    }
}

fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..space], &bytes[space + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = Line::parse(b"2026-11-24T06:00:00.5+01:00 stderr P:x two  words \n").unwrap();
        assert_eq!(line.time.to_string(), "2026-11-24T05:00:00.5Z");
        assert_eq!((line.stream, line.is_partial, line.text), (Stream::Stderr, true, &b"two  words "[..]));
        let empty = Line::parse(b"2026-11-24T06:00:00Z stdout F \n").unwrap();
        assert_eq!((empty.is_partial, empty.text), (false, &b""[..]));
        assert_eq!(Line::parse(b"2026-11-24T06:00:00Z stdout F").unwrap().text, b"");
    }

    #[test]
    fn what_is_not_in_the_format_is_no_line() {
        for line in [
            &b""[..],
            b"text",
            b"yesterday stdout F x",
            b"2026-11-24T06:00:00Z stdin F x",
            b"2026-11-24T06:00:00Z stdout Q x",
        ] {
            assert_eq!(Line::parse(line), None, "{:?}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Line::parse(&bytes);
        }
    }
}
