//! A field that names weakness classes, in any of the forms that tools have: a number, a text with one or
//! several (`CWE-79`, `79`, `CWE-79: Cross-site Scripting`), an address, or a list of these.

use std::borrow::Cow;

use serde::de::SeqAccess;
use tamiz_sdk::json::lenient::{Field, Lenient};
use tamiz_sdk::limits::LIST_ENTRIES;

use crate::vocabulary;

/// What such a field says.
#[derive(Debug, Default)]
pub(crate) struct Weaknesses {
    /// In the order of the field.
    pub(crate) numbers: Vec<u32>,
    /// Texts without a number, such as `Injection`.
    pub(crate) words: Vec<String>,
}

impl Weaknesses {
    fn add(&mut self, text: &str) {
        let numbers = vocabulary::weaknesses(text);
        if numbers.is_empty() && self.words.len() < LIST_ENTRIES && !text.trim().is_empty() {
            self.words.push(text.to_owned());
        }
        self.add_numbers(numbers);
    }

    fn add_numbers(&mut self, numbers: impl IntoIterator<Item = u32>) {
        let room = LIST_ENTRIES.saturating_sub(self.numbers.len());
        self.numbers.extend(numbers.into_iter().take(room));
    }
}

impl<'de> Lenient<'de> for Weaknesses {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        let mut all = Self::default();
        all.add(&text);
        Field::Present(all)
    }

    fn from_whole(number: i64) -> Field<Self> {
        let mut all = Self::default();
        all.add_numbers(
            u32::try_from(number)
                .ok()
                .filter(|number| (1..=9999).contains(number)),
        );
        Field::Present(all)
    }

    fn from_seq<A: SeqAccess<'de>>(mut entries: A) -> Result<Field<Self>, A::Error> {
        let mut all = Self::default();
        while let Some(entry) = entries.next_element::<Field<One>>()? {
            match entry {
                Field::Present(One(entry)) => {
                    all.add_numbers(entry.numbers);
                    all.words.extend(entry.words);
                }
                Field::Absent | Field::Wrong => {}
            }
        }
        all.words.truncate(LIST_ENTRIES);
        Ok(Field::Present(all))
    }
}

/// An entry of a list, which is no list itself.
struct One(Weaknesses);

impl<'de> Lenient<'de> for One {
    fn from_str(text: Cow<'de, str>) -> Field<Self> {
        one(Weaknesses::from_str(text))
    }

    fn from_whole(number: i64) -> Field<Self> {
        one(Weaknesses::from_whole(number))
    }
}

fn one(entry: Field<Weaknesses>) -> Field<One> {
    match entry {
        Field::Present(entry) => Field::Present(One(entry)),
        Field::Absent => Field::Absent,
        Field::Wrong => Field::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::json::lenient::Field;

    use super::Weaknesses;

    #[test]
    fn every_form_is_read() {
        let check = |text: &str, numbers: &[u32], words: &[&str]| {
            let field: Field<Weaknesses> = serde_json::from_str(text).expect(text);
            let none = Weaknesses::default();
            let all = field.get().unwrap_or(&none);
            assert_eq!(all.numbers, numbers, "{text}");
            assert_eq!(all.words, words, "{text}");
        };
        check("79", &[79], &[]);
        check(r#""CWE-79: Cross-site Scripting, CWE-80""#, &[79, 80], &[]);
        check(
            r#"["79",80,"CWE-352",null,["CWE-1"],{"id":2}]"#,
            &[79, 80, 352],
            &[],
        );
        check(r#""Injection""#, &[], &["Injection"]);
        check("null", &[], &[]);
        check("{}", &[], &[]);
        check("-7", &[], &[]);
    }
}
