//! A server's certificate, held against the time of the packet that carried it.
//!
//! Read by `x509-parser`. Signatures are not verified: a capture lacks the authorities, and what is
//! looked for (period, issuer, key, algorithm, names) stands in the certificate itself.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use crate::dialogue::{Scene, name};
use crate::findings::{Place, Sighting};
use crate::rules::{self, Rule};

const RSA_BITS_MIN: usize = 2048;
const CURVE_BITS_MIN: usize = 224;
const NANOSECONDS: i64 = 1_000_000_000;
/// Signature algorithms with MD2, MD5 or SHA-1.
const BROKEN_SIGNATURES: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.2", "MD2 with RSA"),
    ("1.2.840.113549.1.1.4", "MD5 with RSA"),
    ("1.2.840.113549.1.1.5", "SHA-1 with RSA"),
    ("1.2.840.10045.4.1", "SHA-1 with ECDSA"),
    ("1.2.840.10040.4.3", "SHA-1 with DSA"),
];

/// Tells what is wrong with a certificate.
pub(super) fn inspect(data: &[u8], asked_for: &str, place: Place, scene: &mut Scene<'_>) {
    let Ok((_, certificate)) = X509Certificate::from_der(data) else {
        return;
    };
    let subject = name(certificate.subject().to_string().as_bytes());
    let issuer = name(certificate.issuer().to_string().as_bytes());
    let validity = certificate.validity();
    let mut tell = |rule: &'static Rule, what: String| {
        let message = format!(
            "{} port {} showed the certificate `{subject}`, issued by `{issuer}`: {what}",
            place.server.address, place.server.port
        );
        scene.findings.see(Sighting::new(rule, place, &subject, message));
    };
    let seen = scene.moment.time.div_euclid(NANOSECONDS);
    if scene.moment.time > 0 {
        if seen > validity.not_after.timestamp() {
            let what = format!("it ended on {}.", date(validity.not_after));
            tell(&rules::CERTIFICATE_EXPIRED, what);
        } else if seen < validity.not_before.timestamp() {
            let what = format!("it begins on {}.", date(validity.not_before));
            tell(&rules::CERTIFICATE_EARLY, what);
        }
    }
    let self_signed = certificate.issuer().as_raw() == certificate.subject().as_raw();
    if self_signed {
        tell(
            &rules::CERTIFICATE_SELF_SIGNED,
            "it vouches for itself.".to_owned(),
        );
    }
    if let Some(what) = weak_key(&certificate) {
        tell(&rules::CERTIFICATE_KEY, what);
    }
    // Nobody relies on the signature of a certificate that vouches for itself.
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    if let Some((_, word)) = BROKEN_SIGNATURES.iter().find(|(id, _)| *id == algorithm)
        && !self_signed
    {
        tell(&rules::CERTIFICATE_SIGNATURE, format!("it is signed by {word}."));
    }
    if !asked_for.is_empty()
        && names(&certificate).is_some_and(|names| !names.iter().any(|name| fits(name, asked_for)))
    {
        tell(
            &rules::CERTIFICATE_NAME,
            format!("the client had asked for `{asked_for}`."),
        );
    }
}

fn weak_key(certificate: &X509Certificate<'_>) -> Option<String> {
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) if key.key_size() < RSA_BITS_MIN => {
            Some(format!("its RSA key has {} bits.", key.key_size()))
        }
        PublicKey::EC(point) if point.key_size() > 0 && point.key_size() < CURVE_BITS_MIN => {
            Some(format!("its elliptic curve has {} bits.", point.key_size()))
        }
        _ => None,
    }
}

/// The names that it is for; nothing when it has neither alternative names nor a common name.
fn names(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> = Vec::new();
    for general in alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
    {
        if let GeneralName::DNSName(dns) = general {
            names.push((*dns).to_owned());
        }
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name();
        names.extend(common.filter_map(|attribute| attribute.as_str().ok().map(str::to_owned)));
    }
    (!names.is_empty()).then_some(names)
}

/// Whether a name, perhaps with a star as its first label, stands for the one that was asked for.
fn fits(pattern: &str, asked_for: &str) -> bool {
    if pattern.eq_ignore_ascii_case(asked_for) {
        return true;
    }
    let parent = asked_for.split_once('.').map(|(_, parent)| parent);
    let wild = pattern.strip_prefix("*.");
    wild.zip(parent)
        .is_some_and(|(wild, parent)| wild.eq_ignore_ascii_case(parent))
}

/// `2016-01-01`.
fn date(time: ASN1Time) -> String {
    time.to_datetime().date().to_string()
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(fits("*.shop.test", "www.shop.test"));
        assert!(fits("WWW.shop.test", "www.shop.test"));
        assert!(!fits("*.shop.test", "a.b.shop.test"));
        assert!(!fits("*.shop.test", "shop.test"));
    }
}
