//! Commands that ask the running agent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use sheave_cni::agent::ask;
use sheave_cni::protocol::{Answer, AnswerOutcome, Message, Request};

use crate::engine::Description;
use crate::monitor::Drop;

pub(super) fn status(socket: &Path, json: bool) -> Result<()> {
    let description = describe(socket)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&description)?);
        return Ok(());
    }
    let unknown = || "unknown yet".to_owned();
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let rows = [
        ("version", description.version),
        ("node", description.node.unwrap_or_else(unknown)),
        ("ready", description.ready.map_or_else(|reason| format!("no: {reason}"), |()| "yes".to_owned())),
        ("cluster known", if description.synced { "yes" } else { "not yet" }.to_owned()),
        ("uplink", description.uplink.unwrap_or_else(unknown)),
        ("node addresses", list(description.node_addresses.iter().map(ToString::to_string).collect())),
        ("pod networks", list(description.pod_networks)),
        ("MTU", description.mtu.map_or_else(unknown, |mtu| mtu.to_string())),
        ("pods", format!("{} of {}", description.endpoints.len(), description.address_capacity)),
    ];
    for (name, value) in rows {
        println!("{name:15} {value}");
    }
    for (address, mac) in description.next_hops {
        println!("{:15} {address} at {}", "next hop", mac.as_deref().unwrap_or("(looking for it)"));
    }
    for complaint in description.complaints {
        println!("{:15} {complaint}", "wrong");
    }
    Ok(())
}

pub(super) fn endpoints(socket: &Path, json: bool) -> Result<()> {
    let description = describe(socket)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&description.endpoints)?);
        return Ok(());
    }
    println!("{:40} {:40} {:15} CONTAINER", "POD", "ADDRESSES", "INTERFACE");
    for endpoint in description.endpoints.into_iter().map(|described| described.endpoint) {
        let addresses: Vec<_> = endpoint.addresses.iter().map(ToString::to_string).collect();
        let container: String = endpoint.attachment.container.chars().take(12).collect();
        println!("{:40} {:40} {:15} {container}", endpoint.name(), addresses.join(","), endpoint.host_interface);
    }
    Ok(())
}

pub(super) fn maps(socket: &Path, json: bool) -> Result<()> {
    let description = describe(socket)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&description.maps)?);
        return Ok(());
    }
    println!("{:20} {:>10} {:>10}", "MAP", "USED", "CAPACITY");
    for map in description.maps {
        println!("{:20} {:>10} {:>10}", map.name, map.used, map.capacity);
    }
    for drop in description.drops {
        println!("{} packets dropped at {}: {}", drop.packets, drop.hook, drop.reason);
    }
    Ok(())
}

pub(super) fn monitor(socket: &Path, json: bool) -> Result<()> {
    let connected = UnixStream::connect(socket);
    let mut stream = connected.with_context(|| format!("no agent answers at {}", socket.display()))?;
    let mut line = serde_json::to_vec(&Message::from(Request::Monitor))?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().context("the agent closed the connection")??;
    if let AnswerOutcome::Refused { error } = serde_json::from_str::<Answer>(&first)?.outcome {
        bail!("{error}");
    }
    for line in lines {
        let line = line?;
        if json {
            println!("{line}");
        } else {
            println!("{}", serde_json::from_str::<Drop>(&line)?);
        }
    }
    bail!("the agent has ended")
}

fn describe(socket: &Path) -> Result<Description> {
    match ask(socket, Request::Describe, None)? {
        AnswerOutcome::Described { description } => {
            serde_json::from_value(description).context("the agent is of another version than this command")
        }
        AnswerOutcome::Refused { error } => bail!("{error}"),
        AnswerOutcome::Attached(_) | AnswerOutcome::Done => bail!("the agent answers something that was not asked"),
    }
}
