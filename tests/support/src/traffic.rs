//! Real TCP, UDP and pings between two hosts, as tests want to see it: bytes go, and come back.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use etherparse::checksum::Sum16BitWords;
use rustix::net::{AddressFamily, SocketType};
use testbed::Host;

/// Sends bytes by TCP to a server on another host that sends all of them back, and gives what came back.
///
/// # Errors
/// When the connection cannot be made, breaks, or stands still for longer than `patience`.
pub fn echo_by_tcp(from: &Host, to: &Host, address: IpAddr, bytes: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let listener = to.run(|| TcpListener::bind((unspecified(address), 0)))?;
    let server = SocketAddr::new(address, listener.local_addr()?.port());
    let mut connection = from.run(|| TcpStream::connect_timeout(&server, patience))?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    let (mut served, _) = listener.accept()?;
    served.set_read_timeout(Some(patience))?;
    served.set_write_timeout(Some(patience))?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut received = Vec::new();
            served.read_to_end(&mut received).and_then(|_| served.write_all(&received))
        });
        connection.write_all(bytes)?;
        connection.shutdown(Shutdown::Write)?;
        let mut returned = Vec::new();
        connection.read_to_end(&mut returned)?;
        Ok(returned)
    })
}

/// Sends one datagram to a server on another host that sends it back, and gives what came back.
///
/// # Errors
/// When either way takes longer than `patience`.
pub fn echo_by_udp(from: &Host, to: &Host, address: IpAddr, bytes: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let any = SocketAddr::new(unspecified(address), 0);
    let (server, client) = (to.run(|| UdpSocket::bind(any))?, from.run(|| UdpSocket::bind(any))?);
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(patience))?;
    }
    let mut buffer = vec![0; usize::from(u16::MAX)];
    client.send_to(bytes, (address, server.local_addr()?.port()))?;
    let (length, sender) = server.recv_from(&mut buffer)?;
    server.send_to(&buffer[..length], sender)?;
    let length = client.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn unspecified(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// Sends one echo request with `bytes` and gives what came back.
///
/// # Errors
/// When the answer takes longer than `patience`, or raw sockets are forbidden.
pub fn ping(from: &Host, address: IpAddr, bytes: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let (family, protocol, types) = match address {
        IpAddr::V4(_) => (AddressFamily::INET, rustix::net::ipproto::ICMP, (8, 0)),
        IpAddr::V6(_) => (AddressFamily::INET6, rustix::net::ipproto::ICMPV6, (128, 129)),
    };
    let socket = from.run(|| rustix::net::socket(family, SocketType::RAW, Some(protocol)))?;
    let socket = UdpSocket::from(socket);
    let identifier = NEXT_IDENTIFIER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut request = vec![types.0, 0, 0, 0, identifier[0], identifier[1], 0, 1];
    request.extend(bytes);
    if address.is_ipv4() {
        let sum = Sum16BitWords::new().add_slice(&request).ones_complement();
        request[2..4].copy_from_slice(&sum.to_ne_bytes());
    }
    socket.send_to(&request, (address, 0))?;
    let deadline = Instant::now() + patience;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(left))?;
        let (length, _) = socket.recv_from(&mut buffer)?;
        // A raw socket gets IPv4's header too, and everybody's answers.
        let start = if address.is_ipv4() { usize::from(buffer[0] & 0x0f) * 4 } else { 0 };
        let message = &buffer[start.min(length)..length];
        if message.first() == Some(&types.1) && message.get(4..6) == Some(&identifier) {
            return Ok(message[8..].to_vec());
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Identifiers of pings: one for each, so that none takes another's answer.
static NEXT_IDENTIFIER: AtomicU16 = AtomicU16::new(1000);
