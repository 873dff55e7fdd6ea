//! What two hosts say to each other over one TCP connection, as far as it concerns security.
//!
//! A [`Dialogue`] is fed both directions in order and answers how much it has taken; the rest comes
//! again with more behind it. Which protocol it is follows from the content; the port only decides
//! where the content does not.
//!
//! Passwords are looked at where they stand, for their identity ([`Host::secret_identity`]), and never
//! copied into anything that lives on.

mod guess;
mod http;
mod login;
mod snmp;
mod telnet;
mod tls;

use guess::Guess;

pub(crate) use snmp::{community as snmp_community, is_default as is_default_community};
pub(crate) use tls::obsolete_version;

use tamiz_sdk::Host;

use crate::detect::{DnsMessage, DnsWatch, Moment};
use crate::findings::{Findings, Place};
use crate::statistics::Protocol;

/// A line of a text protocol; standards say a thousand bytes or less.
const LINE_BYTES: usize = 4096;
/// A user name, as kept.
const NAME_BYTES: usize = 128;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client = 0,
    Server = 1,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Where and when something is said, and where to tell what it shows.
pub(crate) struct Scene<'watch> {
    pub(crate) place: Place,
    pub(crate) moment: Moment,
    pub(crate) findings: &'watch mut Findings,
    pub(crate) dns: &'watch mut DnsWatch,
    /// Knows a secret's identity.
    pub(crate) host: &'watch mut dyn Host,
}

/// What a dialogue did with what it was fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fed {
    /// So many bytes.
    Took(usize),
    /// This side has nothing more to say.
    SideOver,
    /// Neither side has.
    Over,
    /// What follows is another protocol, such as TLS after STARTTLS.
    Upgraded,
}

/// A protocol that is followed.
pub(crate) enum Dialogue {
    /// Not enough was said.
    Unknown(Guess),
    Http(http::Http),
    Tls(Box<tls::Tls>),
    Login(Box<login::Login>),
    Telnet(Box<telnet::Telnet>),
    Dns,
    /// Nothing is looked at any more.
    Over,
}

impl Dialogue {
    pub(crate) fn new() -> Self {
        Self::Unknown(Guess::default())
    }

    /// Takes what it can from what a side says.
    pub(crate) fn feed(
        &mut self,
        side: Side,
        bytes: &[u8],
        scene: &mut Scene<'_>,
    ) -> (Fed, Option<Protocol>) {
        let mut found = None;
        if let Self::Unknown(guess) = self {
            match guess.look(side, bytes, scene.place.server.port) {
                guess::Answer::Wait(taken) => return (Fed::Took(taken), None),
                guess::Answer::Is(protocol, dialogue) => {
                    found = Some(protocol);
                    *self = dialogue;
                }
            }
        }
        let fed = match self {
            Self::Http(http) => http.feed(side, bytes, scene),
            Self::Tls(tls) => tls.feed(side, bytes, scene),
            Self::Login(login) => login.feed(side, bytes, scene),
            Self::Telnet(telnet) => telnet.feed(side, bytes, scene),
            Self::Dns => dns(side, bytes, scene),
            Self::Unknown(_) | Self::Over => Fed::Over,
        };
        (fed, found)
    }

    /// Bytes of a side are missing. Whether what comes behind them can be read.
    pub(crate) fn leap(&mut self, side: Side) -> bool {
        match self {
            // Lines and commands begin anew soon.
            Self::Unknown(_) | Self::Login(_) | Self::Telnet(_) => true,
            Self::Http(http) => {
                *http = http::Http::default();
                side == Side::Client
            }
            // Nobody can tell where the next record begins.
            Self::Tls(_) | Self::Dns | Self::Over => false,
        }
    }

    /// The connection is over: what waited for an answer gets none.
    pub(crate) fn finish(&mut self, scene: &mut Scene<'_>) {
        match self {
            Self::Login(login) => login.settle(None, scene),
            Self::Telnet(telnet) => telnet.settle(None, scene),
            _ => {}
        }
    }
}

/// DNS over TCP: messages with their length in front.
fn dns(_side: Side, bytes: &[u8], scene: &mut Scene<'_>) -> Fed {
    let mut taken = 0;
    while let Some((head, rest)) = bytes.get(taken..).and_then(|rest| rest.split_first_chunk()) {
        let length = usize::from(u16::from_be_bytes(*head));
        let Some(message) = rest.get(..length) else { break };
        if let Some(message) = DnsMessage::read(message) {
            scene
                .dns
                .message(&message, scene.place, scene.moment, scene.findings);
        }
        taken += 2 + length;
    }
    Fed::Took(taken)
}

/// Calls `each` for every whole line until it says to stop; answers how many bytes that were. A line
/// that is too long is dropped.
fn lines(bytes: &[u8], mut each: impl FnMut(&[u8]) -> bool) -> usize {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > LINE_BYTES {
                bytes.len()
            } else {
                taken
            };
        };
        taken += end + 1;
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() <= LINE_BYTES && !each(line) {
            break;
        }
    }
    taken
}

/// A name out of a capture, fit to be shown.
fn name(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(4 * NAME_BYTES)).unwrap_or_default());
    tamiz_sdk::clean_line(text.trim(), NAME_BYTES).text
}

/// What stands behind a command word, if the line begins with it.
fn argument<'line>(line: &'line [u8], word: &str) -> Option<&'line [u8]> {
    let (start, rest) = line.split_at_checked(word.len())?;
    (start.eq_ignore_ascii_case(word.as_bytes()) && matches!(rest.first(), None | Some(b' ')))
        .then(|| rest.trim_ascii())
}
