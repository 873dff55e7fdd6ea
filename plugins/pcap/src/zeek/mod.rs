//! Zeek's logs, as tables of tabs and as JSON lines: notices and oddities are findings.
//!
//! All other logs (conn, dns, http, ssl, files, …) say what was seen, not what is wrong: each of their
//! lines is left out by name. Zeek knows no severities; [`ZEEK`] says what its notices mean.

mod json;
mod table;

pub(crate) use json::Json;
pub(crate) use table::Table;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Location, NetworkEndpoint, PacketFlow, Severity};
use tamiz_sdk::report::{Record, Session, Stop};
use tamiz_sdk::vocabulary::SeverityTable;

/// Notices by name, else by the module that raises them. Notices of other modules are `medium`: a site
/// chose to be told of them.
pub(crate) const ZEEK: SeverityTable = SeverityTable {
    tool: "zeek",
    words: &[
        ("Heartbleed::SSL_Heartbeat_Attack_Success", Severity::Critical),
        ("Heartbleed", Severity::High),
        ("HTTP::SQL_Injection_Attacker", Severity::High),
        ("HTTP::SQL_Injection_Victim", Severity::High),
        ("Intel", Severity::High),
        ("TeamCymruMalwareHashRegistry", Severity::High),
        ("FTP::Bruteforcing", Severity::Medium),
        ("SSH::Password_Guessing", Severity::Medium),
        ("SSL", Severity::Medium),
        ("Scan", Severity::Medium),
        ("Traceroute", Severity::Low),
        ("Software", Severity::Low),
        ("CaptureLoss", Severity::Info),
        ("PacketFilter", Severity::Info),
        ("Weird", Severity::Info),
        ("weird", Severity::Info),
    ],
};

/// What notices are about, by the beginning of their name.
const WEAKNESSES: [(&str, u32); 9] = [
    ("FTP::Bruteforcing", 307),
    ("HTTP::SQL_Injection", 89),
    ("Heartbleed::", 126),
    ("SSH::Password_Guessing", 307),
    ("SSL::Certificate_Expire", 298),
    ("SSL::Invalid_Server_Cert", 295),
    ("SSL::Old_Version", 327),
    ("SSL::Weak_", 326),
    ("Scan::", 200),
];

const TOOL: &str = "zeek";

/// A log's kind, by its `#path` or by its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    Notice,
    Weird,
    /// What was seen.
    Other,
}

impl Log {
    fn of_path(path: &str) -> Self {
        // A merged or rotated log keeps its kind in front.
        match path.split(['.', '_', '-']).next() {
            Some("notice") => Self::Notice,
            Some("weird") => Self::Weird,
            _ => Self::Other,
        }
    }
}

/// A line of a log, whatever its form.
trait Line {
    /// A field's text; empty when it is unset or missing.
    fn field(&self, name: &str) -> &str;
}

/// Gives a line its end: a finding, or left out, or lost.
fn line(
    log: Log,
    path: &str,
    line: &impl Line,
    session: &mut Session<'_>,
    record: &dyn Record,
) -> Result<(), Stop> {
    match log {
        Log::Notice => notice(line, session, record),
        Log::Weird => weird(line, session, record),
        Log::Other => {
            let why = format!("is of the log `{path}`: what was seen, not what is wrong");
            session.leave_out_record("line-not-a-finding", record, &why);
            Ok(())
        }
    }
}

fn notice(line: &impl Line, session: &mut Session<'_>, record: &dyn Record) -> Result<(), Stop> {
    let note = line.field("note");
    if note.is_empty() {
        session.lose_record("record-without-rule", record, "is a notice without `note`");
        return Ok(());
    }
    let module = note.split("::").next().unwrap_or(note);
    let severity = ZEEK
        .get(note)
        .or_else(|| ZEEK.get(module))
        .unwrap_or(Severity::Medium);
    let (text, sub) = (line.field("msg"), line.field("sub"));
    let message = if sub.is_empty() {
        text.to_owned()
    } else {
        format!("{text}\n{sub}")
    };
    let mut finding = FindingBuilder::new(TOOL, note)
        .title(if text.is_empty() { note } else { text })
        .message(&message)
        .category("security")
        .severity(severity, None);
    if let Some((_, cwe)) = WEAKNESSES.iter().find(|(start, _)| note.starts_with(start)) {
        finding = finding.cwe(*cwe);
    }
    // A notice about a host without a connection has `src`, `dst` and `p`.
    let first = |names: [&str; 2]| {
        names
            .iter()
            .map(|name| line.field(name))
            .find(|text| !text.is_empty())
    };
    let source = first(["id.orig_h", "src"]).unwrap_or_default();
    let destination = first(["id.resp_h", "dst"]).unwrap_or_default();
    let ports = (
        line.field("id.orig_p"),
        first(["id.resp_p", "p"]).unwrap_or_default(),
    );
    finding = flow(
        finding,
        (source, ports.0),
        (destination, ports.1),
        line.field("proto"),
    );
    session.emit(with_time(finding, line), record)
}

fn weird(line: &impl Line, session: &mut Session<'_>, record: &dyn Record) -> Result<(), Stop> {
    let name = line.field("name");
    if name.is_empty() {
        session.lose_record("record-without-rule", record, "is an oddity without `name`");
        return Ok(());
    }
    let addition = line.field("addl");
    let message = if addition.is_empty() {
        format!("Zeek met something odd: {name}.")
    } else {
        format!("Zeek met something odd: {name} ({addition}).")
    };
    let finding = FindingBuilder::new(TOOL, &format!("weird:{name}"))
        .title(&format!("Protocol oddity: {name}"))
        .message(&message)
        .category("anomaly")
        .severity(Severity::Info, None);
    let source = (line.field("id.orig_h"), line.field("id.orig_p"));
    let destination = (line.field("id.resp_h"), line.field("id.resp_p"));
    let finding = flow(finding, source, destination, line.field("source"));
    session.emit(with_time(finding, line), record)
}

fn flow(
    finding: FindingBuilder,
    source: (&str, &str),
    destination: (&str, &str),
    protocol: &str,
) -> FindingBuilder {
    if source.0.is_empty() && destination.0.is_empty() {
        return finding;
    }
    let end = |(host, port): (&str, &str)| NetworkEndpoint {
        host: host.to_owned(),
        port: port.parse().ok(),
        protocol: (!protocol.is_empty()).then(|| protocol.to_ascii_lowercase()),
    };
    finding.location(Location::Flow(PacketFlow {
        source: end(source),
        destination: end(destination),
        packet: None,
    }))
}

fn with_time(finding: FindingBuilder, line: &impl Line) -> FindingBuilder {
    let finding = match line.field("uid") {
        "" => finding,
        uid => finding.extra_text("uid", uid),
    };
    match line.field("ts") {
        "" => finding,
        time => finding.extra_text("time", time),
    }
}
