//! Logins of the protocols that speak in lines: FTP, SMTP, POP3 and IMAP.
//!
//! A login is told when the server has answered it, or when the connection ends. Challenge and
//! response (CRAM-MD5, APOP, SCRAM) shows no password and is no finding. After STARTTLS, STLS or
//! AUTH TLS the dialogue is TLS.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{Fed, Scene, Side, argument, lines, name};
use crate::findings::{Place, Sighting};
use crate::rules::{self, Rule};

/// Which of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ftp,
    Smtp,
    Imap,
    Pop3,
}

impl Kind {
    fn rule(self) -> &'static Rule {
        match self {
            Self::Ftp => &rules::FTP,
            Self::Smtp => &rules::SMTP,
            Self::Imap => &rules::IMAP,
            Self::Pop3 => &rules::POP3,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Ftp => ("FTP", "tcp/ftp"),
            Self::Smtp => ("SMTP", "tcp/smtp"),
            Self::Imap => ("IMAP", "tcp/imap"),
            Self::Pop3 => ("POP3", "tcp/pop3"),
        }
    }
}

/// What the client's next line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Command,
    /// The answer to AUTH PLAIN.
    Plain,
    /// The two answers to AUTH LOGIN.
    LoginName,
    LoginPassword,
    /// The answer to a challenge that shows nothing.
    Response,
    /// A mail, up to its dot.
    Mail,
}

struct Attempt {
    user: String,
    /// Of the password.
    identity: String,
    place: Place,
}

/// See the module's description.
pub(crate) struct Login {
    kind: Kind,
    user: String,
    awaited: Awaited,
    attempt: Option<Attempt>,
    upgrade_asked: bool,
    mail_asked: bool,
    /// IMAP's word for the command that a server's answer belongs to.
    tag: Vec<u8>,
}

impl Login {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            user: String::new(),
            awaited: Awaited::Command,
            attempt: None,
            upgrade_asked: false,
            mail_asked: false,
            tag: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, side: Side, bytes: &[u8], scene: &mut Scene<'_>) -> Fed {
        let mut upgraded = false;
        let taken = lines(bytes, |line| {
            match side {
                Side::Client => self.client(line, scene),
                Side::Server => upgraded = self.server(line, scene),
            }
            !upgraded
        });
        if upgraded { Fed::Upgraded } else { Fed::Took(taken) }
    }

    fn client(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        match self.awaited {
            Awaited::Mail => {
                if line == b"." {
                    self.awaited = Awaited::Command;
                }
            }
            Awaited::Plain => {
                self.awaited = Awaited::Command;
                if line != b"*" {
                    self.plain(line, scene);
                }
            }
            Awaited::LoginName => {
                self.user = decode(line).map(|text| name(&text)).unwrap_or_default();
                self.awaited = Awaited::LoginPassword;
            }
            Awaited::LoginPassword => {
                self.awaited = Awaited::Command;
                if line != b"*" {
                    let password = decode(line).unwrap_or_default();
                    self.attempt(&password, scene);
                }
            }
            Awaited::Response => self.awaited = Awaited::Command,
            Awaited::Command => match self.kind {
                Kind::Ftp | Kind::Pop3 => self.user_and_password(line, scene),
                Kind::Smtp => self.smtp(line, scene),
                Kind::Imap => self.imap(line, scene),
            },
        }
    }

    fn user_and_password(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        if let Some(user) = argument(line, "USER") {
            self.settle(None, scene);
            self.user = name(user);
        } else if let Some(password) = argument(line, "PASS") {
            self.attempt(password, scene);
        } else if self.kind == Kind::Pop3 && argument(line, "STLS").is_some() {
            self.upgrade_asked = true;
        } else if let Some(mechanism) = argument(line, "AUTH") {
            if self.kind == Kind::Pop3 {
                self.mechanism(mechanism, scene);
            } else {
                self.upgrade_asked = true;
            }
        }
    }

    fn smtp(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        if let Some(mechanism) = argument(line, "AUTH") {
            self.mechanism(mechanism, scene);
        } else if argument(line, "STARTTLS").is_some() {
            self.upgrade_asked = true;
        } else {
            self.mail_asked = argument(line, "DATA").is_some();
        }
    }

    fn imap(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let tag = parts.next().unwrap_or_default();
        let command = parts.next().unwrap_or_default();
        if tag.is_empty() || tag.len() > 64 {
            return;
        }
        if let Some(rest) = argument(command, "LOGIN") {
            let (user, rest) = word(rest);
            self.user = name(user);
            self.tag = tag.to_vec();
            self.attempt(word(rest.trim_ascii_start()).0, scene);
        } else if let Some(mechanism) = argument(command, "AUTHENTICATE") {
            self.tag = tag.to_vec();
            self.mechanism(mechanism, scene);
        } else if argument(command, "STARTTLS").is_some() {
            self.tag = tag.to_vec();
            self.upgrade_asked = true;
        }
    }

    /// `PLAIN`, `LOGIN` or another mechanism, perhaps with the first answer behind it.
    fn mechanism(&mut self, text: &[u8], scene: &mut Scene<'_>) {
        if let Some(answer) = argument(text, "PLAIN") {
            if answer.is_empty() {
                self.awaited = Awaited::Plain;
            } else {
                self.plain(answer, scene);
            }
        } else if let Some(answer) = argument(text, "LOGIN") {
            self.awaited = if answer.is_empty() {
                Awaited::LoginName
            } else {
                self.user = decode(answer).map(|text| name(&text)).unwrap_or_default();
                Awaited::LoginPassword
            };
        } else if !text.is_empty() {
            self.awaited = Awaited::Response;
        }
    }

    /// Authority, name and password, each ended by a zero byte.
    fn plain(&mut self, answer: &[u8], scene: &mut Scene<'_>) {
        let decoded = decode(answer).unwrap_or_default();
        let mut parts = decoded.split(|byte| *byte == 0);
        let user = parts.nth(1).map(name);
        if let Some(password) = parts.next() {
            self.user = user.unwrap_or_default();
            self.attempt(password, scene);
        }
    }

    fn attempt(&mut self, password: &[u8], scene: &mut Scene<'_>) {
        self.settle(None, scene);
        let (_, protocol) = self.kind.words();
        self.attempt = Some(Attempt {
            user: self.user.clone(),
            identity: scene.host.secret_identity(password),
            place: Place {
                protocol,
                ..scene.place
            },
        });
    }

    /// Whether the server agrees to another protocol.
    fn server(&mut self, line: &[u8], scene: &mut Scene<'_>) -> bool {
        match self.kind {
            Kind::Ftp | Kind::Smtp => self.numbered(line, scene),
            Kind::Pop3 => self.worded(line.starts_with(b"+OK"), line.starts_with(b"-ERR"), scene),
            Kind::Imap => {
                let Some(rest) = line
                    .strip_prefix(self.tag.as_slice())
                    .filter(|_| !self.tag.is_empty())
                else {
                    return false;
                };
                let rest = rest.trim_ascii_start();
                let refused = rest.starts_with(b"NO") || rest.starts_with(b"BAD");
                self.worded(rest.starts_with(b"OK"), refused, scene)
            }
        }
    }

    fn numbered(&mut self, line: &[u8], scene: &mut Scene<'_>) -> bool {
        let Some(code) = line.first_chunk::<3>() else {
            return false;
        };
        match code {
            b"230" | b"235" => self.settle(Some(true), scene),
            b"220" | b"234" if self.upgrade_asked => return true,
            b"354" if self.mail_asked => self.awaited = Awaited::Mail,
            [b'4' | b'5', _, _] => {
                self.settle(Some(false), scene);
                self.upgrade_asked = false;
                self.awaited = Awaited::Command;
            }
            _ => {}
        }
        false
    }

    fn worded(&mut self, agreed: bool, refused: bool, scene: &mut Scene<'_>) -> bool {
        if agreed && self.upgrade_asked {
            return true;
        }
        if agreed {
            self.settle(Some(true), scene);
        } else if refused {
            self.settle(Some(false), scene);
            self.upgrade_asked = false;
            self.awaited = Awaited::Command;
        }
        false
    }

    /// Tells the attempt that waits, if one does.
    pub(super) fn settle(&mut self, accepted: Option<bool>, scene: &mut Scene<'_>) {
        let Some(Attempt {
            user,
            identity,
            place,
        }) = self.attempt.take()
        else {
            return;
        };
        let anonymous = self.kind == Kind::Ftp
            && ["anonymous", "ftp"]
                .iter()
                .any(|word| user.eq_ignore_ascii_case(word));
        let rule = if anonymous {
            &rules::FTP_ANONYMOUS
        } else {
            self.kind.rule()
        };
        let (protocol, _) = self.kind.words();
        let message = format!(
            "`{user}` logged in to {} port {} by {protocol} without encryption; anybody on the way reads the password \
             [redacted].",
            place.server.address, place.server.port
        );
        let mut sighting = Sighting::new(rule, place, &user, message).of_secret(identity);
        sighting.accepted = accepted;
        scene.findings.see(sighting);
    }
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    STANDARD
        .decode(text)
        .or_else(|_| STANDARD_NO_PAD.decode(text))
        .ok()
}

/// A word or a quoted text, and what stands behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let (text, end) = match text.strip_prefix(b"\"") {
        Some(rest) => (rest, b'"'),
        None => (text, b' '),
    };
    let mut parts = text.splitn(2, |byte| *byte == end);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}
