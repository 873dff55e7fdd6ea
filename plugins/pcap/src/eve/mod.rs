//! Suricata's EVE log: one JSON object per line.
//!
//! What becomes of an event, by its `event_type`:
//!
//! | event | becomes |
//! | --- | --- |
//! | `alert`, `drop` with an `alert` | a finding in its signature's words |
//! | `anomaly` | a finding of severity `info` |
//! | `tls`, `ftp`, `snmp`, `krb5`, `mqtt`, `pgsql`, `ssh`, `smb`, `rfb` that show something weak ([`seen`]) | a finding |
//! | `flow`, `netflow`, `stats` | counts in the session ([`crate::observed`]), and left out by name |
//! | all others, such as `dns`, `http`, `smtp`, `fileinfo` | left out by name: what was seen, not what is wrong |
//!
//! Payloads, which Suricata can be told to log, are not kept, for they may hold secrets.

mod seen;
mod traffic;

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Members, Object, Text, Texts, Whole};
use tamiz_sdk::model::{Location, NetworkEndpoint, PacketFlow, Severity, UrlLocation};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};
use tamiz_sdk::vocabulary::{self, SeverityTable};

use crate::observed::completeness;
use traffic::Traffic;

/// Suricata's priorities; 1 is the worst.
pub(crate) const SURICATA: SeverityTable = SeverityTable {
    tool: "suricata",
    words: &[
        ("1", Severity::High),
        ("2", Severity::Medium),
        ("3", Severity::Low),
        ("4", Severity::Info),
        ("255", Severity::Info),
    ],
};

const TOOL: &str = "suricata";

/// The format.
pub(crate) struct Eve;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "event_type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    src_ip: Text<'a>,
    #[serde(default)]
    src_port: Whole,
    #[serde(borrow, default)]
    dest_ip: Text<'a>,
    #[serde(default)]
    dest_port: Whole,
    #[serde(borrow, default)]
    proto: Text<'a>,
    #[serde(borrow, default)]
    app_proto: Text<'a>,
    #[serde(default)]
    pcap_cnt: Whole,
    #[serde(borrow, default)]
    timestamp: Text<'a>,
    #[serde(borrow, default)]
    alert: Field<Object<Alert<'a>>>,
    #[serde(borrow, default)]
    anomaly: Field<Object<Anomaly<'a>>>,
    #[serde(borrow, default)]
    http: Field<Object<Http<'a>>>,
    #[serde(borrow, default)]
    tls: Field<Object<seen::Tls<'a>>>,
    #[serde(borrow, default)]
    ftp: Field<Object<seen::Ftp<'a>>>,
    #[serde(borrow, default)]
    snmp: Field<Object<seen::Snmp<'a>>>,
    #[serde(borrow, default)]
    krb5: Field<Object<seen::Kerberos<'a>>>,
    #[serde(borrow, default)]
    mqtt: Field<Object<seen::Mqtt<'a>>>,
    #[serde(borrow, default)]
    pgsql: Field<Object<seen::Postgresql<'a>>>,
    #[serde(borrow, default)]
    ssh: Field<Object<seen::Ssh<'a>>>,
    #[serde(borrow, default)]
    smb: Field<Object<seen::Smb<'a>>>,
    #[serde(default)]
    rfb: Field<Object<seen::Rfb>>,
    #[serde(borrow, default)]
    flow: Field<Object<traffic::Flow<'a>>>,
    #[serde(borrow, default)]
    netflow: Field<Object<traffic::Flow<'a>>>,
    #[serde(default)]
    stats: Field<Object<traffic::Stats>>,
}

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow, default)]
    action: Text<'a>,
    #[serde(default)]
    gid: Whole,
    #[serde(default)]
    signature_id: Whole,
    #[serde(default)]
    rev: Whole,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    category: Text<'a>,
    #[serde(default)]
    severity: Whole,
    #[serde(borrow, default)]
    metadata: Field<Members<Texts<'a>>>,
    #[serde(borrow, default)]
    references: Texts<'a>,
}

#[derive(Deserialize)]
struct Anomaly<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    event: Text<'a>,
    #[serde(borrow, default)]
    layer: Text<'a>,
}

#[derive(Deserialize)]
struct Http<'a> {
    #[serde(borrow, default)]
    hostname: Text<'a>,
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default, rename = "http_method")]
    method: Text<'a>,
}

impl Format for Eve {
    fn name(&self) -> &'static str {
        "suricata-eve"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["suricata"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let has = |prefix: &str| {
            let path = |key: &str| head.has(&format!("{prefix}{key}"));
            path("event_type") && (path("timestamp") || path("flow_id") || path("src_ip"))
        };
        (has("") || has("[].")).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let name = source.name();
        let mut traffic = Traffic::default();
        let read = json_lines(source, session, |session, element| {
            let mut repaired = Vec::new();
            let Some(event) = element.read_or_lose::<Event<'_>>(session, &mut repaired) else {
                return Ok(());
            };
            traffic.take(&event);
            one(&event, session, &element)
        });
        traffic.finish(&name, completeness(&read, session), session);
        read
    }
}

/// Gives an event its end.
fn one(event: &Event<'_>, session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    match event.kind.text() {
        "alert" => alert(event, session, element),
        "drop" if event.alert.object().is_some() => alert(event, session, element),
        "anomaly" => anomaly(event, session, element),
        "" => {
            session.lose_record("record-without-type", element, "names no `event_type`");
            Ok(())
        }
        other => {
            if let Some(finding) = seen::finding(event, session) {
                return session.emit(places(finding, event), element);
            }
            let why = format!("is a `{other}` event: what was seen, not what is wrong");
            session.leave_out_record("event-not-a-finding", element, &why);
            Ok(())
        }
    }
}

fn alert(event: &Event<'_>, session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let Some((alert, id)) = event
        .alert
        .object()
        .and_then(|alert| Some((alert, *alert.signature_id.get()?)))
    else {
        session.lose_record(
            "record-without-rule",
            element,
            "is an alert without `alert.signature_id`",
        );
        return Ok(());
    };
    let wrong = [
        ("alert.signature", alert.signature.is_wrong()),
        ("alert.severity", alert.severity.is_wrong()),
        ("alert.metadata", alert.metadata.is_wrong()),
        ("src_ip", event.src_ip.is_wrong()),
        ("dest_ip", event.dest_ip.is_wrong()),
    ];
    element.tell_wrong(session, &wrong);
    let raw = alert.severity.get().map(i64::to_string);
    let severity = session.severity(&SURICATA, raw.as_deref(), element);
    let gid = alert.gid.get().copied().unwrap_or(1);
    let signature = alert.signature.text();
    let message = match alert.category.text() {
        "" => format!("{signature}."),
        category => format!("{signature}. {category}."),
    };
    let mut finding = FindingBuilder::new(TOOL, &format!("{gid}:{id}"))
        .rule_name(signature)
        .title(signature)
        .message(&message)
        .category(alert.category.text())
        .severity(severity, raw.as_deref());
    for (key, values) in alert.metadata.members() {
        finding = metadata(finding, key, values);
    }
    for reference in alert.references.texts() {
        finding = finding.reference(reference);
        for id in vocabulary::advisories(reference) {
            finding = finding.cve(id);
        }
    }
    if let Some(revision) = alert.rev.get() {
        finding = finding.extra_json("revision", &revision.to_string());
    }
    if !alert.action.text().is_empty() {
        finding = finding.extra_text("action", alert.action.text());
    }
    session.emit(places(finding, event), element)
}

/// What a rule's author says about it: `cwe`, `cve`, `confidence`, `mitre_technique_id`.
fn metadata(mut finding: FindingBuilder, key: &str, values: &Texts<'_>) -> FindingBuilder {
    for value in values.texts() {
        finding = match key {
            "cwe" => {
                // The rule language has no dash in some places: CWE_89.
                let value = value.replace('_', "-");
                vocabulary::cwes(&value).fold(finding, FindingBuilder::cwe)
            }
            "cve" => {
                let value = value.replace('_', "-");
                vocabulary::advisories(&value).fold(finding, FindingBuilder::cve)
            }
            "confidence" => finding
                .confidence(vocabulary::confidence(value).unwrap_or(tamiz_sdk::model::Confidence::Unknown)),
            "mitre_technique_id" => finding.tag(&format!("mitre:{value}")),
            _ => finding,
        };
    }
    finding
}

fn anomaly(event: &Event<'_>, session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let anomaly = event.anomaly.object();
    let name = anomaly.map_or("", |anomaly| anomaly.event.text());
    if name.is_empty() {
        session.lose_record(
            "record-without-rule",
            element,
            "is an anomaly without `anomaly.event`",
        );
        return Ok(());
    }
    let part = |text: fn(&Anomaly<'_>) -> String| anomaly.map(text).unwrap_or_default();
    let message = format!(
        "Suricata met something that is not as the protocol wants it: {name} ({}, {}).",
        part(|anomaly| anomaly.kind.text().to_owned()),
        part(|anomaly| anomaly.layer.text().to_owned()),
    );
    let finding = FindingBuilder::new(TOOL, &format!("anomaly:{name}"))
        .title(&format!("Protocol anomaly: {name}"))
        .message(&message)
        .category("anomaly")
        .severity(Severity::Info, None);
    session.emit(places(finding, event), element)
}

/// The conversation, and for HTTP the address without what may hold a secret.
fn places(mut finding: FindingBuilder, event: &Event<'_>) -> FindingBuilder {
    let transport = event.proto.text().to_ascii_lowercase();
    let protocol = match event.app_proto.text() {
        "" | "failed" | "unknown" => transport,
        app => format!("{transport}/{app}"),
    };
    let end = |host: &str, port: &Whole| NetworkEndpoint {
        host: host.to_owned(),
        port: port.get().and_then(|port| u32::try_from(*port).ok()),
        protocol: (!protocol.is_empty()).then(|| protocol.clone()),
    };
    if !event.src_ip.text().is_empty() || !event.dest_ip.text().is_empty() {
        finding = finding.location(Location::Flow(PacketFlow {
            source: end(event.src_ip.text(), &event.src_port),
            destination: end(event.dest_ip.text(), &event.dest_port),
            packet: event.pcap_cnt.get().and_then(|count| u32::try_from(*count).ok()),
        }));
    }
    if let Some(http) = event.http.object()
        && !http.url.text().is_empty()
    {
        let path = http.url.text().split(['?', '#']).next().unwrap_or_default();
        finding = finding.location(Location::Url(UrlLocation {
            url: format!("http://{}{path}", http.hostname.text()),
            method: http.method.get().map(ToString::to_string),
            parameter: None,
            evidence: None,
        }));
    }
    if event.timestamp.text().is_empty() {
        finding
    } else {
        finding.extra_text("time", event.timestamp.text())
    }
}
