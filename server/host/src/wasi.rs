//! WASI 0.2 as plugins get it: empty, and of what an operator granted no more than that.
//!
//! No files, no environment, no arguments, nothing on standard input. What is written to standard output
//! and error is log lines. Without a grant the clocks stand still, the randomness is the same in every
//! run, and every socket is refused; with `network`, a socket may connect to the addresses that the
//! platform pinned to the task, and do nothing else. It is made when a guest first calls it.
//!
//! Not here: how a call that waits is bounded in time (`drive`), and which addresses may be pinned at all
//! (core's `address`, the server's guard).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tamiz_core::LogLevel;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{
    Network, OutputStream, Pollable, SocketError, SocketResult, StreamResult, TcpSocket,
};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsView};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, async_trait,
};

use crate::limits::{LOG_LINE_BYTES_MAX, SOCKETS_MAX};
use crate::request::{Grants, NetworkGrant};
use crate::run::RunState;

/// Bytes of one call for randomness: far more than any seed has.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes that standard output takes at once.
const OUTPUT_BYTES_AT_ONCE: usize = 64 * 1024;

/// The WASI of one run.
pub(crate) struct Surroundings {
    context: WasiCtx,
    output: Output,
    sockets_opened: u32,
}

impl Surroundings {
    pub(crate) fn new(grants: &Grants, log_bytes_max: usize) -> Self {
        let output = Output::new(log_bytes_max);
        let mut builder = WasiCtxBuilder::new();
        builder
            .stdout(output.stream(LogLevel::Info))
            .stderr(output.stream(LogLevel::Warn))
            .max_random_size(RANDOM_BYTES_MAX);
        if !grants.clock {
            builder.wall_clock(Stopped).monotonic_clock(Stopped);
        }
        if !grants.randomness {
            builder
                .secure_random(StdRng::seed_from_u64(0))
                .insecure_random(StdRng::seed_from_u64(1))
                .insecure_random_seed(0);
        }
        if let Some(network) = &grants.network {
            let network = network.clone();
            builder
                .allow_tcp(true)
                .socket_addr_check(move |address, purpose| {
                    let allowed = network.allows(address, purpose);
                    Box::pin(async move { allowed })
                });
        }
        Self {
            context: builder.build(),
            output,
            sockets_opened: 0,
        }
    }
}

impl NetworkGrant {
    /// Only connecting, only to what was pinned, in the very form in which it was pinned: an IPv4 address
    /// inside of an IPv6 one is another address.
    fn allows(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        match purpose {
            SocketAddrUse::TcpConnect => {
                self.addresses.contains(&address.ip()) && self.port.is_none_or(|port| port == address.port())
            }
            // asked before every connection, for the port that the system chooses; listening is asked apart
            SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
            _ => false,
        }
    }
}

/// Adds WASI to what components may import.
pub(crate) fn add_to_linker(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    tcp_create_socket::add_to_linker::<_, CountedSockets>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl WasiView for RunState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let surroundings = self
            .surroundings
            .get_or_insert_with(|| Box::new(Surroundings::new(&self.grants, self.limits.log_bytes_max)));
        WasiCtxView {
            ctx: &mut surroundings.context,
            table: &mut self.resources,
        }
    }
}

/// Sockets, counted.
struct CountedSockets;

impl HasData for CountedSockets {
    type Data<'a> = &'a mut RunState;
}

impl network::Host for RunState {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.sockets().convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

impl network::HostNetwork for RunState {
    fn drop(&mut self, this: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets(), this)
    }
}

impl tcp_create_socket::Host for RunState {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let opened = self.surroundings.as_ref().map_or(0, |it| it.sockets_opened);
        if opened >= SOCKETS_MAX {
            return Err(ErrorCode::NewSocketLimit.into());
        }
        let socket = self.sockets().create_tcp_socket(family)?;
        if let Some(surroundings) = &mut self.surroundings {
            surroundings.sockets_opened = opened + 1;
        }
        Ok(socket)
    }
}

impl RunState {
    /// Takes over what the guest printed, as log lines; at the end, the unfinished line as well.
    pub(crate) fn keep_output(&mut self, at_end: bool) -> wasmtime::Result<()> {
        let Some(surroundings) = &self.surroundings else {
            return Ok(());
        };
        let (lines, dropped) = surroundings.output.take(at_end);
        for (level, line) in lines {
            self.keep_log_line(level, &line)?;
        }
        if dropped == 0 {
            return Ok(());
        }
        self.counts.log_lines_dropped = self.counts.log_lines_dropped.saturating_add(dropped);
        self.over_limit("bytes of log lines", self.limits.log_bytes_max as u64)
    }

    /// What the guest printed last before it failed: languages tell their exceptions so.
    pub(crate) fn last_words(&self) -> Option<String> {
        let surroundings = self.surroundings.as_ref()?;
        surroundings.output.lock().last.clone()
    }
}

/// The clock of plugins that have none.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// What a guest printed since it was asked last; clones share it.
#[derive(Clone)]
struct Output(Arc<Mutex<Printed>>);

struct Printed {
    lines: Vec<(LogLevel, String)>,
    /// One for each stream.
    unfinished: [Vec<u8>; 2],
    bytes: usize,
    bytes_max: usize,
    dropped: u32,
    last: Option<String>,
}

impl Output {
    fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Printed {
            lines: Vec::new(),
            unfinished: [Vec::new(), Vec::new()],
            bytes: 0,
            bytes_max,
            dropped: 0,
            last: None,
        })))
    }

    fn stream(&self, level: LogLevel) -> OutputEnd {
        OutputEnd {
            output: self.clone(),
            level,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, at_end: bool) -> (Vec<(LogLevel, String)>, u32) {
        let mut printed = self.lock();
        if at_end {
            printed.end_line(LogLevel::Info);
            printed.end_line(LogLevel::Warn);
        }
        printed.bytes = 0;
        (
            std::mem::take(&mut printed.lines),
            std::mem::take(&mut printed.dropped),
        )
    }
}

impl Printed {
    fn add(&mut self, level: LogLevel, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece
                .strip_suffix(b"\n")
                .map_or((piece, false), |text| (text, true));
            let unfinished = &mut self.unfinished[stream(level)];
            let room = LOG_LINE_BYTES_MAX.saturating_sub(unfinished.len());
            unfinished.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.end_line(level);
            }
        }
    }

    /// Empty lines say nothing.
    fn end_line(&mut self, level: LogLevel) {
        let bytes = std::mem::take(&mut self.unfinished[stream(level)]);
        let line = String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
        if line.is_empty() {
            return;
        }
        if level == LogLevel::Warn {
            self.last = Some(line.clone());
        }
        if self.bytes + line.len() > self.bytes_max {
            self.dropped = self.dropped.saturating_add(1);
        } else {
            self.bytes += line.len();
            self.lines.push((level, line));
        }
    }
}

const fn stream(level: LogLevel) -> usize {
    matches!(level, LogLevel::Warn) as usize
}

/// One of the two streams, in a guest's hands.
#[derive(Clone)]
struct OutputEnd {
    output: Output,
    level: LogLevel,
}

impl IsTerminal for OutputEnd {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputEnd {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// For worlds that are not served here.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for OutputEnd {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.lock().add(self.level, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_BYTES_AT_ONCE)
    }
}

#[async_trait]
impl Pollable for OutputEnd {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::{NetworkGrant, Output, SocketAddrUse};
    use tamiz_core::LogLevel;

    #[test]
    fn only_the_pinned_addresses_and_port_may_be_connected_to() {
        let grant = |port| NetworkGrant {
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            port,
        };
        let allows =
            |grant: &NetworkGrant, address: &str, purpose| grant.allows(address.parse().unwrap(), purpose);
        for address in ["192.0.2.1:443", "[2001:db8::1]:443"] {
            assert!(
                allows(&grant(Some(443)), address, SocketAddrUse::TcpConnect),
                "{address}"
            );
        }
        for address in [
            "192.0.2.1:80",
            "192.0.2.2:443",
            "[::ffff:192.0.2.1]:443",
            "[::192.0.2.1]:443",
            "[2001:db8::2]:443",
            "0.0.0.0:443",
            "127.0.0.1:443",
        ] {
            assert!(
                !allows(&grant(Some(443)), address, SocketAddrUse::TcpConnect),
                "{address}"
            );
        }
        assert!(allows(&grant(None), "192.0.2.1:80", SocketAddrUse::TcpConnect));
        for (address, purpose) in [
            ("192.0.2.1:443", SocketAddrUse::TcpListen),
            ("192.0.2.1:443", SocketAddrUse::TcpBind),
            ("0.0.0.0:80", SocketAddrUse::TcpBind),
            ("192.0.2.1:443", SocketAddrUse::UdpSend),
            ("192.0.2.1:443", SocketAddrUse::TcpAccept),
        ] {
            assert!(!allows(&grant(None), address, purpose), "{address} {purpose:?}");
        }
    }

    #[test]
    fn what_is_printed_becomes_lines_within_their_budget() {
        let output = Output::new(30);
        let print = |level, text: &str| output.lock().add(level, text.as_bytes());
        print(LogLevel::Info, "a");
        print(LogLevel::Warn, "oh\n");
        print(LogLevel::Info, "b\n\n  \nc");
        print(LogLevel::Info, &"x".repeat(10_000));
        let lines = [
            (LogLevel::Warn, "oh".to_owned()),
            (LogLevel::Info, "ab".to_owned()),
        ];
        assert_eq!(output.take(false), (lines.to_vec(), 0));
        print(LogLevel::Info, "\nd");
        assert_eq!(output.take(true), (vec![(LogLevel::Info, "d".to_owned())], 1));
        assert_eq!(output.lock().last.as_deref(), Some("oh"));
    }
}
