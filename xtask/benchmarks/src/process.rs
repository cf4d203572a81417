//! The programs under measurement, each ended when its guard goes.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A program that is killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// What a process takes of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    process: u32,
}

// === impl Process ===

impl Process {
    /// Starts `command` in silence.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self { child: child.with_context(|| format!("cannot start {command:?}"))? })
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        Usage::of(self.child.id()).resident_mib()
    }

    /// Seconds of processor time used so far.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        Usage::of(self.child.id()).processor_seconds()
    }
}

// === impl Usage ===

impl Usage {
    /// Of the process with this id.
    pub(crate) fn of(process: u32) -> Self {
        Self { process }
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.process);
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS: has it ended?")?;
        let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Seconds of processor time used so far.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.process);
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let fields = stat.rsplit(") ").next().context("a malformed stat")?.split(' ').collect::<Vec<_>>();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        // utime and stime are fields 14 and 15 of proc(5), here counted from the state, in clock ticks of 10 ms.
        Ok((ticks(11).context("no utime")? + ticks(12).context("no stime")?) / 100.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP port of the loopback address that is free now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
