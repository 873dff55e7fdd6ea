//! Is anybody there? Asked before a tool that calls its target is started.
//!
//! Many scanners end well and report nothing when their target is down, so a dead target is found out
//! here: a TCP connection to a pinned address, and for a web target an answer to a first request. A
//! domain must be known to the resolvers that the tools will ask. What does not answer is asked once
//! more after a pause, and then the task has failed.
//!
//! Not here: which addresses may be called (`crate::target`), and how tools are held to them (`tool`).

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tamiz_core::{PinnedTarget, RefusalCode, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::names::{self, Record};
use crate::tool::NetworkTarget;

/// For a connection, and again for the first byte of an answer: a server that wakes up needs seconds.
const ANSWER_SECONDS_MAX: u64 = 15;
/// Addresses that are tried of a host that has many.
const ADDRESSES_MAX: usize = 4;
/// Before the second try.
const PAUSE_SECONDS: u64 = 2;
/// Once, and once more: a target that restarts is back, a dead one is not worth more.
const TRIES: usize = 2;

/// Makes sure that the target answers, and says how tools call it: at the one address that did.
pub(crate) async fn prove(
    pinned: &PinnedTarget,
    resolvers: &[SocketAddr],
    cancel: &CancellationToken,
) -> Result<NetworkTarget, Failure> {
    let mut why = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::select! {
                () = cancel.cancelled() => return Err(Failure::Stopped),
                () = sleep(Duration::from_secs(PAUSE_SECONDS)) => {}
            }
        }
        let proved = tokio::select! {
            () = cancel.cancelled() => return Err(Failure::Stopped),
            proved = try_all(pinned, resolvers) => proved,
        };
        match proved {
            Ok(target) => return Ok(target),
            Err(words) => why = words,
        }
    }
    let message = format!("{} does not answer: {why}", pinned.target.text());
    Err(Failure::refused(RefusalCode::TargetUnreachable, message))
}

async fn try_all(pinned: &PinnedTarget, resolvers: &[SocketAddr]) -> Result<NetworkTarget, String> {
    let mut target = NetworkTarget {
        host: pinned.target.host().unwrap_or_default().to_owned(),
        ports: pinned.target.port().into_iter().collect(),
        resolvers: resolvers.to_vec(),
        ..NetworkTarget::default()
    };
    let (port, first_words) = match &pinned.target {
        Target::Url { url, host, port } => {
            target.url = Some(url.clone());
            (*port, Some(first_words(url, host, *port)))
        }
        Target::Endpoint { port, .. } => (*port, None),
        Target::Domain { name } => {
            ask_all(name, resolvers).await?;
            return Ok(target);
        }
        // Asked about elsewhere: there is nothing to call.
        Target::Email { .. } | Target::Username { .. } => return Ok(target),
    };
    let mut problems = Vec::new();
    for &address in pinned.addresses.iter().take(ADDRESSES_MAX) {
        match call(SocketAddr::new(address, port), first_words.as_deref()).await {
            Ok(()) => {
                target.addresses = vec![address];
                return Ok(target);
            }
            Err(error) => problems.push(format!("{}: {error}", SocketAddr::new(address, port))),
        }
    }
    Err(problems.join("; "))
}

/// Connects, and when there are first words waits for the first byte of an answer to them.
async fn call(address: SocketAddr, first_words: Option<&[u8]>) -> io::Result<()> {
    let mut stream = within(TcpStream::connect(address)).await?;
    let Some(words) = first_words else {
        return Ok(());
    };
    within(stream.write_all(words)).await?;
    let mut byte = [0];
    match within(stream.read(&mut byte)).await? {
        0 => Err(io::Error::other("it hangs up without an answer")),
        _ => Ok(()),
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let patience = Duration::from_secs(ANSWER_SECONDS_MAX);
    let late = || {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer in {ANSWER_SECONDS_MAX} s"),
        )
    };
    timeout(patience, work).await.unwrap_or_else(|_| Err(late()))
}

/// What a client of the web says first.
fn first_words(url: &str, host: &str, port: u16) -> Vec<u8> {
    if url.starts_with("https:") {
        return client_hello(host);
    }
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    format!("HEAD / HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: tamiz\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// A TLS hello that servers of every version answer, be it with an alert: whether a handshake would
/// succeed is what the scan is to find out.
fn client_hello(host: &str) -> Vec<u8> {
    let with_length = |body: &[u8]| [&length(body), body].concat();
    let mut extensions = Vec::new();
    if host.parse::<IpAddr>().is_err() {
        let name = [&[0][..], &with_length(host.as_bytes())].concat();
        extensions.extend([0, 0]);
        extensions.extend(with_length(&with_length(&name)));
    }
    // Supported groups, point formats, signature algorithms: what modern servers insist on.
    extensions.extend([0, 10, 0, 8, 0, 6, 0, 29, 0, 23, 0, 24, 0, 11, 0, 2, 1, 0]);
    extensions.extend([0, 13, 0, 14, 0, 12, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 2, 1]);
    let mut body = vec![3, 3];
    body.extend(rand::random::<[u8; 32]>());
    body.push(0);
    // ECDHE and RSA with AES, down to what the oldest servers know.
    body.extend(with_length(&[
        0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xc0, 0x09, 0xc0, 0x13, 0, 0x9c, 0, 0x2f, 0, 0x35, 0,
        0x0a, 0, 0x05,
    ]));
    body.extend([1, 0]);
    body.extend(with_length(&extensions));
    let handshake = [&[1, 0][..], &with_length(&body)].concat();
    [&[22, 3, 1][..], &with_length(&handshake)].concat()
}

fn length(bytes: &[u8]) -> [u8; 2] {
    // A host name has at most 253 bytes, everything else is fixed.
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// Asks the resolvers for the domain's own record, in their order.
async fn ask_all(name: &str, resolvers: &[SocketAddr]) -> Result<(), String> {
    let mut problems = String::new();
    for resolver in resolvers {
        let answer = within(names::ask(name, Record::Authority, *resolver)).await;
        let why = match answer.map(|answer| answer.code) {
            Ok(names::NO_ERROR) => return Ok(()),
            Ok(names::NO_SUCH_NAME) => return Err("there is no such domain".to_owned()),
            Ok(code) => format!("it answers with code {code}"),
            Err(error) => error.to_string(),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            problems,
            "{}resolver {resolver}: {why}",
            if problems.is_empty() { "" } else { "; " }
        );
    }
    if problems.is_empty() {
        "no resolver is configured".clone_into(&mut problems);
    }
    Err(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, UdpSocket};

    fn pinned(target: Target) -> PinnedTarget {
        PinnedTarget {
            target,
            addresses: vec![[127, 0, 0, 1].into()],
        }
    }

    async fn refusal(pinned: &PinnedTarget, resolvers: &[SocketAddr]) -> String {
        let failed = prove(pinned, resolvers, &CancellationToken::new()).await;
        let Err(Failure::Refused(refusal)) = failed else {
            panic!("{failed:?}")
        };
        assert_eq!(refusal.code, "TARGET_UNREACHABLE");
        refusal.message
    }

    #[tokio::test]
    async fn a_dead_port_is_told_with_its_address_and_its_error() {
        let port = {
            let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
            taken.local_addr().unwrap().port()
        };
        let url = Target::url(&format!("http://shop.example:{port}/")).unwrap();
        let message = refusal(&pinned(url), &[]).await;
        assert!(
            message.contains(&format!("127.0.0.1:{port}")) && message.contains("refused"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_web_target_must_say_something_and_an_endpoint_need_not() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                let mut words = [0; 16];
                // A prober that hung up is its own matter.
                let _ = stream.read(&mut words).await;
                if words.starts_with(b"HEAD") {
                    let _ = stream.write_all(b"HTTP/1.1 405 No\r\n\r\n").await;
                }
            }
        });
        let never = CancellationToken::new();
        let alive = Target::url(&format!("http://shop.example:{port}/a")).unwrap();
        let target = prove(&pinned(alive), &[], &never).await.unwrap();
        assert_eq!(
            (target.host.as_str(), &target.ports[..]),
            ("shop.example", &[port][..])
        );
        assert_eq!(target.url, Some(format!("http://shop.example:{port}/a")));
        let mute = Target::url(&format!("https://shop.example:{port}/")).unwrap();
        let message = refusal(&pinned(mute), &[]).await;
        assert!(
            message.contains("hangs up") || message.contains("reset"),
            "{message}"
        );
        let endpoint = Target::endpoint("shop.example", port.into()).unwrap();
        assert!(prove(&pinned(endpoint), &[], &never).await.is_ok());
    }

    #[tokio::test]
    async fn a_domain_must_be_known_to_a_resolver() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolver = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let mut answer = question[..length].to_vec();
                answer[3] = if answer.windows(4).any(|window| window == b"shop") {
                    0
                } else {
                    3
                };
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        let domain = |name: &str| pinned(Target::domain(name).unwrap());
        let target = prove(&domain("shop.example"), &[resolver], &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(target.resolvers, [resolver]);
        assert!(
            refusal(&domain("gone.example"), &[resolver])
                .await
                .contains("no such domain")
        );
        assert!(
            refusal(&domain("shop.example"), &[])
                .await
                .contains("no resolver")
        );
    }

    #[test]
    fn a_hello_has_the_lengths_that_it_says() {
        let hello = client_hello("shop.example");
        assert_eq!(hello[..3], [22, 3, 1]);
        assert_eq!(
            usize::from(u16::from_be_bytes([hello[3], hello[4]])),
            hello.len() - 5
        );
        assert_eq!(
            usize::from(u16::from_be_bytes([hello[7], hello[8]])),
            hello.len() - 9
        );
        assert!(client_hello("127.0.0.1").len() < hello.len());
    }
}
