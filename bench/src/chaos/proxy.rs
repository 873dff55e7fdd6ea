//! A line to Postgres or to the servers that breaks: cut in the middle of a message, half closed, or silent
//! for a while.
//!
//! Each connection draws its fate from the run's seed and its own number: how many bytes it carries, both
//! ways together, and what happens then. Without faults the line only carries.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};
use tokio::task::JoinHandle;

use crate::Outcome;

/// How long a line is silent: from a hiccup to longer than a lease.
const SILENCE_MS: std::ops::Range<u64> = 300..6_000;
/// What is carried at once.
const PIECE_BYTES: usize = 16 << 10;

/// What happened on the line.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) half_closes: AtomicU64,
    pub(crate) silences: AtomicU64,
}

/// The line; it ends with its value.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    pub(crate) counts: Arc<Counts>,
    faults: Arc<AtomicBool>,
    cut: Sender<()>,
    accepting: JoinHandle<()>,
}

/// Where a line leads.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    /// A socket in the file system.
    Socket(PathBuf),
    /// Ports of this machine, in turns.
    Ports(Vec<u16>),
}

/// What all connections share.
#[derive(Clone)]
struct Line {
    upstream: Upstream,
    counts: Arc<Counts>,
    faults: Arc<AtomicBool>,
    cut: Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Both ends are reset.
    Reset,
    /// Both ends see an orderly end, wherever the message was.
    Close,
    /// The database sees the end of what it is told; its answers still come.
    HalfClose,
    /// Nothing comes through for a while, then the rest does.
    Silence,
}

/// The next fate of a connection and the bytes until then.
struct Fates {
    random: StdRng,
    bytes_left: u64,
    next: Fate,
}

impl Fates {
    fn of(seed: u64, number: u64) -> Self {
        let random = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut fates = Self {
            random,
            bytes_left: 0,
            next: Fate::Reset,
        };
        fates.draw();
        fates
    }

    fn draw(&mut self) {
        // up to 1 MiB, a third of it in the mean: the beginnings of connections break often enough
        let share: u64 = self.random.random_range(0..1 << 10);
        self.bytes_left = share * share + 1;
        self.next = match self.random.random_range(0..10) {
            0..=3 => Fate::Reset,
            4..=5 => Fate::Close,
            6 => Fate::HalfClose,
            _ => Fate::Silence,
        };
    }

    fn silence(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(SILENCE_MS))
    }

    /// How many of `bytes` are still carried before the fate comes; all of them when it does not yet.
    fn carried(&mut self, bytes: usize) -> (usize, Option<Fate>) {
        let asked = bytes as u64;
        if asked < self.bytes_left {
            self.bytes_left -= asked;
            return (bytes, None);
        }
        let carried = usize::try_from(self.bytes_left).unwrap_or(bytes);
        (carried, Some(self.next))
    }
}

impl Proxy {
    /// Listens on a port of its own for as long as the value lives.
    pub(crate) async fn start(upstream: Upstream, seed: u64) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let line = Line {
            upstream,
            counts: Arc::default(),
            faults: Arc::default(),
            cut: broadcast::channel(1).0,
        };
        let (counts, faults, cut) = (line.counts.clone(), line.faults.clone(), line.cut.clone());
        let accepting = tokio::spawn(accept(listener, line, seed));
        Ok(Self {
            port,
            counts,
            faults,
            cut,
            accepting,
        })
    }

    /// Whether lines break from now on.
    pub(crate) fn set_faults(&self, on: bool) {
        self.faults.store(on, Ordering::Relaxed);
    }

    /// Resets all connections of this moment.
    pub(crate) fn cut_all(&self) {
        // nobody may be connected
        let _ = self.cut.send(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, line: Line, seed: u64) {
    // ends with its task
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // out of descriptors for a moment
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let number = line.counts.connections.fetch_add(1, Ordering::Relaxed);
        let (line, fates) = (line.clone(), Fates::of(seed, number));
        tokio::spawn(async move {
            let cut = line.cut.subscribe();
            // an end that cannot be reached is one more broken line
            let _ = connect(client, &line, number, fates, cut).await;
        });
    }
}

/// What came from one of the ends.
enum Came {
    FromClient(usize),
    FromServer(usize),
    Cut,
}

/// A database or server that restarts is not there: the client sees a line that breaks at once.
async fn connect(
    client: TcpStream,
    line: &Line,
    number: u64,
    fates: Fates,
    cut: Receiver<()>,
) -> io::Result<()> {
    match &line.upstream {
        Upstream::Socket(path) => carry(client, UnixStream::connect(path).await?, line, fates, cut).await,
        Upstream::Ports(ports) => {
            let turn = usize::try_from(number).unwrap_or(0) % ports.len().max(1);
            let port = *ports.get(turn).unwrap_or(&0);
            let server = TcpStream::connect(("127.0.0.1", port)).await?;
            carry(client, server, line, fates, cut).await
        }
    }
}

/// Carries until one of the ends is done or the connection's fate comes.
async fn carry<Server>(
    mut client: TcpStream,
    mut server: Server,
    line: &Line,
    mut fates: Fates,
    mut cut: Receiver<()>,
) -> io::Result<()>
where
    Server: AsyncRead + AsyncWrite + Unpin,
{
    let (mut asked, mut answered) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut client_open = true;
    // ends with one of its ends
    loop {
        let came = tokio::select! {
            read = client.read(&mut asked), if client_open => Came::FromClient(read?),
            read = server.read(&mut answered) => Came::FromServer(read?),
            () = is_cut(&mut cut) => Came::Cut,
        };
        let (bytes, from_client) = match came {
            Came::Cut => {
                line.counts.cuts.fetch_add(1, Ordering::Relaxed);
                return client.set_zero_linger();
            }
            Came::FromClient(bytes) => (bytes, true),
            Came::FromServer(bytes) => (bytes, false),
        };
        if bytes == 0 {
            // what was under way has been passed on; the other end sees the end, too
            return Ok(());
        }
        let piece = if from_client {
            &asked[..bytes]
        } else {
            &answered[..bytes]
        };
        let (carried, fate) = if line.faults.load(Ordering::Relaxed) {
            fates.carried(bytes)
        } else {
            (bytes, None)
        };
        pass(&mut client, &mut server, from_client, &piece[..carried]).await?;
        match fate {
            None => {}
            Some(Fate::Silence) => {
                line.counts.silences.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(fates.silence()).await;
                let rest = &piece[carried..];
                pass(&mut client, &mut server, from_client, rest).await?;
                fates.draw();
            }
            Some(Fate::HalfClose) => {
                line.counts.half_closes.fetch_add(1, Ordering::Relaxed);
                server.shutdown().await?;
                client_open = false;
                fates.draw();
            }
            Some(Fate::Close) => {
                line.counts.cuts.fetch_add(1, Ordering::Relaxed);
                return client.shutdown().await;
            }
            Some(Fate::Reset) => {
                line.counts.cuts.fetch_add(1, Ordering::Relaxed);
                return client.set_zero_linger();
            }
        }
    }
}

async fn is_cut(cut: &mut Receiver<()>) {
    match cut.recv().await {
        Ok(()) | Err(RecvError::Lagged(_)) => {}
        Err(RecvError::Closed) => std::future::pending().await,
    }
}

async fn pass<Client, Server>(
    client: &mut Client,
    server: &mut Server,
    to_server: bool,
    piece: &[u8],
) -> io::Result<()>
where
    Client: AsyncRead + AsyncWrite + Unpin,
    Server: AsyncRead + AsyncWrite + Unpin,
{
    if to_server {
        server.write_all(piece).await
    } else {
        client.write_all(piece).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::net::UnixListener;

    use super::*;

    /// Answers every byte with itself.
    fn echo(folder: &Path) -> Upstream {
        let path = folder.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Upstream::Socket(path)
    }

    /// Sends a piece at a time; answers how many bytes came back before the line broke, at most `most`.
    async fn echoed(port: u16, most: usize) -> usize {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut back, mut sum) = ([0; 1000], 0);
        while sum < most {
            if stream.write_all(&[7; 1000]).await.is_err() || stream.read_exact(&mut back).await.is_err() {
                break;
            }
            sum += back.len();
        }
        sum
    }

    #[tokio::test]
    async fn without_faults_everything_comes_through() {
        let folder = tempfile::tempdir().unwrap();
        let proxy = Proxy::start(echo(folder.path()), 1).await.unwrap();
        assert_eq!(echoed(proxy.port, 3_000_000).await, 3_000_000);
        assert_eq!(proxy.counts.cuts.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn with_faults_a_line_breaks_at_the_byte_that_its_seed_says() {
        let folder = tempfile::tempdir().unwrap();
        // the first connection of this seed is reset or closed
        let seed = (0..1000)
            .find(|seed| {
                let fates = Fates::of(*seed, 0);
                matches!(fates.next, Fate::Reset | Fate::Close) && fates.bytes_left > 10_000
            })
            .unwrap();
        let fate_bytes = usize::try_from(Fates::of(seed, 0).bytes_left).unwrap();
        let proxy = Proxy::start(echo(folder.path()), seed).await.unwrap();
        proxy.set_faults(true);
        // counted both ways
        let came = echoed(proxy.port, usize::MAX).await;
        assert!(
            came <= fate_bytes / 2 && came + 2000 > fate_bytes / 2,
            "{came} of {fate_bytes}"
        );
        assert_eq!(proxy.counts.cuts.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_connected() {
        let folder = tempfile::tempdir().unwrap();
        let proxy = Proxy::start(echo(folder.path()), 1).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        let mut byte = [1];
        stream.write_all(&byte).await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        proxy.cut_all();
        assert!(stream.read_exact(&mut byte).await.is_err());
    }
}
