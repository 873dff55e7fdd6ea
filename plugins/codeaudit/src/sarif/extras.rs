//! Parts of a result that producers write in ways of their own: fingerprints, requests, and fixes.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::MapAccess;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Lenient, Object, Objects, Text};

use super::own::is_our_print;
use super::shapes::{Message, ResultShape};
use crate::vocabulary::unless_placeholder;

/// A fingerprint: a text, a number, or, as Black Duck writes it, an object with a `value`.
#[derive(Default)]
pub(super) struct Print<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Lenient<'de> for Print<'a> {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        Field::Present(Self(text))
    }

    fn from_whole(number: i64) -> Field<Self> {
        Field::Present(Self(Cow::Owned(number.to_string())))
    }

    fn from_map<A: MapAccess<'de>>(members: A) -> Result<Field<Self>, A::Error> {
        #[derive(Default, Deserialize)]
        struct Nested<'a> {
            #[serde(borrow, default)]
            value: Text<'a>,
        }
        let Object(nested) = match Object::<Nested<'_>>::from_map(members)? {
            Field::Present(nested) => nested,
            Field::Absent | Field::Wrong => return Ok(Field::Wrong),
        };
        Ok(match nested.value {
            Field::Present(value) => Field::Present(Self(value)),
            Field::Absent | Field::Wrong => Field::Wrong,
        })
    }
}

/// What a scanner of running applications sent.
#[derive(Default, Deserialize)]
pub(super) struct WebRequest<'a> {
    #[serde(borrow, default)]
    pub(super) method: Text<'a>,
    #[serde(borrow, default)]
    pub(super) target: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fix<'a> {
    #[serde(borrow, default)]
    pub(super) description: Field<Object<Message<'a>>>,
    #[serde(borrow, default)]
    artifact_changes: Field<Objects<Change<'a>>>,
}

#[derive(Default, Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    replacements: Field<Objects<Replacement<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replacement<'a> {
    #[serde(borrow, default)]
    inserted_content: Field<Object<Message<'a>>>,
}

impl Fix<'_> {
    /// What it says that it does.
    pub(super) fn advice(&self) -> &str {
        self.description.object().map_or("", Message::plain)
    }

    /// The text that it would put in. Replacements in several places are no one text.
    pub(super) fn replacement(&self) -> &str {
        let changes = self.artifact_changes.objects().iter();
        let mut replacements = changes.flat_map(|change| change.replacements.objects());
        let (Some(only), None) = (replacements.next(), replacements.next()) else {
            return "";
        };
        only.inserted_content.object().map_or("", Message::plain)
    }
}

/// The secret that stands beside the line which holds it; empty when none does.
pub(super) fn offender<'shape>(result: &'shape ResultShape<'_>) -> &'shape str {
    let properties = result.properties.object();
    properties.map_or("", |properties| properties.offender.text())
}

/// `fingerprints` identify a result by themselves, `partialFingerprints` help to; the first that
/// says something, in the order of their names, is taken. Of the place comes before others, which may be
/// of the file or of the rule (`scanFileHash`). gitleaks fills them with empty strings.
pub(super) fn fingerprint(finding: FindingBuilder, result: &ResultShape<'_>) -> FindingBuilder {
    for list in [&result.fingerprints, &result.partial_fingerprints] {
        let said = list
            .members()
            .iter()
            .filter(|(name, _)| !is_our_print(name))
            .filter_map(|(name, value)| Some((name, unless_placeholder(&value.get()?.0))));
        let first = said
            .filter(|(_, value)| !value.is_empty())
            .min_by_key(|(name, value)| (!name.to_lowercase().contains("primarylocation"), *name, *value));
        if let Some((name, value)) = first {
            return finding.tool_fingerprint(&format!("{name}:{value}"));
        }
    }
    finding
}
