//! One connection, with a time-out and an exit code.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, lookup_host};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to: `host:port`, `[address]:port`.
    to: String,
    /// Over UDP instead of TCP.
    #[arg(long)]
    udp: bool,
    /// What to send.
    #[arg(long, default_value = "hello")]
    send: String,
    /// Milliseconds until it gives up.
    #[arg(long, default_value_t = 2000)]
    timeout: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let talk = async { if arguments.udp { over_udp(&arguments).await } else { over_tcp(&arguments).await } };
    match tokio::time::timeout(Duration::from_millis(arguments.timeout), talk).await {
        Ok(answer) => println!("{}", answer.with_context(|| format!("cannot talk to {}", arguments.to))?),
        Err(_) => bail!("no answer from {} within {} ms", arguments.to, arguments.timeout),
    }
    Ok(())
}

async fn over_tcp(arguments: &Arguments) -> Result<String> {
    let mut stream = TcpStream::connect(&arguments.to).await?;
    stream.write_all(format!("{}\n", arguments.send).as_bytes()).await?;
    let mut buffer = vec![0; 4096];
    let length = stream.read(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned())
}

async fn over_udp(arguments: &Arguments) -> Result<String> {
    let address = lookup_host(&arguments.to).await?.next().context("the name has no address")?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    socket.send(arguments.send.as_bytes()).await?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned())
}
