//! Field types that web scanners need beyond the SDK's lenient ones.

use std::borrow::Cow;

use serde::de::{Deserialize, IgnoredAny, SeqAccess};
use tamiz_sdk::json::lenient::{Field, Lenient, Object};

/// Entries of a list whose every entry is a place: beyond it the rest is told as left out. It bounds
/// what one record of the SDK's size can grow to in memory.
const ENTRIES_KEPT: usize = 20_000;

/// A word or number that versions of a tool write as one or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Lenient<'de> for Word<'a> {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        Field::Present(Self(text))
    }

    fn from_whole(number: i64) -> Field<Self> {
        Field::Present(Self(number.to_string().into()))
    }

    fn from_float(number: f64) -> Field<Self> {
        Field::Present(Self(number.to_string().into()))
    }

    fn from_bool(value: bool) -> Field<Self> {
        Field::Present(Self(value.to_string().into()))
    }
}

/// Reads a [`Word`] or nothing.
pub(crate) fn word<'field>(field: &'field Field<Word<'_>>) -> &'field str {
    field.get().map_or("", |word| word.0.trim())
}

/// A list of objects, nearly as many as there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct All<T> {
    /// What is kept.
    pub(crate) entries: Vec<T>,
    /// Entries that are no objects, and those beyond [`ENTRIES_KEPT`].
    pub(crate) lost: usize,
}

impl<'de, T: Deserialize<'de>> Lenient<'de> for All<T> {
    fn from_seq<A: SeqAccess<'de>>(mut list: A) -> Result<Field<Self>, A::Error> {
        let mut all = Self {
            entries: Vec::new(),
            lost: 0,
        };
        while all.entries.len() < ENTRIES_KEPT {
            match list.next_element::<Field<Object<T>>>()? {
                Some(Field::Present(Object(entry))) => all.entries.push(entry),
                Some(_) => all.lost += 1,
                None => return Ok(Field::Present(all)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            all.lost += 1;
        }
        Ok(Field::Present(all))
    }
}

/// Strings, from a list of them or from one with commas between them.
pub(crate) fn split_list<'text>(texts: impl Iterator<Item = &'text str>) -> impl Iterator<Item = &'text str> {
    texts
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|text| !text.is_empty())
}
