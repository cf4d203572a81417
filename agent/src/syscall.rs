//! The calls of bpf(2) that aya does not make, in one place: programs of two instructions and bare links for the probe,
//! links to an interface by its index and their update, pins, and reading a map in batches.
#![expect(unsafe_code, reason = "bpf(2) takes pointers in a structure that depends on the command")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_type};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `BPF_PROG_LOAD`, up to the last field that the probe sets.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface_index: u32,
    expected_attach_type: u32,
}

/// `BPF_LINK_CREATE`: the target is an interface's index or a cgroup's descriptor.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// `BPF_LINK_UPDATE`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkUpdate {
    link: u32,
    new_program: u32,
    flags: u32,
    old_program: u32,
}

/// `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Object {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// How far [`read_batch`] has read a hash map: the kernel's number of the next bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor(Option<u32>);

/// `BPF_MAP_CREATE`, up to the last field that the probe sets.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

/// `BPF_MAP_LOOKUP_BATCH`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct MapBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// `r0 = VALUE` and `exit`, as `struct bpf_insn` has them: opcode, registers, offset, immediate.
const fn instructions(value: u8) -> [[u8; 8]; 2] {
    [[0xb7, 0, 0, 0, value, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]]
}

/// Loads the program "return `value`".
pub(crate) fn load(
    program_type: bpf_prog_type,
    attach_type: Option<bpf_attach_type>,
    value: u8,
    flags: u32,
) -> io::Result<OwnedFd> {
    let instructions = instructions(value);
    let license = c"GPL";
    let mut name = [0; 16];
    name[..12].copy_from_slice(b"sheave_probe");
    let attributes = ProgramLoad {
        program_type: program_type as u32,
        instruction_count: 2,
        instructions: address(instructions.as_ptr()),
        license: address(license.as_ptr()),
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags,
        name,
        interface_index: 0,
        expected_attach_type: attach_type.map_or(0, |attach_type| attach_type as u32),
    };
    descriptor(bpf_cmd::BPF_PROG_LOAD, &attributes)
}

/// Attaches a program by a link, which detaches it when it is dropped.
pub(crate) fn link(program: &impl AsFd, target: u32, attach_type: bpf_attach_type, flags: u32) -> io::Result<OwnedFd> {
    let attributes = LinkCreate { program: number(program), target, attach_type: attach_type as u32, flags };
    descriptor(bpf_cmd::BPF_LINK_CREATE, &attributes)
}

/// Replaces the program of a link.
pub(crate) fn update(link: &OwnedFd, program: &impl AsFd) -> io::Result<()> {
    let attributes = LinkUpdate { link: number(link), new_program: number(program), flags: 0, old_program: 0 };
    call(bpf_cmd::BPF_LINK_UPDATE, &attributes).map(drop)
}

/// Keeps an object in a BPF file system, beyond this process.
pub(crate) fn pin(object: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let attributes = Object { path: address(path.as_ptr()), descriptor: number(object), flags: 0 };
    call(bpf_cmd::BPF_OBJ_PIN, &attributes).map(drop)
}

/// Opens an object that was pinned.
pub(crate) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    descriptor(bpf_cmd::BPF_OBJ_GET, &Object { path: address(path.as_ptr()), descriptor: 0, flags: 0 })
}

/// Reads the next entries of a hash map in one call (kernel 5.6) and appends them; whether there are more.
///
/// `room` is the most entries of one call; it grows when a bucket of the kernel's table has more. What is inserted or
/// removed meanwhile may or may not be there.
pub(crate) fn read_batch<K, V>(
    map: &impl AsFd,
    cursor: &mut Cursor,
    room: usize,
    entries: &mut Vec<(K, V)>,
) -> io::Result<bool>
where
    K: FromBytes + IntoBytes + Copy,
    V: FromBytes + IntoBytes + Copy,
{
    let mut keys = vec![K::new_zeroed(); room];
    let mut values = vec![V::new_zeroed(); room];
    let mut next = 0_u32;
    let attributes = MapBatch {
        in_batch: cursor.0.as_ref().map_or(0, |position| address(&raw const *position)),
        out_batch: address(&raw mut next),
        keys: address(keys.as_mut_ptr()),
        values: address(values.as_mut_ptr()),
        count: u32::try_from(room).unwrap_or(u32::MAX),
        map: number(map),
        element_flags: 0,
        flags: 0,
    };
    // The kernel writes into the structure how many entries it gave, also at the map's end.
    let mut bytes = [0; size_of::<MapBatch>()];
    bytes.copy_from_slice(attributes.as_bytes());
    let outcome = call_mut(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut bytes);
    let more = match outcome {
        Ok(_) => true,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => false,
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < 1 << 20 => {
            return read_batch(map, cursor, room * 4, entries);
        }
        Err(error) => return Err(error),
    };
    let count = (MapBatch::count_in(&bytes) as usize).min(room);
    entries.extend(keys.into_iter().zip(values).take(count));
    *cursor = Cursor(Some(next));
    Ok(more)
}

/// Creates a map of `u32` keys and `u64` values.
pub(crate) fn create_map(map_type: u32, flags: u32) -> io::Result<OwnedFd> {
    let attributes = MapCreate { map_type, key_size: 4, value_size: 8, max_entries: 4, flags };
    descriptor(bpf_cmd::BPF_MAP_CREATE, &attributes)
}

/// Reads the first entries of a map of [`create_map`] in one call; how many there were.
pub(crate) fn lookup_batch(map: &OwnedFd) -> io::Result<u32> {
    let (mut next, mut keys, mut values) = (0_u32, [0_u32; 4], [0_u64; 4]);
    let attributes = MapBatch {
        in_batch: 0,
        out_batch: address(&raw mut next),
        keys: address(keys.as_mut_ptr()),
        values: address(values.as_mut_ptr()),
        count: 4,
        map: number(map),
        element_flags: 0,
        flags: 0,
    };
    match call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &attributes) {
        // The end of the map was reached, which for an empty one is at once.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(0),
        outcome => outcome.map(|_| 4),
    }
}

/// A descriptor's number, for a structure's field.
pub(crate) fn number(descriptor: &impl AsFd) -> u32 {
    descriptor.as_fd().as_raw_fd().cast_unsigned()
}

fn c_path(path: &Path) -> io::Result<std::ffi::CString> {
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.addr() as u64
}

fn descriptor(command: bpf_cmd, attributes: &(impl IntoBytes + Immutable)) -> io::Result<OwnedFd> {
    let number = call(command, attributes)?;
    // SAFETY: these commands return a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Like [`call`], for commands that answer within the structure.
fn call_mut(command: bpf_cmd, bytes: &mut [u8]) -> io::Result<i32> {
    // SAFETY: the structure is as long as said, and what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_int, bytes.as_mut_ptr(), bytes.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

fn call(command: bpf_cmd, attributes: &(impl IntoBytes + Immutable)) -> io::Result<i32> {
    let bytes = attributes.as_bytes();
    // SAFETY: the structure is as long as said, and what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_int, bytes.as_ptr(), bytes.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

// === impl MapBatch ===

impl MapBatch {
    /// The field `count` in the structure's bytes.
    fn count_in(bytes: &[u8; size_of::<Self>()]) -> u32 {
        let mut count = [0; 4];
        count.copy_from_slice(&bytes[std::mem::offset_of!(Self, count)..][..4]);
        u32::from_ne_bytes(count)
    }
}
