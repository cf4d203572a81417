//! Times as Kubernetes writes them, and durations as `kubectl get` shows them.

use jiff::Timestamp;

use crate::Document;

/// The cell of an age that is not known.
pub const UNKNOWN: &str = "<unknown>";

/// The time that an RFC 3339 text names.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// `time` as `metav1.Time` writes it: RFC 3339 in UTC, whole seconds.
#[must_use]
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `time` as `metav1.MicroTime` writes it: RFC 3339 in UTC with six decimals.
#[must_use]
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// How long ago the time in `value` is, as a cell of `kubectl get` (the printers use `HumanDuration`).
#[must_use]
pub fn age(value: &Document, now: Timestamp) -> String {
    match value.as_str().and_then(parse) {
        Some(time) => human_duration(seconds_between(time, now)),
        None => UNKNOWN.to_owned(),
    }
}

/// Whole seconds from `start` to `end`, cut toward zero; negative when `end` is first.
#[must_use]
pub fn seconds_between(start: Timestamp, end: Timestamp) -> i64 {
    end.duration_since(start).as_secs()
}

/// `ShortHumanDuration` of `k8s.io/apimachinery/pkg/util/duration`: one unit, such as `5m` or `3d`.
#[must_use]
pub fn short_human_duration(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

/// `HumanDuration` of `k8s.io/apimachinery/pkg/util/duration`: two or three significant figures, such as `5m30s`.
#[must_use]
pub fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |large: i64, large_unit: char, small: i64, small_unit: char| match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(seconds / MINUTE, 'm', seconds % MINUTE, 's'),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(seconds / HOUR, 'h', seconds / MINUTE % 60, 'm'),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(seconds / DAY, 'd', seconds / HOUR % 24, 'h'),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds / YEAR, 'y', seconds / DAY % 365, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_durations_have_one_unit() {
        let table = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m"),
            (3_600, "1h"),
            (86_399, "23h"),
            (86_400, "1d"),
            (364 * 86_400, "364d"),
            (365 * 86_400, "1y"),
            (i64::MAX, "292471208677y"),
        ];
        for (seconds, expected) in table {
            assert_eq!(short_human_duration(seconds), expected, "{seconds} seconds");
        }
    }

    #[test]
    fn human_durations_have_two_or_three_figures() {
        let table = [
            (-2, "<invalid>"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (179 * 60, "179m"),
            (3 * 3_600, "3h"),
            (3 * 3_600 + 60, "3h1m"),
            (47 * 3_600, "47h"),
            (48 * 3_600, "2d"),
            (49 * 3_600, "2d1h"),
            (8 * 86_400, "8d"),
            (2 * 365 * 86_400, "2y"),
            (2 * 365 * 86_400 + 86_400, "2y1d"),
            (9 * 365 * 86_400, "9y"),
        ];
        for (seconds, expected) in table {
            assert_eq!(human_duration(seconds), expected, "{seconds} seconds");
        }
    }

    #[test]
    fn an_age_counts_from_the_time_in_the_document() {
        let now = parse("2024-05-01T12:00:00Z").unwrap();
        assert_eq!(age(&json!("2024-05-01T11:55:00Z"), now), "5m");
        assert_eq!(age(&json!("2024-05-01T13:55:00+02:00"), now), "5m");
        assert_eq!(age(&json!(null), now), "<unknown>");
        assert_eq!(age(&json!("yesterday"), now), "<unknown>");
    }

    #[test]
    fn times_are_written_in_utc() {
        let time = parse("2024-05-01T12:00:00.123456789+02:00").unwrap();
        assert_eq!(format(time), "2024-05-01T10:00:00Z");
        assert_eq!(format_micro(time), "2024-05-01T10:00:00.123456Z");
    }
}
