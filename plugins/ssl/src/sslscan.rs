//! sslscan's XML (1.8 to 2.1).
//!
//! A record is what the server accepts: a cipher suite, an outdated protocol version, and each weakness
//! that the tests show. Versions that are refused, and tests that are passed, are none. Shape:
//! <https://github.com/rbsec/sslscan>, `sslscan.c`.
//!
//! A dead target has an `<error>` and no `<ssltest>`; such a report is refused.

use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Event, Format, Head, Recognition, Record, Session, Source, Stop, XmlRecord, walk};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::endpoint::Endpoint;
use crate::suite::Suite;
use crate::weakness::{self, Weakness, of_protocol};

const TOOL: &str = "sslscan";

/// sslscan's own words for a suite; what its name says can only make it worse.
pub(crate) const STRENGTHS: SeverityTable = SeverityTable {
    tool: "sslscan (strength)",
    words: &[
        ("null", Severity::Critical),
        ("anonymous", Severity::Critical),
        ("weak", Severity::High),
        ("medium", Severity::Medium),
        ("acceptable", Severity::Info),
        ("strong", Severity::Info),
    ],
};

/// Keys of RSA and DSA below this many bits can be broken.
const KEY_BITS_MIN: i64 = 2048;

pub(crate) struct SslScan;

#[derive(Default)]
struct Reading {
    server: Endpoint,
    /// Whether some server spoke TLS.
    contact: bool,
    /// Whether the present server did; nothing before the first.
    answered: Option<bool>,
    error: Option<String>,
}

impl Format for SslScan {
    fn name(&self) -> &'static str {
        "sslscan-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["sslscan"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let title = head.root_attribute("title").unwrap_or_default();
        let named = title.to_ascii_lowercase().contains("sslscan");
        (head.root() == "document" && (named || head.has("document.ssltest"))).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, source.head().root_attribute("version"));
        let details = [
            "protocol",
            "heartbleed",
            "renegotiation",
            "compression",
            "fallback",
            "certificate",
            "error",
        ];
        let mut reading = Reading::default();
        let mut reader = source.xml()?;
        walk(
            &mut reader,
            session,
            &["cipher"],
            &details,
            |session, event| match event {
                Event::Open(element) => {
                    if element.name() == "ssltest" {
                        let attribute = |name| element.attribute(name).unwrap_or_default();
                        reading.server = Endpoint::new(attribute("host"), attribute("port"));
                        reading.answered = Some(false);
                    }
                    Ok(())
                }
                Event::Close(name) => {
                    if name == "ssltest" && reading.answered == Some(false) {
                        let message =
                            format!("{} answered in no version of TLS or SSL", reading.server.shown());
                        session.gap("no-tls", &message, None);
                    }
                    if name == "ssltest" && reading.answered == Some(true) && !reading.server.host.is_empty()
                    {
                        session.target_is(&reading.server.shown());
                    }
                    Ok(())
                }
                Event::Record(record) => reading.record(session, &record),
            },
        )?;
        match reading {
            Reading { contact: true, .. } => {
                session.covered();
                Ok(())
            }
            Reading {
                error: Some(problem), ..
            } => Err(Stop::Broken(format!(
                "sslscan did not reach its target: {problem}"
            ))),
            _ => Err(Stop::Broken(
                "the report has no server that speaks TLS or SSL".to_owned(),
            )),
        }
    }
}

impl Reading {
    fn record(&mut self, session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
        let node = record.node;
        let is = |name: &str, value: &str| node.attribute(name).is_some_and(|said| said == value);
        let version = || node.attribute("sslversion").unwrap_or_default();
        match node.name() {
            "cipher" => self.cipher(session, record),
            "protocol" if is("enabled", "1") => {
                self.answered();
                let attribute = |name| node.attribute(name).unwrap_or_default();
                match of_protocol(&format!("{}{}", attribute("type"), attribute("version"))) {
                    Some(weakness) => self.weak(session, record, weakness, ""),
                    None => Ok(()),
                }
            }
            "heartbleed" if is("vulnerable", "1") => {
                self.weak(session, record, &weakness::HEARTBLEED, version())
            }
            "renegotiation" if is("supported", "1") && is("secure", "0") => {
                self.weak(session, record, &weakness::RENEGOTIATION, "")
            }
            "compression" if is("supported", "1") => {
                self.weak(session, record, &weakness::COMPRESSION, version())
            }
            "fallback" if is("supported", "0") => self.weak(session, record, &weakness::FALLBACK, ""),
            "certificate" => self.certificate(session, record),
            "error" => {
                let text = node.text();
                session.gap(
                    "target-not-scanned",
                    &format!("sslscan says: {text}"),
                    Some(record.span()),
                );
                self.error.get_or_insert_with(|| text.into_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn answered(&mut self) {
        self.contact = true;
        self.answered = Some(true);
    }

    fn weak(
        &self,
        session: &mut Session<'_>,
        record: &XmlRecord<'_>,
        weakness: &Weakness,
        what: &str,
    ) -> Result<(), Stop> {
        session.emit(weakness.finding(TOOL, &self.server, what), record)
    }

    fn cipher(&mut self, session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
        let attribute = |name| record.node.attribute(name).unwrap_or_default();
        // Version 1.8 lists what it tried, too.
        if !matches!(attribute("status"), "accepted" | "preferred" | "") {
            session.leave_out_record("suite-refused", record, "is a suite that the server refuses");
            return Ok(());
        }
        let name = attribute("cipher");
        if name.is_empty() {
            session.lose_record("record-without-rule", record, "names no suite in `cipher`");
            return Ok(());
        }
        self.answered();
        let strength = record.node.attribute("strength");
        let suite = Suite {
            name,
            version: attribute("sslversion"),
            bits: attribute("bits").parse().ok(),
            strength,
            ..Suite::default()
        };
        let own = match strength {
            // Before 2.0 there was none.
            None => Severity::Info,
            Some(_) => session.severity(&STRENGTHS, strength, record),
        };
        session.emit(suite.finding(TOOL, &self.server, own), record)
    }

    /// The short form has what sslscan made of it; the long one, before it, is the certificate's text.
    fn certificate(&self, session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
        let node = record.node;
        let is_true = |name: &str| node.child_text(name).trim() == "true";
        let subject = node.child_text("subject");
        if node.attribute("type") == Some("full") {
            return Ok(());
        }
        if is_true("expired") {
            let what = format!("{subject} was valid until {}", node.child_text("not-valid-after"));
            self.weak(session, record, &weakness::EXPIRED, &what)?;
        }
        if is_true("self-signed") {
            self.weak(session, record, &weakness::SELF_SIGNED, &subject)?;
        }
        let signature = node.child_text("signature-algorithm").to_ascii_lowercase();
        if signature.contains("md5") || signature.contains("sha1") || signature.contains("md2") {
            self.weak(session, record, &weakness::WEAK_SIGNATURE, signature.trim())?;
        }
        let key = node.child("pk");
        let attribute = |name| key.and_then(|key| key.attribute(name)).unwrap_or_default();
        let bits: Option<i64> = attribute("bits").parse().ok();
        if matches!(attribute("type"), "RSA" | "DSA") && bits.is_some_and(|bits| bits < KEY_BITS_MIN) {
            let what = format!("{} with {} bits", attribute("type"), attribute("bits"));
            self.weak(session, record, &weakness::WEAK_KEY, &what)?;
        }
        Ok(())
    }
}
