//! Events about what was seen that show something weak: a finding each, in the words of the rule that the
//! same traffic breaks in a raw capture.
//!
//! `tls`: an obsolete version, a certificate that had ended or vouches for itself. `ftp`: a password, which
//! Suricata hides unless it is told not to. `snmp`: a community. `krb5`: weak encryption. `mqtt`: a
//! password. `pgsql`: a server that asks for a plain password. `ssh`: version 1. `smb`: a negotiation of version 1. `rfb`: no authentication.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Text, Texts, Whole};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::Session;

use super::{Event, TOOL};
use crate::dialogue::obsolete_version;
use crate::rules::{self, Rule};
use crate::time;

#[derive(Deserialize)]
pub(super) struct Tls<'a> {
    #[serde(borrow, default)]
    subject: Text<'a>,
    #[serde(borrow, default)]
    issuerdn: Text<'a>,
    #[serde(borrow, default)]
    sni: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    notafter: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Ftp<'a> {
    #[serde(borrow, default)]
    command: Text<'a>,
    #[serde(borrow, default)]
    command_data: Text<'a>,
    #[serde(borrow, default)]
    completion_code: Texts<'a>,
}

#[derive(Deserialize)]
pub(super) struct Snmp<'a> {
    #[serde(default)]
    version: Whole,
    #[serde(borrow, default)]
    community: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Kerberos<'a> {
    #[serde(borrow, default)]
    sname: Text<'a>,
    #[serde(borrow, default)]
    encryption: Text<'a>,
    #[serde(default)]
    weak_encryption: Field<bool>,
    #[serde(borrow, default)]
    ticket_encryption: Text<'a>,
    #[serde(default)]
    ticket_weak_encryption: Field<bool>,
}

#[derive(Deserialize)]
pub(super) struct Mqtt<'a> {
    #[serde(borrow, default)]
    connect: Field<Object<Connect<'a>>>,
}

#[derive(Deserialize)]
struct Connect<'a> {
    #[serde(default)]
    flags: Field<Object<ConnectFlags>>,
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    password: Text<'a>,
}

#[derive(Deserialize)]
struct ConnectFlags {
    #[serde(default)]
    password: Field<bool>,
}

#[derive(Deserialize)]
pub(super) struct Postgresql<'a> {
    #[serde(borrow, default)]
    response: Field<Object<PostgresqlResponse<'a>>>,
}

#[derive(Deserialize)]
struct PostgresqlResponse<'a> {
    #[serde(borrow, default)]
    message: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Ssh<'a> {
    #[serde(borrow, default)]
    client: Field<Object<SshSide<'a>>>,
    #[serde(borrow, default)]
    server: Field<Object<SshSide<'a>>>,
}

#[derive(Deserialize)]
struct SshSide<'a> {
    #[serde(borrow, default)]
    proto_version: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Smb<'a> {
    #[serde(borrow, default)]
    command: Text<'a>,
    #[serde(borrow, default)]
    dialect: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Rfb {
    #[serde(default)]
    authentication: Field<Object<RfbAuthentication>>,
}

#[derive(Deserialize)]
struct RfbAuthentication {
    #[serde(default)]
    security_type: Whole,
}

/// Security type 1 of RFB: none.
const RFB_OPEN: i64 = 1;

/// The finding that an event is, if it is one.
pub(super) fn finding(event: &Event<'_>, session: &mut Session<'_>) -> Option<FindingBuilder> {
    match event.kind.text() {
        "tls" => tls(event, event.tls.object()?),
        "ftp" => ftp(event, event.ftp.object()?, session),
        "snmp" => snmp(event, event.snmp.object()?, session),
        "krb5" => kerberos(event.krb5.object()?),
        "mqtt" => mqtt(event, event.mqtt.object()?.connect.object()?, session),
        "pgsql" => {
            let asked = event.pgsql.object()?.response.object()?.message.text();
            let message = format!(
                "{} asked for a password and took it without encryption.",
                event.dest_ip.text()
            );
            (asked == "authentication_cleartext_password").then(|| of(&rules::POSTGRESQL, "", &message))
        }
        "ssh" => ssh(event, event.ssh.object()?),
        "smb" => smb(event, event.smb.object()?),
        "rfb" => {
            let kind = event.rfb.object()?.authentication.object()?.security_type.get();
            let message = format!("{} lets anybody see and steer its screen.", event.dest_ip.text());
            (kind == Some(&RFB_OPEN)).then(|| of(&rules::VNC_OPEN, "", &message))
        }
        _ => None,
    }
}

fn of(rule: &Rule, subject: &str, message: &str) -> FindingBuilder {
    rule.finding(TOOL, subject, message, rule.severity)
}

fn tls(event: &Event<'_>, tls: &Tls<'_>) -> Option<FindingBuilder> {
    let mut problems: Vec<(&Rule, &str, Severity, String)> = Vec::new();
    let subject = tls.subject.text();
    let ends = time::nanoseconds(tls.notafter.text());
    if ends
        .zip(time::nanoseconds(event.timestamp.text()))
        .is_some_and(|(end, seen)| seen > end)
    {
        let rule = &rules::CERTIFICATE_EXPIRED;
        problems.push((
            rule,
            subject,
            rule.severity,
            format!("its certificate ended on {}", tls.notafter.text()),
        ));
    }
    if !subject.is_empty() && subject == tls.issuerdn.text() {
        let rule = &rules::CERTIFICATE_SELF_SIGNED;
        problems.push((
            rule,
            subject,
            rule.severity,
            "its certificate vouches for itself".to_owned(),
        ));
    }
    if let Some((word, severity)) = obsolete_version(tls.version.text()) {
        problems.push((
            &rules::TLS_VERSION,
            word,
            severity,
            format!("it agreed to {word}"),
        ));
    }
    let (rule, subject, severity, _) = problems.first()?;
    let what: Vec<&str> = problems.iter().map(|(.., what)| what.as_str()).collect();
    let asked = match tls.sni.text() {
        "" => String::new(),
        name => format!(" (asked for `{name}`)"),
    };
    let port = event.dest_port.get().copied().unwrap_or(0);
    let message = format!(
        "{} port {port}{asked}: {}.",
        event.dest_ip.text(),
        what.join("; ")
    );
    let finding = rule.finding(TOOL, subject, &message, *severity);
    let others = problems.iter().skip(1).flat_map(|(rule, ..)| rule.cwe);
    Some(others.fold(finding, |finding, cwe| finding.cwe(*cwe)))
}

fn ftp(event: &Event<'_>, ftp: &Ftp<'_>, session: &mut Session<'_>) -> Option<FindingBuilder> {
    if !ftp.command.text().eq_ignore_ascii_case("PASS") {
        return None;
    }
    let answer = match ftp.completion_code.texts().next() {
        Some("230") => " The server accepted it.",
        Some(code) if code.starts_with('5') => " The server refused it.",
        _ => "",
    };
    let message = format!(
        "A password [redacted] was sent to {} without encryption.{answer}",
        event.dest_ip.text()
    );
    let finding = of(&rules::FTP, "", &message);
    Some(session.secret(finding, ftp.command_data.text()))
}

fn snmp(event: &Event<'_>, snmp: &Snmp<'_>, session: &mut Session<'_>) -> Option<FindingBuilder> {
    let community = snmp.community.text();
    if community.is_empty() || snmp.version.get().is_some_and(|version| *version >= 3) {
        return None;
    }
    let (rule, message) = rules::snmp(community, event.src_ip.text(), event.dest_ip.text());
    Some(session.secret(of(rule, "", &message), community))
}

fn kerberos(kerberos: &Kerberos<'_>) -> Option<FindingBuilder> {
    let weak = |field: &Field<bool>| field.get() == Some(&true);
    let word = if weak(&kerberos.ticket_weak_encryption) {
        kerberos.ticket_encryption.text()
    } else if weak(&kerberos.weak_encryption) {
        kerberos.encryption.text()
    } else {
        return None;
    };
    let message = format!("A ticket for `{}` is encrypted by {word}.", kerberos.sname.text());
    Some(of(&rules::KERBEROS_WEAK, word, &message))
}

fn mqtt(event: &Event<'_>, connect: &Connect<'_>, session: &mut Session<'_>) -> Option<FindingBuilder> {
    let has_flag = |flags: &ConnectFlags| flags.password.get() == Some(&true);
    let password = connect.password.text();
    if password.is_empty() && !connect.flags.object().is_some_and(has_flag) {
        return None;
    }
    let user = connect.username.text();
    let message = format!(
        "`{user}` logged in to {} by MQTT without encryption; anybody on the way reads the password [redacted].",
        event.dest_ip.text()
    );
    Some(session.secret(of(&rules::MQTT, user, &message), password))
}

fn ssh(event: &Event<'_>, ssh: &Ssh<'_>) -> Option<FindingBuilder> {
    let version = |side: &Field<Object<SshSide<'_>>>| {
        side.object()
            .map(|side| side.proto_version.text().to_owned())
            .unwrap_or_default()
    };
    let (client, server) = (version(&ssh.client), version(&ssh.server));
    // A client of 1.99 takes 2 where it can.
    let spoken = [
        (&server, server.starts_with("1.")),
        (&client, client.starts_with("1.") && client != "1.99"),
    ];
    let (version, _) = spoken.into_iter().find(|(_, is_old)| *is_old)?;
    let message = format!(
        "SSH {version} between {} and {}.",
        event.src_ip.text(),
        event.dest_ip.text()
    );
    Some(of(&rules::SSH_OLD, version, &message))
}

fn smb(event: &Event<'_>, smb: &Smb<'_>) -> Option<FindingBuilder> {
    let dialect = smb.dialect.text();
    let is_old = [
        "NT LM",
        "LM",
        "LANMAN",
        "PC NETWORK",
        "MICROSOFT NETWORKS",
        "XENIX",
        "DOS",
    ];
    let negotiates = smb.command.text().contains("NEGOTIATE");
    if !negotiates
        || !is_old
            .iter()
            .any(|word| dialect.to_ascii_uppercase().starts_with(word))
    {
        return None;
    }
    let message = format!("{} agreed to the dialect {dialect}.", event.dest_ip.text());
    Some(of(&rules::SMB_OLD, dialect, &message))
}
