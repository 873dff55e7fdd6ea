//! Sockets.

use std::net::IpAddr;

use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// More than any host should give.
const SOCKETS_MAX: usize = 5_000;

/// `address port`, and what came of it.
pub(crate) fn connect(line: &str) -> String {
    let answered = open(line).and_then(|(_socket, input, output)| {
        output
            .blocking_write_and_flush(b"ping")
            .map_err(|_| ErrorCode::ConnectionAborted)?;
        let bytes = input.blocking_read(4).map_err(|_| ErrorCode::ConnectionReset)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    });
    match answered {
        Ok(answer) => format!("{line} {answer}"),
        Err(error) => format!("{line} {}", error.name()),
    }
}

/// Reads from whoever listens there.
pub(crate) fn wait(line: &str) -> String {
    match open(line) {
        Ok((_socket, input, _output)) => format!("{:?}", input.blocking_read(1).is_ok()),
        Err(error) => error.name().to_owned(),
    }
}

fn open(line: &str) -> Result<(TcpSocket, InputStream, OutputStream), ErrorCode> {
    let (address, port) = line.split_once(' ').ok_or(ErrorCode::InvalidArgument)?;
    let address: IpAddr = address.parse().map_err(|_| ErrorCode::InvalidArgument)?;
    let port: u16 = port.parse().map_err(|_| ErrorCode::InvalidArgument)?;
    let (family, place) = match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            let address = (a, b, c, d);
            (
                IpAddressFamily::Ipv4,
                IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
            )
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments();
            let address = (a, b, c, d, e, f, g, h);
            let place = Ipv6SocketAddress {
                port,
                flow_info: 0,
                address,
                scope_id: 0,
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(place))
        }
    };
    let socket = create_tcp_socket(family)?;
    socket.start_connect(&instance_network(), place)?;
    loop {
        match socket.finish_connect() {
            Ok((input, output)) => return Ok((socket, input, output)),
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            Err(error) => return Err(error),
        }
    }
}

/// What else sockets can do, and how it was refused.
pub(crate) fn others(say: fn(&str)) {
    say(&format!("listen {}", word(&listen())));
    say(&format!("udp {}", word(&datagram())));
    let lookup = resolve_addresses(&instance_network(), "localhost");
    say(&format!("names {}", word(&lookup.map(drop))));
}

fn listen() -> Result<(), ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    socket.start_bind(&instance_network(), anywhere())?;
    socket.finish_bind()?;
    socket.start_listen()?;
    socket.finish_listen()
}

fn datagram() -> Result<(), ErrorCode> {
    let socket = create_udp_socket(IpAddressFamily::Ipv4)?;
    socket.start_bind(&instance_network(), anywhere())?;
    socket.finish_bind()
}

fn anywhere() -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: 0,
        address: (127, 0, 0, 1),
    })
}

/// How many sockets there are to have.
pub(crate) fn many() -> usize {
    let mut sockets = Vec::new();
    while sockets.len() < SOCKETS_MAX
        && let Ok(socket) = create_tcp_socket(IpAddressFamily::Ipv4)
    {
        sockets.push(socket);
    }
    sockets.len()
}

fn word(result: &Result<(), ErrorCode>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(error) => error.name(),
    }
}
