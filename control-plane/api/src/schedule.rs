//! Schedules of cron jobs: five fields, or a descriptor such as `@daily`.
//!
//! The grammar, the meaning and the refusals are those of `github.com/robfig/cron/v3`'s standard parser, which
//! Kubernetes uses:
//!
//! ```text
//! schedule   = minute hour day-of-month month day-of-week | "@" descriptor
//! field      = range { "," range }
//! range      = ( "*" | "?" | VALUE [ "-" VALUE ] ) [ "/" STEP ]
//! descriptor = "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly" | "every " DURATION
//! ```

use std::time::Duration;

use jiff::{SignedDuration, Zoned};

/// When a cron job makes jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At every minute that all fields match.
    Calendar(Calendar),
    /// After each such time, in whole seconds, at least one.
    Every(Duration),
}

/// The minutes, hours, days and months of a schedule; bit `n` stands for the value `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    minutes: u64,
    hours: u64,
    days_of_month: u64,
    months: u64,
    days_of_week: u64,
    /// A day matches where both of its fields do; where neither is `*`, one is enough.
    both_days: bool,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

/// What a field can hold.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

/// How many years ahead a match is looked for; the 29th of February comes within eight.
const YEARS_AHEAD: i16 = 8;

/// Stands for a field that was `*`, beside its bits.
const STAR: u64 = 1 << 63;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Bounds; 5] = [
    Bounds { min: 0, max: 59, names: &[] },
    Bounds { min: 0, max: 23, names: &[] },
    Bounds { min: 1, max: 31, names: &[] },
    Bounds { min: 1, max: 12, names: &MONTHS },
    Bounds { min: 0, max: 6, names: &WEEKDAYS },
];

// === impl Schedule ===

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// When the text does not follow the grammar or names a value that there is not.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.is_empty() {
            return Err(ScheduleError("empty spec string".to_owned()));
        }
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            return Err(ScheduleError("time zones are not part of a schedule".to_owned()));
        }
        if let Some(descriptor) = text.strip_prefix('@') {
            return descriptor_of(descriptor, text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let count = fields.len();
            let fields = fields.join(" ");
            return Err(ScheduleError(format!("expected exactly 5 fields, found {count}: [{fields}]")));
        };
        calendar([minute, hour, day, month, weekday]).map(Self::Calendar)
    }

    /// The first time after `after`, in its time zone; none within eight years for a date that never comes.
    ///
    /// A time that the zone's clocks skip in spring is not a time; one that they show twice in autumn is two.
    #[must_use]
    pub fn next_after(&self, after: &Zoned) -> Option<Zoned> {
        match self {
            Self::Calendar(calendar) => calendar.next_after(after),
            Self::Every(interval) => {
                let whole = after.with().subsec_nanosecond(0).build().ok()?;
                whole.checked_add(*interval).ok()
            }
        }
    }
}

// === impl Calendar ===

impl Calendar {
    fn next_after(&self, after: &Zoned) -> Option<Zoned> {
        let minute = SignedDuration::from_mins(1);
        let mut time = after.with().second(0).subsec_nanosecond(0).build().ok()?.checked_add(minute).ok()?;
        let last_year = after.year().saturating_add(YEARS_AHEAD);
        while time.year() <= last_year {
            time = if !has(self.months, time.month()) {
                time.first_of_month().ok()?.checked_add(jiff::Span::new().months(1)).ok()?.start_of_day().ok()?
            } else if !self.is_day(&time) {
                time.tomorrow().ok()?.start_of_day().ok()?
            } else if !has(self.hours, time.hour()) {
                let into_the_hour = SignedDuration::from_mins(i64::from(time.minute()));
                time.checked_add(SignedDuration::from_hours(1)).ok()?.checked_sub(into_the_hour).ok()?
            } else if !has(self.minutes, time.minute()) {
                time.checked_add(minute).ok()?
            } else {
                return Some(time);
            };
        }
        None
    }

    fn is_day(&self, time: &Zoned) -> bool {
        let of_month = has(self.days_of_month, time.day());
        let of_week = has(self.days_of_week, time.weekday().to_sunday_zero_offset());
        if self.both_days { of_month && of_week } else { of_month || of_week }
    }
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits & (1 << value) != 0)
}

fn calendar(fields: [&str; 5]) -> Result<Calendar, ScheduleError> {
    let mut bits = [0; 5];
    for ((field, bounds), bits) in fields.into_iter().zip(&FIELDS).zip(&mut bits) {
        for range in field.split(',').filter(|range| !range.is_empty()) {
            *bits |= range_bits(range, bounds)?;
        }
    }
    let [minutes, hours, days_of_month, months, days_of_week] = bits;
    let both_days = (days_of_month | days_of_week) & STAR != 0;
    let plain = |bits: u64| bits & !STAR;
    Ok(Calendar {
        minutes: plain(minutes),
        hours: plain(hours),
        days_of_month: plain(days_of_month),
        months: plain(months),
        days_of_week: plain(days_of_week),
        both_days,
    })
}

fn range_bits(range: &str, bounds: &Bounds) -> Result<u64, ScheduleError> {
    let refuse = |reason: String| Err(ScheduleError(format!("{reason}: {range}")));
    let parts: Vec<&str> = range.split('/').collect();
    let limits: Vec<&str> = parts[0].split('-').collect();
    let star = matches!(limits[0], "*" | "?");
    let (start, mut end) = if star {
        (bounds.min, bounds.max)
    } else {
        let start = value(limits[0], bounds.names)?;
        match limits[..] {
            [_] => (start, start),
            [_, end] => (start, value(end, bounds.names)?),
            _ => return refuse("too many hyphens".to_owned()),
        }
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            if limits.len() == 1 {
                end = bounds.max;
            }
            value(step, &[])?
        }
        _ => return refuse("too many slashes".to_owned()),
    };
    if start < bounds.min {
        return refuse(format!("beginning of range ({start}) below minimum ({})", bounds.min));
    }
    if end > bounds.max {
        return refuse(format!("end of range ({end}) above maximum ({})", bounds.max));
    }
    if start > end {
        return refuse(format!("beginning of range ({start}) beyond end of range ({end})"));
    }
    if step == 0 {
        return refuse("step of range should be a positive number".to_owned());
    }
    let step_by = usize::try_from(step).unwrap_or(usize::MAX);
    let bits = (start..=end).step_by(step_by).fold(0, |bits, value| bits | (1 << value));
    Ok(if star && step == 1 { bits | STAR } else { bits })
}

fn value(text: &str, names: &[&str]) -> Result<u32, ScheduleError> {
    let lower = text.to_lowercase();
    if let Some(index) = names.iter().position(|name| *name == lower) {
        // Months count from 1, weekdays from 0.
        let first = usize::from(names.len() == MONTHS.len());
        return Ok(u32::try_from(index + first).unwrap_or(u32::MAX));
    }
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(ScheduleError(format!("negative number ({number}) not allowed: {text}"))),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => {
            let quoted = crate::field::quote(text);
            let reason = format!("failed to parse int from {text}: strconv.Atoi: parsing {quoted}: invalid syntax");
            Err(ScheduleError(reason))
        }
    }
}

fn descriptor_of(descriptor: &str, text: &str) -> Result<Schedule, ScheduleError> {
    let fields = match descriptor {
        "yearly" | "annually" => ["0", "0", "1", "1", "*"],
        "monthly" => ["0", "0", "1", "*", "*"],
        "weekly" => ["0", "0", "*", "*", "0"],
        "daily" | "midnight" => ["0", "0", "*", "*", "*"],
        "hourly" => ["0", "*", "*", "*", "*"],
        other => {
            let Some(interval) = other.strip_prefix("every ") else {
                return Err(ScheduleError(format!("unrecognized descriptor: {text}")));
            };
            let Some(interval) = duration(interval) else {
                let quoted = crate::field::quote(interval);
                let reason = format!("failed to parse duration {text}: time: invalid duration {quoted}");
                return Err(ScheduleError(reason));
            };
            return Ok(Schedule::Every(Duration::from_secs(interval.as_secs().max(1))));
        }
    };
    calendar(fields).map(Schedule::Calendar)
}

/// A duration as Go writes it: numbers with units, such as `1h30m` or `1.5s`. A negative one counts as nothing.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        seconds += number * factor;
        rest = &rest[digits + unit.len()..];
    }
    if negative { Some(Duration::ZERO) } else { Duration::try_from_secs_f64(seconds).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn times_come_in_order() {
        let table = [
            ("* * * * *", "2024-01-01T00:00:30[UTC]", "2024-01-01T00:01:00[UTC]"),
            ("*/15 * * * *", "2024-01-01T00:15:00[UTC]", "2024-01-01T00:30:00[UTC]"),
            ("0 9-17/4 * * *", "2024-01-01T10:00:00[UTC]", "2024-01-01T13:00:00[UTC]"),
            ("0 0 29 2 *", "2024-03-01T00:00:00[UTC]", "2028-02-29T00:00:00[UTC]"),
            ("0 0 * * mon,WED", "2024-01-01T00:00:00[UTC]", "2024-01-03T00:00:00[UTC]"),
            // The 13th or a Friday, whichever is first.
            ("0 0 13 * 5", "2024-01-01T00:00:00[UTC]", "2024-01-05T00:00:00[UTC]"),
            ("0 0 */2 * 5", "2024-01-01T00:00:00[UTC]", "2024-01-03T00:00:00[UTC]"),
            ("0 0 * dec ?", "2024-01-31T00:00:00[UTC]", "2024-12-01T00:00:00[UTC]"),
            ("@hourly", "2024-01-01T00:30:00[UTC]", "2024-01-01T01:00:00[UTC]"),
            ("@weekly", "2024-01-01T00:00:00[UTC]", "2024-01-07T00:00:00[UTC]"),
            ("@every 1h30m", "2024-01-01T00:00:00[UTC]", "2024-01-01T01:30:00[UTC]"),
            ("30 2 * * *", "2024-03-10T00:00:00[America/New_York]", "2024-03-11T02:30:00[America/New_York]"),
            ("0 12 * * *", "2024-03-10T00:00:00[America/New_York]", "2024-03-10T12:00:00[America/New_York]"),
        ];
        for (schedule, after, expected) in table {
            let next = Schedule::parse(schedule).unwrap().next_after(&at(after));
            assert_eq!(next, Some(at(expected)), "{schedule} after {after}");
        }
        assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next_after(&at("2024-01-01T00:00:00[UTC]")), None);
    }

    #[test]
    fn a_malformed_schedule_is_refused_with_its_reason() {
        let table = [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("@fortnightly", "unrecognized descriptor: @fortnightly"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ];
        for (schedule, expected) in table {
            assert_eq!(Schedule::parse(schedule).unwrap_err().to_string(), expected, "{schedule}");
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let table = [
            ("90m", Some(5400)),
            ("1h1m1s", Some(3661)),
            ("1.5h", Some(5400)),
            ("0", Some(0)),
            ("-1h", Some(0)),
            ("", None),
            ("1", None),
            ("h", None),
            ("1d", None),
            ("1e30h", None),
        ];
        for (text, seconds) in table {
            assert_eq!(duration(text).map(|found| found.as_secs()), seconds, "{text}");
        }
    }
}
