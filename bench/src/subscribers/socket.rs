//! A websocket that costs next to nothing: 512 bytes of buffer, frames masked with zeroes, text and pings only.
//!
//! Ten thousand of them share two cores with the server that is measured, so a library's buffers and checks would be
//! part of the measure.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::Outcome;

/// Grows for what is longer.
const BUFFER_BYTES: usize = 512;
/// Longest message or answer that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Addresses to connect from: the server gives each a quarter of its connections.
const SOURCES: usize = 16;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

pub(super) struct Socket {
    stream: TcpStream,
    /// Bytes that were read, and how many of them are used up.
    buffer: Vec<u8>,
    used: usize,
}

impl Socket {
    /// Connects to the server's `/graphql` from an address of this number's and shakes hands.
    pub(super) async fn connect(port: u16, number: usize, token: &str) -> Outcome<Self> {
        let socket = TcpSocket::new_v4()?;
        let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
        socket.bind(SocketAddr::from((source, 0)))?;
        let stream = socket
            .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .await?;
        stream.set_nodelay(true)?;
        let mut socket = Self {
            stream,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            used: 0,
        };
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: graphql-transport-ws\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        socket.stream.write_all(request.as_bytes()).await?;
        let end = loop {
            if let Some(end) = find(&socket.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            socket.more().await?;
        };
        if !socket.buffer.starts_with(b"HTTP/1.1 101") {
            let start = String::from_utf8_lossy(&socket.buffer)
                .chars()
                .take(300)
                .collect::<String>();
            return Err(format!("no websocket: {start}").into());
        }
        socket.used = end;
        Ok(socket)
    }

    /// Sends a text.
    pub(super) async fn send(&mut self, text: &str) -> Outcome<()> {
        self.frame(TEXT, text.as_bytes()).await
    }

    async fn frame(&mut self, opcode: u8, payload: &[u8]) -> Outcome<()> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..=125 => frame.push(0x80 | short as u8),
            longer => {
                frame.push(0xfe);
                frame.extend(u16::try_from(longer)?.to_be_bytes());
            }
        }
        // a mask of zeroes leaves the payload as it is
        frame.extend([0; 4]);
        frame.extend(payload);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next text, given to `read`; pings are answered meanwhile. Dropped while it waits, it has lost nothing.
    pub(super) async fn next<T>(&mut self, read: impl FnOnce(&str) -> Outcome<T>) -> Outcome<T> {
        loop {
            let Some((opcode, payload)) = self.whole_frame()? else {
                self.more().await?;
                continue;
            };
            self.used = payload.end;
            match opcode {
                TEXT => {
                    let text = std::str::from_utf8(&self.buffer[payload])?;
                    return read(text);
                }
                PING => {
                    let payload = self.buffer[payload].to_vec();
                    self.frame(PONG, &payload).await?;
                }
                CLOSE => {
                    let reason = String::from_utf8_lossy(self.buffer[payload].get(2..).unwrap_or_default());
                    return Err(format!("the server closed: {reason}").into());
                }
                other => return Err(format!("a frame of kind {other}").into()),
            }
        }
    }

    /// Kind of the first frame and where its payload lies, if it has arrived. Servers do not mask.
    fn whole_frame(&self) -> Outcome<Option<(u8, std::ops::Range<usize>)>> {
        let bytes = &self.buffer[self.used..];
        let (Some(first), Some(second)) = (bytes.first(), bytes.get(1)) else {
            return Ok(None);
        };
        let (head, length) = match (second & 0x7f, bytes.get(2), bytes.get(3)) {
            (127, _, _) => return Err("a frame beyond 64 KiB".into()),
            (126, Some(high), Some(low)) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            (126, _, _) => return Ok(None),
            (short, _, _) => (2, usize::from(short)),
        };
        let start = self.used + head;
        let payload = start..start + length;
        Ok((payload.end <= self.buffer.len()).then_some((first & 0xf, payload)))
    }

    async fn more(&mut self) -> Outcome<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        if self.buffer.len() > MESSAGE_BYTES_MAX {
            return Err("a message that is too long".into());
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server hung up".into()),
            _ => Ok(()),
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
