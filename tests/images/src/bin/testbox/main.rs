//! The end-to-end tests' own container: echoes over HTTP, TCP and UDP with its host name, looks names up, connects with
//! a time-out, fails probes when told to, eats processor time and memory, and reports signals.

mod client;
mod serve;
mod signals;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP, and echo over TCP and UDP.
    Serve(serve::Arguments),
    /// Look a name up and print its addresses, one a line.
    Resolve {
        /// The name.
        name: String,
    },
    /// Connect, send a line, print what comes back first.
    Connect(client::Arguments),
    /// Fill memory and hold it.
    Memory {
        /// Mebibytes.
        mebibytes: usize,
    },
    /// Keep processors busy, then end.
    Cpu {
        /// For how long.
        seconds: u64,
        /// How many processors.
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// Print each signal that comes; end at those that are not named.
    Signals {
        /// Go on after this signal: `TERM`, `INT`, `HUP`. May be given several times.
        #[arg(long)]
        ignore: Vec<signals::Name>,
    },
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(Arguments::parse())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Resolve { name } => {
            for address in test_images::resolve(&name).await? {
                println!("{address}");
            }
            Ok(())
        }
        Command::Connect(arguments) => client::run(arguments).await,
        Command::Memory { mebibytes } => {
            // Written, because memory that was never touched is not there.
            let held = vec![1_u8; mebibytes << 20];
            println!("holding {} MiB", held.len() >> 20);
            std::future::pending().await
        }
        Command::Cpu { seconds, threads } => {
            let spinning =
                (0..threads).map(|_| std::thread::spawn(move || test_images::spin(Duration::from_secs(seconds))));
            spinning.collect::<Vec<_>>().into_iter().for_each(|thread| drop(thread.join()));
            Ok(())
        }
        Command::Signals { ignore } => signals::run(&ignore).await,
    }
}

/// `8080` means all addresses.
fn listen_address(port: u16) -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port))
}
