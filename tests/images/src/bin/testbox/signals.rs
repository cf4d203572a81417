//! Signals, reported as they come.

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that a container may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Name {
    /// What a graceful end begins with.
    Term,
    /// Ctrl-C.
    Int,
    /// Often: read the configuration again.
    Hup,
}

/// Prints signals until one comes that is not ignored.
pub(crate) async fn run(ignored: &[Name]) -> Result<()> {
    let open = |kind| -> Result<Signal> { Ok(signal(kind)?) };
    let mut term = open(SignalKind::terminate())?;
    let mut int = open(SignalKind::interrupt())?;
    let mut hup = open(SignalKind::hangup())?;
    println!("waiting for signals");
    loop {
        let name = tokio::select! {
            _ = term.recv() => Name::Term,
            _ = int.recv() => Name::Int,
            _ = hup.recv() => Name::Hup,
        };
        println!("got {}", format!("{name:?}").to_uppercase());
        if !ignored.contains(&name) {
            return Ok(());
        }
    }
}
