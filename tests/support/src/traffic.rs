//! Real TCP and UDP between two hosts, as tests want to see it: bytes go, and come back.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

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
