//! Disks that do what real ones do at the worst moment.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt as _;
use rand::rngs::StdRng;
use sheave_store::{Disk, Revision};

/// What a device writes as a whole.
const SECTOR: usize = 512;

/// Bytes that grow when written past their end.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Image(pub(crate) Vec<u8>);

/// Something that happened to a disk, or around it.
#[derive(Clone)]
pub(crate) enum Step {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    SetLen(usize),
    Sync,
    /// A caller was told that this revision is durable.
    Acknowledged(Revision),
}

/// A disk in memory that remembers every step.
#[derive(Default)]
pub(crate) struct RecordingDisk {
    state: Mutex<Recording>,
}

#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) image: Image,
    pub(crate) steps: Vec<Step>,
}

/// How unsynced writes reach the device when the power goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// In order, up to the last one.
    Nothing,
    /// In order, up to some point between two writes.
    Tail,
    /// Each page by itself, up to some point: reordered.
    Pages,
    /// Each sector by itself, up to some point: reordered and torn.
    Sectors,
    /// None at all.
    Everything,
}

// === impl Image ===

impl Image {
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = self.0.get(start..start + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        self.0[offset..end].copy_from_slice(bytes);
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Write { offset, bytes } => self.write(*offset, bytes),
            Step::SetLen(len) => self.0.resize(*len, 0),
            Step::Sync | Step::Acknowledged(_) => {}
        }
    }

    /// Applies what the device got of steps that were never synced. The parts of a write are lost by themselves; of
    /// several writes to the same place an earlier one may be the last that arrived.
    pub(crate) fn apply_unsynced(&mut self, steps: &[Step], loss: Loss, random: &mut StdRng) {
        let grain = match loss {
            Loss::Nothing | Loss::Tail | Loss::Everything => usize::MAX,
            Loss::Pages => 8 * SECTOR,
            Loss::Sectors => SECTOR,
        };
        let mut arrived = std::collections::HashMap::new();
        let mut last_arrived = |grain: usize| {
            *arrived.entry(grain).or_insert_with(|| match loss {
                Loss::Nothing => steps.len(),
                Loss::Everything => 0,
                Loss::Tail => random.random_range(0..=steps.len()),
                // Usually something of everything is there; sometimes all or nothing of a place.
                Loss::Pages | Loss::Sectors => match random.random_range(0..4) {
                    0 => 0,
                    1 => random.random_range(0..=steps.len()),
                    _ => steps.len(),
                },
            })
        };
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Write { offset, bytes } => {
                    let mut start = *offset;
                    while start < offset + bytes.len() {
                        let end = (start / grain + 1).saturating_mul(grain).min(offset + bytes.len());
                        if number < last_arrived(start / grain) {
                            self.write(start, &bytes[start - offset..end - offset]);
                        }
                        start = end;
                    }
                }
                Step::SetLen(_) if number < last_arrived(usize::MAX) => self.apply(step),
                Step::SetLen(_) | Step::Sync | Step::Acknowledged(_) => {}
            }
        }
    }
}

// === impl RecordingDisk ===

impl RecordingDisk {
    pub(crate) fn new(image: Image) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(Recording { image, steps: Vec::new() }) })
    }

    pub(crate) fn note(&self, step: Step) {
        let mut state = self.state.lock();
        state.image.apply(&step);
        state.steps.push(step);
    }

    pub(crate) fn recording(&self) -> Recording {
        std::mem::take(&mut *self.state.lock())
    }
}

impl std::fmt::Debug for RecordingDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordingDisk")
    }
}

impl Disk for RecordingDisk {
    fn path(&self) -> &Path {
        Path::new("recording")
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().image.0.len() as u64)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.state.lock().image.read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.note(Step::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(Step::SetLen(usize::try_from(len).map_err(io::Error::other)?));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.note(Step::Sync);
        Ok(())
    }

    fn forget_cached(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that fails on demand, as Linux does it: a failed sync leaves pages that look written and are not.
pub(crate) struct FailingDisk {
    state: Mutex<Failing>,
}

struct Failing {
    /// What reads see.
    cached: Image,
    /// What is left when the cache is forgotten.
    device: Image,
    unsynced: Vec<Step>,
    /// Calls until the next failure.
    countdown: u32,
    /// Failures still to come, one after the other.
    failures: u32,
    random: StdRng,
}

// === impl FailingDisk ===

impl FailingDisk {
    pub(crate) fn new(image: Image, random: StdRng) -> Arc<Self> {
        let (cached, device) = (image.clone(), image);
        let state = Failing { cached, device, unsynced: Vec::new(), countdown: 0, failures: 0, random };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// After `countdown` more calls, as many calls as `failures` fail.
    pub(crate) fn fail(&self, countdown: u32, failures: u32) {
        let mut state = self.state.lock();
        state.countdown = countdown;
        state.failures = failures;
    }

    /// What is on the device: what is left after a power loss.
    pub(crate) fn device(&self) -> Image {
        self.state.lock().device.clone()
    }
}

impl Failing {
    fn call(&mut self) -> io::Result<()> {
        if self.failures == 0 {
            return Ok(());
        }
        if self.countdown > 0 {
            self.countdown -= 1;
            return Ok(());
        }
        self.failures -= 1;
        // ENOSPC and EIO.
        Err(io::Error::from_raw_os_error(if self.random.random() { 28 } else { 5 }))
    }

    fn take(&mut self, step: Step) {
        self.cached.apply(&step);
        self.unsynced.push(step);
    }
}

impl std::fmt::Debug for FailingDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FailingDisk")
    }
}

impl Disk for FailingDisk {
    fn path(&self) -> &Path {
        Path::new("failing")
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().cached.0.len() as u64)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call()?;
        state.cached.read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut state = self.state.lock();
        if let Err(error) = state.call() {
            // A disk that runs full takes a part.
            let part = state.random.random_range(0..=bytes.len());
            state.take(Step::Write { offset, bytes: bytes[..part].to_vec() });
            return Err(error);
        }
        state.take(Step::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call()?;
        state.take(Step::SetLen(usize::try_from(len).map_err(io::Error::other)?));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let outcome = state.call();
        let unsynced = std::mem::take(&mut state.unsynced);
        let Failing { device, random, .. } = &mut *state;
        match outcome {
            // Only what is dirty is written, not what an earlier failure has left looking clean.
            Ok(()) => unsynced.iter().for_each(|step| device.apply(step)),
            // Some of it arrived; the rest counts as clean all the same.
            Err(_) => device.apply_unsynced(&unsynced, Loss::Pages, random),
        }
        outcome
    }

    fn forget_cached(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let Failing { cached, device, unsynced, .. } = &mut *state;
        // Only clean pages are forgotten.
        cached.clone_from(device);
        unsynced.iter().for_each(|step| cached.apply(step));
        Ok(())
    }
}
