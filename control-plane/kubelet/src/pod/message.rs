//! The last words of a container: a file that it may have written, or the end of its log.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::runtime::Container;

/// As much of the file as Kubernetes takes, in bytes.
const LONGEST_MESSAGE: u64 = 4096;
/// As much of the log as Kubernetes takes, in bytes and in lines.
const LONGEST_LOG: usize = 2048;
const MOST_LINES: usize = 80;
/// How much of the log's end is read: CRI's prefix of each line comes on top.
const READ: u64 = 16 << 10;

/// The message of a container that has ended; empty if it has left none.
#[must_use]
pub(super) fn read(container: &Container, log: &Path) -> String {
    let path = container.termination_message.as_deref();
    let told = path.and_then(|path| File::open(path).ok()).map(|file| {
        let mut bytes = Vec::new();
        let _ = file.take(LONGEST_MESSAGE).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    match told {
        Some(told) if !told.is_empty() => told,
        Some(_) | None if container.message_from_log && container.exit_code() != Some(0) => end_of_log(log),
        Some(_) | None => String::new(),
    }
}

fn end_of_log(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(READ)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    last_lines(&String::from_utf8_lossy(&read().unwrap_or_default()))
}

/// The text of the last lines of a CRI log: `<time> <stream> <F or P> <text>`.
fn last_lines(log: &str) -> String {
    let lines = log.lines().filter_map(|line| {
        let mut parts = line.splitn(4, ' ');
        let (_, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
        let text = parts.next().unwrap_or_default();
        matches!(stream, "stdout" | "stderr").then_some((text, tag.starts_with('F')))
    });
    let lines = lines.collect::<Vec<_>>();
    let last = &lines[lines.len().saturating_sub(MOST_LINES)..];
    let text: String = last.iter().flat_map(|(text, is_whole)| [*text, if *is_whole { "\n" } else { "" }]).collect();
    let mut start = text.len().saturating_sub(LONGEST_LOG);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_its_text_without_what_the_runtime_adds() {
        let log =
            "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stderr P tw\n2026-01-01T00:00:00Z stderr F o\n";
        assert_eq!(last_lines(log), "one\ntwo\n");
    }

    #[test]
    fn a_long_log_is_cut_at_eighty_lines_and_two_kilobytes() {
        let many = "2026-01-01T00:00:00Z stdout F x\n".repeat(200);
        assert_eq!(last_lines(&many).lines().count(), 80);
        let wide = format!("2026-01-01T00:00:00Z stdout F {}\n", "é".repeat(5000));
        assert!(last_lines(&wide).len() <= 2048);
    }
}
