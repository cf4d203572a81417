//! The flow table when it fills up, ages, and is swept.

use dataplane_common::{DropReason, Hook, Path, Tick};
use sheave_agent::datapath::Collected;
use test_support::packet::{tcp, udp};
use test_support::program::ClassifierAction;

use super::scene::{Expect, FAMILIES, Family, OWN_MAC, Scene};

/// The table of the scene has room for so many entries.
const ROOM: usize = 64;

/// A tick of the kernel's clock, so many from now.
fn later(ticks: u32) -> Tick {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let (seconds, _) = uptime.split_once('.').unwrap();
    let Tick(now) = Tick::from_nanoseconds(seconds.parse::<u64>().unwrap() * 1_000_000_000);
    Tick(now + ticks)
}

#[test]
fn a_full_table_keeps_the_flows_that_it_has_and_never_half_of_one() {
    Scene::play(|scene| {
        scene.masquerade(61_000..=62_000);
        let packet = |port: u16| udp(&Family::V4.flow(&format!("pod:{port} -> outside:80")));
        let outcomes: Vec<_> = (1000..1100).map(|port| scene.run(Hook::Pod, &packet(port)).action).collect();
        let begun = outcomes.iter().filter(|action| **action == ClassifierAction::Redirect).count();
        let full = Expect::Drop(DropReason::FlowTableFull);
        scene.check(Hook::Pod, "one more", &packet(2000), &full);
        let flows = scene.flows();
        assert_eq!(flows.len(), 2 * begun, "each flow has both of its entries");
        assert!(flows.len() <= ROOM && begun >= ROOM / 2 - 1, "{begun} flows");
        for flow in &flows {
            let answer = flow.translated.reversed();
            assert!(flows.iter().any(|other| other.original == answer), "{flow:?} has no partner");
        }
        for (port, action) in (1000..1100).zip(&outcomes) {
            if *action == ClassifierAction::Redirect {
                assert_eq!(scene.run(Hook::Pod, &packet(port)).action, *action, "an old flow goes on: {port}");
            }
        }
    });
}

#[test]
fn flows_that_are_over_leave_the_table_both_sides_at_once() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let _ = scene.run(Hook::Pod, &udp(&family.flow("pod:1 -> outside:53")));
            let _ = scene.run(Hook::Pod, &tcp(&family.flow("pod:2 -> outside:80")).syn());
            let opener = udp(&family.flow("outside:3 -> pod:4")).to_mac(OWN_MAC);
            let _ = scene.run(Hook::Uplink, &opener);
        }
        let collect = |now| scene.datapath.borrow_mut().collect_garbage_as_of(now).unwrap();
        assert_eq!(collect(later(30)), Collected { examined: 10, removed: 0 });
        // Nobody has answered any of them.
        assert_eq!(collect(later(70)), Collected { examined: 10, removed: 10 });
        assert_eq!(scene.flows(), []);
    });
}

#[test]
fn an_established_connection_outlives_two_hours_of_silence() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let out = || tcp(&family.flow("pod:4000 -> outside:80"));
            let back = || tcp(&family.flow("outside:80 -> node:61000")).to_mac(OWN_MAC);
            for (hook, packet) in [
                (Hook::Pod, out().syn()),
                (Hook::Uplink, back().syn().ack()),
                (Hook::Pod, out().ack()),
                (Hook::Uplink, back().ack().payload("hello")),
            ] {
                assert_eq!(scene.run(hook, &packet).action, ClassifierAction::Redirect);
            }
        }
        let collect = |now| scene.datapath.borrow_mut().collect_garbage_as_of(now).unwrap();
        assert_eq!(collect(later(7300)).removed, 0);
        assert_eq!(collect(later(7600)).removed, 4);
    });
}

#[test]
fn a_port_is_free_again_once_its_flow_is_over() {
    Scene::play(|scene| {
        let first = udp(&Family::V4.flow("pod:4000 -> outside:80"));
        let second = udp(&Family::V4.flow("pod:4001 -> outside:80"));
        let translated = udp(&Family::V4.flow("node:61000 -> outside:80")).ttl(63);
        scene.check(Hook::Pod, "the first", &first, &Expect::Redirect(Path::Translated, translated.clone()));
        scene.check(Hook::Pod, "the second", &second, &Expect::Drop(DropReason::PortsExhausted));
        scene.datapath.borrow_mut().collect_garbage_as_of(later(70)).unwrap();
        scene.check(Hook::Pod, "the second again", &second, &Expect::Redirect(Path::Translated, translated));
    });
}

#[test]
fn dropped_packets_are_told_to_who_listens() {
    Scene::play(|scene| {
        let spoofed = udp(&Family::V4.flow("nobody:4000 -> peer:80"));
        let _ = scene.run(Hook::Pod, &spoofed);
        let mut events = scene.datapath.borrow_mut().events().unwrap();
        assert!(events.next_event().is_none(), "nobody listened yet");
        let _ = scene.run(Hook::Pod, &spoofed);
        let event = events.next_event().unwrap();
        assert_eq!((event.hook(), event.reason()), (Some(Hook::Pod), Some(DropReason::SourceAddress)));
        assert_eq!(event.source(), Some((Family::V4.address("nobody"), 4000)));
        assert_eq!(event.destination(), Some((Family::V4.address("peer"), 80)));
        assert_eq!(usize::try_from(event.length()).unwrap(), spoofed.bytes().len());
        scene.datapath.borrow_mut().stop_events(events).unwrap();
        let _ = scene.run(Hook::Pod, &spoofed);
        let mut events = scene.datapath.borrow_mut().events().unwrap();
        assert!(events.next_event().is_none(), "nobody listened any more");
        assert_eq!(scene.datapath.borrow().events_lost().unwrap(), 0);
    });
}
