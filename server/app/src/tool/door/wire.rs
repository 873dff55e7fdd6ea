//! What the two ends of a door say to each other: one Unix connection per connection of the tool.
//!
//! The inner end says in one line what the tool called (`tcp ADDRESS PORT`, `names tcp`, `names udp`);
//! the outer end answers one byte. Then bytes flow both ways, or, for `names udp`, one question and one
//! answer, each after its length in two bytes.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// `tcp `, the longest IPv6 address, a port.
const CALL_BYTES_MAX: usize = 64;
/// The connection is made.
pub(super) const TAKEN: u8 = b'+';
/// It is not, and the inner end resets the tool's.
pub(super) const REFUSED: u8 = b'-';

/// What the tool called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Tcp(SocketAddr),
    NamesTcp,
    NamesUdp,
}

impl Call {
    pub(super) fn line(self) -> String {
        match self {
            Self::Tcp(address) => format!("tcp {} {}\n", address.ip(), address.port()),
            Self::NamesTcp => "names tcp\n".to_owned(),
            Self::NamesUdp => "names udp\n".to_owned(),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let call = match (words.next()?, words.next()?) {
            ("names", "tcp") => Self::NamesTcp,
            ("names", "udp") => Self::NamesUdp,
            ("tcp", address) => {
                let address: IpAddr = address.parse().ok()?;
                Self::Tcp(SocketAddr::new(address, words.next()?.parse().ok()?))
            }
            _ => return None,
        };
        words.next().is_none().then_some(call)
    }
}

/// Reads the line with which the inner end begins.
pub(super) async fn read_call(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Call> {
    let mut line = Vec::with_capacity(CALL_BYTES_MAX);
    loop {
        let byte = from.read_u8().await?;
        if byte == b'\n' {
            break;
        }
        line.push(byte);
        if line.len() > CALL_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let line = std::str::from_utf8(&line).ok().and_then(Call::parse);
    line.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads one datagram.
pub(super) async fn read_datagram(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut datagram = vec![0; from.read_u16().await?.into()];
    from.read_exact(&mut datagram).await?;
    Ok(datagram)
}

/// Writes one datagram.
pub(super) async fn write_datagram(to: &mut (impl AsyncWrite + Unpin), datagram: &[u8]) -> io::Result<()> {
    let length = u16::try_from(datagram.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    to.write_u16(length).await?;
    to.write_all(datagram).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_read_as_it_was_written_and_nothing_else_is_one() {
        for call in [
            Call::Tcp("203.0.113.7:443".parse().unwrap()),
            Call::Tcp("[2001:db8::7]:80".parse().unwrap()),
            Call::NamesTcp,
            Call::NamesUdp,
        ] {
            assert_eq!(read_call(&mut call.line().as_bytes()).await.unwrap(), call);
        }
        let long = format!("tcp {}\n", "1".repeat(100));
        for odd in [
            "tcp localhost 80\n",
            "tcp 127.0.0.1 80 x\n",
            "tcp 127.0.0.1\n",
            "\n",
            "names",
            &long,
        ] {
            assert!(read_call(&mut odd.as_bytes()).await.is_err(), "{odd}");
        }
    }
}
