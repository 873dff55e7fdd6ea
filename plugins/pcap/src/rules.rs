//! What is looked for in a capture: one rule per kind of finding, with the words that do not depend on
//! the packets.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Confidence, Severity};

use crate::dialogue::is_default_community;

/// The tool's name in findings: nothing but this plugin made them.
pub(crate) const TOOL: &str = "tamiz-pcap";

/// One kind of finding.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) category: &'static str,
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
    /// First is primary.
    pub(crate) cwe: &'static [u32],
    pub(crate) remediation: &'static str,
    /// Whether it tells something about the server alone, whoever the client was.
    pub(crate) of_server: bool,
}

impl Rule {
    /// A finding of the rule, as far as it does not depend on packets; the subject tells findings of one
    /// rule apart.
    pub(crate) fn finding(
        &self,
        tool: &str,
        subject: &str,
        message: &str,
        severity: Severity,
    ) -> FindingBuilder {
        let title = if subject.is_empty() {
            self.title.to_owned()
        } else {
            format!("{}: {subject}", self.title)
        };
        let finding = FindingBuilder::new(tool, self.id)
            .rule_name(self.title)
            .title(&title)
            .message(message)
            .severity(severity, None)
            .confidence(self.confidence)
            .category(self.category)
            .remediation(self.remediation);
        self.cwe.iter().fold(finding, |finding, cwe| finding.cwe(*cwe))
    }
}

/// The rule that an SNMP community in clear text breaks.
pub(crate) fn of_community(community: &[u8]) -> &'static Rule {
    if is_default_community(community) {
        &SNMP_DEFAULT
    } else {
        &SNMP
    }
}

/// That rule for the community of a log, and what is to be said of the two that speak.
pub(crate) fn snmp(community: &str, from: &str, to: &str) -> (&'static Rule, String) {
    let message = format!(
        "{from} and {to} speak SNMP without encryption; anybody on the way reads the community [redacted]."
    );
    (of_community(community.as_bytes()), message)
}

macro_rules! rules {
    ($($name:ident: $id:literal, $title:literal, $category:literal, $severity:ident, $confidence:ident,
       $cwe:expr, $of_server:literal, $remediation:literal;)*) => {
        $(pub(crate) static $name: Rule = Rule {
            id: $id,
            title: $title,
            category: $category,
            severity: Severity::$severity,
            confidence: Confidence::$confidence,
            cwe: &$cwe,
            remediation: $remediation,
            of_server: $of_server,
        };)*
        /// Every rule, for the documentation's test.
        #[cfg(test)]
        pub(crate) static ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    FTP: "cleartext-credentials-ftp", "FTP password sent in clear text", "secret", High, High, [319, 523], false,
        "Change the password, and replace FTP by SFTP or FTPS that is enforced before the login.";
    FTP_ANONYMOUS: "ftp-anonymous-login", "Anonymous FTP login", "security", Info, High, [306], false,
        "Turn anonymous logins off, unless the files are meant for everybody.";
    TELNET: "cleartext-credentials-telnet", "Telnet password sent in clear text", "secret", High, High, [319, 523], false,
        "Change the password, and replace Telnet by SSH.";
    SMTP: "cleartext-credentials-smtp", "Mail password sent in clear text (SMTP)", "secret", High, High, [319, 523], false,
        "Change the password, and let the server offer AUTH only after STARTTLS or on port 465.";
    IMAP: "cleartext-credentials-imap", "Mail password sent in clear text (IMAP)", "secret", High, High, [319, 523], false,
        "Change the password, and let the server refuse LOGIN before STARTTLS (LOGINDISABLED), or use port 993.";
    POP3: "cleartext-credentials-pop3", "Mail password sent in clear text (POP3)", "secret", High, High, [319, 523], false,
        "Change the password, and let the server refuse logins before STLS, or use port 995.";
    HTTP_BASIC: "cleartext-credentials-http-basic", "HTTP Basic credentials sent in clear text", "secret", High, High,
        [319, 522], false,
        "Change the password, serve the address over HTTPS only, and redirect before asking for credentials.";
    HTTP_BEARER: "cleartext-token-http", "HTTP access token sent in clear text", "secret", High, High, [319, 522], false,
        "Revoke the token, and serve the address over HTTPS only.";
    HTTP_FORM: "cleartext-credentials-http-form", "Login form sent in clear text", "secret", High, Medium, [319, 523],
        false, "Change the password, and serve the form and its target over HTTPS only.";
    HTTP_QUERY: "cleartext-credentials-http-query", "Password in the address of a clear-text request", "secret", High,
        Medium, [319, 598], false,
        "Change the password; send it in the body of a POST request, over HTTPS only.";
    MQTT: "cleartext-credentials-mqtt", "MQTT password sent in clear text", "secret", High, High, [319, 522], false,
        "Change the password, and let the broker take TLS only (port 8883).";
    SOCKS: "cleartext-credentials-socks", "SOCKS password sent in clear text", "secret", High, High, [319, 522], false,
        "Change the password, and tunnel the proxy through TLS or SSH.";
    LDAP: "cleartext-credentials-ldap", "LDAP simple bind in clear text", "secret", High, High, [319, 522], false,
        "Change the password, and let the server refuse simple binds without TLS.";
    POSTGRESQL: "cleartext-credentials-postgresql", "PostgreSQL password sent without encryption", "secret", High, Medium,
        [319, 522], false, "Let the server take TLS and SCRAM only (`hostssl`, `scram-sha-256`).";
    PAP: "cleartext-credentials-pap", "PPP password sent in clear text (PAP)", "secret", High, High, [319, 522], false,
        "Change the password, and use EAP instead of PAP.";
    IRC: "cleartext-credentials-irc", "IRC password sent in clear text", "secret", Medium, High, [319, 522], false,
        "Change the password, and connect by TLS (port 6697).";
    SNMP: "cleartext-community-snmp", "SNMP community sent in clear text", "secret", Medium, High, [319, 522], false,
        "Use SNMPv3 with authentication and privacy, and change the community.";
    SNMP_DEFAULT: "snmp-default-community", "SNMP with a well-known default community", "security", High, High,
        [1392, 319], false,
        "Use SNMPv3; at least set a community of your own and limit who may ask.";
    TLS_VERSION: "tls-obsolete-version", "Obsolete TLS version negotiated", "security", Medium, High, [327, 326], true,
        "Turn everything below TLS 1.2 off, on the server and on its clients.";
    TLS_CIPHER: "tls-weak-cipher", "Weak TLS cipher suite negotiated", "security", Medium, High, [327, 326], true,
        "Turn NULL, anonymous, EXPORT, RC2, RC4, DES and 3DES suites off; prefer AES-GCM or ChaCha20-Poly1305 with ECDHE.";
    CERTIFICATE_EXPIRED: "tls-certificate-expired", "TLS certificate was expired", "security", Medium, High, [298, 295],
        true, "Renew the certificate, and let it renew itself from now on.";
    CERTIFICATE_EARLY: "tls-certificate-not-yet-valid", "TLS certificate was not valid yet", "security", Low, High,
        [295], true, "Check the clocks, and the certificate's period.";
    CERTIFICATE_SELF_SIGNED: "tls-certificate-self-signed", "Self-signed TLS certificate", "security", Medium, High,
        [295], true, "Use a certificate of an authority that the clients trust.";
    CERTIFICATE_UNTRUSTED: "tls-certificate-untrusted", "TLS certificate could not be verified", "security", Low, Medium,
        [295], true, "Serve the whole chain, up to an authority that the clients trust.";
    CERTIFICATE_KEY: "tls-certificate-weak-key", "TLS certificate with a weak key", "security", Medium, High,
        [326, 295], true, "Make a new key: RSA with 2048 bits or more, or an elliptic curve with 256.";
    CERTIFICATE_SIGNATURE: "tls-certificate-weak-signature", "TLS certificate with a broken signature algorithm",
        "security", Medium, High, [327, 328], true, "Have the certificate signed again, with SHA-256 or better.";
    CERTIFICATE_NAME: "tls-certificate-name-mismatch", "TLS certificate is not for the name that was asked for",
        "security", Low, Medium, [297, 295], true,
        "Serve a certificate whose alternative names have the name that clients ask for.";
    SSH_OLD: "ssh-obsolete-version", "SSH 1 spoken or offered", "security", High, High, [327], true,
        "Turn version 1 of SSH off on the server.";
    SMB_OLD: "smb-obsolete-version", "SMB 1 negotiated", "security", Medium, High, [327], true,
        "Turn SMB 1 off; SMB 3 with signing and encryption replaces it.";
    KERBEROS_WEAK: "kerberos-weak-encryption", "Kerberos ticket with weak encryption", "security", Medium, High, [327, 326],
        true, "Turn DES and RC4 off for the realm and its accounts; AES replaces them.";
    VNC_OPEN: "vnc-without-authentication", "VNC session without authentication", "security", High, High, [306], true,
        "Set a password at least, and let VNC be reached by a VPN or SSH only.";
    EXPERT: "protocol-security-problem", "Wireshark sees a security problem", "security", Medium, Medium, [], false,
        "Read what Wireshark says about the packet.";
    MALFORMED: "protocol-malformed", "Wireshark cannot take the packet apart", "anomaly", Info, Medium, [], false,
        "A broken sender, a cut capture, or somebody who tries a parser out: look at the packet.";
    SCAN_VERTICAL: "port-scan", "Port scan of a host", "reconnaissance", Medium, Medium, [200], false,
        "Find out who runs the source host and whether the scan was ordered; close what need not be open.";
    SCAN_HORIZONTAL: "port-sweep", "One port tried on many hosts", "reconnaissance", Medium, Medium, [200], false,
        "Find out who runs the source host and whether the sweep was ordered: worms spread so.";
    DNS_TRANSFER: "dns-zone-transfer-request", "DNS zone transfer asked for", "reconnaissance", Low, High, [200], false,
        "Find out who runs the client; secondary name servers ask for zones, and so do attackers.";
    DNS_TRANSFER_GRANTED: "dns-zone-transfer", "DNS zone transfer granted", "reconnaissance", Medium, High, [200], false,
        "Let the server answer AXFR and IXFR to its secondary servers only, with TSIG.";
    DNS_TUNNEL: "dns-tunnel", "DNS queries that look like smuggled data", "exfiltration", High, Medium, [506, 200], false,
        "Look at the client; let clients ask only resolvers that log, and block the domain.";
    DNS_FLOOD: "dns-nxdomain-flood", "Many DNS queries for names that do not exist", "malware", Medium, Low, [506], false,
        "Look at the client: malware tries generated names until one answers. A wrong search domain does so too.";
    BEACON: "periodic-beacon", "Connections at suspiciously regular intervals", "malware", Low, Low, [506], false,
        "Find the program that connects: update checks and monitoring are regular, command and control is too.";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn rules_have_ids_of_their_own_and_all_words() {
        let mut ids: Vec<_> = ALL.iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
        assert!(
            ALL.iter()
                .all(|rule| !rule.title.is_empty() && !rule.remediation.is_empty())
        );
    }
}
