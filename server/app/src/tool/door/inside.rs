//! The inner end of a door: `tamiz door`, in a network namespace of its own.
//!
//! Started by the worker inside a bubblewrap shell that has a fresh user and network namespace and
//! two capabilities in them: to name the loopback's addresses and to listen on any port. Both are gone
//! before the box is started. Its current folder holds the order and the socket to the worker.
//!
//! It decides nothing: what the outer end does not take is reset.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as BoundListener, UdpSocket as BoundUdp};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::wire::{Call, TAKEN, read_datagram, write_datagram};
use super::{ORDER, Order, SOCKET, loopback};

/// A datagram; the protocol allows no more.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// For an answer to a datagram: longer than the outer end waits for all its resolvers.
const ANSWER_SECONDS_MAX: u64 = 20;
/// An order holds one command line.
const ORDER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// After a connection that could not be taken, for want of descriptors perhaps.
const PAUSE_MILLISECONDS: u64 = 10;
/// Of the box itself, from the range for documentation: a machine that has none but 127.0.0.1 does not
/// ask for the addresses of names.
const OWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Where names are asked for.
const NAMES_PORT: u16 = 53;

/// Does what the order in the current folder says; answers the exit code of its command.
///
/// # Errors
/// When the door cannot be opened; then no command was started.
pub fn run() -> io::Result<i32> {
    let order = read_order(Path::new(ORDER))?;
    let bound = Bound::all(&order)?;
    drop_capabilities()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(serve(&order, bound));
    runtime.shutdown_background();
    code
}

fn read_order(path: &Path) -> io::Result<Order> {
    if std::fs::metadata(path)?.len() > ORDER_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// For good, in the only thread that there is yet.
fn drop_capabilities() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}

/// What is listened on.
struct Bound {
    target: Vec<BoundListener>,
    /// Where the target itself does not want the port.
    names: Option<(BoundListener, BoundUdp)>,
}

impl Bound {
    fn all(order: &Order) -> io::Result<Self> {
        loopback::add(OWN_ADDRESS)?;
        let mut target = Vec::new();
        for &address in &order.addresses {
            if !address.is_loopback() {
                loopback::add(address)?;
            }
            for &port in &order.ports {
                target.push(listener(SocketAddr::new(address, port))?);
            }
        }
        let resolver = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let is_taken = order.addresses.contains(&resolver) && order.ports.contains(&NAMES_PORT);
        let names = SocketAddr::new(resolver, NAMES_PORT);
        let names = if is_taken {
            None
        } else {
            let datagrams = BoundUdp::bind(names)?;
            datagrams.set_nonblocking(true)?;
            Some((listener(names)?, datagrams))
        };
        Ok(Self { target, names })
    }
}

fn listener(address: SocketAddr) -> io::Result<BoundListener> {
    let listener = BoundListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("listening on {address}: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(order: &Order, bound: Bound) -> io::Result<i32> {
    // Each that listens holds a place while it waits, which must not be one of the connections'.
    let waiting = bound.target.len() + if bound.names.is_some() { 2 } else { 0 };
    let room = Arc::new(Semaphore::new(order.connections_max + waiting));
    for listener in bound.target {
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        tokio::spawn(accept(listener, Call::Tcp(address), room.clone()));
    }
    if let Some((listener, datagrams)) = bound.names {
        let listener = TcpListener::from_std(listener)?;
        tokio::spawn(accept(listener, Call::NamesTcp, room.clone()));
        tokio::spawn(answer_datagrams(UdpSocket::from_std(datagrams)?, room));
    }
    let (program, arguments) = order.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let status = child.wait().await?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    Ok(status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(-1))
}

/// Takes a tool's connections while there is room; the others wait in the kernel's queue.
async fn accept(listener: TcpListener, call: Call, room: Arc<Semaphore>) {
    while let Ok(permit) = room.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or the tool hung up already.
            tokio::time::sleep(Duration::from_millis(PAUSE_MILLISECONDS)).await;
            continue;
        };
        tokio::spawn(async move {
            let _permit = permit;
            // However it ended, the tool sees its connection end.
            let _ = forward(stream, call).await;
        });
    }
}

async fn forward(mut stream: TcpStream, call: Call) -> io::Result<()> {
    let worker = call_worker(call).await;
    let Ok(mut worker) = worker else {
        // A reset, as from a port that nobody listens on.
        return Ok(set_socket_linger(&stream, Some(Duration::ZERO))?);
    };
    let ended = copy_bidirectional(&mut stream, &mut worker).await;
    if ended.is_err() {
        set_socket_linger(&stream, Some(Duration::ZERO))?;
    }
    ended.map(drop)
}

async fn call_worker(call: Call) -> io::Result<UnixStream> {
    let mut worker = UnixStream::connect(SOCKET).await?;
    worker.write_all(call.line().as_bytes()).await?;
    if worker.read_u8().await? == TAKEN {
        Ok(worker)
    } else {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

async fn answer_datagrams(socket: UdpSocket, room: Arc<Semaphore>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(permit) = room.clone().acquire_owned().await {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(PAUSE_MILLISECONDS)).await;
            continue;
        };
        let question = buffer[..length].to_vec();
        let socket = socket.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let asked = tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), ask(&question));
            if let Ok(Ok(answer)) = asked.await {
                // A tool that is gone needs no answer.
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

async fn ask(question: &[u8]) -> io::Result<Vec<u8>> {
    let mut worker = call_worker(Call::NamesUdp).await?;
    write_datagram(&mut worker, question).await?;
    read_datagram(&mut worker).await
}
