//! The counting XDP program on a node's uplink: traffic passes unharmed, and what came is what was counted.

use std::net::IpAddr;
use std::time::Duration;

use dataplane_common::{Family, Outcome, Protocol, Statistic};
use sheave_agent::loader::{Dataplane, Mode};
use test_support::testbed::{Host, Profile, Topology};
use test_support::traffic::{echo_by_tcp, echo_by_udp};
use test_support::{eventually, require_root};

const PATIENCE: Duration = Duration::from_secs(10);

/// A payload that fits one packet, and one that needs many.
const SMALL: usize = 5;
const LARGE: usize = 300_000;

/// A datagram that is sent in three fragments, in both families.
const FRAGMENTED: usize = 4000;

/// Two nodes, and the program on the second one's uplink.
struct Counted {
    topology: Topology,
    dataplane: Dataplane,
    /// Frames that the first node had sent before the program came.
    sent_before: u64,
}

// === impl Counted ===

impl Counted {
    fn build(label: &str) -> Self {
        let topology = Topology::builder(label).profile(Profile::Wire).nodes(2).build().unwrap();
        let mut dataplane = Dataplane::load().unwrap();
        let sent_before = frames_sent(topology.node(1));
        topology.node(2).run(|| dataplane.attach_xdp(Host::UPLINK, Mode::Driver).unwrap());
        Self { topology, dataplane, sent_before }
    }

    fn sender(&self) -> &Host {
        self.topology.node(1)
    }

    fn receiver(&self) -> &Host {
        self.topology.node(2)
    }

    fn count(&self, family: Family, protocol: Protocol, outcome: Outcome) -> u64 {
        let statistic = Statistic { family, protocol, outcome };
        self.dataplane.packet_counts().unwrap().get(statistic).unwrap()
    }

    fn counts(&self) -> Vec<(Statistic, u64)> {
        self.dataplane.packet_counts().unwrap().nonzero().unwrap()
    }

    /// The fabric is a switch with these two ports: what one node sends, the other receives.
    fn assert_every_frame_is_counted(&self) {
        let counted = || self.counts().iter().map(|(_, count)| count).sum::<u64>();
        let sent = || frames_sent(self.sender()) - self.sent_before;
        eventually!(
            within: 10s,
            counted() == sent(),
            "{} frames were sent, counted were {}: {:?}", sent(), counted(), self.counts()
        );
    }

    fn assert_nothing_is_malformed(&self) {
        let malformed = |statistic: &Statistic| matches!(statistic.outcome, Outcome::Malformed(_));
        let counts = self.counts();
        assert!(!counts.iter().any(|(statistic, _)| malformed(statistic)), "{counts:?}");
    }

    fn families(&self) -> [(Family, IpAddr); 2] {
        let addresses = self.receiver().addresses();
        [(Family::Ipv4, addresses.ipv4.into()), (Family::Ipv6, addresses.ipv6.into())]
    }
}

#[test]
fn each_datagram_passes_and_is_counted_once() {
    require_root!();
    let counted = Counted::build("udp");
    for (family, address) in counted.families() {
        for number in 1..=20 {
            let bytes = [number; SMALL];
            let echo = echo_by_udp(counted.sender(), counted.receiver(), address, &bytes, PATIENCE).unwrap();
            assert_eq!(echo, bytes, "{address}");
        }
        assert_eq!(counted.count(family, Protocol::Udp, Outcome::Transport), 20, "{family:?}");
    }
    counted.assert_nothing_is_malformed();
    counted.assert_every_frame_is_counted();
}

#[test]
fn each_fragment_of_a_datagram_passes_and_is_counted_as_what_it_is() {
    require_root!();
    let counted = Counted::build("fragments");
    let bytes = pattern(FRAGMENTED);
    for (family, address) in counted.families() {
        let echo = echo_by_udp(counted.sender(), counted.receiver(), address, &bytes, PATIENCE).unwrap();
        assert_eq!(echo, bytes, "{address}");
        assert_eq!(counted.count(family, Protocol::Udp, Outcome::FirstFragment), 1, "{family:?}");
        assert_eq!(counted.count(family, Protocol::Udp, Outcome::LaterFragment), 2, "{family:?}");
        assert_eq!(counted.count(family, Protocol::Udp, Outcome::Transport), 0, "{family:?}");
    }
    counted.assert_every_frame_is_counted();
}

#[test]
fn a_stream_passes_unharmed_and_every_segment_of_it_is_counted() {
    require_root!();
    for length in [SMALL, LARGE] {
        let counted = Counted::build("tcp");
        let bytes = pattern(length);
        for (family, address) in counted.families() {
            let echo = echo_by_tcp(counted.sender(), counted.receiver(), address, &bytes, PATIENCE).unwrap();
            assert_eq!(echo, bytes, "{length} bytes to {address}");
            // The handshake, the end and the acknowledgements come on top of the segments with data.
            let segments = counted.count(family, Protocol::Tcp, Outcome::Transport);
            let least = u64::try_from(length / 1448).unwrap() + 4;
            assert!(segments >= least, "{length} bytes in {segments} segments, {least} is the least: {family:?}");
        }
        counted.assert_nothing_is_malformed();
        counted.assert_every_frame_is_counted();
    }
}

#[test]
fn traffic_goes_on_when_the_program_goes() {
    require_root!();
    let Counted { topology, dataplane, .. } = Counted::build("detach");
    let (from, to) = (topology.node(1), topology.node(2));
    drop(dataplane);
    for address in to.addresses().ips() {
        assert_eq!(echo_by_tcp(from, to, address, &pattern(LARGE), PATIENCE).unwrap(), pattern(LARGE), "{address}");
    }
}

/// Bytes in which a lost or doubled piece shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// How many frames a host has sent, as its own interface counts (proc_pid_net(5)).
fn frames_sent(host: &Host) -> u64 {
    let table = host.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let mut rows = table.lines().filter_map(|line| line.trim().split_once(':'));
    let (_, counters) = rows.find(|(name, _)| *name == Host::UPLINK).expect("a host has an uplink");
    counters.split_whitespace().nth(9).unwrap().parse().unwrap()
}
