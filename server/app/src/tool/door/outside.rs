//! The outer end of a door: the worker, which connects for the tool, or does not.
//!
//! Everything here ends when the [`Outside`] is dropped: listener, connections, waits.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::wire::{Call, REFUSED, TAKEN, read_call, read_datagram, write_datagram};
use super::{Reach, SOCKET, Traffic};

/// For a TCP connection to the target: longer than three lost first packets.
const CONNECT_SECONDS_MAX: u64 = 10;
/// For one resolver's answer.
const ANSWER_SECONDS_MAX: u64 = 5;
/// Resolvers asked for one name.
const RESOLVERS_MAX: usize = 3;
/// For the other end to say what it wants, which it does at once.
const CALL_SECONDS_MAX: u64 = 10;
/// A connection on which nothing is said for so long is given up.
const SILENCE_SECONDS_MAX: u64 = 300;
/// Copied at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Different things that were refused and are named; the rest is only counted under one name.
const REFUSED_NAMES_MAX: usize = 32;
/// Of one of them: a domain name has at most 253.
const REFUSED_NAME_BYTES_MAX: usize = 260;
/// After a connection that could not be taken, for want of descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(10);

/// The outer end, open until it is dropped.
#[derive(Debug)]
pub(in crate::tool) struct Outside {
    gate: Arc<Gate>,
    _listening: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Gate {
    reach: Reach,
    traffic: Mutex<Traffic>,
    overflow: Notify,
}

impl Outside {
    /// Listens in `folder`, which only this user may enter.
    pub(in crate::tool) fn open(folder: &Path, reach: Reach) -> io::Result<Self> {
        // A socket's path may have 107 bytes, a scratch folder's has more: it is named by descriptor.
        let held = File::open(folder)?;
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", held.as_raw_fd()))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let gate = Arc::new(Gate {
            reach,
            traffic: Mutex::default(),
            overflow: Notify::new(),
        });
        let listening = tokio::spawn(listen(listener, gate.clone()));
        Ok(Self {
            gate,
            _listening: AbortOnDropHandle::new(listening),
        })
    }

    /// What went through so far.
    pub(in crate::tool) fn traffic(&self) -> Traffic {
        self.gate.traffic().clone()
    }

    /// Resolves when the limit on bytes is reached. Cancel-safe.
    pub(in crate::tool) async fn overflowed(&self) {
        self.gate.overflow.notified().await;
    }

    pub(in crate::tool) fn bytes_max(&self) -> u64 {
        self.gate.reach.bytes_max
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Out,
    In,
}

impl Gate {
    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `bytes`; an error when they are more than is left.
    fn count(&self, way: Way, bytes: usize) -> io::Result<()> {
        let mut traffic = self.traffic();
        let bytes = bytes as u64;
        if traffic.bytes_sent + traffic.bytes_received + bytes > self.reach.bytes_max {
            self.overflow.notify_one();
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        match way {
            Way::Out => traffic.bytes_sent += bytes,
            Way::In => traffic.bytes_received += bytes,
        }
        Ok(())
    }

    fn refuse(&self, what: &str) {
        let mut traffic = self.traffic();
        let what = tamiz_core::text::cut(what, REFUSED_NAME_BYTES_MAX);
        let has_room = traffic.refused.len() < REFUSED_NAMES_MAX || traffic.refused.contains_key(what);
        let what = if has_room { what } else { "others" };
        *traffic.refused.entry(what.to_owned()).or_default() += 1;
    }

    fn note<T>(&self, what: &str, made: io::Result<T>) -> io::Result<T> {
        let mut traffic = self.traffic();
        match &made {
            Ok(_) => traffic.connections += 1,
            Err(error) => {
                traffic.failures += 1;
                traffic
                    .first_failure
                    .get_or_insert_with(|| format!("{what}: {error}"));
            }
        }
        made
    }
}

async fn listen(listener: UnixListener, gate: Arc<Gate>) {
    let room = Arc::new(Semaphore::new(gate.reach.connections_max));
    let mut open = JoinSet::new();
    while let Ok(permit) = room.clone().acquire_owned().await {
        let accepted = listener.accept().await;
        // Those that have ended leave their place.
        while open.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let gate = gate.clone();
        open.spawn(async move {
            let _permit = permit;
            // What went wrong is counted where it did; both ends see the connection end.
            let _ = answer(stream, &gate).await;
        });
    }
}

async fn answer(mut stream: UnixStream, gate: &Gate) -> io::Result<()> {
    let call = timeout(Duration::from_secs(CALL_SECONDS_MAX), read_call(&mut stream)).await;
    match call.map_err(|_| io::ErrorKind::TimedOut)?? {
        Call::Tcp(address) => {
            if !gate.reach.addresses.contains(&address.ip()) || !gate.reach.ports.contains(&address.port()) {
                gate.refuse(&address.to_string());
                return stream.write_u8(REFUSED).await;
            }
            join(stream, gate, &[address]).await
        }
        Call::NamesTcp if gate.reach.resolvers.is_empty() => {
            gate.refuse("names over TCP");
            stream.write_u8(REFUSED).await
        }
        Call::NamesTcp => {
            let resolvers = gate.reach.resolvers.iter().copied().take(RESOLVERS_MAX);
            join(stream, gate, &resolvers.collect::<Vec<_>>()).await
        }
        Call::NamesUdp => {
            stream.write_u8(TAKEN).await?;
            let question = read_datagram(&mut stream).await?;
            let answer = resolve(&question, gate).await?;
            write_datagram(&mut stream, &answer).await
        }
    }
}

/// Connects to the first of `addresses` that takes it, and lets bytes through.
async fn join(mut stream: UnixStream, gate: &Gate, addresses: &[SocketAddr]) -> io::Result<()> {
    let mut made = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        let connecting = timeout(
            Duration::from_secs(CONNECT_SECONDS_MAX),
            TcpStream::connect(address),
        );
        made = connecting
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        made = gate.note(&address.to_string(), made);
        if made.is_ok() {
            break;
        }
    }
    let Ok(mut target) = made else {
        return stream.write_u8(REFUSED).await;
    };
    stream.write_u8(TAKEN).await?;
    let (mut from_tool, mut to_tool) = stream.split();
    let (mut from_target, mut to_target) = target.split();
    let said = AtomicU64::new(0);
    let out = pump(&mut from_tool, &mut to_target, gate, Way::Out, &said);
    let back = pump(&mut from_target, &mut to_tool, gate, Way::In, &said);
    let copied = async { tokio::try_join!(out, back).map(drop) };
    tokio::select! {
        copied = copied => copied,
        () = silence(&said, Duration::from_secs(SILENCE_SECONDS_MAX)) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Resolves when for `patience`, or at most twice that, neither side took anything from the other: while
/// one of them listens to a long answer, its own silence is none.
async fn silence(said: &AtomicU64, patience: Duration) {
    let mut before = None;
    loop {
        let now = said.load(Ordering::Relaxed);
        if before.replace(now) == Some(now) {
            return;
        }
        tokio::time::sleep(patience).await;
    }
}

/// Copies until the end of `from`, which it hands on; counts in `said` what arrived.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    gate: &Gate,
    way: Way,
    said: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        gate.count(way, read)?;
        to.write_all(&buffer[..read]).await?;
        said.fetch_add(1, Ordering::Relaxed);
    }
}

/// The answer of the first resolver that gives one; a refusal when there is none to ask.
async fn resolve(question: &[u8], gate: &Gate) -> io::Result<Vec<u8>> {
    if gate.reach.resolvers.is_empty() {
        gate.refuse(&format!("the name {}", name_in(question)));
        return Ok(refusal(question));
    }
    let mut answer = Err(io::ErrorKind::AddrNotAvailable.into());
    for resolver in gate.reach.resolvers.iter().take(RESOLVERS_MAX) {
        let asking = timeout(
            Duration::from_secs(ANSWER_SECONDS_MAX),
            ask(question, *resolver, gate),
        );
        answer = asking
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        answer = gate.note(&resolver.to_string(), answer);
        if answer.is_ok() {
            break;
        }
    }
    answer
}

async fn ask(question: &[u8], resolver: SocketAddr, gate: &Gate) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    // From now on the kernel takes datagrams from this resolver alone.
    socket.connect(resolver).await?;
    gate.count(Way::Out, question.len())?;
    socket.send(question).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    let length = socket.recv(&mut answer).await?;
    gate.count(Way::In, length)?;
    answer.truncate(length);
    Ok(answer)
}

/// The bytes of a message's head.
const HEAD_BYTES: usize = 12;

/// The first name that a question asks for, for people.
fn name_in(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = question.get(HEAD_BYTES..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first() {
        let Some((label, after)) = after.split_at_checked(length.into()).filter(|_| length > 0) else {
            break;
        };
        labels.push(tamiz_core::text::printable(&String::from_utf8_lossy(label)).into_owned());
        rest = after;
    }
    if labels.is_empty() {
        return "(none)".to_owned();
    }
    labels.join(".")
}

/// The question as an answer that says REFUSED.
fn refusal(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    if let Some(flags) = answer.get_mut(2..4) {
        flags[0] |= 0x80;
        flags[1] = (flags[1] & 0x70) | 5;
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_connection_on_which_nobody_speaks_is_silent() {
        let patience = Duration::from_secs(1);
        let said = AtomicU64::new(0);
        let speaking = async {
            let mut words = tokio::time::interval(patience / 10);
            for _ in 0..25 {
                words.tick().await;
                said.fetch_add(1, Ordering::Relaxed);
            }
        };
        tokio::select! {
            () = silence(&said, patience) => panic!("somebody spoke"),
            () = speaking => {}
        }
        let since = tokio::time::Instant::now();
        silence(&said, patience).await;
        assert!(since.elapsed() >= patience);
    }

    #[test]
    fn a_refused_question_is_named_and_answered_in_kind() {
        let mut question = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(b"\x05cirt\x1b\x03net\0\0\x01\0\x01");
        assert_eq!(name_in(&question), "cirt.net");
        let answer = refusal(&question);
        assert_eq!(answer[..4], [0x12, 0x34, 0x81, 0x05]);
        assert_eq!(answer[4..], question[4..]);
        for odd in [
            &b""[..],
            &[0; 12],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, b'a'],
        ] {
            assert_eq!(name_in(odd), "(none)");
            assert_eq!(refusal(odd).len(), odd.len());
        }
    }
}
