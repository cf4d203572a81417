//! The agent as a program for these tests; cargo tells a test where its own package's programs are, and no others.

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    sheave_agent::command::Arguments::parse().run()
}
