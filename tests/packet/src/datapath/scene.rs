//! A node with two pods, a neighbour, and the world outside: the same cast in both families.
//!
//! ```text
//!  pod  10.244.1.2 ── lo    ┐
//!                           ├ node 192.168.77.11 ── uplink ── other 192.168.77.12 ── remote 10.244.2.2
//!  peer 10.244.1.3 ── veth  ┘                          └───── outside 192.168.99.1, friend 192.168.88.1
//! ```

use std::cell::RefCell;
use std::net::IpAddr;

use dataplane_common::{DropReason, Hook, Path};
use sheave_agent::datapath::{
    AttachMode, Config, Datapath, Endpoint, Flow, Masquerading, Neighbour, NodeRoute, Uplink,
};
use sheave_agent::maps::Sizes;
use test_support::bpffs::BpfFs;
use test_support::packet::{Packet, describe};
use test_support::program::{At, ClassifierAction, LOOPBACK, Outcome, run_classifier_at};
use test_support::testbed::{MacAddress, Mtu, NetworkNamespace, VethEnd};

use crate::subject::may_run;

/// Who takes part, by family.
const CAST: [(&str, &str, &str); 9] = [
    ("pod", "10.244.1.2", "fd00:10:244:1::2"),
    ("peer", "10.244.1.3", "fd00:10:244:1::3"),
    ("nobody", "10.244.1.9", "fd00:10:244:1::9"),
    ("remote", "10.244.2.2", "fd00:10:244:2::2"),
    ("node", "192.168.77.11", "fd00:77::11"),
    ("other", "192.168.77.12", "fd00:77::12"),
    ("outside", "192.168.99.1", "fd00:99::1"),
    ("router", "192.168.55.1", "fd00:55::1"),
    ("friend", "192.168.88.1", "fd00:88::1"),
];

pub(super) const POD_MAC: [u8; 6] = [2, 0, 10, 244, 1, 2];
pub(super) const PEER_MAC: [u8; 6] = [2, 0, 10, 244, 1, 3];
pub(super) const HOST_MAC: [u8; 6] = [2, 1, 10, 244, 1, 3];
pub(super) const UPLINK_MAC: [u8; 6] = [2, 0, 192, 168, 77, 11];
pub(super) const OTHER_MAC: [u8; 6] = [2, 0, 192, 168, 77, 12];
/// The loopback interface's own: a frame to it is for this node.
pub(super) const OWN_MAC: [u8; 6] = [0; 6];

/// The ports for masquerade: one, so that it is known which a flow gets.
pub(super) const PORT: u16 = 61_000;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The loaded programs, with the cast in their maps.
pub(super) struct Scene {
    pub(super) datapath: RefCell<Datapath>,
}

/// What a program shall do with a packet.
#[derive(Debug)]
pub(super) enum Expect {
    /// It goes to the stack as it came.
    Stack,
    /// It goes to the stack like this.
    StackAs(Packet),
    /// It is redirected and looks like this.
    Redirect(Path, Packet),
    /// It is dropped for this reason.
    Drop(DropReason),
}

// === impl Family ===

impl Family {
    /// Replaces names by addresses: `"pod:4000 -> peer:80"`.
    pub(super) fn flow(self, text: &str) -> String {
        text.split(' ').map(|word| self.word(word)).collect::<Vec<_>>().join(" ")
    }

    fn word(self, word: &str) -> String {
        let (name, port) = word.split_once(':').map_or((word, None), |(name, port)| (name, Some(port)));
        let Some((_, v4, v6)) = CAST.iter().find(|(known, _, _)| *known == name) else { return word.to_owned() };
        match (self, port) {
            (Self::V4, Some(port)) => format!("{v4}:{port}"),
            (Self::V6, Some(port)) => format!("[{v6}]:{port}"),
            (Self::V4, None) => (*v4).to_owned(),
            (Self::V6, None) => (*v6).to_owned(),
        }
    }

    pub(super) fn address(self, name: &str) -> IpAddr {
        self.word(name).parse().unwrap()
    }
}

fn both(name: &str) -> Vec<IpAddr> {
    FAMILIES.iter().map(|family| family.address(name)).collect()
}

// === impl Scene ===

impl Scene {
    /// Runs `test` in a namespace of its own with everything set up, or not where programs cannot be loaded.
    pub(super) fn play(test: impl FnOnce(&Self) + Send) {
        if !may_run() {
            return;
        }
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("sheave-packet-{}-{number}", std::process::id());
        let namespace = NetworkNamespace::create(name).unwrap();
        namespace
            .links(async |links| {
                links.set_up("lo").await?;
                for (here, peer) in [("peer", "peer0"), ("uplink", "uplink0")] {
                    let here = VethEnd { name: here, mac: MacAddress(HOST_MAC) };
                    let there = VethEnd { name: peer, mac: MacAddress(PEER_MAC) };
                    links.add_veth(here, there, std::os::fd::AsFd::as_fd(&namespace), Mtu::ETHERNET, None).await?;
                }
                Ok(())
            })
            .unwrap();
        let files = BpfFs::new().unwrap();
        namespace.run(|| test(&Self::new(&files))).unwrap();
    }

    fn new(files: &BpfFs) -> Self {
        let sizes = Sizes { flows: 64, ..Sizes::default() };
        let pins = files.path().join("sheave");
        let mut datapath = Datapath::open(Config { pins, sizes, attach: AttachMode::Auto }).unwrap();
        let pod = Endpoint {
            id: 1,
            interface: LOOPBACK.interface,
            addresses: both("pod"),
            mac: POD_MAC,
            host_mac: HOST_MAC,
            mtu: 1500,
        };
        let peer = Endpoint { id: 2, interface: index("peer"), addresses: both("peer"), mac: PEER_MAC, ..pod.clone() };
        datapath.add_endpoint(&pod).unwrap();
        datapath.add_endpoint(&peer).unwrap();
        let networks = |names: [&str; 2]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
        let pod_networks = networks(["10.244.1.0/24", "fd00:10:244:1::/64"]);
        let uplink = Uplink { interface: index("uplink"), mtu: 1500, addresses: both("node"), pod_networks };
        datapath.set_uplink(&uplink).unwrap();
        let pod_networks = networks(["10.244.2.0/24", "fd00:10:244:2::/64"]);
        datapath.set_node(&NodeRoute { addresses: both("other"), pod_networks }).unwrap();
        for address in both("other") {
            let (interface, mac) = (uplink.interface, Some(OTHER_MAC));
            let neighbour = Neighbour { address, interface, mtu: 1400, mac, source_mac: UPLINK_MAC };
            assert!(datapath.set_neighbour(&neighbour).unwrap(), "{address} is a next hop");
        }
        let scene = Self { datapath: RefCell::new(datapath) };
        scene.masquerade(PORT..=PORT);
        scene
    }

    /// Sets the masquerade with these ports.
    pub(super) fn masquerade(&self, ports: std::ops::RangeInclusive<u16>) {
        let [IpAddr::V4(ipv4), IpAddr::V6(ipv6)] = FAMILIES.map(|family| family.address("node")) else { panic!() };
        let exclusions = vec!["192.168.88.0/24".parse().unwrap(), "fd00:88::/64".parse().unwrap()];
        let masquerading = Masquerading { ipv4: Some(ipv4), ipv6: Some(ipv6), ports, exclusions };
        self.datapath.borrow_mut().set_masquerade(&masquerading).unwrap();
    }

    /// Sends a packet through a hook's program, as if it came from the pod or arrived at the uplink.
    pub(super) fn run(&self, hook: Hook, packet: &Packet) -> Outcome<ClassifierAction> {
        self.run_at(hook, packet, LOOPBACK)
    }

    pub(super) fn run_at(&self, hook: Hook, packet: &Packet, at: At) -> Outcome<ClassifierAction> {
        run_classifier_at(self.datapath.borrow().program(hook).unwrap(), packet, at)
    }

    /// Sends a packet and checks action, whole frame and counter.
    #[track_caller]
    pub(super) fn check(&self, hook: Hook, name: &str, packet: &Packet, expect: &Expect) {
        self.check_at(hook, name, packet, LOOPBACK, expect);
    }

    #[track_caller]
    pub(super) fn check_at(&self, hook: Hook, name: &str, packet: &Packet, at: At, expect: &Expect) {
        let before = self.counters();
        let outcome = self.run_at(hook, packet, at);
        let counted: Vec<_> = self.counters().into_iter().filter(|counter| !before.contains(counter)).collect();
        let about = format!("{name}: {}; counted {counted:?}", describe(&packet.bytes()));
        match expect {
            Expect::Stack => outcome.assert_is(&about, ClassifierAction::Next, packet),
            Expect::StackAs(expected) => outcome.assert_is(&about, ClassifierAction::Next, expected),
            Expect::Redirect(_, expected) => outcome.assert_is(&about, ClassifierAction::Redirect, expected),
            Expect::Drop(_) => assert_eq!(outcome.action, ClassifierAction::Drop, "{about}"),
        }
        let label = match expect {
            Expect::Stack | Expect::StackAs(_) => Path::Stack.label(),
            Expect::Redirect(path, _) => path.label(),
            Expect::Drop(reason) => reason.label(),
        };
        let [(counted_hook, counted_label, _)] = counted[..] else { panic!("{about}: one counter must change") };
        assert_eq!((counted_hook, counted_label), (hook, label), "{about}");
    }

    /// All counters that are not 0.
    fn counters(&self) -> Vec<(Hook, &'static str, u64)> {
        let datapath = self.datapath.borrow();
        let drops = datapath.drops().unwrap().into_iter().map(|(hook, reason, count)| (hook, reason.label(), count));
        let traffic = datapath.traffic().unwrap();
        let passed = traffic.into_iter().map(|(hook, path, traffic)| (hook, path.label(), traffic.packets));
        drops.chain(passed).filter(|(_, _, count)| *count > 0).collect()
    }

    /// The flow table.
    pub(super) fn flows(&self) -> Vec<Flow> {
        self.datapath.borrow().flows().unwrap()
    }
}

/// The index of an interface of the calling thread's namespace.
pub(super) fn index(name: &str) -> u32 {
    let table = std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap();
    let row = table.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    row.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_else(|| panic!("no interface {name}"))
}
