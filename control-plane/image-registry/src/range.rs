//! Byte ranges of requests (RFC 9110, section 14): one range, as a download that goes on asks for.

use std::ops::Range;

/// What part of a representation was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: no range, or one that is not understood, which has to be ignored.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// A range outside of it.
    Unsatisfiable,
}

/// Reads the value of a `Range` header for something of `size` bytes.
pub(crate) fn parse(header: Option<&str>, size: u64) -> Part {
    let Some((first, last)) = header.and_then(|header| header.strip_prefix("bytes=")?.split_once('-')) else {
        return Part::Whole;
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
        (Err(_), Ok(suffix)) if first.trim().is_empty() => size.saturating_sub(suffix)..size,
        _ => return Part::Whole,
    };
    if range.start < range.end { Part::Bytes(range) } else { Part::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (header, part) in [
            (None, Part::Whole),
            (Some("bytes=0-0"), Part::Bytes(0..1)),
            (Some("bytes=10-19"), Part::Bytes(10..20)),
            (Some("bytes=90-1000"), Part::Bytes(90..100)),
            (Some("bytes=90-"), Part::Bytes(90..100)),
            (Some("bytes=-10"), Part::Bytes(90..100)),
            (Some("bytes=-1000"), Part::Bytes(0..100)),
            (Some("bytes=100-"), Part::Unsatisfiable),
            (Some("bytes=-0"), Part::Unsatisfiable),
            (Some("bytes=19-10"), Part::Whole),
            (Some("bytes=0-1,5-6"), Part::Whole),
            (Some("bytes=x-y"), Part::Whole),
            (Some("lines=1-2"), Part::Whole),
            (Some("bytes=18446744073709551615-18446744073709551615"), Part::Unsatisfiable),
        ] {
            assert_eq!(parse(header, 100), part, "{header:?}");
        }
    }
}
