//! The process of the datapath dies and is replaced, again and again, and traffic does not notice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sheave_agent::datapath::{AttachMode, Config, Datapath};
use sheave_agent::maps::Sizes;
use test_support::require_root;
use test_support::testbed::Host;

use crate::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(10);

/// How often the process is killed.
const DEATHS: usize = 100;

/// The environment variable that makes [`holder`] take over a datapath, and what it says once it has.
const PINS: &str = "SHEAVE_TEST_PINS";
const READY: &str = "the datapath is taken over";

/// Not a test by itself: the process that takes over a datapath and holds it until it is killed.
#[test]
#[ignore = "started by another test"]
fn holder() {
    let Some(pins) = std::env::var_os(PINS) else { return };
    let config = Config { pins: pins.into(), sizes: Sizes::default(), attach: AttachMode::Auto };
    let _datapath = Datapath::open(config).unwrap();
    println!("{READY}");
    loop {
        thread::park();
    }
}

#[test]
fn a_datapath_process_may_be_killed_a_hundred_times_and_no_packet_is_lost() {
    require_root!();
    let cluster = Cluster::build("restart");
    let (node, remote) = (cluster.topology.node(1), cluster.topology.node(2).pod(1));
    let (pod, client) = (node.pod(1), cluster.topology.client());
    let pins = cluster.pins(1);
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let mut streams = Vec::new();
        for to in [&**remote, client] {
            for address in to.addresses().ips() {
                streams.push(scope.spawn(move || stream_until(stop, pod, to, address)));
                streams.push(scope.spawn(move || datagrams_until(stop, pod, to, address)));
            }
        }
        for death in 0..DEATHS {
            let mut holder = node.run(|| start_holder(&pins));
            // Every other one dies in the middle of taking over.
            if death % 2 == 0 {
                wait_until_ready(&mut holder);
            }
            holder.kill().unwrap();
            holder.wait().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for stream in streams {
            let rounds = stream.join().unwrap();
            assert!(rounds > DEATHS, "{rounds} rounds: there was traffic all the time");
        }
    });
    cluster.assert_nothing_dropped();
}

fn start_holder(pins: &Path) -> Child {
    let program = std::env::current_exe().unwrap();
    let arguments = ["restart::holder", "--exact", "--ignored", "--nocapture"];
    Command::new(program).args(arguments).env(PINS, pins).stdout(Stdio::piped()).spawn().unwrap()
}

fn wait_until_ready(holder: &mut Child) {
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(READY)), "the process ended before it was ready");
}

/// Sends numbers over one connection and waits for each to come back; how many did.
fn stream_until(stop: &AtomicBool, from: &Host, to: &Host, address: IpAddr) -> usize {
    let listener = to.run(|| TcpListener::bind((address, 0))).unwrap();
    let server = listener.local_addr().unwrap();
    let mut connection = from.run(|| TcpStream::connect_timeout(&server, PATIENCE)).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    for socket in [&connection, &served] {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut rounds = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let (sent, mut there, mut back) = (rounds.to_be_bytes(), [0; 8], [0; 8]);
        connection.write_all(&sent).unwrap();
        served.read_exact(&mut there).unwrap();
        served.write_all(&there).unwrap();
        connection.read_exact(&mut back).unwrap();
        assert_eq!(back, sent, "{address}");
        rounds += 1;
        thread::sleep(Duration::from_millis(2));
    }
    rounds
}

/// Sends numbered datagrams and waits for each to come back; a lost one would never.
fn datagrams_until(stop: &AtomicBool, from: &Host, to: &Host, address: IpAddr) -> usize {
    let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let server = to.run(|| UdpSocket::bind((address, 0))).unwrap();
    let client = from.run(|| UdpSocket::bind((any, 0))).unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    client.connect(server.local_addr().unwrap()).unwrap();
    let mut rounds = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let (sent, mut there, mut back) = (rounds.to_be_bytes(), [0; 8], [0; 8]);
        client.send(&sent).unwrap();
        let (_, sender) =
            server.recv_from(&mut there).unwrap_or_else(|_| panic!("datagram {rounds} to {address} is lost"));
        server.send_to(&there, sender).unwrap();
        client.recv(&mut back).unwrap_or_else(|_| panic!("the answer to datagram {rounds} from {address} is lost"));
        assert_eq!(back, sent, "{address}");
        rounds += 1;
        thread::sleep(Duration::from_millis(2));
    }
    rounds
}
