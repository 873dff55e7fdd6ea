//! The `affected` list of an OSV record: one entry per package and release, so a distribution's record may
//! have hundreds. Each is read on its own and only what is about the package at hand is kept.

use serde::Deserialize;
use serde::de::SeqAccess;
use serde_json::value::RawValue;
use tamiz_sdk::json::lenient::{Field, Lenient, Object, Objects, Text, Texts};
use tamiz_sdk::limits::LIST_ENTRIES;
use tamiz_sdk::vocabulary::cwes;

/// Entries that are looked at: the largest record of a distribution has about a thousand.
const ENTRIES_MAX: usize = 4096;

/// The entries, not yet read.
#[derive(Default)]
pub(super) struct Entries<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Lenient<'de> for Entries<'a> {
    fn from_seq<A: SeqAccess<'de>>(mut list: A) -> Result<Field<Self>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element::<&'a RawValue>()? {
            if entries.len() < ENTRIES_MAX {
                entries.push(entry);
            }
        }
        Ok(Field::Present(Self(entries)))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Affected<'a> {
    #[serde(borrow)]
    package: Field<Object<Name<'a>>>,
    #[serde(borrow)]
    severity: Field<Objects<Score<'a>>>,
    #[serde(borrow)]
    ranges: Field<Objects<Range<'a>>>,
    #[serde(borrow)]
    database_specific: Field<Object<Database<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    ecosystem: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Score<'a> {
    #[serde(borrow)]
    pub(super) score: Text<'a>,
}

/// What single databases add: `RustSec` its vector, the malicious packages their weaknesses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Database<'a> {
    #[serde(borrow)]
    cvss: Text<'a>,
    #[serde(borrow)]
    informational: Text<'a>,
    #[serde(borrow)]
    cwe_ids: Texts<'a>,
    #[serde(borrow)]
    cwes: Field<Objects<Weakness<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Weakness<'a> {
    #[serde(borrow)]
    pub(super) cwe_id: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    events: Field<Objects<RangeEvent<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RangeEvent<'a> {
    #[serde(borrow)]
    fixed: Text<'a>,
}

/// What the entries say about one package.
#[derive(Default)]
pub(super) struct About {
    /// Versions that are said to be fixed; those of git are commits, and not among them.
    pub(super) fixed: Vec<String>,
    /// Texts that may be vectors.
    pub(super) vectors: Vec<String>,
    pub(super) cwes: Vec<u32>,
    /// `unmaintained` and the like: no vulnerability.
    pub(super) informational: String,
}

impl Entries<'_> {
    /// What is said about a package. An entry for its very release beats those of its name alone.
    pub(super) fn about(&self, name: &str, ecosystem: &str) -> About {
        let mut exact = About::default();
        let mut named = About::default();
        let mut is_exact = false;
        for entry in &self.0 {
            let Ok(Field::Present(Object(entry))) =
                serde_json::from_str::<Field<Object<Affected<'_>>>>(entry.get())
            else {
                continue;
            };
            let none = Name::default();
            let package = entry.package.object().unwrap_or(&none);
            if !package.name.text().is_empty() && package.name.text() != name {
                continue;
            }
            if package.ecosystem.text() == ecosystem {
                is_exact = true;
                exact.add(&entry);
            }
            named.add(&entry);
        }
        if is_exact { exact } else { named }
    }
}

impl About {
    fn add(&mut self, entry: &Affected<'_>) {
        let ranges = entry.ranges.objects().iter();
        let events = ranges
            .filter(|range| range.kind.text() != "GIT")
            .flat_map(|range| range.events.objects());
        for version in events.map(|event| event.fixed.text()) {
            push(&mut self.fixed, version);
        }
        for score in entry.severity.objects() {
            push(&mut self.vectors, score.score.text());
        }
        let Some(database) = entry.database_specific.object() else {
            return;
        };
        push(&mut self.vectors, database.cvss.text());
        database.informational.text().clone_into(&mut self.informational);
        let weaknesses = database
            .cwes
            .objects()
            .iter()
            .map(|weakness| weakness.cwe_id.text());
        for number in database.cwe_ids.texts().chain(weaknesses).flat_map(cwes) {
            if self.cwes.len() < LIST_ENTRIES {
                self.cwes.push(number);
            }
        }
    }
}

/// Adds a text once.
fn push(list: &mut Vec<String>, text: &str) {
    if !text.is_empty() && list.len() < LIST_ENTRIES && !list.iter().any(|known| known == text) {
        list.push(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::Entries;
    use tamiz_sdk::json::lenient::Field;

    #[test]
    fn only_entries_about_the_package_count_and_its_release_beats_others() {
        let entry = |ecosystem: &str, name: &str, fixed: &str| {
            format!(
                r#"{{"package":{{"ecosystem":"{ecosystem}","name":"{name}"}},"ranges":[{{"type":"ECOSYSTEM","events":[{{"introduced":"0"}},{{"fixed":"{fixed}"}}]}}]}}"#
            )
        };
        let mut all = vec![entry("Ubuntu:20.04", "other", "9"); 100];
        all.push(entry("Ubuntu:20.04", "apt", "1"));
        all.push(entry("Ubuntu:22.04", "apt", "2"));
        let text = format!("[{}, 7]", all.join(","));
        let entries: Field<Entries<'_>> = serde_json::from_str(&text).expect("JSON");
        let entries = entries.get().expect("a list");
        assert_eq!(entries.about("apt", "Ubuntu:22.04").fixed, ["2"]);
        assert_eq!(entries.about("apt", "Ubuntu:24.04").fixed, ["1", "2"]);
        assert!(entries.about("none", "Ubuntu:22.04").fixed.is_empty());
    }
}
