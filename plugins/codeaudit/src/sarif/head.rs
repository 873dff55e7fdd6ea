//! Everything of a run but its results: the tool, its rules, the folders and the file table.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::{MESSAGE_BYTES, PATH_BYTES, RECORD_BYTES};

use super::rules::{Component, Rule, Rules};
use super::shapes::{Artifact, ArtifactLocation, RuleShape, UriBase};
use tamiz_sdk::report::Stop;
use tamiz_sdk::report::path::{self, Label};
use tamiz_sdk::report::{small_object, small_text};

/// Text of rules and file names that is kept for a whole file. The largest honest rule sets
/// (semgrep's registry with its help texts) have a few megabytes.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rules of one tool, and entries of one file table.
const ENTRIES_MAX: usize = 100_000;

/// Folders that refer to each other: more is a circle.
const BASE_CHAIN_MAX: usize = 8;

/// Folders that a run names.
const BASES_MAX: usize = 100;

/// What may still be kept.
pub(super) struct TextBudget(usize);

impl Default for TextBudget {
    fn default() -> Self {
        Self(TEXT_BYTES_MAX)
    }
}

impl TextBudget {
    fn take(&mut self, bytes: usize) -> bool {
        match self.0.checked_sub(bytes) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

/// What a run's results are read with.
#[derive(Default)]
pub(super) struct RunHead {
    /// The tool's name, lower case; empty until it was read.
    pub(super) tool: String,
    pub(super) version: Option<String>,
    pub(super) rules: Rules,
    /// Whether something did not fit any more.
    pub(super) cut: bool,
    bases: BTreeMap<String, UriBase>,
    /// The absolute folders among `bases`, as paths: what results' paths are relative to.
    roots: Vec<String>,
    files: Vec<FileEntry>,
}

struct FileEntry {
    uri: String,
    base: String,
}

impl RunHead {
    /// Reads a member of a run, if it belongs to the head.
    pub(super) fn member(
        &mut self,
        key: &str,
        kind: Kind,
        reader: &mut JsonReader<'_>,
        budget: &mut TextBudget,
    ) -> Result<bool, Stop> {
        match (key, kind) {
            ("tool", Kind::Object) => self.tool(reader, budget)?,
            ("originalUriBaseIds", Kind::Object) => self.bases(reader, budget)?,
            ("artifacts", Kind::Array) => self.files(reader, budget)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The name that findings carry: the report's, or a word when it names none.
    pub(super) fn tool_name(&self) -> &str {
        if self.tool.is_empty() {
            "unknown"
        } else {
            &self.tool
        }
    }

    /// A place's path as a label; nothing when it names no file.
    pub(super) fn path(&self, location: &ArtifactLocation<'_>, root: Option<&str>) -> Option<Label> {
        let (mut uri, mut base) = (location.uri.text(), location.uri_base_id.text());
        if uri.is_empty() {
            let index = usize::try_from(*location.index.get()?).ok()?;
            let file = self.files.get(index)?;
            (uri, base) = (&file.uri, &file.base);
        }
        let folder = if path::is_relative(uri) {
            self.base_uri(base)
        } else {
            String::new()
        };
        let joined = if folder.is_empty() {
            Cow::Borrowed(uri)
        } else {
            Cow::Owned(folder + uri)
        };
        let label = path::label_of_uri(&joined, root, &self.roots);
        (!label.path.is_empty()).then_some(label)
    }

    /// The folder that a base id stands for, with a `/` at its end; empty when the report does not say.
    fn base_uri(&self, id: &str) -> String {
        let mut uri = String::new();
        let mut id = Some(id);
        for _ in 0..BASE_CHAIN_MAX {
            let Some(base) = id.and_then(|id| self.bases.get(id)) else {
                break;
            };
            let own = base.uri.as_deref().unwrap_or_default().trim();
            let slash = if own.is_empty() || own.ends_with('/') {
                ""
            } else {
                "/"
            };
            uri = format!("{own}{slash}{uri}");
            id = if path::is_relative(own) {
                base.uri_base_id.as_deref()
            } else {
                None
            };
        }
        uri
    }

    fn tool(&mut self, reader: &mut JsonReader<'_>, budget: &mut TextBudget) -> Result<(), Stop> {
        reader.enter_object()?;
        while let Some(key) = reader.next_key()? {
            match (key.as_str(), reader.kind()?) {
                ("driver", Kind::Object) => {
                    let (component, version) = self.component(reader, budget)?;
                    self.tool = tool_name(&component.name);
                    self.version = version;
                    self.rules.driver = component;
                }
                ("extensions", Kind::Array) => {
                    reader.enter_array()?;
                    while reader.next_element()? {
                        if reader.kind()? == Kind::Object && self.rules.extensions.len() < ENTRIES_MAX {
                            let (component, _) = self.component(reader, budget)?;
                            self.rules.extensions.push(component);
                        } else {
                            reader.skip()?;
                        }
                    }
                }
                _ => {
                    reader.skip()?;
                }
            }
        }
        Ok(())
    }

    fn component(
        &mut self,
        reader: &mut JsonReader<'_>,
        budget: &mut TextBudget,
    ) -> Result<(Component, Option<String>), Stop> {
        let mut component = Component::default();
        let (mut semantic_version, mut version) = (None, None);
        reader.enter_object()?;
        while let Some(key) = reader.next_key()? {
            match (key.as_str(), reader.kind()?) {
                ("name", _) => component.name = small_text(reader)?.unwrap_or_default(),
                ("guid", _) => component.guid = small_text(reader)?.unwrap_or_default(),
                ("semanticVersion", _) => semantic_version = small_text(reader)?,
                ("version", _) => version = small_text(reader)?,
                ("rules", Kind::Array) => self.rules(reader, &mut component, budget)?,
                ("globalMessageStrings", Kind::Object) => messages(reader, &mut component, budget)?,
                _ => {
                    reader.skip()?;
                }
            }
        }
        Ok((
            component,
            semantic_version
                .or(version)
                .map(|version| plain_version(&version)),
        ))
    }

    /// An unreadable rule leaves a gap, so that the others keep their index.
    fn rules(
        &mut self,
        reader: &mut JsonReader<'_>,
        component: &mut Component,
        budget: &mut TextBudget,
    ) -> Result<(), Stop> {
        reader.enter_array()?;
        while reader.next_element()? {
            if component.rules.len() >= ENTRIES_MAX {
                self.cut = true;
                reader.skip()?;
                continue;
            }
            let rule = match reader.value(RECORD_BYTES)? {
                Located::Whole { bytes, .. } => serde_json::from_slice::<RuleShape<'_>>(bytes).ok(),
                Located::TooLarge { .. } | Located::TooDeep { .. } => None,
            };
            let rule = rule.map_or_else(Rule::default, |shape| Rule::from_shape(&shape));
            if budget.take(rule.text_bytes() + size_of::<Rule>()) {
                component.add(rule);
            } else {
                self.cut = true;
            }
        }
        Ok(())
    }

    /// Whether the file table was read and has something in it.
    pub(super) fn knows_files(&self) -> bool {
        !self.files.is_empty()
    }

    fn bases(&mut self, reader: &mut JsonReader<'_>, budget: &mut TextBudget) -> Result<(), Stop> {
        reader.enter_object()?;
        while let Some(id) = reader.next_key()? {
            let Some(base) = small_object::<UriBase>(reader)? else {
                continue;
            };
            let bytes = id.len() + base.uri.as_ref().map_or(0, String::len);
            if self.bases.len() < BASES_MAX && bytes < PATH_BYTES && budget.take(bytes) {
                self.bases.insert(id, base);
            }
        }
        let root_of = |base: &UriBase| base.uri.as_deref().and_then(path::file_uri_path);
        let source_root = self
            .bases
            .iter()
            .find(|(id, _)| id.contains("SRCROOT"))
            .and_then(|(_, base)| root_of(base));
        self.roots = match source_root {
            Some(root) => vec![root],
            None => self.bases.values().filter_map(root_of).collect(),
        };
        Ok(())
    }

    fn files(&mut self, reader: &mut JsonReader<'_>, budget: &mut TextBudget) -> Result<(), Stop> {
        reader.enter_array()?;
        while reader.next_element()? {
            let entry = match reader.value(RECORD_BYTES)? {
                Located::Whole { bytes, .. } => serde_json::from_slice::<Artifact<'_>>(bytes).ok(),
                Located::TooLarge { .. } | Located::TooDeep { .. } => None,
            };
            let location = entry.as_ref().and_then(|entry| entry.location.object());
            let text = |text: &str| {
                text.get(..text.len().min(PATH_BYTES))
                    .unwrap_or_default()
                    .to_owned()
            };
            let file = FileEntry {
                uri: location.map_or_else(String::new, |location| text(location.uri.text())),
                base: location.map_or_else(String::new, |location| text(location.uri_base_id.text())),
            };
            if self.files.len() < ENTRIES_MAX
                && budget.take(file.uri.len() + file.base.len() + size_of::<FileEntry>())
            {
                self.files.push(file);
            }
        }
        Ok(())
    }
}

/// Texts that results refer to by id.
fn messages(
    reader: &mut JsonReader<'_>,
    component: &mut Component,
    budget: &mut TextBudget,
) -> Result<(), Stop> {
    reader.enter_object()?;
    while let Some(id) = reader.next_key()? {
        let text = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
        let text = text
            .get("text")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let text = tamiz_sdk::clean_text(text, MESSAGE_BYTES).text;
        let bytes = id.len() + text.len() + 2 * size_of::<String>();
        if component.messages.len() < ENTRIES_MAX && budget.take(bytes) {
            component.messages.push((id, text));
        }
    }
    Ok(())
}

/// `Semgrep OSS` and its JSON's `semgrep` are one tool, and so are opengrep's two names.
fn tool_name(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    for family in ["semgrep", "opengrep"] {
        if [" oss", " pro"]
            .iter()
            .any(|edition| lower == format!("{family}{edition}"))
        {
            return family.to_owned();
        }
    }
    lower
}

/// gitleaks writes `v8.0.0` where the standard wants `8.0.0`.
fn plain_version(version: &str) -> String {
    let rest = version
        .strip_prefix('v')
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    rest.unwrap_or(version).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{plain_version, tool_name};

    #[test]
    fn tools_have_one_name_in_both_formats() {
        assert_eq!(tool_name("Semgrep OSS"), "semgrep");
        assert_eq!(tool_name("Opengrep OSS"), "opengrep");
        assert_eq!(tool_name("ESLint"), "eslint");
        assert_eq!(plain_version("v8.0.0"), "8.0.0");
        assert_eq!(plain_version("vx"), "vx");
    }
}
