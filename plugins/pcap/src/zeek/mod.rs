//! Zeek's logs, as tables of tabs and as JSON lines.
//!
//! What becomes of a line, by its log:
//!
//! | log | becomes |
//! | --- | --- |
//! | `notice`, `weird`, `intel`, `signatures` | a finding |
//! | `ssl`, `x509`, `ftp`, `http`, `socks`, `snmp`, `ssh`, `kerberos`, `rfb` that show something weak ([`seen`]) | a finding |
//! | `conn` | counts in the session ([`crate::observed`]), and left out by name |
//! | all others, such as `dns`, `files`, `smtp`, `software`, `dpd` | left out by name: what was seen, not what is wrong |
//!
//! Zeek knows no severities; [`ZEEK`] says what its notices mean.

mod json;
mod seen;
mod table;

pub(crate) use json::Json;
pub(crate) use table::Table;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Location, NetworkEndpoint, PacketFlow, Severity};
use tamiz_sdk::report::{Record, Session, Stop};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::observed::LoggedFlow;
use crate::statistics::Amount;
use crate::time;

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
        ("Signatures", Severity::Medium),
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
/// Of one number of a line, so that their sums stay in range.
const COUNT_MAX: u64 = 1 << 40;

/// A log's kind, by its `#path` or by its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    Notice,
    Weird,
    Intel,
    Signatures,
    Conn,
    Ssl,
    X509,
    Ftp,
    Http,
    Socks,
    Snmp,
    Ssh,
    Kerberos,
    Rfb,
    /// What was seen.
    Other,
}

/// Logs by name, and a field or two that only they have, in each line that may be a finding: JSON leaves out
/// what is unset.
const LOGS: [(&str, Log, &[&str]); 14] = [
    ("notice", Log::Notice, &["note", "msg"]),
    ("weird", Log::Weird, &["name", "notice"]),
    ("intel", Log::Intel, &["seen.indicator"]),
    ("signatures", Log::Signatures, &["sig_id"]),
    ("conn", Log::Conn, &["conn_state"]),
    ("ssl", Log::Ssl, &["established"]),
    ("x509", Log::X509, &["certificate.subject"]),
    ("ftp", Log::Ftp, &["command", "password"]),
    ("http", Log::Http, &["request_body_len"]),
    ("socks", Log::Socks, &["request_p", "status"]),
    ("snmp", Log::Snmp, &["get_requests", "version"]),
    ("ssh", Log::Ssh, &["auth_attempts"]),
    ("kerberos", Log::Kerberos, &["request_type"]),
    ("rfb", Log::Rfb, &["authentication_method"]),
];

impl Log {
    fn of_path(path: &str) -> Self {
        let named = |path: &str| {
            let found = LOGS.iter().find(|(name, ..)| *name == path);
            found.map(|(_, log, _)| *log)
        };
        // A merged or rotated log keeps its kind in front; `kerberos_x` would be another log.
        let first = path.split(['.', '-']).next().unwrap_or_default();
        named(first).unwrap_or(Self::Other)
    }

    /// Of lines that do not say which log they are of.
    fn of_fields(has: impl Fn(&str) -> bool) -> (Self, &'static str) {
        let found = LOGS
            .iter()
            .find(|(.., fields)| fields.iter().all(|field| has(field)));
        found.map_or((Self::Other, "unnamed"), |(name, log, _)| (*log, *name))
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
        Log::Intel => intel(line, session, record),
        Log::Signatures => signature(line, session, record),
        _ => {
            if let Some(finding) = seen::finding(log, line, session) {
                let finding = flow(finding, ends(line), line.field("proto"));
                return session.emit(with_time(finding, line), record);
            }
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
    let finding = flow(finding, ends(line), line.field("proto"));
    session.emit(with_time(finding, line), record)
}

/// Somebody on a list of known threats was seen.
fn intel(line: &impl Line, session: &mut Session<'_>, record: &dyn Record) -> Result<(), Stop> {
    let indicator = line.field("seen.indicator");
    if indicator.is_empty() {
        session.lose_record(
            "record-without-rule",
            record,
            "is a sighting without `seen.indicator`",
        );
        return Ok(());
    }
    let kind = line.field("seen.indicator_type").trim_start_matches("Intel::");
    let message = format!(
        "{indicator} ({kind}) was seen in {}; it is on the list {}.",
        line.field("seen.where"),
        line.field("sources")
    );
    let finding = FindingBuilder::new(TOOL, &format!("intel:{}", kind.to_ascii_lowercase()))
        .title(&format!("Known indicator of a threat seen: {indicator}"))
        .message(&message)
        .category("malware")
        .severity(ZEEK.get("Intel").unwrap_or(Severity::High), None);
    let finding = flow(finding, ends(line), line.field("proto"));
    session.emit(with_time(finding, line), record)
}

fn signature(line: &impl Line, session: &mut Session<'_>, record: &dyn Record) -> Result<(), Stop> {
    let id = line.field("sig_id");
    if id.is_empty() {
        session.lose_record("record-without-rule", record, "is a match without `sig_id`");
        return Ok(());
    }
    let text = line.field("event_msg");
    let finding = FindingBuilder::new(TOOL, &format!("signature:{id}"))
        .title(if text.is_empty() { id } else { text })
        .message(text)
        .category("security")
        .severity(ZEEK.get("Signatures").unwrap_or(Severity::Medium), None);
    let finding = flow(finding, ends(line), line.field("proto"));
    session.emit(with_time(finding, line), record)
}

/// Host and port of one end.
type End<'line> = (&'line str, &'line str);

/// Both ends of what a line is about; a line about a host without a connection names it otherwise.
fn ends(line: &impl Line) -> (End<'_>, End<'_>) {
    let first = |names: &[&str]| {
        let mut texts = names.iter().map(|name| line.field(name));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    };
    (
        (
            first(&["id.orig_h", "src", "src_addr"]),
            first(&["id.orig_p", "src_port"]),
        ),
        (
            first(&["id.resp_h", "dst", "dst_addr"]),
            first(&["id.resp_p", "p", "dst_port"]),
        ),
    )
}

/// A line of `conn` as a conversation.
fn conversation(line: &impl Line) -> LoggedFlow<'_> {
    let number = |name: &str| line.field(name).parse::<u64>().unwrap_or(0).min(COUNT_MAX);
    let ((client, client_port), (server, server_port)) = ends(line);
    let on_wire = number("orig_ip_bytes") + number("resp_ip_bytes");
    let begin = time::nanoseconds(line.field("ts"));
    let lasts = time::nanoseconds(line.field("duration")).unwrap_or(0);
    LoggedFlow {
        client: (client, client_port.parse().unwrap_or(0)),
        server: (server, server_port.parse().unwrap_or(0)),
        transport: line.field("proto"),
        protocol: line.field("service"),
        amount: Amount {
            packets: number("orig_pkts") + number("resp_pkts"),
            bytes: if on_wire > 0 {
                on_wire
            } else {
                number("orig_bytes") + number("resp_bytes")
            },
        },
        begin,
        end: begin.map(|begin| begin.saturating_add(lasts)),
    }
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
    let finding = flow(finding, ends(line), line.field("source"));
    session.emit(with_time(finding, line), record)
}

fn flow(
    finding: FindingBuilder,
    (source, destination): (End<'_>, End<'_>),
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
