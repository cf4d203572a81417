//! The per-node agent: keeps the node's pod network, answers the CNI plugin.

use clap::Parser as _;
use sheave_agent::command::Arguments;

fn main() -> anyhow::Result<()> {
    Arguments::parse().run()
}
