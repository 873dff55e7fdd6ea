//! Telnet: a login told from the prompts, for the protocol itself knows none.

use super::{Fed, NAME_BYTES, Scene, Side, name};
use crate::findings::{Place, Sighting};
use crate::rules;

/// Of what the server said last; a prompt is shorter.
const TAIL_BYTES: usize = 64;
const PROTOCOL: &str = "tcp/telnet";

/// Telnet's commands stand among the text.
#[derive(Debug, Clone, Copy, Default)]
enum Reading {
    #[default]
    Text,
    Command,
    Option,
    Negotiation,
    NegotiationCommand,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Prompted {
    #[default]
    Nothing,
    Name,
    Password,
}

/// See the module's description.
#[derive(Default)]
pub(crate) struct Telnet {
    reading: [Reading; 2],
    prompted: Prompted,
    /// What the client types at a prompt; a password is overwritten at the line's end.
    typed: Vec<u8>,
    user: String,
    said: Vec<u8>,
    /// The place, and the password's identity.
    attempt: Option<(Place, String)>,
}

impl Telnet {
    pub(super) fn feed(&mut self, side: Side, bytes: &[u8], scene: &mut Scene<'_>) -> Fed {
        for byte in bytes {
            let Some(byte) = text(&mut self.reading[side as usize], *byte) else {
                continue;
            };
            match side {
                Side::Client => self.client(byte, scene),
                Side::Server => self.server(byte),
            }
        }
        if side == Side::Server {
            self.prompt(scene);
        }
        Fed::Took(bytes.len())
    }

    fn client(&mut self, byte: u8, scene: &mut Scene<'_>) {
        match (self.prompted, byte) {
            (Prompted::Name, b'\r' | b'\n') => {
                self.user = name(&self.typed);
                self.typed.clear();
                self.prompted = Prompted::Nothing;
            }
            (Prompted::Password, b'\r' | b'\n') => {
                self.prompted = Prompted::Nothing;
                if !self.typed.is_empty() {
                    self.settle(None, scene);
                    self.said.clear();
                    let identity = scene.host.secret_identity(&self.typed);
                    self.typed.fill(0);
                    self.typed.clear();
                    let place = Place {
                        protocol: PROTOCOL,
                        ..scene.place
                    };
                    self.attempt = Some((place, identity));
                }
            }
            (Prompted::Name | Prompted::Password, 8 | 127) => {
                self.typed.pop();
            }
            (Prompted::Name | Prompted::Password, 1..) if self.typed.len() < NAME_BYTES => {
                self.typed.push(byte);
            }
            _ => {}
        }
    }

    fn server(&mut self, byte: u8) {
        if self.said.len() >= TAIL_BYTES {
            self.said.remove(0);
        }
        self.said.push(byte.to_ascii_lowercase());
    }

    /// What the server's last words ask for, or answer.
    fn prompt(&mut self, scene: &mut Scene<'_>) {
        let said = self.said.trim_ascii_end();
        let ends = |words: &[&[u8]]| words.iter().any(|word| said.ends_with(word));
        let has = |words: &[&[u8]]| {
            let mut all = words.iter();
            all.any(|word| said.windows(word.len()).any(|window| window == *word))
        };
        let refused = has(&[b"incorrect", b"failed", b"invalid", b"denied", b"bad pass"]);
        if ends(&[b"password:", b"passcode:", b"passwd:"]) {
            self.prompted = Prompted::Password;
            self.typed.clear();
        } else if ends(&[b"login:", b"username:", b"user:", b"user name:", b"login name:"])
            && !ends(&[b"last login:"])
        {
            self.prompted = Prompted::Name;
            self.typed.clear();
        } else if !refused && !ends(&[b"$", b"#", b">", b"%"]) && !has(&[b"last login", b"welcome"]) {
            return;
        }
        let accepted = !refused && self.prompted == Prompted::Nothing;
        self.settle(Some(accepted), scene);
    }

    /// Tells the attempt that waits, if one does.
    pub(super) fn settle(&mut self, accepted: Option<bool>, scene: &mut Scene<'_>) {
        let Some((place, identity)) = self.attempt.take() else {
            return;
        };
        let message = format!(
            "`{}` logged in to {} port {} by Telnet; anybody on the way reads the password [redacted] and the session.",
            self.user, place.server.address, place.server.port
        );
        let mut sighting = Sighting::new(&rules::TELNET, place, &self.user, message).of_secret(identity);
        sighting.accepted = accepted;
        scene.findings.see(sighting);
    }
}

/// The byte, if it is text and no command.
fn text(reading: &mut Reading, byte: u8) -> Option<u8> {
    let (next, shown) = match (*reading, byte) {
        (Reading::Text, 255) => (Reading::Command, None),
        (Reading::Text, _) => (Reading::Text, Some(byte)),
        (Reading::Command, 251..=254) => (Reading::Option, None),
        (Reading::Command, 250) => (Reading::Negotiation, None),
        (Reading::Command, 255) => (Reading::Text, Some(255)),
        (Reading::Negotiation, 255) => (Reading::NegotiationCommand, None),
        (Reading::NegotiationCommand, 240) | (Reading::Command | Reading::Option, _) => (Reading::Text, None),
        (Reading::Negotiation | Reading::NegotiationCommand, _) => (Reading::Negotiation, None),
    };
    *reading = next;
    shown
}
