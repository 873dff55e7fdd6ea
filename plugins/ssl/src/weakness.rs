//! What tools test for by name, judged once for all of them.
//!
//! sslscan and sslyze say that a server has a weakness, not how bad it is; the words are ours, and they
//! agree with those of testssl.sh, which does say it.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::Severity;
use tamiz_sdk::vocabulary::SeverityTable;

use crate::endpoint::Endpoint;

/// A weakness that a tool tests for.
pub(crate) struct Weakness {
    pub(crate) rule: &'static str,
    pub(crate) title: &'static str,
    pub(crate) severity: Severity,
    pub(crate) cwe: &'static [u32],
    pub(crate) cve: &'static [&'static str],
    pub(crate) remediation: &'static str,
}

macro_rules! weaknesses {
    ($($name:ident: $rule:literal, $title:literal, $severity:ident, $cwe:expr, $cve:expr, $remediation:literal;)*) => {
        $(pub(crate) const $name: Weakness = Weakness {
            rule: $rule,
            title: $title,
            severity: Severity::$severity,
            cwe: &$cwe,
            cve: &$cve,
            remediation: $remediation,
        };)*

        /// What the names mean; docs/severities.md shows it.
        pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
            tool: "sslscan, sslyze, SSL Labs (tests)",
            words: &[$(($rule, Severity::$severity),)*],
        };
    };
}

weaknesses! {
    SSL2: "protocol-ssl2", "SSL 2 is offered", Critical, [326, 327], ["CVE-2016-0800"], "turn SSL 2 off";
    SSL3: "protocol-ssl3", "SSL 3 is offered", High, [326, 327], ["CVE-2014-3566"], "turn SSL 3 off";
    TLS10: "protocol-tls1.0", "TLS 1.0 is offered", Low, [326, 327], [], "offer TLS 1.2 and 1.3 only";
    TLS11: "protocol-tls1.1", "TLS 1.1 is offered", Low, [326, 327], [], "offer TLS 1.2 and 1.3 only";
    HEARTBLEED: "heartbleed", "vulnerable to Heartbleed", Critical, [125], ["CVE-2014-0160"],
        "update OpenSSL, then replace keys and certificates";
    CCS: "ccs-injection", "vulnerable to OpenSSL's CCS injection", High, [326], ["CVE-2014-0224"], "update OpenSSL";
    ROBOT: "robot", "vulnerable to ROBOT with a strong oracle", High, [203], ["CVE-2017-13099"],
        "turn RSA key exchange off, or update the TLS library";
    ROBOT_WEAK: "robot-weak", "vulnerable to ROBOT with a weak oracle", Medium, [203], ["CVE-2017-13099"],
        "turn RSA key exchange off, or update the TLS library";
    COMPRESSION: "compression", "TLS compression is offered (CRIME)", Medium, [310], ["CVE-2012-4929"],
        "turn TLS compression off";
    FALLBACK: "no-fallback-scsv", "downgrades are not prevented by TLS_FALLBACK_SCSV", Low, [757], [],
        "update the TLS library";
    RENEGOTIATION: "insecure-renegotiation", "renegotiation is not secure", Medium, [295], ["CVE-2009-3555"],
        "update the TLS library, or turn renegotiation off";
    RENEGOTIATION_DOS: "client-renegotiation", "clients may renegotiate as often as they like", Medium, [400],
        ["CVE-2011-1473"], "turn renegotiation by clients off";
    EARLY_DATA: "early-data", "TLS 1.3 early data is accepted, which can be replayed", Low, [294], [],
        "turn early data off, or allow it for requests without effects only";
    POODLE: "poodle", "vulnerable to POODLE", High, [310], ["CVE-2014-3566"], "turn SSL 3 off";
    POODLE_TLS: "poodle-tls", "vulnerable to POODLE over TLS", High, [310], ["CVE-2014-8730"], "update the TLS library";
    PADDING: "padding-oracle", "has a CBC padding oracle", High, [203], [], "update the TLS library";
    LUCKY_MINUS_20: "lucky-minus-20", "has OpenSSL's padding oracle", High, [203], ["CVE-2016-2107"], "update OpenSSL";
    TICKETBLEED: "ticketbleed", "vulnerable to Ticketbleed", High, [200], ["CVE-2016-9244"], "update the appliance";
    FREAK: "freak", "vulnerable to FREAK", High, [326], ["CVE-2015-0204"], "turn export suites off";
    LOGJAM: "logjam", "vulnerable to Logjam", High, [326], ["CVE-2015-4000"], "use groups of 2048 bits, or ECDHE";
    DROWN: "drown", "vulnerable to DROWN", Critical, [310], ["CVE-2016-0800"],
        "turn SSL 2 off wherever the key is used";
    BEAST: "beast", "BEAST is not prevented by the server", Low, [326], ["CVE-2011-3389"], "offer TLS 1.2 and 1.3 only";
    RC4: "rc4", "RC4 is offered", High, [327], ["CVE-2013-2566", "CVE-2015-2808"], "turn RC4 off";
    EXPIRED: "certificate-expired", "the certificate is expired", High, [298], [], "renew the certificate";
    NOT_YET: "certificate-not-yet-valid", "the certificate is not valid yet", High, [298], [],
        "use a certificate that is valid, or set the clock";
    SELF_SIGNED: "certificate-self-signed", "the certificate is signed by itself", Medium, [295], [],
        "use a certificate that clients trust";
    UNTRUSTED: "certificate-untrusted", "the certificate is not trusted", High, [295], [],
        "use a certificate that clients trust, with its whole chain";
    WRONG_HOST: "certificate-wrong-host", "the certificate is for another host", High, [297], [],
        "use a certificate with the host's name";
    WEAK_KEY: "certificate-weak-key", "the certificate's key is short", Medium, [326], [],
        "use RSA of 2048 bits or more, or an elliptic curve";
    WEAK_SIGNATURE: "certificate-weak-signature", "the certificate is signed with a broken hash", Medium, [328], [],
        "use a certificate that is signed with SHA-256";
    REVOKED: "certificate-revoked", "the certificate is revoked", Critical, [299], [],
        "use another certificate, with another key";
    DISTRUSTED: "certificate-distrusted", "the certificate is on a list of bad ones", High, [295], [],
        "use a certificate that clients trust";
    DEBIAN_KEY: "certificate-guessable-key", "the certificate's key is one of Debian's guessable ones", Critical, [338],
        ["CVE-2008-0166"], "make a new key and a new certificate";
    WRONG_ORDER: "certificate-chain-order", "the certificates are in the wrong order", Low, [295], [],
        "put the server's certificate first, then each one's issuer";
}

impl Weakness {
    /// A finding about a server.
    pub(crate) fn finding(&self, tool: &str, server: &Endpoint, what: &str) -> FindingBuilder {
        let mut message = format!("{}: {}", server.shown(), self.title);
        if !what.is_empty() {
            message.push_str(": ");
            message.push_str(what);
        }
        let mut finding = FindingBuilder::new(tool, self.rule)
            .title(self.title)
            .message(&message)
            .severity(self.severity, None)
            .category(category(self.rule))
            .remediation(self.remediation);
        for number in self.cwe {
            finding = finding.cwe(*number);
        }
        for id in self.cve {
            finding = finding.cve(id);
        }
        match server.location("tcp/tls") {
            Some(location) => finding.location(location),
            None => finding,
        }
    }
}

fn category(rule: &str) -> &'static str {
    match rule.split('-').next() {
        Some("certificate") => "certificate",
        Some("protocol") => "protocol",
        _ => "tls",
    }
}

/// What it means that a protocol version is offered: nothing for a good one, or an unknown word.
///
/// Versions are written `TLSv1.0`, `tls1.0`, `TLS_1_0`, `TLS 1.0`, `tls_1_0_cipher_suites`.
pub(crate) fn of_protocol(version: &str) -> Option<&'static Weakness> {
    match version_word(version).as_str() {
        "ssl2" | "ssl20" => Some(&SSL2),
        "ssl3" | "ssl30" => Some(&SSL3),
        "tls1" | "tls10" => Some(&TLS10),
        "tls11" => Some(&TLS11),
        _ => None,
    }
}

fn version_word(version: &str) -> String {
    let version = version.strip_suffix("_cipher_suites").unwrap_or(version);
    let known = version.chars().filter(char::is_ascii_alphanumeric);
    let word: String = known.map(|character| character.to_ascii_lowercase()).collect();
    word.replace('v', "")
}

#[cfg(test)]
mod tests {
    use super::of_protocol;

    #[test]
    fn versions_are_known_in_every_spelling() {
        for (text, rule) in [
            ("SSLv2", Some("protocol-ssl2")),
            ("ssl_3_0_cipher_suites", Some("protocol-ssl3")),
            ("TLSv1.0", Some("protocol-tls1.0")),
            ("TLS 1.0", Some("protocol-tls1.0")),
            ("TLS_1_1", Some("protocol-tls1.1")),
            ("tls1.2", None),
            ("", None),
        ] {
            assert_eq!(of_protocol(text).map(|weakness| weakness.rule), rule, "{text}");
        }
    }
}
