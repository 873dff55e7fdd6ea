//! Certificates as sslyze tells them: whether they are trusted, and what they are made of.
//!
//! No clock is asked: a certificate is expired when it was so at the end of the scan, which sslyze
//! writes behind all results. Versions before 5 do not write it: there it is expired when the trust stores
//! said so.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;
use tamiz_sdk::json::lenient::{Decimal, Field, Lenient, Object, Objects, Text};
use tamiz_sdk::model::Span;
use tamiz_sdk::report::{Element, Session, Stop};

use super::TOOL;
use crate::endpoint::Endpoint;
use crate::weakness::{self, Weakness};

/// Certificates whose dates wait for the end of the report; of more, nothing is said about expiry.
const WAITING_MAX: usize = 1000;

/// RSA keys below this many bits can be broken.
const KEY_BITS_MIN: f64 = 2048.0;

#[derive(Deserialize)]
struct Deployment<'a> {
    #[serde(borrow, default)]
    received_certificate_chain: Field<Objects<Certificate<'a>>>,
    #[serde(borrow, default, alias = "path_validation_result_list")]
    path_validation_results: Field<Objects<Validation<'a>>>,
    #[serde(default)]
    leaf_certificate_subject_matches_hostname: Field<bool>,
    #[serde(default)]
    received_chain_has_valid_order: Field<bool>,
}

/// The other names are those of versions 1 to 3.
#[derive(Deserialize)]
struct Certificate<'a> {
    #[serde(borrow, default, alias = "notBefore")]
    not_valid_before: Text<'a>,
    #[serde(borrow, default, alias = "notAfter")]
    not_valid_after: Text<'a>,
    #[serde(borrow, default)]
    subject: Field<Name<'a>>,
    #[serde(borrow, default)]
    issuer: Field<Name<'a>>,
    #[serde(borrow, default, alias = "signatureAlgorithm")]
    signature_hash_algorithm: Field<Name<'a>>,
    #[serde(borrow, default, alias = "publicKey")]
    public_key: Field<Object<Key<'a>>>,
}

impl Certificate<'_> {
    /// What it is made of that is too weak.
    fn weaknesses(&self) -> Vec<(&'static Weakness, String)> {
        let mut found: Vec<(&Weakness, String)> = Vec::new();
        let hash = self.signature_hash_algorithm.get();
        let hash = hash.map_or("", |hash| hash.0.as_ref());
        if matches!(hash, "md2" | "md5" | "sha1") {
            found.push((&weakness::WEAK_SIGNATURE, hash.to_owned()));
        }
        if let Some(key) = self.public_key.object()
            && let Some(bits) = key.key_size.get()
            && bits.0 < KEY_BITS_MIN
            && ["RSA", "DSA"]
                .iter()
                .any(|kind| key.algorithm.text().contains(kind) && !key.algorithm.text().contains("EC"))
        {
            found.push((&weakness::WEAK_KEY, format!("{} bits", bits.0)));
        }
        found
    }
}

/// A text alone, or in an object.
struct Name<'a>(Cow<'a, str>);

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default, alias = "rfc4514", alias = "name")]
    rfc4514_string: Text<'a>,
}

impl<'de: 'a, 'a> Lenient<'de> for Name<'a> {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        Field::Present(Self(text))
    }

    fn from_map<A: MapAccess<'de>>(members: A) -> Result<Field<Self>, A::Error> {
        let named = Named::deserialize(MapAccessDeserializer::new(members))?;
        Ok(match named.rfc4514_string {
            Field::Present(text) => Field::Present(Self(text)),
            Field::Absent => Field::Absent,
            Field::Wrong => Field::Wrong,
        })
    }
}

#[derive(Deserialize)]
struct Key<'a> {
    #[serde(borrow, default)]
    algorithm: Text<'a>,
    #[serde(default, alias = "size")]
    key_size: Field<Decimal>,
}

#[derive(Deserialize)]
struct Validation<'a> {
    #[serde(default)]
    was_validation_successful: Field<bool>,
    #[serde(borrow, default, alias = "openssl_error_string", alias = "verify_string")]
    validation_error: Text<'a>,
}

impl Validation<'_> {
    /// Versions before 5 only say what went wrong.
    fn is_trusted(&self) -> bool {
        let error = self.validation_error.text();
        let said = self.was_validation_successful.get().copied();
        said.unwrap_or(matches!(error, "" | "ok"))
    }
}

/// Certificates whose dates wait for the date of the scan.
#[derive(Default)]
pub(super) struct Expiries {
    now: Option<String>,
    undated: bool,
    waiting: Vec<Dates>,
}

struct Dates {
    server: Endpoint,
    subject: String,
    before: String,
    after: String,
    /// Whether a trust store said that it is expired, or not valid yet.
    said_expired: bool,
    said_early: bool,
}

impl Expiries {
    /// The date of the scan, such as `2026-11-21T10:00:20.367201Z`: tells which certificates were expired
    /// then, or not valid yet.
    pub(super) fn tell(&mut self, session: &mut Session<'_>, date: &str, span: Span) -> Result<(), Stop> {
        let Some(now) = seconds_text(date) else {
            return Ok(());
        };
        self.now = Some(now.to_owned());
        let element = Element::named("date_scans_completed", &[], span);
        for dates in std::mem::take(&mut self.waiting) {
            dates.tell(session, now, &element)?;
        }
        Ok(())
    }

    /// Versions before 5 never tell the date.
    pub(super) fn expect_no_date(&mut self) {
        self.undated = true;
    }

    fn add(&mut self, session: &mut Session<'_>, dates: Dates, element: &Element<'_>) -> Result<(), Stop> {
        match &self.now {
            _ if self.undated => return dates.emit(session, dates.said_expired, dates.said_early, element),
            Some(now) => return dates.tell(session, now, element),
            None if self.waiting.len() < WAITING_MAX => self.waiting.push(dates),
            None => {}
        }
        Ok(())
    }
}

impl Dates {
    fn tell(&self, session: &mut Session<'_>, now: &str, element: &Element<'_>) -> Result<(), Stop> {
        let is_expired = seconds_text(&self.after).is_some_and(|after| after < now);
        let is_early = seconds_text(&self.before).is_some_and(|before| before > now);
        self.emit(session, is_expired, is_early, element)
    }

    fn emit(
        &self,
        session: &mut Session<'_>,
        is_expired: bool,
        is_early: bool,
        element: &Element<'_>,
    ) -> Result<(), Stop> {
        if is_expired {
            let what = format!("{} was valid until {}", self.subject, self.after);
            session.emit(weakness::EXPIRED.finding(TOOL, &self.server, &what), element)?;
        }
        if is_early {
            let what = format!("{} is valid from {}", self.subject, self.before);
            session.emit(weakness::NOT_YET.finding(TOOL, &self.server, &what), element)?;
        }
        Ok(())
    }
}

/// The part of a date up to its seconds, `2026-11-21T10:00:20`, which is in order as text.
fn seconds_text(date: &str) -> Option<&str> {
    let text = date.get(..19)?;
    let shape = text.bytes().enumerate().all(|(place, byte)| match place {
        4 | 7 => byte == b'-',
        10 => matches!(byte, b'T'),
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    shape.then_some(text)
}

/// A certificate chain that the server presents.
pub(super) fn deployment(
    session: &mut Session<'_>,
    element: &Element<'_>,
    server: &Endpoint,
    expiries: &mut Expiries,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let deployment: Deployment<'_> = match element.read(session, &mut repaired) {
        Ok(deployment) => deployment,
        Err(problem) => {
            let message = format!("{} could not be read: {problem}", element.name());
            session.unread("record-unreadable", &message, Some(element.span));
            return Ok(());
        }
    };
    let mut tell =
        |weakness: &Weakness, what: &str| session.emit(weakness.finding(TOOL, server, what), element);
    let leaf = deployment.received_certificate_chain.objects().first();
    let name = |name: Option<&Field<Name<'_>>>| {
        let name = name.and_then(Field::get);
        name.map_or_else(String::new, |name| name.0.clone().into_owned())
    };
    let (subject, issuer) = (
        name(leaf.map(|leaf| &leaf.subject)),
        name(leaf.map(|leaf| &leaf.issuer)),
    );
    let validations = deployment.path_validation_results.objects();
    let said = |words: &str| {
        let mut errors = validations
            .iter()
            .map(|validation| validation.validation_error.text());
        errors.any(|error| error.contains(words))
    };
    if !subject.is_empty() && subject == issuer {
        tell(&weakness::SELF_SIGNED, &subject)?;
    } else if !validations.is_empty() && !validations.iter().any(Validation::is_trusted) {
        let errors = validations
            .iter()
            .map(|validation| validation.validation_error.text());
        let error = errors
            .into_iter()
            .find(|error| !error.is_empty())
            .unwrap_or_default();
        tell(&weakness::UNTRUSTED, error)?;
    }
    if deployment.leaf_certificate_subject_matches_hostname.get() == Some(&false) {
        tell(&weakness::WRONG_HOST, &subject)?;
    }
    if deployment.received_chain_has_valid_order.get() == Some(&false) {
        tell(&weakness::WRONG_ORDER, "")?;
    }
    let Some(leaf) = leaf else { return Ok(()) };
    for (weakness, what) in leaf.weaknesses() {
        tell(weakness, &what)?;
    }
    let dates = Dates {
        server: server.clone(),
        subject,
        before: leaf.not_valid_before.text().to_owned(),
        after: leaf.not_valid_after.text().to_owned(),
        said_expired: said("has expired"),
        said_early: said("not yet valid"),
    };
    expiries.add(session, dates, element)
}
