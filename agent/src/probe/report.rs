//! What was found, for people and for machines.

use std::fmt;
use std::io;

use serde::Serialize;

/// Everything that was tried on one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// One row per feature, in groups.
    pub findings: Vec<Finding>,
}

/// One feature and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of feature it is.
    pub group: Group,
    /// Its usual name.
    pub name: String,
    /// What it is for in a service dataplane.
    pub purpose: &'static str,
    /// The first kernel that has it.
    pub since: &'static str,
    /// The answer.
    #[serde(flatten)]
    pub support: Support,
}

/// A kind of feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The surroundings: type information, file systems, the compiler.
    System,
    /// Where programs are attached.
    Hook,
    /// What maps there are and what they can.
    Map,
    /// What programs may call: the stable interface.
    Helper,
    /// What programs may call: kernel functions, which each kernel may change.
    Kfunc,
}

/// Whether a feature is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "support", content = "reason", rename_all = "lowercase")]
pub enum Support {
    /// It was tried and works.
    Yes,
    /// It was tried and the kernel refused it.
    No(String),
    /// It could not be tried.
    Unknown(String),
}

// === impl Report ===

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: fn(&Finding) -> usize| self.findings.iter().map(column).max().unwrap_or_default();
        let (names, purposes) = (width(|finding| finding.name.len()), width(|finding| finding.purpose.len()));
        writeln!(f, "kernel {}", self.kernel)?;
        let mut group = None;
        for finding in &self.findings {
            if group.replace(finding.group) != Some(finding.group) {
                let title = finding.group.title();
                writeln!(f, "\n{title:names$}  {:purposes$}  SINCE  SUPPORTED", "FOR")?;
            }
            let Finding { name, purpose, since, support, .. } = finding;
            writeln!(f, "{name:names$}  {purpose:purposes$}  {since:5}  {support}")?;
        }
        let missing = self.findings.iter().filter(|finding| finding.support != Support::Yes).count();
        writeln!(f, "\n{} of {} features are there", self.findings.len() - missing, self.findings.len())
    }
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(
        group: Group,
        name: &str,
        since: &'static str,
        purpose: &'static str,
        support: impl Into<Support>,
    ) -> Self {
        Self { group, name: name.to_owned(), purpose, since, support: support.into() }
    }
}

// === impl Group ===

impl Group {
    const fn title(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Hook => "HOOK",
            Self::Map => "MAP",
            Self::Helper => "HELPER",
            Self::Kfunc => "KERNEL FUNCTION",
        }
    }
}

// === impl Support ===

impl Support {
    /// From whether something exists, with the reason if it does not.
    pub(super) fn when(exists: bool, otherwise: &str) -> Self {
        if exists { Self::Yes } else { Self::No(otherwise.to_owned()) }
    }
}

impl<T> From<io::Result<T>> for Support {
    /// What the kernel does not know it refuses with one of a few errors; others say nothing about the feature.
    fn from(tried: io::Result<T>) -> Self {
        /// "Not supported" within the kernel, which leaks out of some system calls.
        const ENOTSUPP: i32 = 524;
        let error = match tried {
            Ok(_) => return Self::Yes,
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EINVAL | libc::E2BIG | libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV | ENOTSUPP) => {
                Self::No(error.to_string())
            }
            _ => Self::Unknown(error.to_string()),
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::No(reason) => write!(f, "no: {reason}"),
            Self::Unknown(reason) => write!(f, "could not be tried: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let refused = Support::from(Err::<(), _>(io::Error::from_raw_os_error(libc::EINVAL)));
        let findings = vec![
            Finding::new(Group::Hook, "XDP", "4.8", "packets", Support::Yes),
            Finding::new(Group::Hook, "TCX", "6.6", "pods", refused),
            Finding::new(Group::Map, "hash", "3.19", "flows", Support::Unknown("no right".to_owned())),
        ];
        Report { kernel: "6.18".to_owned(), findings }
    }

    #[test]
    fn the_table_has_a_title_per_group_and_a_row_per_feature() {
        let expected = "\
kernel 6.18

HOOK  FOR      SINCE  SUPPORTED
XDP   packets  4.8    yes
TCX   pods     6.6    no: Invalid argument (os error 22)

MAP   FOR      SINCE  SUPPORTED
hash  flows    3.19   could not be tried: no right

1 of 3 features are there
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn json_has_the_answer_and_the_reason_beside_the_name() {
        let json = serde_json::to_value(report()).unwrap();
        let expected = serde_json::json!({
            "group": "hook", "name": "TCX", "purpose": "pods", "since": "6.6",
            "support": "no", "reason": "Invalid argument (os error 22)",
        });
        assert_eq!(json["findings"][1], expected);
    }
}
