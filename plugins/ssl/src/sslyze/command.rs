//! One command's results: what it says of one server.

use serde::Deserialize;
use tamiz_sdk::json::Located;
use tamiz_sdk::json::lenient::{Field, Object, Text, Whole};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::{Severity, Span};
use tamiz_sdk::report::{Element, Session, Stop, each, members, small_object, small_text, span_since};

use super::TOOL;
use super::certificate::{self, Expiries};
use crate::endpoint::Endpoint;
use crate::suite::Suite;
use crate::weakness::{self, Weakness, of_protocol};

/// Bytes of `true`, or of a word.
const WORD_BYTES: usize = 256;

/// A command, such as `heartbleed` or `tls_1_0_cipher_suites`; up to version 2 `tlsv1`.
pub(super) struct Command<'a> {
    name: &'a str,
    place: &'a str,
    server: &'a Endpoint,
    expiries: &'a mut Expiries,
    /// Where suites were accepted without a word on the protocol version.
    accepted: Option<Span>,
    protocol_told: bool,
    failed: bool,
    reason: String,
}

#[derive(Deserialize)]
struct Accepted<'a> {
    #[serde(borrow, default)]
    cipher_suite: Field<Object<CipherSuite<'a>>>,
}

/// Up to version 2 the suite stands in the list itself.
#[derive(Deserialize)]
struct CipherSuite<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    openssl_name: Text<'a>,
    #[serde(default)]
    key_size: Whole,
    #[serde(default)]
    is_anonymous: Field<bool>,
}

impl<'a> Command<'a> {
    pub(super) fn new(
        name: &'a str,
        place: &'a str,
        server: &'a Endpoint,
        expiries: &'a mut Expiries,
    ) -> Self {
        Self {
            name,
            place,
            server,
            expiries,
            accepted: None,
            protocol_told: false,
            failed: false,
            reason: String::new(),
        }
    }

    /// Reads the command, with the results in it (1 to 4) or in its `result` (5 and later).
    pub(super) fn read(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
    ) -> Result<(), Stop> {
        // Up to version 2 the only chain is told beside what is said of it.
        if self.name == "certinfo" {
            return self.certificate(reader, session);
        }
        members(reader, session, |reader, session, key, kind| match (key, kind) {
            ("result", Kind::Object) => {
                members(reader, session, |reader, session, key, kind| {
                    self.member(reader, session, key, kind)
                })?;
                Ok(true)
            }
            ("status", Kind::String) => {
                self.failed = small_text(reader)?.is_some_and(|status| status == "ERROR");
                Ok(true)
            }
            ("error_reason" | "error_message", Kind::String) => {
                // Version 2 has no status: what failed has only this.
                self.failed |= key == "error_message";
                self.reason = small_text(reader)?.unwrap_or_default();
                Ok(true)
            }
            _ => self.member(reader, session, key, kind),
        })
    }

    /// What only shows at the end of the command.
    pub(super) fn end(&mut self, session: &mut Session<'_>) -> Result<(), Stop> {
        if self.failed {
            let message = format!("{}: the command failed: {}", self.place, self.reason);
            session.gap("check-not-done", &message, None);
        }
        match (self.accepted, of_protocol(self.name)) {
            (Some(span), Some(weakness)) if !self.protocol_told => {
                let element = Element::named(self.place, &[], span);
                session.emit(weakness.finding(TOOL, self.server, ""), &element)
            }
            _ => Ok(()),
        }
    }

    fn member(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        key: &str,
        kind: Kind,
    ) -> Result<bool, Stop> {
        match (key, kind) {
            ("accepted_cipher_suites" | "accepted_cipher_list", Kind::Array) => {
                self.suites(reader, session, key)?;
            }
            ("certificate_deployments", Kind::Array) => {
                let array = format!("{}.{key}", self.place);
                each(reader, session, &array, |session, element| {
                    certificate::deployment(session, &element, self.server, self.expiries)
                })?;
            }
            ("session_renegotiation" | "tls_compression", Kind::Object) => {
                // A name of a command is none of a result; older than version 2.
                small_object::<serde_json::Value>(reader)?;
            }
            (_, Kind::Word | Kind::String) => self.word(reader, session, key)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn certificate(&mut self, reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        match reader.value(RECORD_BYTES)? {
            Located::Whole { bytes, span } => {
                let element = Element::named(self.place, bytes, span);
                certificate::deployment(session, &element, self.server, self.expiries)
            }
            Located::TooLarge { span } | Located::TooDeep { span } => {
                let message = format!("{} could not be read: it is too large or too deep", self.place);
                session.unread("record-unreadable", &message, Some(span));
                Ok(())
            }
        }
    }

    fn suites(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        key: &str,
    ) -> Result<(), Stop> {
        let start = reader.offset();
        let array = format!("{}.{key}", self.place);
        let mut count = 0_u32;
        let version = version_name(self.name);
        each(reader, session, &array, |session, element| {
            count = count.saturating_add(1);
            if key == "accepted_cipher_list" {
                let mut repaired = Vec::new();
                return match element.read_or_lose::<CipherSuite<'_>>(session, &mut repaired) {
                    Some(cipher) => suite(session, &element, &cipher, &version, self.server),
                    None => Ok(()),
                };
            }
            accepted(session, &element, &version, self.server)
        })?;
        if count > 0 {
            self.accepted = Some(span_since(reader, start));
        }
        Ok(())
    }

    /// A result that is one word.
    fn word(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        key: &str,
    ) -> Result<(), Stop> {
        let (word, span) = match reader.value(WORD_BYTES)? {
            Located::Whole { bytes, span } => {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                (text.trim().trim_matches('"').to_owned(), span)
            }
            Located::TooLarge { .. } | Located::TooDeep { .. } => return Ok(()),
        };
        let Some(weakness) = self.weakness(key, &word) else {
            return Ok(());
        };
        let place = format!("{}.{key}", self.place);
        let element = Element::named(&place, &[], span);
        session.emit(weakness.finding(TOOL, self.server, ""), &element)
    }

    fn weakness(&mut self, key: &str, word: &str) -> Option<&'static Weakness> {
        match (key, word) {
            ("is_tls_version_supported", "true") => {
                self.protocol_told = true;
                of_protocol(self.name)
            }
            ("is_vulnerable_to_heartbleed", "true") => Some(&weakness::HEARTBLEED),
            ("is_vulnerable_to_ccs_injection", "true") => Some(&weakness::CCS),
            ("robot_result" | "robot_result_enum", "VULNERABLE_STRONG_ORACLE") => Some(&weakness::ROBOT),
            ("robot_result" | "robot_result_enum", "VULNERABLE_WEAK_ORACLE") => Some(&weakness::ROBOT_WEAK),
            ("supports_compression", "true") => Some(&weakness::COMPRESSION),
            ("supports_fallback_scsv", "false") => Some(&weakness::FALLBACK),
            ("supports_secure_renegotiation", "false") => Some(&weakness::RENEGOTIATION),
            ("is_vulnerable_to_client_renegotiation_dos" | "accepts_client_renegotiation", "true") => {
                Some(&weakness::RENEGOTIATION_DOS)
            }
            ("supports_early_data" | "is_early_data_supported", "true") => Some(&weakness::EARLY_DATA),
            ("compression_name", name) if !matches!(name, "" | "null") => Some(&weakness::COMPRESSION),
            _ => None,
        }
    }
}

/// `tls_1_2_cipher_suites`, up to version 2 `tlsv1_2`, as `TLS_1_2`.
fn version_name(command: &str) -> String {
    match command {
        "sslv2" => "SSL_2_0".to_owned(),
        "sslv3" => "SSL_3_0".to_owned(),
        "tlsv1" => "TLS_1_0".to_owned(),
        "tlsv1_1" => "TLS_1_1".to_owned(),
        "tlsv1_2" => "TLS_1_2".to_owned(),
        "tlsv1_3" => "TLS_1_3".to_owned(),
        other => other
            .strip_suffix("_cipher_suites")
            .unwrap_or(other)
            .to_ascii_uppercase(),
    }
}

fn accepted(
    session: &mut Session<'_>,
    element: &Element<'_>,
    version: &str,
    server: &Endpoint,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(accepted) = element.read_or_lose::<Accepted<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let Some(cipher) = accepted.cipher_suite.object() else {
        session.lose_record("record-unreadable", element, "has no `cipher_suite`");
        return Ok(());
    };
    suite(session, element, cipher, version, server)
}

fn suite(
    session: &mut Session<'_>,
    element: &Element<'_>,
    cipher: &CipherSuite<'_>,
    version: &str,
    server: &Endpoint,
) -> Result<(), Stop> {
    let fields = [
        ("name", cipher.name.is_wrong()),
        ("key_size", cipher.key_size.is_wrong()),
        ("is_anonymous", cipher.is_anonymous.is_wrong()),
    ];
    element.tell_wrong(session, &fields);
    let name = match cipher.name.text() {
        "" => cipher.openssl_name.text(),
        name => name,
    };
    if name.is_empty() {
        session.lose_record("record-without-rule", element, "names no suite in `name`");
        return Ok(());
    }
    let suite = Suite {
        name,
        version,
        bits: cipher.key_size.get().copied(),
        anonymous: cipher.is_anonymous.get().copied().unwrap_or(false),
        ..Suite::default()
    };
    session.emit(suite.finding(TOOL, server, Severity::Info), element)
}
