//! One packet through one loaded program by `BPF_PROG_TEST_RUN`, without attaching it anywhere.
//!
//! The kernel refuses frames below 14 bytes, and hands an XDP program frames as drivers do, with one difference:
//! it zeroes the headroom in front of the frame, where a driver leaves what the last packet left. A program that grows
//! the frame and forgets to fill it passes with zeros and fails in the field, hence the headroom here is full of 0xff.
#![expect(clippy::panic, reason = "a test whose program does not run must stop")]

use std::fmt;

use aya::programs::{ProgramError, SchedClassifier, TestRun, Xdp};
use aya::{TestRunOptions, TestRunResult};

use crate::packet::{Packet, describe, difference};

/// What a program did with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<A> {
    /// What it returned.
    pub action: A,
    /// The frame as it left the program.
    pub frame: Vec<u8>,
}

/// What an XDP program returns (`enum xdp_action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpAction {
    /// The program failed; the frame is dropped and a tracepoint fires.
    Aborted,
    /// The frame is dropped.
    Drop,
    /// On to the kernel's stack.
    Pass,
    /// Back out of the link on which it came.
    Tx,
    /// Out of another link.
    Redirect,
    /// A number that the kernel does not know.
    Unknown(u32),
}

/// What a traffic control program returns (`TC_ACT_*`, of which TCX knows some as `TCX_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassifierAction {
    /// On to the next program, or to the stack.
    Next,
    /// On to the stack.
    Pass,
    /// The packet is dropped.
    Drop,
    /// Out of another link.
    Redirect,
    /// A number that TCX does not know.
    Unknown(u32),
}

/// Bytes of poison in front of an XDP frame, in the order in which they are tried. It travels as metadata, of which
/// older kernels allow 32 bytes; 96 cover every tunnel's headers and leave 120 bytes of headroom.
const POISON: [usize; 2] = [96, 32];

/// Room behind the frame for what a program adds.
const GROWTH: usize = 512;

/// Runs an XDP program on a packet.
///
/// # Panics
///
/// When the kernel does not run it: the program is not loaded, the frame has fewer than 14 bytes, rights are missing.
#[track_caller]
#[must_use]
pub fn run_xdp(program: &Xdp, packet: &Packet) -> Outcome<XdpAction> {
    run_xdp_frame(program, &packet.bytes())
}

/// Runs an XDP program on a frame that is given byte by byte.
///
/// # Panics
///
/// Like [`run_xdp`].
#[track_caller]
#[must_use]
pub fn run_xdp_frame(program: &Xdp, frame: &[u8]) -> Outcome<XdpAction> {
    let mut tried = POISON.into_iter().map(|poison| run_poisoned(program, frame, poison));
    match tried.find_map(Result::ok).map_or_else(|| run_poisoned(program, frame, 0), Ok) {
        Ok(outcome) => outcome,
        Err(error) => panic!("BPF_PROG_TEST_RUN on {} bytes: {error:?}", frame.len()),
    }
}

/// Metadata lies directly in front of the frame. `bpf_xdp_adjust_head` moves it along when the frame grows, and leaves
/// its old place, then part of the frame, as it was.
fn run_poisoned(program: &Xdp, frame: &[u8], poison: usize) -> Result<Outcome<XdpAction>, ProgramError> {
    let input = [vec![0xff; poison].as_slice(), frame].concat();
    let context = xdp_context(poison, input.len());
    let mut output_context = context;
    let mut output = vec![0; input.len() + GROWTH];
    let result = run(program, &input, &mut output, Some((&context, &mut output_context)))?;
    let start = word(&output_context, 0);
    let end = result.data_size_out as usize;
    let frame = output.get(start..end).unwrap_or_else(|| panic!("the kernel returned {start}..{end} of the frame"));
    Ok(Outcome { action: XdpAction::from(result.return_value), frame: frame.to_vec() })
}

/// What a traffic control program is told about a packet beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The index of the interface at which it is; 1 is the loopback interface of the calling thread's namespace.
    pub interface: u32,
    /// The payload of each packet that it will be taken apart into; 0 if it will not be.
    pub segment_size: u32,
}

/// The loopback interface, which every namespace has.
pub const LOOPBACK: At = At { interface: 1, segment_size: 0 };

/// Runs a traffic control program on a packet at a given place. The kernel takes the packet for one to the interface's
/// own hardware address if its receiver is that; the loopback interface's is 00:00:00:00:00:00.
///
/// # Panics
///
/// Like [`run_xdp`].
#[track_caller]
#[must_use]
pub fn run_classifier_at(program: &SchedClassifier, packet: &Packet, at: At) -> Outcome<ClassifierAction> {
    let input = packet.bytes();
    let mut output = vec![0; input.len() + GROWTH];
    let context = at.context();
    let mut output_context = context;
    let result = match run(program, &input, &mut output, Some((&context, &mut output_context))) {
        Ok(result) => result,
        Err(error) => panic!("BPF_PROG_TEST_RUN on {} bytes: {error:?}", input.len()),
    };
    output.truncate(result.data_size_out as usize);
    Outcome { action: ClassifierAction::from(result.return_value), frame: output }
}

/// Runs a traffic control program on a packet. Headroom needs no poison: the kernel zeroes what such a program adds.
///
/// # Panics
///
/// Like [`run_xdp`].
#[track_caller]
#[must_use]
pub fn run_classifier(program: &SchedClassifier, packet: &Packet) -> Outcome<ClassifierAction> {
    let input = packet.bytes();
    let mut output = vec![0; input.len() + GROWTH];
    let result = match run(program, &input, &mut output, None) {
        Ok(result) => result,
        Err(error) => panic!("BPF_PROG_TEST_RUN on {} bytes: {error:?}", input.len()),
    };
    output.truncate(result.data_size_out as usize);
    Outcome { action: ClassifierAction::from(result.return_value), frame: output }
}

fn run<P>(
    program: &P,
    input: &[u8],
    output: &mut [u8],
    context: Option<(&[u8], &mut [u8])>,
) -> Result<TestRunResult, ProgramError>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
{
    let (context, output_context) = context.unzip();
    program.test_run(TestRunOptions {
        data_in: Some(input),
        data_out: Some(output),
        ctx_in: context,
        ctx_out: output_context,
        // Twice and more costs 18 ms per call: the kernel then measures time and yields.
        repeat: 1,
        ..TestRunOptions::new()
    })
}

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex, all `u32`. For a test
/// run the first three are offsets in the input, whose first `metadata` bytes are the metadata.
fn xdp_context(metadata: usize, end: usize) -> [u8; 24] {
    let mut context = [0; 24];
    for (position, value) in [metadata, end, 0].into_iter().enumerate() {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        context[position * 4..][..4].copy_from_slice(&value.to_ne_bytes());
    }
    context
}

/// The `position`th word of a context.
fn word(context: &[u8; 24], position: usize) -> usize {
    let bytes = context[position * 4..][..4].try_into().unwrap_or_default();
    u32::from_ne_bytes(bytes) as usize
}

// === impl At ===

impl At {
    /// `struct __sk_buff`: `ifindex` at byte 40, `gso_segs` at 164, `gso_size` at 176; 192 bytes in all.
    fn context(self) -> [u8; 192] {
        let mut context = [0; 192];
        let segments = u32::from(self.segment_size > 0) * 2;
        for (offset, value) in [(40, self.interface), (164, segments), (176, self.segment_size)] {
            context[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        context
    }
}

// === impl Outcome ===

impl<A: PartialEq + fmt::Debug> Outcome<A> {
    /// Checks that the program returned `action` and that the whole frame is that of `packet`, byte for byte.
    ///
    /// # Panics
    ///
    /// With both actions and a readable comparison of both frames.
    #[track_caller]
    pub fn assert_is(&self, name: &str, action: A, packet: &Packet) {
        let difference = difference(&packet.bytes(), &self.frame);
        if self.action != action {
            panic!("{name}: expected {action:?}, got {:?} with a frame of {}", self.action, describe(&self.frame));
        }
        if let Some(difference) = difference {
            panic!("{name}: {action:?}, but another frame\n{difference}");
        }
    }
}

// === impl XdpAction ===

impl From<u32> for XdpAction {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Aborted,
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Tx,
            4 => Self::Redirect,
            unknown => Self::Unknown(unknown),
        }
    }
}

// === impl ClassifierAction ===

impl From<u32> for ClassifierAction {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Pass,
            2 => Self::Drop,
            7 => Self::Redirect,
            // TCX_NEXT and TC_ACT_UNSPEC are -1.
            u32::MAX => Self::Next,
            unknown => Self::Unknown(unknown),
        }
    }
}
