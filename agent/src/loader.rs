//! Loads the kernel programs and attaches them.

use std::fmt;

use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError};

use crate::maps::{MapError, PacketCounts};
use crate::object::OBJECT;
use crate::rights::{self, MissingRights};

/// The kernel programs, loaded. Dropping it detaches and unloads them.
#[derive(Debug)]
pub struct Dataplane {
    ebpf: Ebpf,
}

/// Who runs an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The driver, before it allocates a socket buffer; not every driver can.
    Driver,
    /// The kernel's stack, for every link, slower.
    Generic,
}

/// The kernel programs could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This process may not load programs.
    #[error("cannot load the kernel programs")]
    Rights {
        /// What is missing.
        #[source]
        source: MissingRights,
    },
    /// The object's maps could not be created.
    #[error("cannot create the maps of the kernel programs")]
    Object {
        /// Why.
        #[source]
        source: EbpfError,
    },
    /// The object has no such program: it was built from other sources than this agent.
    #[error("the kernel object has no program `{program}`")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// The kernel refused the program.
    #[error("the kernel refuses the program `{program}`")]
    Refused {
        /// The program.
        program: &'static str,
        /// Why, with the verifier's log.
        #[source]
        source: ProgramError,
    },
    /// The program could not be attached to a network interface.
    #[error("cannot attach `{program}` to {interface} in {mode} mode")]
    Attach {
        /// The program.
        program: &'static str,
        /// The network interface, in the network namespace of the calling thread.
        interface: String,
        /// Who should have run it.
        mode: Mode,
        /// Why.
        #[source]
        source: ProgramError,
    },
}

/// The XDP program.
const XDP: &str = "sheave_xdp";

// === impl Dataplane ===

impl Dataplane {
    /// Creates the maps and loads all programs; nothing is attached yet.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when rights are missing or the kernel refuses a map or a program.
    pub fn load() -> Result<Self, LoadError> {
        rights::require(&rights::DATAPLANE).map_err(|source| LoadError::Rights { source })?;
        let ebpf = Ebpf::load(OBJECT).map_err(|source| LoadError::Object { source })?;
        let mut dataplane = Self { ebpf };
        dataplane.xdp_mut()?.load().map_err(|source| LoadError::Refused { program: XDP, source })?;
        Ok(dataplane)
    }

    /// Attaches the XDP program to a network interface of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`LoadError::Attach`] when there is no such interface, when its driver cannot run XDP programs, or when another
    /// one is attached already.
    pub fn attach_xdp(&mut self, interface: &str, mode: Mode) -> Result<(), LoadError> {
        let attached = self.xdp_mut()?.attach(interface, mode.into());
        let failed = |source| LoadError::Attach { program: XDP, interface: interface.to_owned(), mode, source };
        attached.map(drop).map_err(failed)
    }

    /// The XDP program, for test runs.
    ///
    /// # Errors
    ///
    /// [`LoadError::Missing`] when the object was built from other sources.
    pub fn xdp(&self) -> Result<&Xdp, LoadError> {
        let program = self.ebpf.program(XDP).and_then(|program| program.try_into().ok());
        program.ok_or(LoadError::Missing { program: XDP })
    }

    /// The packet counters.
    ///
    /// # Errors
    ///
    /// [`MapError`] when the object was built from other sources.
    pub fn packet_counts(&self) -> Result<PacketCounts<'_>, MapError> {
        PacketCounts::of(&self.ebpf)
    }

    fn xdp_mut(&mut self) -> Result<&mut Xdp, LoadError> {
        let program = self.ebpf.program_mut(XDP).and_then(|program| program.try_into().ok());
        program.ok_or(LoadError::Missing { program: XDP })
    }
}

// === impl Mode ===

impl From<Mode> for XdpMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Driver => Self::Driver,
            Mode::Generic => Self::Skb,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
        })
    }
}
