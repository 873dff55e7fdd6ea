//! Targets on this machine's loopback: a page, a TLS server, a resolver.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A page without any protection, for every path but those that are not there.
pub(super) fn serve_web() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("server");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let mut first = String::new();
                let mut line = String::new();
                // A client that hangs up is done.
                if reader.read_line(&mut first).is_err() {
                    return;
                }
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    line.clear();
                }
                let path = first.split(' ').nth(1).unwrap_or("/");
                let (status, body) = if path == "/" {
                    (
                        "200 OK",
                        "<html><head><title>Shop</title></head><a href=\"/\">shop</a></html>",
                    )
                } else {
                    ("404 Not Found", "none")
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nServer: Apache/2.2.3\r\nContent-Type: text/html\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{}",
                    body.len(),
                    if first.starts_with("HEAD") { "" } else { body },
                );
                let _ = (&stream).write_all(answer.as_bytes());
            });
        }
    });
    address
}

/// A TLS server, ended with its value.
pub(super) struct TlsServer {
    child: Child,
    pub(super) port: u16,
    _folder: TempDir,
}

impl TlsServer {
    /// None where there is no openssl, which the scanners of TLS need themselves.
    pub(super) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("folder");
        let subject =
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=shop.example -days 2 -keyout key -out cert";
        let made = Command::new("openssl")
            .args(subject.split(' '))
            .current_dir(&folder)
            .stderr(Stdio::null())
            .status();
        made.ok().filter(std::process::ExitStatus::success)?;
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("port")
            .port();
        let child = Command::new("openssl")
            .args([
                "s_server", "-cert", "cert", "-key", "key", "-www", "-quiet", "-accept",
            ])
            .arg(format!("127.0.0.1:{port}"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("server");
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the TLS server listens");
            std::thread::yield_now();
        }
        Some(Self {
            child,
            port,
            _folder: folder,
        })
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A resolver for which every name has one address and nothing else.
pub(super) fn serve_names() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("resolver");
    let address = socket.local_addr().expect("address");
    std::thread::spawn(move || {
        let mut question = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let Some(zero) = question[12..length].iter().position(|&byte| byte == 0) else {
                continue;
            };
            let end = 12 + zero + 5;
            let mut answer = question[..end.min(length)].to_vec();
            let is_a = answer[end - 4..end - 2] == [0, 1];
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9]);
            }
            // A scanner that is gone needs no answer.
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}
