//! Lines of Zeek's logs about what was seen that show something weak: a finding each.
//!
//! `ssl`: an obsolete version, a weak cipher, a certificate that could not be verified. `x509`: a
//! certificate that had ended, vouches for itself, or has a weak key or signature. `ftp`, `http`, `socks`:
//! credentials. `snmp`: a community. `ssh`: version 1. `kerberos`: weak encryption. `rfb`: no
//! authentication.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::Session;

use super::{Line, Log, TOOL};
use crate::dialogue::obsolete_version;
use crate::rules::{self, Rule};
use crate::time;

const RSA_BITS_MIN: u32 = 2048;

/// The finding that a line is, if it is one.
pub(super) fn finding(log: Log, line: &impl Line, session: &mut Session<'_>) -> Option<FindingBuilder> {
    match log {
        Log::Ssl => ssl(line),
        Log::X509 => x509(line),
        Log::Ftp => ftp(line, session),
        Log::Http => http(line, session),
        Log::Socks => socks(line, session),
        Log::Snmp => snmp(line, session),
        Log::Ssh if line.field("version") == "1" => {
            let message = format!("{} speaks version 1 of SSH.", server(line));
            Some(of(&rules::SSH_OLD, "1", &message))
        }
        Log::Kerberos => kerberos(line),
        Log::Rfb if line.field("authentication_method").eq_ignore_ascii_case("none") => {
            let message = format!("{} lets anybody see and steer its screen.", server(line));
            Some(of(&rules::VNC_OPEN, "", &message))
        }
        _ => None,
    }
}

fn of(rule: &Rule, subject: &str, message: &str) -> FindingBuilder {
    rule.finding(TOOL, subject, message, rule.severity)
}

fn server(line: &impl Line) -> String {
    format!("{} port {}", line.field("id.resp_h"), line.field("id.resp_p"))
}

/// What is wrong with a line, the worst first: each with its rule, what it is about, and words.
struct Problem<'line> {
    rule: &'static Rule,
    subject: &'line str,
    severity: Severity,
    what: String,
}

impl<'line> Problem<'line> {
    fn new(rule: &'static Rule, subject: &'line str, what: String) -> Self {
        let severity = rule.severity;
        Self {
            rule,
            subject,
            severity,
            what,
        }
    }
}

/// One line is one finding, by its first problem; the message has them all.
fn joined(problems: &[Problem<'_>], who: &str) -> Option<FindingBuilder> {
    let first = problems.first()?;
    let what: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
    let message = format!("{who}: {}.", what.join("; "));
    let finding = first.rule.finding(TOOL, first.subject, &message, first.severity);
    let others = problems.iter().skip(1).flat_map(|problem| problem.rule.cwe);
    Some(others.fold(finding, |finding, cwe| finding.cwe(*cwe)))
}

fn ssl(line: &impl Line) -> Option<FindingBuilder> {
    let mut problems = Vec::new();
    if let Some((word, severity)) = obsolete_version(line.field("version")) {
        problems.push(Problem {
            severity,
            ..Problem::new(&rules::TLS_VERSION, word, format!("it agreed to {word}"))
        });
    }
    let cipher = line.field("cipher");
    let weak = ["_RC4_", "_NULL_", "_EXPORT", "_DES_", "_3DES_", "_anon_", "_RC2_"];
    if weak.iter().any(|word| cipher.contains(word)) {
        let what = format!("it chose the cipher suite {cipher}");
        problems.push(Problem::new(&rules::TLS_CIPHER, cipher, what));
    }
    let status = line.field("validation_status");
    if !status.is_empty() && !status.eq_ignore_ascii_case("ok") {
        let rule = if status.contains("expired") {
            &rules::CERTIFICATE_EXPIRED
        } else if status.contains("not yet valid") {
            &rules::CERTIFICATE_EARLY
        } else if status.contains("self") && status.contains("signed") {
            &rules::CERTIFICATE_SELF_SIGNED
        } else {
            &rules::CERTIFICATE_UNTRUSTED
        };
        let what = format!("its certificate could not be verified ({status})");
        problems.push(Problem::new(rule, line.field("subject"), what));
    }
    let who = match line.field("server_name") {
        "" => server(line),
        name => format!("{} (asked for `{name}`)", server(line)),
    };
    joined(&problems, &who)
}

fn x509(line: &impl Line) -> Option<FindingBuilder> {
    let mut problems = Vec::new();
    let subject = line.field("certificate.subject");
    let seen = time::nanoseconds(line.field("ts"));
    let bound = |name: &str| time::nanoseconds(line.field(name)).zip(seen);
    if bound("certificate.not_valid_after").is_some_and(|(end, seen)| seen > end) {
        let what = format!("it ended at {}", line.field("certificate.not_valid_after"));
        problems.push(Problem::new(&rules::CERTIFICATE_EXPIRED, subject, what));
    } else if bound("certificate.not_valid_before").is_some_and(|(begin, seen)| seen < begin) {
        let what = format!("it begins at {}", line.field("certificate.not_valid_before"));
        problems.push(Problem::new(&rules::CERTIFICATE_EARLY, subject, what));
    }
    let is_authority = matches!(line.field("basic_constraints.ca"), "T" | "true");
    let vouches_for_itself = !subject.is_empty() && subject == line.field("certificate.issuer");
    if vouches_for_itself && !is_authority {
        let what = "it vouches for itself".to_owned();
        problems.push(Problem::new(&rules::CERTIFICATE_SELF_SIGNED, subject, what));
    }
    let bits = line
        .field("certificate.key_length")
        .parse()
        .unwrap_or(RSA_BITS_MIN);
    if line.field("certificate.key_alg").starts_with("rsa") && bits < RSA_BITS_MIN {
        let what = format!("its RSA key has {bits} bits");
        problems.push(Problem::new(&rules::CERTIFICATE_KEY, subject, what));
    }
    let algorithm = line.field("certificate.sig_alg");
    let broken = ["md2", "md5", "sha1", "ecdsa-with-SHA1", "dsaWithSHA1"];
    if broken.iter().any(|word| algorithm.starts_with(word)) && !vouches_for_itself {
        let what = format!("it is signed by {algorithm}");
        problems.push(Problem::new(&rules::CERTIFICATE_SIGNATURE, subject, what));
    }
    joined(&problems, &format!("The certificate `{subject}`"))
}

/// What Zeek writes in place of a password that it was told to hide.
fn known_secret(text: &str) -> &str {
    if text.starts_with('<') && text.ends_with('>') {
        ""
    } else {
        text
    }
}

fn ftp(line: &impl Line, session: &mut Session<'_>) -> Option<FindingBuilder> {
    let (user, password) = (line.field("user"), line.field("password"));
    if password.is_empty() || user.is_empty() {
        return None;
    }
    if ["anonymous", "ftp"]
        .iter()
        .any(|word| user.eq_ignore_ascii_case(word))
    {
        let message = format!("{} lets anybody in.", server(line));
        return Some(of(&rules::FTP_ANONYMOUS, user, &message));
    }
    let message = login(user, &server(line), "FTP");
    Some(session.secret(of(&rules::FTP, user, &message), known_secret(password)))
}

fn login(user: &str, server: &str, protocol: &str) -> String {
    format!(
        "`{user}` logged in to {server} by {protocol} without encryption; anybody on the way reads the password [redacted]."
    )
}

fn http(line: &impl Line, session: &mut Session<'_>) -> Option<FindingBuilder> {
    let user = line.field("username");
    if user.is_empty() {
        return None;
    }
    let message = login(user, &server(line), "HTTP Basic");
    Some(session.secret(
        of(&rules::HTTP_BASIC, user, &message),
        known_secret(line.field("password")),
    ))
}

fn socks(line: &impl Line, session: &mut Session<'_>) -> Option<FindingBuilder> {
    let (user, password) = (line.field("user"), line.field("password"));
    if password.is_empty() {
        return None;
    }
    let message = login(user, &server(line), "SOCKS");
    Some(session.secret(of(&rules::SOCKS, user, &message), known_secret(password)))
}

fn snmp(line: &impl Line, session: &mut Session<'_>) -> Option<FindingBuilder> {
    let community = line.field("community");
    if community.is_empty() || line.field("version") == "3" {
        return None;
    }
    let (rule, message) = rules::snmp(community, line.field("id.orig_h"), line.field("id.resp_h"));
    Some(session.secret(of(rule, "", &message), community))
}

fn kerberos(line: &impl Line) -> Option<FindingBuilder> {
    let cipher = line.field("cipher");
    let lower = cipher.to_ascii_lowercase();
    if !(lower.starts_with("rc4") || lower.starts_with("des-") || lower.starts_with("des_")) {
        return None;
    }
    let message = format!(
        "A ticket for `{}` is encrypted by {cipher}.",
        line.field("service")
    );
    Some(of(&rules::KERBEROS_WEAK, cipher, &message))
}
