//! SSL Labs' JSON: a host of its API (2 to 4), or the list of hosts that `ssllabs-scan` writes.
//!
//! A record is an endpoint's grade, a cipher suite that it accepts, an outdated protocol version, and each
//! weakness that its tests, or those of a server's certificate, show. Shape:
//! <https://github.com/ssllabs/ssllabs-scan/blob/master/ssllabs-api-docs-v3.md>.
//!
//! An endpoint that is not `Ready` was not looked at; without one that was, the report is refused.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Text, Texts, Whole};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_text,
};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::ahead::{self, Members};
use crate::endpoint::Endpoint;
use crate::suite::Suite;
use crate::weakness::{self, Weakness, of_protocol};

const TOOL: &str = "ssllabs";

/// Bytes of a number, a word or a grade.
const WORD_BYTES: usize = 256;

/// What the grades mean; docs/severities.md shows it.
pub(crate) const GRADES: SeverityTable = SeverityTable {
    tool: "SSL Labs (grade)",
    words: &[
        ("F", Severity::Critical),
        ("T", Severity::High),
        ("M", Severity::High),
        ("E", Severity::High),
        ("D", Severity::High),
        ("C", Severity::Medium),
        ("B", Severity::Low),
        ("A-", Severity::Info),
        ("A", Severity::Info),
        ("A+", Severity::Info),
    ],
};

pub(crate) struct SslLabs;

#[derive(Deserialize)]
struct Protocol<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
}

#[derive(Deserialize)]
struct Accepted<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default, rename = "cipherStrength")]
    strength: Whole,
    #[serde(default)]
    q: Field<i64>,
}

/// A certificate: of a host, or up to version 2 of an endpoint.
#[derive(Deserialize)]
struct Certificate<'a> {
    #[serde(borrow, default)]
    subject: Text<'a>,
    #[serde(borrow, default, rename = "altNames")]
    names: Texts<'a>,
    #[serde(default)]
    issues: Field<i64>,
    #[serde(default, rename = "revocationStatus")]
    revocation: Field<i64>,
    #[serde(default, rename = "keyKnownDebianInsecure")]
    is_guessable: Field<bool>,
}

/// What the bits of `issues` mean.
const ISSUES: [(i64, &Weakness); 9] = [
    (1, &weakness::UNTRUSTED),
    (2, &weakness::NOT_YET),
    (4, &weakness::EXPIRED),
    (8, &weakness::WRONG_HOST),
    (16, &weakness::REVOKED),
    (64, &weakness::SELF_SIGNED),
    (128, &weakness::DISTRUSTED),
    (256, &weakness::WEAK_SIGNATURE),
    (512, &weakness::WEAK_KEY),
];

#[derive(Default)]
struct Reading {
    hosts: Vec<Members>,
    next_host: usize,
    server: Endpoint,
    contact: bool,
    problem: Option<String>,
}

impl Format for SslLabs {
    fn name(&self) -> &'static str {
        "ssllabs-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["SSL Labs"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let one = [
            "engineVersion",
            "criteriaVersion",
            "endpoints",
            "testTime",
            "isPublic",
        ];
        let many = [
            "[].engineVersion",
            "[].criteriaVersion",
            "[].endpoints",
            "[].testTime",
            "[].isPublic",
        ];
        (head.count(&one) >= 3 || head.count(&many) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let head = source.head();
        let version = head
            .text("engineVersion")
            .or_else(|| head.text("[].engineVersion"));
        session.tool_is(TOOL, version);
        let many = head.shape() == Shape::Array;
        let mut reader = source.json()?;
        let mut reading = Reading {
            hosts: ahead::members_of(&mut reader, "", &["host", "port", "status", "statusMessage"])?,
            ..Reading::default()
        };
        if many {
            objects(&mut reader, session, "", |reader, session, name| {
                reading.host(reader, session, &format!("{name}."))
            })?;
        } else {
            reading.host(&mut reader, session, "")?;
        }
        reader.finish()?;
        if reading.contact {
            session.covered();
            return Ok(());
        }
        let problem = reading
            .problem
            .unwrap_or_else(|| "it names no endpoint".to_owned());
        Err(Stop::Broken(format!(
            "SSL Labs did not reach its target: {problem}"
        )))
    }
}

impl Reading {
    fn host(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        prefix: &str,
    ) -> Result<(), Stop> {
        let known = self.hosts.get(self.next_host);
        self.next_host += 1;
        let text = |key: &str| ahead::text(known.and_then(|members| members.get(key)));
        let host = Endpoint::new(&text("host"), &text("port"));
        if text("status") == "ERROR" {
            let problem = format!("{}: {}", host.shown(), text("statusMessage"));
            self.missed(session, &problem);
        }
        members(reader, session, |reader, session, key, kind| {
            if key == "certs" && kind == Kind::Array {
                self.server = host.clone();
                each(reader, session, &format!("{prefix}{key}"), |session, element| {
                    self.certificate(session, &element)
                })?;
                return Ok(true);
            }
            if key != "endpoints" || kind != Kind::Array {
                return Ok(false);
            }
            objects(
                reader,
                session,
                &format!("{prefix}{key}"),
                |reader, session, name| {
                    self.server = host.clone();
                    self.endpoint(reader, session, name)
                },
            )?;
            Ok(true)
        })
    }

    fn missed(&mut self, session: &mut Session<'_>, problem: &str) {
        session.gap(
            "target-not-scanned",
            &format!("SSL Labs did not reach {problem}"),
            None,
        );
        self.problem.get_or_insert_with(|| problem.to_owned());
    }

    fn endpoint(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        name: &str,
    ) -> Result<(), Stop> {
        let (mut address, mut status) = (String::new(), None);
        let mut seen = false;
        members(reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("ipAddress", Kind::String) => {
                    address = small_text(reader)?.unwrap_or_default();
                    if self.server.host.is_empty() {
                        self.server.host.clone_from(&address);
                    }
                }
                ("statusMessage", Kind::String) => status = small_text(reader)?,
                ("grade", Kind::String) => {
                    seen = true;
                    let (grade, span) = word(reader)?;
                    let place = format!("{name}.grade");
                    self.grade(session, &grade, &Element::named(&place, &[], span))?;
                }
                ("details", Kind::Object) => {
                    seen = true;
                    self.details(reader, session, &format!("{name}.details"))?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        self.contact |= seen;
        match status.filter(|status| status != "Ready") {
            Some(status) => {
                let problem = format!("{} ({address}): {status}", self.server.shown());
                self.missed(session, &problem);
            }
            None if !seen => self.missed(session, &format!("{}: it has no result", self.server.shown())),
            None => {}
        }
        Ok(())
    }

    fn grade(&self, session: &mut Session<'_>, grade: &str, element: &Element<'_>) -> Result<(), Stop> {
        let severity = session.severity(&GRADES, Some(grade), element);
        let why = match grade {
            "T" => ": its certificate is not trusted",
            "M" => ": its certificate is for another name",
            _ => "",
        };
        let mut finding = FindingBuilder::new(TOOL, "grade")
            .title(&format!("grade {grade}"))
            .message(&format!("{} has grade {grade}{why}", self.server.shown()))
            .severity(severity, Some(grade))
            .category("tls");
        if let Some(location) = self.server.location("tcp/tls") {
            finding = finding.location(location);
        }
        session.emit(finding, element)
    }

    fn details(
        &self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        place: &str,
    ) -> Result<(), Stop> {
        members(reader, session, |reader, session, key, kind| {
            let name = format!("{place}.{key}");
            match (key, kind) {
                ("protocols", Kind::Array) => {
                    each(reader, session, &name, |session, element| {
                        self.protocol(session, &element)
                    })?;
                }
                ("cert", Kind::Object) => {
                    if let Located::Whole { bytes, span } = reader.value(RECORD_BYTES)? {
                        self.certificate(session, &Element::named(&name, bytes, span))?;
                    }
                }
                // Version 2 has one list, later ones a list for each protocol version.
                ("suites", Kind::Object) => self.suites(reader, session, &name)?,
                ("suites", Kind::Array) => {
                    objects(reader, session, &name, |reader, session, name| {
                        self.suites(reader, session, name)
                    })?;
                }
                (_, Kind::Word | Kind::Number) => {
                    let (value, span) = word(reader)?;
                    if let Some(weakness) = weakness_of(key, &value) {
                        let element = Element::named(&name, &[], span);
                        session.emit(weakness.finding(TOOL, &self.server, ""), &element)?;
                    }
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn certificate(&self, session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let certificate: Certificate<'_> = match element.read(session, &mut repaired) {
            Ok(certificate) => certificate,
            Err(problem) => {
                let message = format!("{} could not be read: {problem}", element.name());
                session.unread("record-unreadable", &message, Some(element.span));
                return Ok(());
            }
        };
        let fields = [
            ("issues", certificate.issues.is_wrong()),
            ("revocationStatus", certificate.revocation.is_wrong()),
        ];
        element.tell_wrong(session, &fields);
        let issues = certificate.issues.get().copied().unwrap_or_default();
        // The list has the certificates of authorities, too, which are for no host's name.
        let is_server = certificate.names.texts().next().is_some();
        let is_revoked = certificate.revocation.get() == Some(&1);
        for (bit, weakness) in ISSUES {
            let is_set = issues & bit != 0 || is_revoked && bit == 16;
            if is_set && (is_server || bit == 16) {
                session.emit(
                    weakness.finding(TOOL, &self.server, certificate.subject.text()),
                    element,
                )?;
            }
        }
        if certificate.is_guessable.get() == Some(&true) {
            let finding = weakness::DEBIAN_KEY.finding(TOOL, &self.server, certificate.subject.text());
            session.emit(finding, element)?;
        }
        Ok(())
    }

    fn protocol(&self, session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let Some(protocol) = element.read_or_lose::<Protocol<'_>>(session, &mut repaired) else {
            return Ok(());
        };
        match of_protocol(&format!("{}{}", protocol.name.text(), protocol.version.text())) {
            Some(weakness) => session.emit(weakness.finding(TOOL, &self.server, ""), element),
            None => Ok(()),
        }
    }

    fn suites(
        &self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        place: &str,
    ) -> Result<(), Stop> {
        let mut version = String::from("TLS");
        members(reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("protocol", Kind::Number) => version = version_name(&word(reader)?.0),
                ("list", Kind::Array) => {
                    each(reader, session, &format!("{place}.list"), |session, element| {
                        self.suite(session, &element, &version)
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn suite(&self, session: &mut Session<'_>, element: &Element<'_>, version: &str) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let Some(accepted) = element.read_or_lose::<Accepted<'_>>(session, &mut repaired) else {
            return Ok(());
        };
        let fields = [
            ("name", accepted.name.is_wrong()),
            ("cipherStrength", accepted.strength.is_wrong()),
        ];
        element.tell_wrong(session, &fields);
        if accepted.name.text().is_empty() {
            session.lose_record("record-without-rule", element, "names no suite in `name`");
            return Ok(());
        }
        let suite = Suite {
            name: accepted.name.text(),
            version,
            bits: accepted.strength.get().copied(),
            ..Suite::default()
        };
        // Its `q` of 0 is "insecure", of 1 "weak".
        let own = match accepted.q.get() {
            Some(0) => Severity::High,
            Some(1) => Severity::Low,
            _ => Severity::Info,
        };
        session.emit(suite.finding(TOOL, &self.server, own), element)
    }
}

/// A short value as it is written, and where.
fn word(reader: &mut JsonReader<'_>) -> Result<(String, tamiz_sdk::model::Span), Stop> {
    match reader.value(WORD_BYTES)? {
        Located::Whole { bytes, span } => {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            Ok((text.trim().trim_matches('"').to_owned(), span))
        }
        Located::TooLarge { span } | Located::TooDeep { span } => Ok((String::new(), span)),
    }
}

/// The number of a protocol version on the wire.
fn version_name(number: &str) -> String {
    match number {
        "512" | "2" => "SSLv2",
        "768" => "SSLv3",
        "769" => "TLSv1.0",
        "770" => "TLSv1.1",
        "771" => "TLSv1.2",
        "772" => "TLSv1.3",
        _ => "TLS",
    }
    .to_owned()
}

/// What a test's result means.
fn weakness_of(test: &str, result: &str) -> Option<&'static Weakness> {
    match (test, result) {
        ("heartbleed", "true") => Some(&weakness::HEARTBLEED),
        ("poodle", "true") => Some(&weakness::POODLE),
        ("freak", "true") => Some(&weakness::FREAK),
        ("logjam", "true") => Some(&weakness::LOGJAM),
        ("drownVulnerable", "true") => Some(&weakness::DROWN),
        ("vulnBeast", "true") => Some(&weakness::BEAST),
        ("supportsRc4", "true") => Some(&weakness::RC4),
        ("fallbackScsv", "false") => Some(&weakness::FALLBACK),
        ("openSslCcs", "2" | "3") => Some(&weakness::CCS),
        ("openSSLLuckyMinus20", "2") => Some(&weakness::LUCKY_MINUS_20),
        ("ticketbleed", "2") => Some(&weakness::TICKETBLEED),
        ("bleichenbacher", "2") => Some(&weakness::ROBOT_WEAK),
        ("bleichenbacher", "3") => Some(&weakness::ROBOT),
        ("poodleTls", "2") => Some(&weakness::POODLE_TLS),
        ("zombiePoodle", "2" | "3")
        | ("goldenDoodle", "4" | "5")
        | ("zeroLengthPaddingOracle", "6" | "7")
        | ("sleepingPoodle", "10" | "11") => Some(&weakness::PADDING),
        ("compressionMethods", "1") => Some(&weakness::COMPRESSION),
        // The lowest bit: by anybody, and not bound to the connection before.
        ("renegSupport", number) => {
            let insecure = number.parse::<u32>().is_ok_and(|bits| bits & 1 == 1);
            insecure.then_some(&weakness::RENEGOTIATION)
        }
        _ => None,
    }
}
