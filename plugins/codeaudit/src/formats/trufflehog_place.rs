//! Where `TruffleHog` found a secret: three dozen kinds of sources, each with fields of its own
//! (`source_metadata.proto`), of which the file, the line and the address make a place and all others are
//! kept as they are named.

use std::borrow::Cow;

use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Lenient, Members};
use tamiz_sdk::model::{Location, UrlLocation};
use tamiz_sdk::report::{Element, Session};

use super::place::{self, Region};
use super::secret;

/// `Forager` has a `Metadata` with a source in it, and `Vector` a time stamp of two numbers.
const LEVELS_MAX: usize = 4;

/// Facts of one place; the source with the most fields has eighteen.
const FACTS_MAX: usize = 40;

/// What is known about the place of a secret.
#[derive(Default)]
pub(super) struct Found {
    kind: String,
    /// Names and values, in the order of the report.
    facts: Vec<(String, String)>,
}

/// A text, or a number or truth value as it is written.
struct Scalar<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Lenient<'de> for Scalar<'a> {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        Field::Present(Self(text))
    }

    fn from_whole(number: i64) -> Field<Self> {
        Field::Present(Self(Cow::Owned(number.to_string())))
    }

    fn from_bool(value: bool) -> Field<Self> {
        Field::Present(Self(Cow::Owned(value.to_string())))
    }
}

impl Found {
    /// Reads the member of `Data`: the kind of source, and what it says.
    pub(super) fn read(kind: &str, raw: &RawValue) -> Self {
        let mut found = Self {
            kind: kind.to_owned(),
            facts: Vec::new(),
        };
        found.collect(raw, 0);
        found
    }

    fn collect(&mut self, raw: &RawValue, level: usize) {
        let members: Field<Members<&RawValue>> = serde_json::from_str(raw.get()).unwrap_or_default();
        for (key, value) in members.members() {
            if value.get().starts_with('{') {
                if level < LEVELS_MAX {
                    self.collect(value, level + 1);
                }
                continue;
            }
            let scalar: Field<Scalar<'_>> = serde_json::from_str(value.get()).unwrap_or_default();
            let is_new = self.facts.len() < FACTS_MAX && !self.facts.iter().any(|(known, _)| known == key);
            if let Some(Scalar(text)) = scalar.get()
                && is_new
                && !text.is_empty()
            {
                self.facts.push((key.clone(), text.clone().into_owned()));
            }
        }
    }

    /// The first of some facts that is known.
    fn fact(&self, names: &[&str]) -> &str {
        let find = |name: &&str| self.facts.iter().find(|(known, _)| known == name);
        names.iter().find_map(find).map_or("", |(_, text)| text.as_str())
    }

    /// Writes it into a finding, without the secrets that a path or an address may quote.
    pub(super) fn put(
        &self,
        mut finding: FindingBuilder,
        session: &mut Session<'_>,
        element: &Element<'_>,
        secrets: &[&str],
    ) -> FindingBuilder {
        if !self.kind.is_empty() {
            finding = finding.extra_text("source", &self.kind);
        }
        let (path, link) = (self.fact(&["file", "filename", "path"]), self.fact(&["link"]));
        for (name, text) in &self.facts {
            let key = match name.as_str() {
                "file" | "filename" | "line" | "link" => continue,
                "path" if path == text => continue,
                "timestamp" => "date".to_owned(),
                "email" => "author".to_owned(),
                other => other.replace('_', "-"),
            };
            finding = finding.extra_text(&key, &secret::without_login(&secret::without(text, secrets)));
        }
        let path = secret::without(path, secrets);
        let link = secret::without_login(&secret::without(link, secrets)).into_owned();
        finding = finding.reference(&link);
        if path.is_empty() && link.starts_with("http") {
            return finding.location(Location::Url(UrlLocation {
                url: link,
                method: None,
                parameter: None,
                evidence: None,
            }));
        }
        let number = self.fact(&["line"]).parse().ok().filter(|number| *number != 0);
        place::at(finding, session, element, &path, Region::line(number), "")
    }
}
