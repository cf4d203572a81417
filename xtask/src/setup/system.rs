//! Which system this is, as os-release(5) tells.

use std::fmt;

/// An operating system.
pub(super) struct System {
    id: String,
    version: String,
}

impl System {
    /// Reads `/etc/os-release`; a file that is missing is an unknown system.
    pub(super) fn detect() -> Self {
        Self::parse(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn parse(os_release: &str) -> Self {
        let value = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or("unknown").trim_matches('"').to_owned()
        };
        Self { id: value("ID"), version: value("VERSION_ID") }
    }

    /// Whether `setup` has a recipe for it.
    pub(super) fn is_known(&self) -> bool {
        self.id == "debian" && self.version == "12"
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_12_has_a_recipe() {
        for (text, known) in [
            ("PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n", true),
            ("ID=debian\nVERSION_ID=\"11\"\n", false),
            ("ID=ubuntu\nVERSION_ID=\"12\"\n", false),
            ("", false),
        ] {
            assert_eq!(System::parse(text).is_known(), known, "{text:?}");
        }
    }
}
