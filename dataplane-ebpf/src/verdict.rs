//! From what was found in a packet to what is done with it: the one place that decides.

use dataplane_common::{Malformed, Outcome};

/// What an XDP program does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// On to the kernel's network stack.
    Pass,
}

/// The action for each outcome.
///
/// Everything passes while the program only counts: the stack drops what it cannot read, and counts it again.
#[inline(always)]
pub(crate) const fn verdict(outcome: Outcome) -> Action {
    match outcome {
        Outcome::Transport
        | Outcome::FirstFragment
        | Outcome::LaterFragment
        | Outcome::OtherProtocol
        | Outcome::NotIp => Action::Pass,
        Outcome::Malformed(malformed) => match malformed {
            Malformed::TruncatedEthernet
            | Malformed::TruncatedVlan
            | Malformed::TooManyVlanTags
            | Malformed::TruncatedIp
            | Malformed::BadIpVersion
            | Malformed::BadIpHeaderLength
            | Malformed::TruncatedIpOptions
            | Malformed::BadIpLength
            | Malformed::TruncatedIpPayload
            | Malformed::TruncatedExtension
            | Malformed::MisplacedExtension
            | Malformed::TooManyExtensions
            | Malformed::TruncatedTransport
            | Malformed::BadTcpHeaderLength
            | Malformed::BadUdpLength => Action::Pass,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counting_program_passes_whatever_it_found() {
        for outcome in Outcome::all() {
            assert_eq!(verdict(outcome), Action::Pass, "{outcome:?}");
        }
    }
}
