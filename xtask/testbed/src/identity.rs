//! Which process: an id and a start time, because ids are used again.

use std::fmt;
use std::str::FromStr;

/// One process of this machine, now or in the past. Written `<id>.<start time>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    id: u32,
    /// In clock ticks after boot, field 22 of `/proc/<pid>/stat`.
    started: u64,
}

/// A text that names no process.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a process id and a start time")]
pub struct InvalidIdentity {
    text: String,
}

// === impl ProcessIdentity ===

impl ProcessIdentity {
    /// The calling process.
    pub fn of_this_process() -> Self {
        let id = std::process::id();
        Self { id, started: start_time(id).unwrap_or_default() }
    }

    /// The running process with this id; nothing when there is none.
    pub fn of(id: u32) -> Option<Self> {
        Some(Self { id, started: start_time(id)? })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        start_time(self.id) == Some(self.started)
    }
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.id, self.started)
    }
}

impl FromStr for ProcessIdentity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let parse = || {
            let (id, started) = text.split_once('.')?;
            Some(Self { id: id.parse().ok()?, started: started.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidIdentity { text: text.to_owned() })
    }
}

/// Start time of a process in clock ticks after boot; nothing when there is no such process.
fn start_time(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses and may itself hold both blanks and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_used_again_is_another_process() {
        let this = ProcessIdentity::of_this_process();
        assert!(this.is_alive());
        assert!(!ProcessIdentity { started: this.started + 1, ..this }.is_alive());
    }

    #[test]
    fn an_identity_is_read_back_as_it_was_written() {
        let this = ProcessIdentity::of_this_process();
        assert_eq!(this.to_string().parse::<ProcessIdentity>().unwrap(), this);
        for text in ["", "1", "1.", ".1", "1.2.3", "a.b"] {
            assert!(text.parse::<ProcessIdentity>().is_err(), "{text:?}");
        }
    }
}
