//! The runner itself, with programs of a few instructions.

use aya::Ebpf;
use aya::programs::{SchedClassifier, Xdp};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use test_support::packet::{tcp, udp};
use test_support::program::{ClassifierAction, XdpAction, run_classifier, run_xdp};

use crate::subject::may_run;

/// `r2 = -96; bpf_xdp_adjust_head(r1, r2); return XDP_PASS`, as `struct bpf_insn` has it.
const GROW_BY_96: [[u8; 8]; 4] = [
    [0xb7, 2, 0, 0, 0xa0, 0xff, 0xff, 0xff],
    [0x85, 0, 0, 0, 44, 0, 0, 0],
    [0xb7, 0, 0, 0, 2, 0, 0, 0],
    [0x95, 0, 0, 0, 0, 0, 0, 0],
];

/// `return TC_ACT_SHOT`.
const SHOT: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

#[test]
fn headroom_that_a_program_takes_without_filling_it_is_not_zero() {
    if !may_run() {
        return;
    }
    let mut ebpf = load("xdp", &GROW_BY_96);
    let program: &mut Xdp = ebpf.program_mut(PROGRAM).unwrap().try_into().unwrap();
    program.load().unwrap();
    let packet = udp("10.0.0.1:1 -> 10.0.0.2:2").payload("data");
    let outcome = run_xdp(program, &packet);
    assert_eq!(outcome.action, XdpAction::Pass);
    assert_eq!(outcome.frame, [vec![0xff; 96], packet.bytes()].concat());
}

#[test]
fn a_classifier_is_run_on_the_packet_as_it_is() {
    if !may_run() {
        return;
    }
    let mut ebpf = load("classifier", &SHOT);
    let program: &mut SchedClassifier = ebpf.program_mut(PROGRAM).unwrap().try_into().unwrap();
    program.load().unwrap();
    let packet = tcp("[fd00::1]:1 -> [fd00::2]:2").syn().payload("data");
    run_classifier(program, &packet).assert_is("a dropped packet", ClassifierAction::Drop, &packet);
}

#[test]
#[should_panic(expected = "BPF_PROG_TEST_RUN on 13 bytes")]
fn a_frame_below_fourteen_bytes_is_refused_by_the_kernel() {
    if !may_run() {
        panic!("skipped: BPF_PROG_TEST_RUN on 13 bytes needs rights");
    }
    let mut ebpf = load("xdp", &SHOT);
    let program: &mut Xdp = ebpf.program_mut(PROGRAM).unwrap().try_into().unwrap();
    program.load().unwrap();
    let _ = run_xdp(program, &udp("10.0.0.1:1 -> 10.0.0.2:2").truncate(13));
}

/// The name of the program in every object file here.
const PROGRAM: &str = "program";

/// Opens an object file with one program, whose section says what type it is.
fn load(section: &str, instructions: &[[u8; 8]]) -> Ebpf {
    Ebpf::load(&object_file(section, instructions.as_flattened())).unwrap()
}

/// The smallest object file that a loader takes: a licence and one program.
fn object_file(section: &str, instructions: &[u8]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::ReadOnlyData);
    object.append_section_data(license, b"GPL\0", 1);
    let section = object.add_section(Vec::new(), section.as_bytes().to_vec(), SectionKind::Text);
    object.append_section_data(section, instructions, 8);
    object.add_symbol(Symbol {
        name: PROGRAM.as_bytes().to_vec(),
        value: 0,
        size: instructions.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    object.write().unwrap()
}
