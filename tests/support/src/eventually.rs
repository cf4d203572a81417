//! `eventually!`: waits for a condition instead of asserting a time.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

/// The first pause between two attempts; each is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Evaluates an expression again and again until it holds, and panics when it does not within the given time.
///
/// The expression is a `bool`, an `Option` or a `Result`; of the latter two the macro gives the value inside. The time
/// is written `10s` or `500ms`. Choose it generously: a passing test never waits for it.
///
/// ```
/// # use test_support::eventually;
/// let mut polls = 0;
/// let last = eventually!(within: 10s, { polls += 1; (polls > 2).then_some(polls) }, "only {polls} polls");
/// assert_eq!(last, 3);
/// ```
///
/// In async code write `await` before an expression that gives a future; the pauses then leave the thread to others:
///
/// ```
/// # use test_support::eventually;
/// # async fn ready() -> Result<(), String> { Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// eventually!(within: 10s, await ready(), "the server did not get ready");
/// # });
/// ```
#[macro_export]
macro_rules! eventually {
    (within: $within:tt, await $condition:expr, $($message:tt)+) => {{
        const WITHIN: ::std::time::Duration = $crate::eventually::duration(::std::stringify!($within));
        let mut attempts = $crate::eventually::Attempts::new(WITHIN, ::std::stringify!($condition));
        loop {
            match $crate::eventually::Outcome::settle($condition.await) {
                Ok(value) => break value,
                Err(seen) => $crate::eventually::sleep(attempts.pause_after(&seen, || ::std::format!($($message)+))).await,
            }
        }
    }};
    (within: $within:tt, $condition:expr, $($message:tt)+) => {{
        const WITHIN: ::std::time::Duration = $crate::eventually::duration(::std::stringify!($within));
        let mut attempts = $crate::eventually::Attempts::new(WITHIN, ::std::stringify!($condition));
        loop {
            match $crate::eventually::Outcome::settle($condition) {
                Ok(value) => break value,
                Err(seen) => ::std::thread::sleep(attempts.pause_after(&seen, || ::std::format!($($message)+))),
            }
        }
    }};
}

/// What a condition may evaluate to.
pub trait Outcome {
    /// What the macro gives.
    type Value;

    /// The value if the condition holds, else what was seen instead.
    fn settle(self) -> Result<Self::Value, String>;
}

/// The attempts of one `eventually!`.
#[derive(Debug)]
pub struct Attempts {
    condition: &'static str,
    began: Instant,
    within: Duration,
    made: u32,
    pause: Duration,
}

#[doc(hidden)]
pub use tokio::time::sleep;

/// Reads `10s` or `500ms`, at compile time.
#[expect(clippy::panic, reason = "evaluated at compile time, where a panic is a compiler error")]
pub const fn duration(text: &str) -> Duration {
    let bytes = text.as_bytes();
    let (mut number, mut digits) = (0_u64, 0);
    while digits < bytes.len() && bytes[digits].is_ascii_digit() {
        number = number * 10 + (bytes[digits] - b'0') as u64;
        digits += 1;
    }
    match bytes.split_at(digits) {
        ([_, ..], b"s") => Duration::from_secs(number),
        ([_, ..], b"ms") => Duration::from_millis(number),
        _ => panic!("write the time as `10s` or `500ms`"),
    }
}

// === impl Attempts ===

impl Attempts {
    /// Begins to count.
    pub fn new(within: Duration, condition: &'static str) -> Self {
        Self { condition, began: Instant::now(), within, made: 0, pause: FIRST_PAUSE }
    }

    /// How long to wait before the next attempt.
    ///
    /// # Panics
    /// When the time is up, with all that is known.
    #[track_caller]
    pub fn pause_after(&mut self, seen: &str, message: impl FnOnce() -> String) -> Duration {
        self.made += 1;
        let elapsed = self.began.elapsed();
        if elapsed >= self.within {
            self.give_up(seen, elapsed, &message());
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    #[track_caller]
    #[expect(clippy::panic, reason = "this is how a test fails")]
    fn give_up(&self, seen: &str, elapsed: Duration, message: &str) -> ! {
        let Self { condition, made, .. } = self;
        panic!("{message}\n  waited for: {condition}\n  last seen:  {seen}\n  {made} attempts in {elapsed:.1?}");
    }
}

// === impl Outcome ===

impl Outcome for bool {
    type Value = ();

    fn settle(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display + Debug> Outcome for Result<T, E> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.map_err(|error| format!("{error} ({error:?})"))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_condition_that_comes_true_is_waited_for() {
        let mut attempts = 0;
        eventually!(within: 10s, { attempts += 1; attempts == 3 }, "it never came true");
        assert_eq!(attempts, 3);
    }

    #[test]
    fn the_value_inside_is_given() {
        let text = eventually!(within: 10s, "7".parse::<u8>(), "not a number");
        assert_eq!(text, 7);
        assert_eq!(eventually!(within: 10s, Some("a"), "nothing"), "a");
    }

    #[test]
    fn a_failure_says_what_was_waited_for_what_was_seen_and_how_often() {
        let failed = catch_unwind(AssertUnwindSafe(|| {
            let name = "web";
            eventually!(within: 5ms, "seven".parse::<u8>(), "the port of {name} is no number");
        }));
        let message = *failed.unwrap_err().downcast::<String>().unwrap();
        for part in ["the port of web", r#""seven".parse::<u8>()"#, "invalid digit", "attempts in"] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(duration("10s"), Duration::from_secs(10));
        assert_eq!(duration("250ms"), Duration::from_millis(250));
        for text in ["10", "s", "10 s", "10m", ""] {
            assert!(catch_unwind(|| duration(text)).is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn other_tasks_run_while_an_async_condition_is_waited_for() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move { sender.send(5).await });
        let mut attempt = async || receiver.try_recv();
        assert_eq!(eventually!(within: 10s, await attempt(), "nothing was sent"), 5);
    }
}
