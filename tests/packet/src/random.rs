//! Random packets: the kernel program, the host's model and an independent reading count alike.

use std::collections::BTreeMap;

use dataplane_common::{Statistic, classify};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use test_support::packet::{Layer, Packet, describe, frame, icmp, ip, tcp, udp};
use test_support::program::XdpAction;

use crate::independent::reading;
use crate::subject::Subject;

/// How many packets a run sends.
const PACKETS: usize = 100_000;

/// The variable that repeats a run: the seed that a failed one printed.
const SEED: &str = "SHEAVE_PACKET_SEED";

#[test]
fn a_hundred_thousand_random_packets_are_counted_as_the_model_says() {
    let Some(subject) = Subject::load() else { return };
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("{SEED}={seed} repeats this run");
    let mut random = StdRng::seed_from_u64(seed);
    let templates = templates();
    let mut model = BTreeMap::<Statistic, u64>::new();
    let mut decided = 0;
    for number in 0..PACKETS {
        let bytes = random_frame(&mut random, &templates);
        let expected = classify(bytes.as_slice());
        let place = || format!("packet {number} of {SEED}={seed}: {}\n{bytes:02x?}", describe(&bytes));
        if let Some(reading) = reading(&bytes) {
            assert_eq!(expected, reading, "the model says {expected}, an independent crate {reading}: {}", place());
            decided += 1;
        }
        let outcome = subject.run(&bytes);
        assert_eq!(outcome.action, XdpAction::Pass, "{}", place());
        assert_eq!(outcome.frame, bytes, "the frame must leave as it came: {}", place());
        let count = model.entry(expected).or_default();
        *count += 1;
        assert_eq!(subject.count(expected), *count, "the model says {expected}, the kernel not: {}", place());
    }
    assert_eq!(subject.counts(), model.into_iter().collect::<Vec<_>>(), "all counters, {SEED}={seed}");
    println!("{decided} of {PACKETS} packets were read by the independent crate as well");
    assert!(decided > PACKETS * 9 / 10, "only {decided} packets were compared with the independent crate");
}

/// Valid packets of every kind, from which random ones are made.
fn templates() -> Vec<Packet> {
    let v4 = "10.244.0.3:40000 -> 10.96.0.1:443";
    let v6 = "[fd00:244::3]:40000 -> [fd00:96::1]:443";
    let (hosts_v4, hosts_v6) = ("10.244.0.3 -> 10.96.0.1", "fd00:244::3 -> fd00:96::1");
    let mut templates = vec![
        tcp(v4).syn().mss(1460),
        tcp(v4).ack().ip_options(&[1; 12]).payload([7; 40]),
        tcp(v4).ack().provider_vlan(7).vlan(8).payload([7; 9]),
        udp(v4).payload([7; 33]),
        icmp(hosts_v4).payload([7; 56]),
        icmp(hosts_v4).unreachable(1).quoting(&udp(v4), 28),
        ip(hosts_v4, 132).payload([7; 24]),
        tcp(v6).syn().mss(1440),
        udp(v6).hop_by_hop().destination_options().payload([7; 33]),
        tcp(v6).vlan(8).routing().authentication().destination_options(),
        udp(v6).hop_by_hop().fragment(0, true).destination_options().payload([7; 32]),
        tcp(v6).fragment(0, false).payload([7; 11]),
        (0..8).fold(udp(v6), |packet, _| packet.destination_options()),
        icmp(hosts_v6).payload([7; 56]),
        frame(0x0806).payload([7; 28]),
    ];
    templates.extend(udp(v4).payload([7; 200]).fragments(64));
    templates.extend(udp(v6).hop_by_hop().payload([7; 200]).fragments(64));
    templates
}

/// A frame of at least 14 bytes, below which the kernel runs no test: noise, or a valid packet with up to four faults.
fn random_frame(random: &mut StdRng, templates: &[Packet]) -> Vec<u8> {
    if random.random_ratio(1, 5) {
        return noise(random);
    }
    let template = &templates[random.random_range(0..templates.len())];
    let mut bytes = template.bytes();
    for _ in 0..random.random_range(0..=4) {
        mutate(random, template, &mut bytes);
    }
    bytes.resize(bytes.len().max(14), 0);
    bytes
}

/// Random bytes, mostly under an EtherType that leads further than the first look.
fn noise(random: &mut StdRng) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..random.random_range(14..200)).map(|_| random.random()).collect();
    let ethertypes: [(u16, u8); 4] = [(0x0800, 0x40), (0x86dd, 0x60), (0x8100, 0), (0x88a8, 0)];
    if let Some((ethertype, version)) = ethertypes.get(random.random_range(0..6)) {
        bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
        if let Some(first) = bytes.get_mut(14).filter(|_| *version > 0) {
            *first = version | *first & 0x0f;
        }
    }
    bytes
}

/// Makes one thing different, most often in a header.
fn mutate(random: &mut StdRng, template: &Packet, bytes: &mut Vec<u8>) {
    let headers = template.offset_of(Layer::Payload).min(bytes.len());
    match random.random_range(0..8) {
        0 => bytes.truncate(random.random_range(14..=bytes.len().max(14))),
        1 => bytes.resize(bytes.len() + random.random_range(1..40), random.random()),
        2 | 3 if bytes.len() > 12 => {
            let position = random.random_range(12..bytes.len());
            bytes[position] ^= 1 << random.random_range(0..8);
        }
        4 | 5 if headers > 12 => {
            // Numbers that mean something in some field: versions, lengths, protocols.
            const MEANINGFUL: [u8; 16] = [0, 1, 4, 6, 8, 17, 43, 44, 50, 51, 58, 59, 60, 0x45, 0x60, 0xff];
            bytes[random.random_range(12..headers)] = MEANINGFUL[random.random_range(0..MEANINGFUL.len())];
        }
        _ if headers > 12 => bytes[random.random_range(12..headers)] = random.random(),
        _ => {}
    }
}
