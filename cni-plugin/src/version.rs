//! Versions of the CNI specification.

use std::fmt;
use std::str::FromStr;

/// A version that the plugin speaks, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CniVersion {
    /// 0.3.1: ADD and DEL.
    V0_3_1,
    /// 0.4.0: CHECK, and the previous result on DEL.
    V0_4_0,
    /// 1.0.0: no address family beside an address.
    V1_0_0,
    /// 1.1.0: GC, STATUS, and the MTU of an interface.
    #[default]
    V1_1_0,
}

// === impl CniVersion ===

impl CniVersion {
    /// All, oldest first.
    pub const ALL: [Self; 4] = [Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// As a configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }
}

impl FromStr for CniVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(())
    }
}

impl fmt::Display for CniVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
