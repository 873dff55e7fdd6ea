//! testssl.sh's reports (2.8 to 3.2): JSON flat and pretty, and CSV.
//!
//! One entry per check, also for those that are passed: `OK` and `INFO` are findings of severity `info`,
//! so that every entry is one. Shape: <https://github.com/testssl/testssl.sh>, `doc/testssl.1.md`.
//!
//! A dead target has entries too, about the client's own troubles (their `ip` is `/`) and one that is
//! `FATAL`. What comes before the first entry about a target therefore waits, and without such an entry
//! the report is refused.

mod flat;
mod pretty;
mod table;

pub(crate) use flat::Flat;
pub(crate) use pretty::Pretty;
pub(crate) use table::Table;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Severity, Span};
use tamiz_sdk::report::{Record, Session, Stop};
use tamiz_sdk::vocabulary::{self, SeverityTable};

use crate::endpoint::Endpoint;

const TOOL: &str = "testssl";

/// Entries that wait for the first one about a target. A client has a handful of troubles at most.
const WAITING_MAX: usize = 64;

/// What the words mean; docs/severities.md shows it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "testssl.sh",
    words: &[
        ("CRITICAL", Severity::Critical),
        ("HIGH", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
        // Version 2.8, which knew no degrees.
        ("NOT OK", Severity::High),
        ("WARN", Severity::Info),
        ("INFO", Severity::Info),
        ("OK", Severity::Info),
        ("DEBUG", Severity::Info),
    ],
};

/// Words of a check that could not be made.
const UNDONE: [&str; 6] = [
    "check failed",
    "test failed",
    "interrupted",
    "couldn't",
    "timed out",
    "not tested",
];

/// One check, from whatever form.
struct Entry<'a> {
    id: &'a str,
    severity: Option<&'a str>,
    finding: &'a str,
    cve: &'a str,
    cwe: &'a str,
    hint: &'a str,
}

/// A record whose finding waits.
struct Waiting {
    name: String,
    span: Span,
    finding: FindingBuilder,
}

impl Record for Waiting {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn span(&self) -> Span {
        self.span
    }
}

/// What is known so far about whether there was anybody to talk to.
#[derive(Default)]
struct Reading {
    waiting: Vec<Waiting>,
    contact: bool,
    fatal: Option<String>,
}

impl Reading {
    /// Takes one entry. `server` is nothing for one about the client.
    fn take(
        &mut self,
        session: &mut Session<'_>,
        record: &dyn Record,
        server: Option<&Endpoint>,
        entry: &Entry<'_>,
    ) -> Result<(), Stop> {
        if entry.id.is_empty() {
            session.lose_record("record-without-rule", record, "names no check in `id`");
            return Ok(());
        }
        let is = |word: &str| {
            entry
                .severity
                .is_some_and(|said| said.trim().eq_ignore_ascii_case(word))
        };
        if is("FATAL") {
            let why = format!("says that a target was not looked at: {}", entry.finding);
            session.gap_record("target-not-scanned", record, &why);
            self.fatal.get_or_insert_with(|| entry.finding.to_owned());
            return Ok(());
        }
        if is("WARN") {
            let text = entry.finding.to_ascii_lowercase();
            if UNDONE.iter().any(|words| text.contains(words)) {
                let message = format!(
                    "{}: `{}` was not done: {}",
                    record.name(),
                    entry.id,
                    entry.finding
                );
                session.gap("check-not-done", &message, Some(record.span()));
            }
        }
        let finding = entry.finding(session, record, server);
        self.contact |= server.is_some() && !is("WARN");
        if !self.contact && self.waiting.len() < WAITING_MAX {
            self.waiting.push(Waiting {
                name: record.name(),
                span: record.span(),
                finding,
            });
            return Ok(());
        }
        self.tell_waiting(session)?;
        session.emit(finding, record)
    }

    fn tell_waiting(&mut self, session: &mut Session<'_>) -> Result<(), Stop> {
        for mut waiting in std::mem::take(&mut self.waiting) {
            let empty = FindingBuilder::new(TOOL, "none");
            let finding = std::mem::replace(&mut waiting.finding, empty);
            session.emit(finding, &waiting)?;
        }
        Ok(())
    }

    /// The end, however the reading ended: what waits is told, unless there was nobody to talk to.
    fn end(mut self, session: &mut Session<'_>, read: Result<(), Stop>) -> Result<(), Stop> {
        if self.contact {
            self.tell_waiting(session)?;
            session.covered();
            return read;
        }
        for waiting in &self.waiting {
            session.leave_out_record(
                "client-trouble",
                waiting,
                "is about the client, not about a target",
            );
        }
        read?;
        Err(Stop::Broken(match self.fatal {
            Some(problem) => format!("testssl.sh did not reach its target: {problem}"),
            None => "the report has no check of any target, so testssl.sh did not reach one".to_owned(),
        }))
    }
}

impl Entry<'_> {
    fn finding(
        &self,
        session: &mut Session<'_>,
        record: &dyn Record,
        server: Option<&Endpoint>,
    ) -> FindingBuilder {
        let severity = session.severity(&SEVERITIES, self.severity, record);
        let mut finding = FindingBuilder::new(TOOL, self.id)
            .title(&format!("{}: {}", self.id, self.finding))
            .message(self.finding)
            .severity(severity, self.severity)
            .category(category(self.id))
            .remediation(self.hint);
        for number in vocabulary::cwes(self.cwe) {
            finding = finding.cwe(number);
        }
        for id in vocabulary::advisories(self.cve) {
            finding = finding.cve(id);
        }
        match server.and_then(|server| server.location("tcp/tls")) {
            Some(location) => finding.location(location),
            None => finding,
        }
    }
}

/// What part of testssl.sh an entry is of, by its id.
fn category(id: &str) -> &'static str {
    let starts = |start: &str| id.starts_with(start);
    if starts("cert") || starts("OCSP") || starts("DNS_CAA") || starts("certificate") {
        "certificate"
    } else if starts("cipher") || starts("FS") || starts("PFS") || starts("supportedciphers") {
        "cipher-suite"
    } else if starts("SSLv") || starts("TLS1") {
        "protocol"
    } else if starts("HSTS")
        || starts("HPKP")
        || starts("HTTP")
        || starts("security_headers")
        || starts("cookie")
    {
        "http"
    } else if starts("clientsimulation") {
        "client-simulation"
    } else {
        "tls"
    }
}

/// The server of an entry, from `name/address` and a port; nothing when the entry is about the client.
fn server(address: &str, port: &str) -> Option<Endpoint> {
    let address = address.trim();
    let name = address.split('/').next().unwrap_or_default();
    let host = if name.is_empty() {
        address.trim_start_matches('/')
    } else {
        name
    };
    (!host.is_empty()).then(|| Endpoint::new(host, port))
}
