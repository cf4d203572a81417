//! Keys, entries and lifetimes of flows.

use proptest::prelude::*;

use super::*;

const NOW: Tick = Tick(1000);

fn tuple(source: [u8; 4], source_port: u16, destination: [u8; 4], destination_port: u16, protocol: u8) -> Tuple {
    Tuple {
        source: IpAddress::v4(source),
        destination: IpAddress::v4(destination),
        source_port: source_port.to_be_bytes(),
        destination_port: destination_port.to_be_bytes(),
        protocol,
    }
}

fn any_tuple() -> impl Strategy<Value = Tuple> {
    let ends = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<[u8; 2]>(), any::<[u8; 2]>(), any::<u8>());
    ends.prop_map(|(source, destination, source_port, destination_port, protocol)| Tuple {
        source: IpAddress::v6(source),
        destination: IpAddress::v6(destination),
        source_port,
        destination_port,
        protocol,
    })
}

proptest! {
    #[test]
    fn both_directions_of_a_flow_have_one_key(tuple in any_tuple()) {
        let ((there, direction), (back, opposite)) = (FlowKey::of(&tuple), FlowKey::of(&tuple.reversed()));
        prop_assert_eq!(there, back);
        prop_assert_eq!(there.tuple(direction), tuple);
        if tuple != tuple.reversed() {
            prop_assert_eq!(direction, opposite.opposite());
        }
    }

    #[test]
    fn the_two_entries_of_a_masqueraded_flow_name_each_other(
        tuple in any_tuple(), node in any::<[u8; 16]>(), port in any::<[u8; 2]>()
    ) {
        let (key, direction) = FlowKey::of(&tuple);
        let entry = FlowEntry::source(direction, (IpAddress::v6(node), port), 0, NOW);
        let answer = entry.translate(tuple).reversed();
        let (reply_key, reply_direction) = FlowKey::of(&answer);
        let reply = entry.answering(&tuple, reply_direction);
        let mut set = FlowKey::default();
        prop_assert_eq!((entry.set_reply_key(&key, &mut set), set), (reply_direction, reply_key));
        prop_assert_eq!(entry.partner(&key), Some(reply_key));
        prop_assert_eq!(reply.partner(&reply_key), Some(key));
        prop_assert!(reply.set_partner(&reply_key, &mut set) && set == key);
        prop_assert!(entry.set_partner(&key, &mut set) && set == reply_key);
        prop_assert_eq!(reply.translate(answer), tuple.reversed());
    }
}

#[test]
fn a_packet_to_its_own_sender_has_a_key_too() {
    let itself = tuple([10, 0, 0, 1], 80, [10, 0, 0, 1], 80, 6);
    let (key, direction) = FlowKey::of(&itself);
    assert_eq!(key.tuple(direction), itself);
}

#[test]
fn a_plain_flow_has_no_partner() {
    let (key, direction) = FlowKey::of(&tuple([10, 0, 0, 1], 1, [10, 0, 0, 2], 2, 17));
    assert_eq!(FlowEntry::plain(direction, 0, NOW).partner(&key), None);
}

/// What each side of a TCP connection has sent, in order, and how long it may then be idle.
#[test]
fn the_lifetime_of_a_tcp_flow_follows_what_both_sides_sent() {
    let (syn, ack, fin, rst) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags(0x11), TcpFlags::RST);
    let syn_ack = TcpFlags(0x12);
    let rows: &[(&str, &[TcpFlags], &[TcpFlags], u32)] = &[
        ("SYN only", &[syn], &[], 60),
        ("SYN answered", &[syn], &[syn_ack], 60),
        ("the handshake, before the other side says more", &[syn, ack], &[syn_ack], 60),
        ("data both ways", &[syn, ack], &[syn_ack, ack], 7500),
        ("half closed", &[syn, ack, fin], &[syn_ack, ack], 120),
        ("closed", &[syn, ack, fin], &[syn_ack, ack, fin], 10),
        ("refused", &[syn], &[rst], 10),
        ("broken", &[syn, ack, rst], &[syn_ack, ack], 10),
        ("a reset that was none", &[syn, ack], &[syn_ack, ack, rst, ack], 7500),
        ("opened anew", &[syn, ack, fin, syn, ack], &[syn_ack, ack, fin, syn_ack, ack], 7500),
    ];
    for (name, there, back, expected) in rows {
        let seen = |flags: &[TcpFlags]| {
            let mut entry = FlowEntry::default();
            flags.iter().for_each(|flags| entry.see(NOW, Some(*flags)));
            entry
        };
        let (own, partner) = (seen(there), seen(back));
        assert_eq!(own.lifetime(TCP, Some(&partner)), Tick(*expected), "{name}");
        assert_eq!(partner.lifetime(TCP, Some(&own)), Tick(*expected), "{name}, from the other side");
    }
}

#[test]
fn a_datagram_that_was_answered_is_remembered_longer() {
    let silent = FlowEntry::default();
    let mut heard = FlowEntry::default();
    heard.see(NOW, None);
    for (name, protocol, partner, expected) in [
        ("UDP without answer", UDP, &silent, 60),
        ("UDP with answer", UDP, &heard, 180),
        ("a ping", 1, &heard, 30),
        ("a ping over IPv6", 58, &silent, 30),
    ] {
        assert_eq!(heard.lifetime(protocol, Some(partner)), Tick(expected), "{name}");
    }
}

#[test]
fn a_flow_lives_as_long_as_either_side_is_heard() {
    let at = |tick| {
        let mut entry = FlowEntry::default();
        entry.see(Tick(tick), None);
        entry
    };
    for (own, partner, now, expired) in [
        (100, 100, 280, false),
        (100, 100, 281, true),
        (100, 200, 281, false),
        (200, 100, 281, false),
        (300, 300, 290, false),
    ] {
        assert_eq!(at(own).is_expired(UDP, Some(&at(partner)), Tick(now)), expired, "{own} {partner} {now}");
    }
}
