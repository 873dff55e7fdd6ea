//! Field types that do not lose a record over one field.
//!
//! A derived struct refuses the whole record when a tool writes a number where it used to write a
//! string. These take every JSON value: what has the right type is there, `null` and absent are
//! not, and anything else is remembered as wrong, for a diagnostic.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Entries of a list that are kept; the rest is read over. Lists nest, so this bounds what one
/// record of [`crate::limits::RECORD_BYTES`] can grow to in memory.
const LIST_ENTRIES_KEPT: usize = 64;

/// A field that may be missing or of another type than expected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Absent or `null`.
    #[default]
    Absent,
    /// There and of the right type.
    Present(T),
    /// There, of another type.
    Wrong,
}

impl<T> Field<T> {
    /// What is there, if it is right.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Whether it was there and of another type.
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong)
    }
}

/// A string.
pub type Text<'a> = Field<Cow<'a, str>>;

/// A whole number, perhaps in quotes; one with a fraction or beyond 64 bits is wrong.
pub type Whole = Field<i64>;

/// A string, or a list of strings; other entries are left out.
pub type Texts<'a> = Field<TextList<'a>>;

impl Field<Cow<'_, str>> {
    /// The text, or nothing.
    pub fn text(&self) -> &str {
        self.get().map_or("", AsRef::as_ref)
    }
}

impl Field<TextList<'_>> {
    /// The strings, or none.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.get()
            .into_iter()
            .flat_map(|list| list.0.iter().map(AsRef::as_ref))
    }
}

/// How one type is read leniently. What a type does not say is wrong for it.
pub trait Lenient<'de>: Sized {
    /// From a string.
    fn from_str(_text: Cow<'de, str>) -> Field<Self> {
        Field::Wrong
    }

    /// From a number without a fraction.
    fn from_whole(_number: i64) -> Field<Self> {
        Field::Wrong
    }

    /// From a number with a fraction or an exponent.
    fn from_float(_number: f64) -> Field<Self> {
        Field::Wrong
    }

    /// From `true` or `false`.
    fn from_bool(_value: bool) -> Field<Self> {
        Field::Wrong
    }

    /// From a list.
    ///
    /// # Errors
    /// The deserializer's own: the text is not JSON.
    fn from_seq<A: SeqAccess<'de>>(mut entries: A) -> Result<Field<Self>, A::Error> {
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong)
    }

    /// From an object.
    ///
    /// # Errors
    /// The deserializer's own: the text is not JSON.
    fn from_map<A: MapAccess<'de>>(mut members: A) -> Result<Field<Self>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong)
    }
}

impl<'de: 'a, 'a> Lenient<'de> for Cow<'a, str> {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        Field::Present(text)
    }
}

impl Lenient<'_> for i64 {
    /// Tools that go through a loosely typed language quote their numbers.
    fn from_str(text: Cow<'_, str>) -> Field<Self> {
        text.parse().map_or(Field::Wrong, Field::Present)
    }

    fn from_whole(number: i64) -> Field<Self> {
        Field::Present(number)
    }
}

impl Lenient<'_> for bool {
    fn from_bool(value: bool) -> Field<Self> {
        Field::Present(value)
    }
}

/// A number that tools write as a string, too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decimal(pub f64);

impl<'de> Lenient<'de> for Decimal {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        text.trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map_or(Field::Wrong, |number| Field::Present(Self(number)))
    }

    fn from_whole(number: i64) -> Field<Self> {
        Field::Present(Self(number as f64))
    }

    fn from_float(number: f64) -> Field<Self> {
        Field::Present(Self(number))
    }
}

/// Strings of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextList<'a>(pub Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Lenient<'de> for TextList<'a> {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        Field::Present(Self(vec![text]))
    }

    fn from_seq<A: SeqAccess<'de>>(mut entries: A) -> Result<Field<Self>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element::<Text<'a>>()? {
            if let Field::Present(text) = entry
                && list.len() < LIST_ENTRIES_KEPT
            {
                list.push(text);
            }
        }
        Ok(Field::Present(Self(list)))
    }
}

/// An object of known shape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Lenient<'de> for Object<T> {
    fn from_map<A: MapAccess<'de>>(members: A) -> Result<Field<Self>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(|value| Field::Present(Self(value)))
    }
}

/// An object of known shape with many fields, or one that is rare: kept apart, because what holds it is
/// moved several times while it is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Boxed<T>(pub Box<T>);

impl<'de, T: Deserialize<'de>> Lenient<'de> for Boxed<T> {
    fn from_map<A: MapAccess<'de>>(members: A) -> Result<Field<Self>, A::Error> {
        let value = T::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Field::Present(Self(Box::new(value))))
    }
}

/// A list of objects of known shape, its first entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Objects<T> {
    /// What is kept.
    pub entries: Vec<T>,
    /// Whether there were more.
    pub cut: bool,
}

impl<'de, T: Deserialize<'de>> Lenient<'de> for Objects<T> {
    fn from_seq<A: SeqAccess<'de>>(mut list: A) -> Result<Field<Self>, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < LIST_ENTRIES_KEPT {
            match list.next_element::<Field<Object<T>>>()? {
                Some(Field::Present(Object(value))) => {
                    // Most lists have one entry, which may be large.
                    entries.reserve_exact(usize::from(entries.is_empty()));
                    entries.push(value);
                }
                Some(_) => {}
                None => return Ok(Field::Present(Self { entries, cut: false })),
            }
        }
        let mut cut = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            cut = true;
        }
        Ok(Field::Present(Self { entries, cut }))
    }
}

/// An object whose keys are data, its first members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Lenient<'de> for Members<T> {
    fn from_map<A: MapAccess<'de>>(mut members: A) -> Result<Field<Self>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < LIST_ENTRIES_KEPT {
            match members.next_entry::<String, T>()? {
                Some(member) => kept.push(member),
                None => return Ok(Field::Present(Self(kept))),
            }
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Present(Self(kept)))
    }
}

impl<T> Field<Members<T>> {
    /// The members, or none.
    pub fn members(&self) -> &[(String, T)] {
        self.get().map_or(&[], |members| members.0.as_slice())
    }
}

impl<T> Field<Object<T>> {
    /// The object, if it is one.
    pub fn object(&self) -> Option<&T> {
        self.get().map(|object| &object.0)
    }
}

impl<T> Field<Boxed<T>> {
    /// The object, if it is one.
    pub fn object(&self) -> Option<&T> {
        self.get().map(|object| &*object.0)
    }
}

impl<T> Field<Objects<T>> {
    /// The objects, or none.
    pub fn objects(&self) -> &[T] {
        self.get().map_or(&[], |objects| objects.entries.as_slice())
    }

    /// Whether there were more than are kept.
    pub fn is_cut(&self) -> bool {
        self.get().is_some_and(|objects| objects.cut)
    }
}

impl<'de, T: Lenient<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Lenient<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::from_bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(T::from_whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Field::Wrong, T::from_whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(T::from_float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::from_str(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(T::from_str(Cow::Borrowed(text)))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(T::from_str(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        T::from_seq(entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::from_map(members)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Field, Object, Objects, Text, Texts, Whole};

    #[derive(Debug, Deserialize)]
    struct Record<'a> {
        #[serde(borrow, default)]
        text: Text<'a>,
        #[serde(default)]
        number: Whole,
        #[serde(borrow, default)]
        list: Texts<'a>,
        #[serde(borrow, default)]
        inner: Field<Object<Inner<'a>>>,
        #[serde(borrow, default)]
        many: Field<Objects<Inner<'a>>>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner<'a> {
        #[serde(borrow, default)]
        name: Text<'a>,
    }

    #[test]
    fn a_field_of_the_wrong_type_costs_only_itself() {
        let right =
            br#"{"text":"a","number":7,"list":["x","y"],"inner":{"name":"n"},"many":[{"name":"m"},3]}"#;
        let record: Record<'_> = serde_json::from_slice(right).expect("right");
        assert_eq!((record.text.text(), record.number.get()), ("a", Some(&7)));
        assert_eq!(record.list.texts().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(record.inner.object().map(|inner| inner.name.text()), Some("n"));
        assert_eq!(record.many.objects().len(), 1);

        for wrong in [
            "1.5",
            "\"word\"",
            "[[1],{}]",
            "{\"a\":[{}]}",
            "true",
            "18446744073709551615",
        ] {
            for field in ["text", "number", "list", "inner", "many"] {
                let text = format!(r#"{{"{field}":{wrong},"rest":null}}"#);
                serde_json::from_str::<Record<'_>>(&text).expect(&text);
            }
        }
        let none: Record<'_> = serde_json::from_str(r#"{"text":null,"number":"7"}"#).expect("lenient");
        assert!(!none.text.is_wrong() && none.text.get().is_none() && none.number.get() == Some(&7));
    }
}
