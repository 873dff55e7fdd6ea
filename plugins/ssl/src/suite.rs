//! Cipher suites, judged by their names: OpenSSL's (`ECDHE-RSA-AES128-SHA`) and the RFCs'.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::Severity;
use tamiz_sdk::vocabulary::SeverityTable;

use crate::endpoint::Endpoint;

/// Below this many bits a cipher can be searched.
const BITS_MIN: i64 = 112;

/// What a suite is bad for. In the order of the table.
struct Verdict {
    word: &'static str,
    says: &'static str,
    cwe: &'static [u32],
    cve: &'static [&'static str],
}

const VERDICTS: [Verdict; 9] = [
    Verdict {
        word: "no encryption",
        says: "it does not encrypt",
        cwe: &[319, 327],
        cve: &[],
    },
    Verdict {
        word: "no authentication",
        says: "the server is not authenticated",
        cwe: &[287, 327],
        cve: &[],
    },
    Verdict {
        word: "export grade",
        says: "its keys were made short on purpose",
        cwe: &[326],
        cve: &["CVE-2015-0204"],
    },
    Verdict {
        word: "short key",
        says: "its key can be searched",
        cwe: &[326],
        cve: &[],
    },
    Verdict {
        word: "RC4 or RC2",
        says: "its cipher is broken",
        cwe: &[327],
        cve: &["CVE-2013-2566", "CVE-2015-2808"],
    },
    Verdict {
        word: "64-bit blocks",
        says: "its cipher has blocks of 64 bits (SWEET32)",
        cwe: &[327],
        cve: &["CVE-2016-2183"],
    },
    Verdict {
        word: "CBC mode",
        says: "its CBC mode invites padding oracles",
        cwe: &[327],
        cve: &[],
    },
    Verdict {
        word: "no forward secrecy",
        says: "who gets the server's key can read what was recorded before",
        cwe: &[326],
        cve: &[],
    },
    Verdict {
        word: "authenticated encryption",
        says: "nothing speaks against it",
        cwe: &[],
        cve: &[],
    },
];

/// What the verdicts weigh; docs/severities.md shows it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "sslscan, sslyze, SSL Labs (cipher suites)",
    words: &[
        ("no encryption", Severity::Critical),
        ("no authentication", Severity::Critical),
        ("export grade", Severity::Critical),
        ("short key", Severity::High),
        ("RC4 or RC2", Severity::High),
        ("64-bit blocks", Severity::Medium),
        ("CBC mode", Severity::Low),
        ("no forward secrecy", Severity::Low),
        ("authenticated encryption", Severity::Info),
    ],
};

/// A suite that a server accepts.
#[derive(Default)]
pub(crate) struct Suite<'a> {
    pub(crate) name: &'a str,
    /// The protocol version, as the tool writes it.
    pub(crate) version: &'a str,
    pub(crate) bits: Option<i64>,
    /// The tool's own word, if it has one.
    pub(crate) strength: Option<&'a str>,
    /// Whether the tool says that it is anonymous.
    pub(crate) anonymous: bool,
}

impl Suite<'_> {
    /// A finding about a server. The rule names suite and version: each is a thing of its own.
    ///
    /// What its name says is one judgement, `own`, the tool's, is another: the worse one counts.
    pub(crate) fn finding(&self, tool: &str, server: &Endpoint, own: Severity) -> FindingBuilder {
        let verdict = self.verdict();
        let severity = SEVERITIES.get(verdict.word).unwrap_or(Severity::Info).max(own);
        let version = self.version;
        let title = format!("cipher suite {} with {version}: {}", self.name, verdict.word);
        let message = format!(
            "{} accepts {} with {version}: {}",
            server.shown(),
            self.name,
            verdict.says
        );
        let mut finding = FindingBuilder::new(tool, &format!("suite/{version}/{}", self.name))
            .rule_name(verdict.word)
            .title(&title)
            .message(&message)
            .severity(severity, self.strength)
            .category("cipher-suite");
        for number in verdict.cwe {
            finding = finding.cwe(*number);
        }
        for id in verdict.cve {
            finding = finding.cve(id);
        }
        if severity > Severity::Info {
            finding = finding.remediation("offer suites with ECDHE and AES-GCM or ChaCha20 only");
        }
        if let Some(bits) = self.bits {
            finding = finding.extra_json("bits", &bits.to_string());
        }
        match server.location("tcp/tls") {
            Some(location) => finding.location(location),
            None => finding,
        }
    }

    fn verdict(&self) -> &'static Verdict {
        let name = self.name.to_ascii_uppercase().replace('_', "-");
        let parts: Vec<&str> = name.split('-').collect();
        let has = |word: &str| parts.contains(&word);
        let starts = |word: &str| parts.iter().any(|part| part.starts_with(word));
        let is_strength = |word: &str| self.strength.is_some_and(|said| said.eq_ignore_ascii_case(word));
        // The names of TLS 1.3's suites tell neither key exchange nor authentication.
        let modern = has("TLS") && !has("WITH");
        let authenticated = starts("GCM") || starts("CCM") || starts("POLY1305") || starts("CHACHA20");
        let ephemeral = ["ECDHE", "DHE", "EDH", "EECDH"].into_iter().any(has);
        let index = if has("NULL") || is_strength("null") || self.bits == Some(0) {
            0
        } else if self.anonymous || has("ADH") || has("AECDH") || has("ANON") || is_strength("anonymous") {
            1
        } else if starts("EXP") {
            2
        } else if has("RC4") || has("RC2") {
            4
        } else if has("DES40")
            || is_single_des(&parts)
            || self
                .bits
                .is_some_and(|bits| bits < BITS_MIN && !has("3DES") && !has("CBC3"))
        {
            3
        } else if has("3DES") || has("CBC3") || has("IDEA") {
            5
        } else if modern {
            8
        } else if !authenticated {
            6
        } else if !ephemeral {
            7
        } else {
            8
        };
        &VERDICTS[index]
    }
}

/// `DES-CBC-SHA`, `TLS-RSA-WITH-DES-CBC-SHA`.
fn is_single_des(parts: &[&str]) -> bool {
    let place = parts.iter().position(|part| *part == "DES");
    place.is_some_and(|place| parts.get(place + 1) == Some(&"CBC"))
}

#[cfg(test)]
mod tests {
    use super::{SEVERITIES, Suite, VERDICTS};

    #[track_caller]
    fn check(name: &str, bits: i64, word: &str) {
        let suite = Suite {
            name,
            bits: Some(bits),
            ..Suite::default()
        };
        assert_eq!(suite.verdict().word, word, "{name}");
    }

    #[test]
    fn suites_are_judged_by_either_name() {
        check("ECDHE-RSA-AES256-GCM-SHA384", 256, "authenticated encryption");
        check("TLS_AES_128_GCM_SHA256", 128, "authenticated encryption");
        check("TLS_RSA_WITH_NULL_SHA", 0, "no encryption");
        check("AECDH-AES256-SHA", 256, "no authentication");
        check("TLS_DH_anon_WITH_AES_128_CBC_SHA", 128, "no authentication");
        check("TLS_RSA_EXPORT_WITH_RC4_40_MD5", 40, "export grade");
        check("EXP-RC4-MD5", 40, "export grade");
        check("RC4-SHA", 128, "RC4 or RC2");
        check("DES-CBC-SHA", 56, "short key");
        check("DES-CBC3-SHA", 112, "64-bit blocks");
        check("TLS_RSA_WITH_3DES_EDE_CBC_SHA", 168, "64-bit blocks");
        check("AES128-SHA", 128, "CBC mode");
        check("TLS_RSA_WITH_AES_128_GCM_SHA256", 128, "no forward secrecy");
        check("", 128, "CBC mode");
    }

    #[test]
    fn every_verdict_has_its_weight() {
        for verdict in VERDICTS {
            assert!(SEVERITIES.get(verdict.word).is_some(), "{}", verdict.word);
        }
    }
}
