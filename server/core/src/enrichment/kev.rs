//! The catalogue of known exploited vulnerabilities, as JSON or as CSV.
//!
//! Both have the same fields; only the JSON says which version it is and when it was released. A catalogue has some
//! 1,500 entries, so it is read whole. An entry needs its CVE and the day it was added; other texts may be missing,
//! and are cut.

use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::rows::{Row, Rows};
use super::{EnrichmentError, Faults, RowFault, RowPlace, cve, quote};
use crate::advisory::Advisory;
use crate::limits::{LABEL_BYTES_MAX, LIST_ITEMS_MAX};
use crate::text::{cut, printable};

/// Entries of a catalogue: thirty times what one has in 2026.
pub const KEV_ENTRIES_MAX: usize = 50_000;
/// A catalogue in bytes: ten times what one has in 2026.
pub const KEV_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A description, a required action or notes, in bytes; more is cut.
const PROSE_BYTES_MAX: usize = 4 * 1024;
/// A version of the catalogue, in bytes.
const VERSION_BYTES_MAX: usize = 64;
/// The names of the fields, in both forms.
const FIELDS: [&str; 11] = [
    "cveID",
    "dateAdded",
    "vendorProject",
    "product",
    "vulnerabilityName",
    "shortDescription",
    "requiredAction",
    "dueDate",
    "knownRansomwareCampaignUse",
    "notes",
    "cwes",
];
/// How many of them every catalogue has.
const FIELDS_NEEDED: usize = 2;

/// What a catalogue says of itself; CSV says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KevHead {
    /// Such as `2025.09.22`.
    pub version: Option<String>,
    /// When.
    pub released: Option<DateTime<Utc>>,
}

/// A vulnerability that is known to be exploited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kev {
    /// A CVE.
    pub cve: Advisory,
    /// The day it came into the catalogue.
    pub added: NaiveDate,
    /// Who makes the product.
    pub vendor: String,
    /// What is vulnerable.
    pub product: String,
    /// The vulnerability's name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What agencies must do about it.
    pub action: String,
    /// Until when.
    pub due: Option<NaiveDate>,
    /// Whether campaigns of ransomware are known to use it.
    pub has_ransomware_use: bool,
    /// Mostly addresses.
    pub notes: String,
    /// CWE numbers.
    pub cwe: Vec<u32>,
}

/// A catalogue.
#[derive(Debug, Default)]
pub struct KevCatalogue {
    /// What it says of itself.
    pub head: KevHead,
    /// In its order, each CVE once.
    pub entries: Vec<Kev>,
    /// The entries that were left out.
    pub faults: Vec<RowFault>,
}

impl KevCatalogue {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`EnrichmentError`] for another file, a larger one, too many wrong entries, or when the reader fails.
    pub fn from_json(reader: impl Read) -> Result<Self, EnrichmentError> {
        let mut limited = reader.take(KEV_BYTES_MAX);
        let mut collected = Collected::default();
        let parsed = {
            let mut json = serde_json::Deserializer::from_reader(BufReader::new(&mut limited));
            let parsed = json.deserialize_map(&mut collected);
            parsed.and_then(|()| json.end())
        };
        if let Some(failure) = collected.failure {
            return Err(failure);
        }
        match parsed {
            Ok(()) => collected.finish(),
            Err(_) if limited.limit() == 0 => Err(EnrichmentError::TooLarge { limit: KEV_BYTES_MAX }),
            Err(error) if error.is_io() => Err(EnrichmentError::Read(error.into())),
            Err(error) => Err(EnrichmentError::Json(error)),
        }
    }

    /// Reads the CSV form.
    ///
    /// # Errors
    /// As [`KevCatalogue::from_json`].
    pub fn from_csv(reader: impl BufRead) -> Result<Self, EnrichmentError> {
        let mut limited = reader.take(KEV_BYTES_MAX);
        let mut rows = Rows::new(&mut limited);
        let head = rows.next()?.ok_or(EnrichmentError::Empty)?;
        let columns = columns(head.map_err(EnrichmentError::Head)?)?;
        let mut collected = Collected::default();
        while let Some(row) = rows.next()? {
            let read = |row: Row<'_>| {
                let texts = columns.map(|column| column.map_or("", |column| row.field(column)));
                Ok((row.at, Kev::of(texts)))
            };
            let (at, entry) = row
                .and_then(read)
                .unwrap_or_else(|fault| (fault.at, Err(fault.what)));
            collected.add(at, entry)?;
        }
        if limited.limit() == 0 {
            return Err(EnrichmentError::TooLarge { limit: KEV_BYTES_MAX });
        }
        collected.finish()
    }
}

/// Where a head has the fields.
fn columns(head: Row<'_>) -> Result<[Option<usize>; FIELDS.len()], EnrichmentError> {
    let found = FIELDS.map(|name| head.fields().position(|field| field.eq_ignore_ascii_case(name)));
    match found.iter().take(FIELDS_NEEDED).position(Option::is_none) {
        Some(missing) => Err(EnrichmentError::NoColumn {
            at: head.at,
            column: FIELDS[missing],
        }),
        None => Ok(found),
    }
}

impl Kev {
    /// Of the texts of all fields, in the order of [`FIELDS`].
    fn of(texts: [&str; FIELDS.len()]) -> Result<Self, String> {
        let [
            id,
            added,
            vendor,
            product,
            name,
            description,
            action,
            due,
            ransomware,
            notes,
            cwes,
        ] = texts;
        let day = |text: &str| {
            let day = text.trim().parse::<NaiveDate>();
            day.map_err(|_| format!("`{}` is no date", quote(text)))
        };
        Ok(Self {
            cve: cve(id)?,
            added: day(added)?,
            vendor: bounded(vendor, LABEL_BYTES_MAX),
            product: bounded(product, LABEL_BYTES_MAX),
            name: bounded(name, LABEL_BYTES_MAX),
            description: bounded(description, PROSE_BYTES_MAX),
            action: bounded(action, PROSE_BYTES_MAX),
            due: (!due.trim().is_empty()).then(|| day(due)).transpose()?,
            has_ransomware_use: ransomware.trim().eq_ignore_ascii_case("known"),
            notes: bounded(notes, PROSE_BYTES_MAX),
            cwe: weaknesses(cwes),
        })
    }

    /// Of one element of the JSON form.
    fn of_json(value: &Value) -> Result<Self, String> {
        let fields = value.as_object().ok_or("it is no object")?;
        let mut joined = String::new();
        let mut texts = [""; FIELDS.len()];
        for (text, name) in texts.iter_mut().zip(FIELDS) {
            match fields.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(value)) => *text = value,
                Some(Value::Array(list)) if name == "cwes" => {
                    for word in list.iter().filter_map(Value::as_str).take(LIST_ITEMS_MAX) {
                        joined.push_str(word);
                        joined.push(' ');
                    }
                }
                Some(_) => return Err(format!("`{name}` is no text")),
            }
        }
        let last = FIELDS.len() - 1;
        if !joined.is_empty() {
            texts[last] = &joined;
        }
        Self::of(texts)
    }
}

fn bounded(text: &str, bytes_max: usize) -> String {
    cut(&printable(text.trim()), bytes_max).to_owned()
}

/// The numbers of `CWE-79, CWE-89`, each once.
fn weaknesses(text: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for word in text.split([',', ';', ' ', '|']).map(str::trim) {
        let digits = word.get(..4).filter(|start| start.eq_ignore_ascii_case("CWE-"));
        let number = digits.and_then(|_| word[4..].parse().ok());
        if let Some(number) = number.filter(|number| *number > 0 && !numbers.contains(number)) {
            numbers.push(number);
        }
        if numbers.len() == LIST_ITEMS_MAX {
            break;
        }
    }
    numbers
}

/// What was read so far.
#[derive(Default)]
struct Collected {
    head: KevHead,
    entries: Vec<Kev>,
    seen: HashSet<Advisory>,
    faults: Faults,
    has_list: bool,
    /// Why reading stopped, where that is not the JSON's fault.
    failure: Option<EnrichmentError>,
}

impl Collected {
    fn add(&mut self, at: RowPlace, entry: Result<Kev, String>) -> Result<(), EnrichmentError> {
        if self.entries.len() == KEV_ENTRIES_MAX {
            let limit = KEV_ENTRIES_MAX as u64;
            return Err(EnrichmentError::TooManyRows { limit });
        }
        match entry {
            Ok(entry) if self.seen.insert(entry.cve.clone()) => self.entries.push(entry),
            Ok(again) => {
                let what = format!("{} was there before", again.cve);
                self.faults.push(RowFault { at, what })?;
            }
            Err(what) => self.faults.push(RowFault { at, what })?,
        }
        Ok(())
    }

    fn finish(self) -> Result<KevCatalogue, EnrichmentError> {
        if self.entries.is_empty() && self.faults.0.is_empty() {
            return Err(EnrichmentError::Empty);
        }
        Ok(KevCatalogue {
            head: self.head,
            entries: self.entries,
            faults: self.faults.0,
        })
    }
}

impl<'de> Visitor<'de> for &mut Collected {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a catalogue with `vulnerabilities`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "catalogVersion" => {
                    let version: Option<String> = map.next_value()?;
                    self.head.version = version.map(|version| bounded(&version, VERSION_BYTES_MAX));
                }
                "dateReleased" => {
                    let released: Option<String> = map.next_value()?;
                    let released = released.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
                    self.head.released = released.map(|time| time.to_utc());
                }
                "vulnerabilities" => {
                    self.has_list = true;
                    map.next_value_seed(Entries(self))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if self.has_list {
            Ok(())
        } else {
            Err(serde::de::Error::missing_field("vulnerabilities"))
        }
    }
}

/// The list in a catalogue, one element in memory at a time.
struct Entries<'a>(&'a mut Collected);

impl<'de> serde::de::DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of vulnerabilities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(value) = list.next_element::<Value>()? {
            number += 1;
            if let Err(failure) = self.0.add(RowPlace::Entry(number), Kev::of_json(&value)) {
                let stop = serde::de::Error::custom(&failure);
                self.0.failure = Some(failure);
                return Err(stop);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
