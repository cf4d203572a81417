//! The kernel program under test, and what is checked of every packet that goes through it.

use dataplane_common::{Statistic, classify};
use sheave_agent::loader::Dataplane;
use sheave_agent::rights;
use test_support::packet::{Packet, describe};
use test_support::program::{Outcome, XdpAction, run_xdp, run_xdp_frame};

/// Programs and maps of their own for one test, so that tests can run side by side.
pub(crate) struct Subject {
    dataplane: Dataplane,
}

// === impl Subject ===

impl Subject {
    /// Loads the programs, or nothing where [`may_run`] says no.
    pub(crate) fn load() -> Option<Self> {
        may_run().then(|| Self { dataplane: Dataplane::load().unwrap() })
    }

    /// Sends a packet and checks that it passes unchanged and is counted once, as `expected` and nothing else; and
    /// that the host's model says the same.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, packet: &Packet, expected: Statistic) {
        let counts = self.dataplane.packet_counts().unwrap();
        let before = counts.nonzero().unwrap();
        let outcome = run_xdp(self.dataplane.xdp().unwrap(), packet);
        outcome.assert_is(name, XdpAction::Pass, packet);
        let counted = increments(&before, &counts.nonzero().unwrap());
        let frame = describe(&packet.bytes());
        assert_eq!(counted, [(expected, 1)], "{name}: the kernel counts\n{}\nfor {frame}", words(&counted));
        let modelled = classify(packet.bytes().as_slice());
        assert_eq!(modelled, expected, "{name}: the host's model says {modelled} for {frame}");
    }

    /// Sends a frame; returns what came out.
    pub(crate) fn run(&self, frame: &[u8]) -> Outcome<XdpAction> {
        run_xdp_frame(self.dataplane.xdp().unwrap(), frame)
    }

    /// How many instructions the verifier followed, over all paths; kernels below 5.16 do not say.
    pub(crate) fn verified_instructions(&self) -> Option<u32> {
        self.dataplane.xdp().unwrap().info().unwrap().verified_instruction_count()
    }

    /// One counter.
    pub(crate) fn count(&self, statistic: Statistic) -> u64 {
        self.dataplane.packet_counts().unwrap().get(statistic).unwrap()
    }

    /// All counters that are not 0.
    pub(crate) fn counts(&self) -> Vec<(Statistic, u64)> {
        self.dataplane.packet_counts().unwrap().nonzero().unwrap()
    }
}

/// Whether this process may load programs. If not, says what is missing, and fails if `CI=true`.
pub(crate) fn may_run() -> bool {
    let Err(missing) = rights::require(&rights::DATAPLANE) else { return true };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "packet tests must run here: {missing}");
    println!("skipped: {missing}");
    false
}

/// By how much counters grew.
fn increments(before: &[(Statistic, u64)], after: &[(Statistic, u64)]) -> Vec<(Statistic, u64)> {
    let old = |statistic| before.iter().find(|(key, _)| *key == statistic).map_or(0, |(_, count)| *count);
    let grown = after.iter().map(|(statistic, count)| (*statistic, count - old(*statistic)));
    grown.filter(|(_, increment)| *increment > 0).collect()
}

fn words(counts: &[(Statistic, u64)]) -> String {
    counts.iter().map(|(statistic, count)| format!("  {count} x {statistic}")).collect::<Vec<_>>().join("\n")
}
