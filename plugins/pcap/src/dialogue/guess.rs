//! Which protocol a connection speaks, told from the first that either side says.

use super::{Dialogue, Side, argument, http, login, tls};
use crate::statistics::Protocol;

/// What is looked at before giving up.
const LOOKED_AT: usize = 1024;
/// The shortest that a protocol can be told from.
const TOLD_BY: usize = 5;
const TELNET_COMMAND: u8 = 255;

/// What a server said before the client did, in as far as it limits the guess.
#[derive(Debug, Default)]
pub(crate) struct Guess {
    greeted: bool,
}

pub(super) enum Answer {
    /// So many bytes are not needed any more.
    Wait(usize),
    Is(Protocol, Dialogue),
}

impl Guess {
    pub(super) fn look(&mut self, side: Side, bytes: &[u8], port: u16) -> Answer {
        if port == 53 {
            return Answer::Is(Protocol::Dns, Dialogue::Dns);
        }
        if port == 23 || is_telnet_command(bytes) {
            return Answer::Is(Protocol::Telnet, Dialogue::Telnet(Box::default()));
        }
        if bytes.starts_with(b"SSH-") {
            return Answer::Is(Protocol::Ssh, Dialogue::Over);
        }
        if is_tls(bytes) || tls::Hello2::read(bytes).is_some() {
            return Answer::Is(Protocol::Tls, Dialogue::Tls(Box::default()));
        }
        let answer = match side {
            Side::Client => Self::client(bytes, port),
            Side::Server => Self::server(bytes, port),
        };
        if let Some(answer) = answer {
            return answer;
        }
        if bytes.len() < TOLD_BY {
            return Answer::Wait(0);
        }
        // A greeting in words may belong to anything; the client's first command will tell.
        if side == Side::Server && !self.greeted && bytes.len() < LOOKED_AT && bytes.is_ascii() {
            self.greeted = true;
            return Answer::Wait(bytes.len());
        }
        let protocol = Protocol::of_tcp_port(port).unwrap_or_default();
        Answer::Is(protocol, Dialogue::Over)
    }

    fn client(bytes: &[u8], port: u16) -> Option<Answer> {
        if http::is_request(bytes) {
            return Some(Answer::Is(Protocol::Http, Dialogue::Http(http::Http::default())));
        }
        let speaks = |words: &[&str]| {
            let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
            let line = line.unwrap_or_default();
            words.iter().any(|word| argument(line, word).is_some())
        };
        if speaks(&["EHLO", "HELO", "LHLO"]) {
            return Some(login(login::Kind::Smtp));
        }
        // IRC's USER has four words behind it.
        let one_word =
            argument(bytes, "USER").is_some_and(|user| user.len() < LOOKED_AT && !user.contains(&b' '));
        if one_word || speaks(&["AUTH TLS", "FEAT"]) {
            let kind = match port {
                110 => login::Kind::Pop3,
                _ => login::Kind::Ftp,
            };
            return Some(login(kind));
        }
        None
    }

    fn server(bytes: &[u8], port: u16) -> Option<Answer> {
        let greeting = bytes.get(..bytes.len().min(LOOKED_AT)).unwrap_or_default();
        let says = |word: &[u8]| {
            let mut windows = greeting.windows(word.len());
            windows.any(|window| window.eq_ignore_ascii_case(word))
        };
        if bytes.starts_with(b"220") {
            return match port {
                21 => Some(login(login::Kind::Ftp)),
                25 | 465 | 587 | 2525 => Some(login(login::Kind::Smtp)),
                _ if says(b"ftp") => Some(login(login::Kind::Ftp)),
                _ if says(b"smtp") => Some(login(login::Kind::Smtp)),
                _ => None,
            };
        }
        if bytes.starts_with(b"+OK") {
            return Some(login(login::Kind::Pop3));
        }
        if bytes.starts_with(b"* OK") || bytes.starts_with(b"* PREAUTH") {
            return Some(login(login::Kind::Imap));
        }
        None
    }
}

fn login(kind: login::Kind) -> Answer {
    let protocol = match kind {
        login::Kind::Ftp => Protocol::Ftp,
        login::Kind::Smtp => Protocol::Smtp,
        login::Kind::Imap => Protocol::Imap,
        login::Kind::Pop3 => Protocol::Pop3,
    };
    Answer::Is(protocol, Dialogue::Login(Box::new(login::Login::new(kind))))
}

/// IAC and one of WILL, WONT, DO, DONT, SB.
fn is_telnet_command(bytes: &[u8]) -> bool {
    matches!(bytes, [TELNET_COMMAND, 250..=254, option, ..] if *option < 50)
}

/// A handshake record of SSL 3 or TLS.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [22, 3, 0..=4, _, _, kind, ..] if matches!(kind, 1 | 2))
        || matches!(bytes, [22, 3, 0..=4, _, _] if bytes.len() == TOLD_BY)
}
