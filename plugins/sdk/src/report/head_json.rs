//! The keys of a JSON document's outer levels and first records.

use crate::json::{JsonError, JsonReader, Kind, Located};

/// Levels that are looked at: `Results[].Vulnerabilities[].CVSS.nvd` has six.
const LEVELS_MAX: usize = 7;

/// Elements of an array that are looked at: a key that the first record lacks may be in the next.
const ELEMENTS_MAX: usize = 8;

/// Members of an object that are looked at.
const MEMBERS_MAX: usize = 128;

/// Paths that are kept.
const PATHS_MAX: usize = 2000;

/// A short text that is kept.
const TEXT_BYTES: usize = 512;

/// Keys that a message names.
const KEYS_SHOWN: usize = 6;

/// The segment of a path that stands for an array's elements.
const ELEMENT: &str = "[]";

/// What stands at one path.
#[derive(Debug)]
pub(super) struct Found {
    path: Vec<String>,
    pub(super) kind: Kind,
    pub(super) text: Option<String>,
}

/// All paths that were seen, each once, in the order of the document.
#[derive(Debug, Default)]
pub(super) struct Paths(Vec<Found>);

impl Paths {
    pub(super) fn add(&mut self, path: &[String], kind: Kind, text: Option<String>) {
        if self.0.len() < PATHS_MAX && !self.0.iter().any(|found| found.path == path) {
            let path = path.to_vec();
            self.0.push(Found { path, kind, text });
        }
    }

    /// The first at a path such as `results[].*.id`.
    pub(super) fn find(&self, path: &str) -> Option<&Found> {
        let mut wanted: Vec<&str> = Vec::new();
        for segment in path.split('.') {
            let key = segment.trim_end_matches(ELEMENT);
            if !key.is_empty() {
                wanted.push(key);
            }
            let elements = (segment.len() - key.len()) / ELEMENT.len();
            wanted.extend(std::iter::repeat_n(ELEMENT, elements));
        }
        let fits = |(key, wanted): (&String, &&str)| key == wanted || (*wanted == "*" && key != ELEMENT);
        self.0
            .iter()
            .find(|found| found.path.len() == wanted.len() && found.path.iter().zip(&wanted).all(fits))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first key of all: an XML document's root.
    pub(super) fn first_key(&self) -> &str {
        self.0
            .first()
            .and_then(|found| found.path.first())
            .map_or("", String::as_str)
    }

    /// The first keys of the outer object, or of an outer array's elements, for a message.
    pub(super) fn keys_shown(&self) -> String {
        let outer = |found: &&Found| match found.path.as_slice() {
            [key] => key != ELEMENT,
            [element, key] => element == ELEMENT && key != ELEMENT,
            _ => false,
        };
        let mut keys = self.0.iter().filter(outer).filter_map(|found| found.path.last());
        let shown: Vec<_> = keys
            .by_ref()
            .take(KEYS_SHOWN)
            .map(|key| format!("`{}`", crate::clean_line(key, 40).text))
            .collect();
        if shown.is_empty() {
            return String::new();
        }
        let more = if keys.next().is_some() { " and others" } else { "" };
        format!("the keys {}{more}", shown.join(", "))
    }
}

/// Goes through the value that comes next.
pub(super) fn collect(reader: &mut JsonReader<'_>, paths: &mut Paths) -> Result<(), JsonError> {
    look(reader, paths, &mut Vec::new())
}

/// Recursive, at most [`LEVELS_MAX`] deep.
fn look(reader: &mut JsonReader<'_>, paths: &mut Paths, path: &mut Vec<String>) -> Result<(), JsonError> {
    let kind = reader.kind()?;
    let deep = path.len() >= LEVELS_MAX;
    match kind {
        Kind::Object | Kind::Array if deep => {
            paths.add(path, kind, None);
            reader.skip()?;
        }
        Kind::Object => {
            if !path.is_empty() {
                paths.add(path, kind, None);
            }
            reader.enter_object()?;
            let mut members = 0;
            while let Some(key) = reader.next_key()? {
                members += 1;
                if members > MEMBERS_MAX {
                    reader.skip()?;
                    continue;
                }
                path.push(key);
                look(reader, paths, path)?;
                path.pop();
            }
        }
        Kind::Array => {
            if !path.is_empty() {
                paths.add(path, kind, None);
            }
            reader.enter_array()?;
            path.push(ELEMENT.to_owned());
            let mut elements = 0;
            while reader.next_element()? {
                elements += 1;
                if elements > ELEMENTS_MAX {
                    reader.skip()?;
                } else {
                    look(reader, paths, path)?;
                }
            }
            path.pop();
        }
        Kind::String | Kind::Number | Kind::Word => {
            let text = match reader.value(TEXT_BYTES)? {
                Located::Whole { bytes, .. } if kind == Kind::String => serde_json::from_slice(bytes).ok(),
                Located::Whole { bytes, .. } => str::from_utf8(bytes).ok().map(str::to_owned),
                Located::TooLarge { .. } | Located::TooDeep { .. } => None,
            };
            paths.add(path, kind, text);
        }
    }
    Ok(())
}
