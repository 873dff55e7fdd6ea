//! Asking name servers of the operator's choice: one question over UDP, and what of its answer counts.
//!
//! For names whose scans ask the same servers later (`target_resolvers`); everything else is resolved as
//! the system does. Patience is the caller's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// For one server, when there is another one to ask.
const SERVER_SECONDS_MAX: u64 = 2;
/// Of an answer over UDP without extensions (RFC 1035).
const ANSWER_BYTES_MAX: usize = 512;
/// Of a message's head.
const HEAD_BYTES: usize = 12;
/// The answer is longer than fits: there is more than it says.
const IS_CUT: u8 = 0x02;
/// The name is known.
pub(crate) const NO_ERROR: u8 = 0;
/// It is not.
pub(crate) const NO_SUCH_NAME: u8 = 3;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    Address = 1,
    Authority = 6,
    Address6 = 28,
}

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 0: all is well.
    pub(crate) code: u8,
    /// The addresses that it holds, those behind other names of the same host among them.
    pub(crate) addresses: Vec<IpAddr>,
    is_cut: bool,
}

/// All addresses of `name`, by the first server that has an answer.
///
/// # Errors
/// When no server has one, or one that does not fit.
pub(crate) async fn addresses(name: &str, servers: &[SocketAddr]) -> io::Result<Vec<IpAddr>> {
    let mut problem = io::Error::from(io::ErrorKind::NotFound);
    for server in servers {
        let patience = Duration::from_secs(SERVER_SECONDS_MAX);
        match timeout(patience, both(name, *server)).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => problem = error,
            Err(_) => problem = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(problem)
}

async fn both(name: &str, server: SocketAddr) -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for record in [Record::Address, Record::Address6] {
        let answer = ask(name, record, server).await?;
        match answer.code {
            NO_ERROR if answer.is_cut => return Err(io::ErrorKind::FileTooLarge.into()),
            NO_ERROR => found.extend(answer.addresses),
            NO_SUCH_NAME => {}
            code => return Err(io::Error::other(format!("it answers with code {code}"))),
        }
    }
    Ok(found)
}

/// One server's answer to one question.
pub(crate) async fn ask(name: &str, record: Record, server: SocketAddr) -> io::Result<Answer> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From now on the kernel takes datagrams from this server alone.
    socket.connect(server).await?;
    let id: [u8; 2] = rand::random();
    socket.send(&question(id, name, record)?).await?;
    let mut bytes = [0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut bytes).await?;
        // Another id is the answer to a question that somebody else was meant to have asked.
        if bytes[..length].starts_with(&id) {
            return read(&bytes[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
    }
}

fn question(id: [u8; 2], name: &str, record: Record) -> io::Result<Vec<u8>> {
    // Recursion desired, one question.
    let mut question = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).map_err(io::Error::other)?);
        question.extend(label.as_bytes());
    }
    // The root, the type, class IN.
    question.extend([0, 0, record as u8, 0, 1]);
    Ok(question)
}

/// `None` when the bytes are no answer.
fn read(bytes: &[u8]) -> Option<Answer> {
    let head = bytes.get(..HEAD_BYTES)?;
    let count = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let mut answer = Answer {
        code: head[3] & 0x0f,
        addresses: Vec::new(),
        is_cut: head[2] & IS_CUT != 0,
    };
    let mut rest = &bytes[HEAD_BYTES..];
    for _ in 0..count(4) {
        // Its type and class.
        rest = after_name(rest)?.get(4..)?;
    }
    for _ in 0..count(6) {
        let (fixed, after) = after_name(rest)?.split_at_checked(10)?;
        let length = u16::from_be_bytes([fixed[8], fixed[9]]);
        let (data, after) = after.split_at_checked(length.into())?;
        match (u16::from_be_bytes([fixed[0], fixed[1]]), data.len()) {
            (1, 4) => answer.addresses.push(<[u8; 4]>::try_from(data).ok()?.into()),
            (28, 16) => answer.addresses.push(<[u8; 16]>::try_from(data).ok()?.into()),
            _ => {}
        }
        rest = after;
    }
    Some(answer)
}

/// What follows a name, which ends with an empty label or points to the rest of itself.
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, after) = bytes.split_first()?;
        match length {
            0 => return Some(after),
            1..=63 => bytes = after.get(usize::from(length)..)?,
            192.. => return after.get(1..),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `shop.example` is `alias.example`, which has two addresses.
    fn answer() -> Vec<u8> {
        let mut bytes = question([7, 7], "shop.example", Record::Address).unwrap();
        bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 3]);
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 8, 5]);
        bytes.extend(b"alias\xc0\x11");
        bytes.extend([0xc0, 42, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9]);
        bytes.extend([0xc0, 42, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16]);
        bytes.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        bytes
    }

    #[test]
    fn an_answer_holds_all_addresses_behind_other_names_too() {
        let read = read(&answer()).unwrap();
        assert_eq!((read.code, read.is_cut), (NO_ERROR, false));
        let expected: [IpAddr; 2] = ["203.0.113.9".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        assert_eq!(read.addresses, expected);
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_is_none() {
        let whole = answer();
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
    }

    #[tokio::test]
    async fn the_next_server_is_asked_when_one_refuses() {
        let mut servers = Vec::new();
        for code in [5, 0] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            servers.push(socket.local_addr().unwrap());
            tokio::spawn(async move {
                let mut bytes = [0; ANSWER_BYTES_MAX];
                while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
                    let is_address = bytes[length - 3] == Record::Address as u8;
                    let mut said = bytes[..length].to_vec();
                    said[3] = code;
                    if code == 0 && is_address {
                        said = answer();
                        said[..2].copy_from_slice(&bytes[..2]);
                    }
                    socket.send_to(&said, from).await.unwrap();
                }
            });
        }
        assert_eq!(addresses("shop.example", &servers).await.unwrap().len(), 2);
        assert!(addresses("shop.example", &servers[..1]).await.is_err());
        assert!(addresses("shop.example", &[]).await.is_err());
    }
}
