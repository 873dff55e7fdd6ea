//! The readable part of a TLS handshake: both hellos and the server's certificate.
//!
//! Records and messages are read by `tls-parser`, certificates by [`certificate`]. From TLS 1.3 on
//! the certificate is encrypted, and nothing is said about it.

mod certificate;

use tls_parser::{
    TlsCipherAu, TlsCipherEnc, TlsExtension, TlsMessage, TlsMessageHandshake, TlsServerHelloContents,
    TlsVersion, parse_tls_client_hello_extensions, parse_tls_message_handshake, parse_tls_raw_record,
    parse_tls_server_hello_extensions,
};

use super::{Fed, Scene, Side, name};
use crate::findings::{Place, Sighting};
use crate::rules;
use tamiz_sdk::model::Severity;

/// One handshake message; a chain of certificates has a few kilobytes, the longest seen 23.
const MESSAGE_BYTES: usize = 64 * 1024;
const MESSAGE_HEAD_BYTES: usize = 4;
const RECORD_HEAD_BYTES: usize = 5;
const HANDSHAKE: u8 = 22;
/// Of a hello of SSL 2 without its head.
const HELLO_2_BYTES_MIN: usize = 9;
/// A record's payload, by the standard.
const RECORD_BYTES: usize = (1 << 14) + 256;
const PROTOCOL: &str = "tcp/tls";

/// An obsolete version's plain name and how bad it is; `SSLv3`, `TLS 1.0`, `TLSv1` and `TLSv11` are all
/// spellings of tools. Nothing for what is no version or none that is obsolete.
pub(crate) fn obsolete_version(word: &str) -> Option<(&'static str, Severity)> {
    let plain: String = word
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .take(8)
        .collect();
    let known = [
        ("ssl2", "SSL 2.0", Severity::High),
        ("ssl20", "SSL 2.0", Severity::High),
        ("ssl3", "SSL 3.0", Severity::High),
        ("ssl30", "SSL 3.0", Severity::High),
        ("tls1", "TLS 1.0", Severity::Medium),
        ("tls10", "TLS 1.0", Severity::Medium),
        ("tls11", "TLS 1.1", Severity::Medium),
    ];
    let plain = plain.replace('v', "");
    let found = known.into_iter().find(|(spelling, ..)| *spelling == plain);
    found.map(|(_, name, severity)| (name, severity))
}

/// A hello in the form of SSL 2, as clients sent it for years to offer all versions at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hello2 {
    /// With its head.
    bytes: usize,
}

impl Hello2 {
    /// A client's (1) says which version it offers, a server's (4) which it chose.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (high, low) = match bytes {
            [high, low, 1, 3, 0..=4, ..] | [high, low, 1, 0, 2, ..] | [high, low, 4, 0 | 1, _, 0, 2, ..] => {
                (*high, *low)
            }
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([high & 0x7f, low]));
        (high & 0x80 != 0 && length >= HELLO_2_BYTES_MIN).then_some(Self { bytes: 2 + length })
    }
}

#[derive(Default)]
struct Half {
    message: Vec<u8>,
    over: bool,
}

/// See the module's description.
#[derive(Default)]
pub(crate) struct Tls {
    halves: [Half; 2],
    asked_for: String,
}

impl Tls {
    pub(super) fn feed(&mut self, side: Side, bytes: &[u8], scene: &mut Scene<'_>) -> Fed {
        let mut taken = 0;
        while !self.halves[side as usize].over {
            let rest = bytes.get(taken..).unwrap_or_default();
            if let Some(hello) = Hello2::read(rest) {
                let Some(end) = self.hello_2(side, hello, rest.len(), scene) else {
                    return Fed::Took(taken);
                };
                taken += end;
                continue;
            }
            let Some([kind, 3, _, high, low]) = rest.first_chunk::<RECORD_HEAD_BYTES>() else {
                if rest.len() < RECORD_HEAD_BYTES {
                    return Fed::Took(taken);
                }
                break;
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if *kind != HANDSHAKE || length > RECORD_BYTES {
                break;
            }
            let Ok((_, record)) = parse_tls_raw_record(rest) else {
                return Fed::Took(taken);
            };
            taken += RECORD_HEAD_BYTES + record.data.len();
            self.record(side, record.data, scene);
        }
        self.halves[side as usize] = Half {
            message: Vec::new(),
            over: true,
        };
        if self.halves[side.other() as usize].over {
            Fed::Over
        } else {
            Fed::SideOver
        }
    }

    /// How many bytes the hello has; nothing when they are not all there.
    fn hello_2(&mut self, side: Side, hello: Hello2, there: usize, scene: &mut Scene<'_>) -> Option<usize> {
        if there < hello.bytes {
            return None;
        }
        if side == Side::Server {
            let place = Place {
                protocol: PROTOCOL,
                ..scene.place
            };
            self.agreed("SSL 2.0", Severity::High, place, scene);
            self.halves[side as usize].over = true;
        }
        Some(hello.bytes)
    }

    fn agreed(&self, word: &str, severity: Severity, place: Place, scene: &mut Scene<'_>) {
        let server = self.server_words(place);
        let message =
            format!("{server} agreed to {word}, which has known weaknesses and is forbidden by RFC 8996.");
        let mut sighting = Sighting::new(&rules::TLS_VERSION, place, word, message);
        sighting.severity = Some(severity);
        scene.findings.see(sighting);
    }

    fn record(&mut self, side: Side, data: &[u8], scene: &mut Scene<'_>) {
        let mut message = std::mem::take(&mut self.halves[side as usize].message);
        message.extend_from_slice(data);
        let mut taken = 0;
        while let Some(rest) = message.get(taken..) {
            let Some([_, high, middle, low]) = rest.first_chunk::<MESSAGE_HEAD_BYTES>() else {
                break;
            };
            let length = MESSAGE_HEAD_BYTES + u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            if length > MESSAGE_BYTES {
                self.halves[side as usize].over = true;
                return;
            }
            let Some(whole) = rest.get(..length) else { break };
            taken += length;
            if let Ok((_, TlsMessage::Handshake(handshake))) = parse_tls_message_handshake(whole) {
                self.handshake(side, &handshake, scene);
            }
        }
        message.drain(..taken);
        self.halves[side as usize].message = message;
    }

    fn handshake(&mut self, side: Side, handshake: &TlsMessageHandshake<'_>, scene: &mut Scene<'_>) {
        let place = Place {
            protocol: PROTOCOL,
            ..scene.place
        };
        match (side, handshake) {
            (Side::Client, TlsMessageHandshake::ClientHello(hello)) => {
                let extensions = hello
                    .ext
                    .and_then(|ext| parse_tls_client_hello_extensions(ext).ok());
                for extension in extensions.map(|(_, list)| list).unwrap_or_default() {
                    if let TlsExtension::SNI(names) = extension
                        && let Some((_, asked)) = names.first()
                    {
                        self.asked_for = name(asked);
                    }
                }
            }
            (Side::Server, TlsMessageHandshake::ServerHello(hello)) => self.negotiated(hello, place, scene),
            (Side::Server, TlsMessageHandshake::Certificate(chain)) => {
                if let Some(first) = chain.cert_chain.first() {
                    certificate::inspect(first.data, &self.asked_for, place, scene);
                }
                self.halves[Side::Server as usize].over = true;
            }
            _ => {}
        }
    }

    fn negotiated(&self, hello: &TlsServerHelloContents<'_>, place: Place, scene: &mut Scene<'_>) {
        let mut version = hello.version;
        let extensions = hello
            .ext
            .and_then(|ext| parse_tls_server_hello_extensions(ext).ok());
        for extension in extensions.map(|(_, list)| list).unwrap_or_default() {
            if let TlsExtension::SupportedVersions(versions) = extension
                && let Some(first) = versions.first()
            {
                version = *first;
            }
        }
        let server = self.server_words(place);
        let word = match version {
            TlsVersion::Ssl30 => "SSLv3",
            TlsVersion::Tls10 => "TLSv1.0",
            TlsVersion::Tls11 => "TLSv1.1",
            _ => "",
        };
        if let Some((word, severity)) = obsolete_version(word) {
            self.agreed(word, severity, place, scene);
        }
        let Some(suite) = hello.cipher.get_ciphersuite() else {
            return;
        };
        let weakness = match suite.enc {
            TlsCipherEnc::Null => Some(("encrypts nothing", Severity::High)),
            TlsCipherEnc::Des | TlsCipherEnc::Rc2 | TlsCipherEnc::Rc4 => {
                Some(("uses a broken cipher", Severity::High))
            }
            _ if suite.name.contains("EXPORT") => Some(("has a key short enough to guess", Severity::High)),
            _ if suite.au == TlsCipherAu::Null => Some(("does not authenticate the server", Severity::High)),
            TlsCipherEnc::TripleDes => Some(("uses 3DES, whose blocks are too short", Severity::Medium)),
            _ => None,
        };
        if let Some((what, severity)) = weakness {
            let message = format!("{server} chose the cipher suite {}, which {what}.", suite.name);
            let mut sighting = Sighting::new(&rules::TLS_CIPHER, place, suite.name, message);
            sighting.severity = Some(severity);
            scene.findings.see(sighting);
        }
    }

    fn server_words(&self, place: Place) -> String {
        let server = format!("{} port {}", place.server.address, place.server.port);
        if self.asked_for.is_empty() {
            server
        } else {
            format!("{server} (asked for `{}`)", self.asked_for)
        }
    }
}
