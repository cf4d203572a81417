//! Frames in words, and what differs between two of them.

use std::fmt::Write as _;

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice};

/// A line per header of a frame, as far as it can be read.
#[must_use]
pub fn describe(frame: &[u8]) -> String {
    let fields = fields(frame);
    let mut text = format!("{} bytes", frame.len());
    for (layer, values) in fields {
        let _ = write!(text, "\n  {layer}: {values}");
    }
    text
}

/// What differs between two frames, or nothing if they are equal byte for byte: the headers that differ, then the
/// bytes, sixteen to a row, with a mark below each that differs.
#[must_use]
pub fn difference(expected: &[u8], actual: &[u8]) -> Option<String> {
    if expected == actual {
        return None;
    }
    let mut text = String::new();
    if expected.len() != actual.len() {
        let _ = writeln!(text, "length: expected {} bytes, got {}", expected.len(), actual.len());
    }
    let (expected_fields, actual_fields) = (fields(expected), fields(actual));
    for position in 0..expected_fields.len().max(actual_fields.len()) {
        let side = |fields: &[(&str, String)]| {
            fields.get(position).map_or_else(|| "-".to_owned(), |(layer, values)| format!("{layer}: {values}"))
        };
        let (expected, actual) = (side(&expected_fields), side(&actual_fields));
        if expected != actual {
            let _ = writeln!(text, "expected {expected}\n     got {actual}");
        }
    }
    for start in (0..expected.len().max(actual.len())).step_by(16) {
        compare_row(&mut text, start, expected, actual);
    }
    Some(text)
}

/// One row of sixteen bytes of both frames, if they differ in it.
fn compare_row(text: &mut String, start: usize, expected: &[u8], actual: &[u8]) {
    let byte =
        |frame: &[u8], position: usize| frame.get(position).map_or("  ".to_owned(), |byte| format!("{byte:02x}"));
    let row = |frame: &[u8]| (start..start + 16).map(|position| byte(frame, position)).collect::<Vec<_>>().join(" ");
    let (expected_row, actual_row) = (row(expected), row(actual));
    if expected_row == actual_row {
        return;
    }
    let differs = |position: usize| expected.get(position) != actual.get(position);
    let marks = (start..start + 16).map(|position| if differs(position) { "^^" } else { "  " });
    let marks = marks.collect::<Vec<_>>().join(" ");
    let _ = writeln!(
        text,
        "{start:4}  expected  {expected_row}\n          got  {actual_row}\n               {}",
        marks.trim_end()
    );
}

/// Layers and their fields, outermost first; what cannot be read ends the list with the reason.
fn fields(frame: &[u8]) -> Vec<(&'static str, String)> {
    let packet = match LaxSlicedPacket::from_ethernet(frame) {
        Ok(packet) => packet,
        Err(error) => return vec![("unreadable", error.to_string())],
    };
    let mut fields = Vec::new();
    if let Some(LinkSlice::Ethernet2(header)) = &packet.link {
        let (source, destination) = (mac(header.source()), mac(header.destination()));
        fields.push(("ethernet", format!("{source} -> {destination}, type {:#06x}", header.ether_type().0)));
    }
    for extension in &packet.link_exts {
        if let LaxLinkExtSlice::Vlan(tag) = extension {
            let id = tag.vlan_identifier().value();
            fields.push(("vlan", format!("{id}, type {:#06x}", tag.ether_type().0)));
        }
    }
    fields.extend(packet.net.as_ref().map(network));
    fields.extend(packet.transport.as_ref().map(transport));
    fields.extend(packet.stop_err.map(|(error, _)| ("unreadable", error.to_string())));
    fields
}

fn network(slice: &LaxNetSlice<'_>) -> (&'static str, String) {
    match slice {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            let (source, destination) = (ip.header().source_addr(), ip.header().destination_addr());
            let fragment = match (header.more_fragments, header.fragment_offset.value()) {
                (false, 0) => String::new(),
                (more, offset) => format!(", fragment {} more {more}", u32::from(offset) * 8),
            };
            let values = format!(
                "{source} -> {destination}, protocol {}, length {}, ttl {}, tos {:#04x}, id {:#06x}, df {}, \
                 checksum {:#06x}, options {:02x?}{fragment}",
                header.protocol.0,
                header.total_len,
                header.time_to_live,
                header.dscp.value() << 2 | header.ecn.value(),
                header.identification,
                header.dont_fragment,
                header.header_checksum,
                header.options.as_slice(),
            );
            ("ipv4", values)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header().to_header();
            // Not one by one: the crate's iterator reads beyond the end of a chain that breaks off.
            let extensions = ip.extensions().slice();
            let values = format!(
                "{} -> {}, next {}, length {}, hops {}, class {:#04x}, label {:#07x}, extensions {extensions:02x?}",
                header.source_addr(),
                header.destination_addr(),
                header.next_header.0,
                header.payload_length,
                header.hop_limit,
                header.traffic_class,
                header.flow_label.value(),
            );
            ("ipv6", values)
        }
        LaxNetSlice::Arp(arp) => ("arp", format!("{arp:?}")),
    }
}

fn transport(slice: &TransportSlice<'_>) -> (&'static str, String) {
    match slice {
        TransportSlice::Tcp(tcp) => {
            let header = tcp.to_header();
            let flags = [
                (header.syn, "SYN"),
                (header.ack, "ACK"),
                (header.fin, "FIN"),
                (header.rst, "RST"),
                (header.psh, "PSH"),
                (header.urg, "URG"),
                (header.ece, "ECE"),
                (header.cwr, "CWR"),
            ];
            let flags: Vec<&str> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
            let values = format!(
                "{} -> {}, {flags:?}, sequence {}, acknowledgement {}, window {}, checksum {:#06x}, options {:02x?}, \
                 {} bytes of data",
                header.source_port,
                header.destination_port,
                header.sequence_number,
                header.acknowledgment_number,
                header.window_size,
                header.checksum,
                header.options.as_slice(),
                tcp.payload().len(),
            );
            ("tcp", values)
        }
        TransportSlice::Udp(udp) => {
            let header = udp.to_header();
            let (source, destination) = (header.source_port, header.destination_port);
            ("udp", format!("{source} -> {destination}, length {}, checksum {:#06x}", header.length, header.checksum))
        }
        TransportSlice::Icmpv4(icmp) => {
            ("icmp", format!("{:?}, checksum {:#06x}", icmp.header().icmp_type, icmp.header().checksum))
        }
        TransportSlice::Icmpv6(icmp) => {
            ("icmpv6", format!("{:?}, checksum {:#06x}", icmp.header().icmp_type, icmp.header().checksum))
        }
        TransportSlice::Igmp(igmp) => ("igmp", format!("{igmp:?}")),
    }
}

fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}
