//! How far a semgrep run came: its `errors`, and the files that `paths` names as scanned and skipped.
//!
//! A file that the tool could not read, or a rule that it could not use, has no results, and so has a
//! clean one. The difference is told: every such gap is a diagnostic, and the coverage is `partial`.
//! What the run was asked to leave out is told once for each reason, and is no gap.
//!
//! `paths.skipped` is there only when semgrep ran with `--verbose`, as the worker's catalogue has it.

use serde::Deserialize;
use tamiz_sdk::clean_line;
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::limits::WORD_BYTES;
use tamiz_sdk::model::LogLevel;

use tamiz_sdk::report as record;
use tamiz_sdk::report::{Notes, Session, Stop};

/// Why a run leaves files out when it is asked to: patterns, options, folders such as `.git`, and files
/// that no rule is for.
const CHOSEN_REASONS: [&str; 10] = [
    "always_skipped",
    "cli_exclude_flags_match",
    "cli_include_flags_do_not_match",
    "dotfile",
    "excluded_by_config",
    "gitignore_patterns_match",
    "irrelevant_rule",
    "semgrepignore_patterns_match",
    "semgrepignored",
    "wrong_language",
];

/// What a report says about its own reach. Told when the report's end is reached.
#[derive(Default)]
pub(super) struct Reach {
    paths_seen: bool,
    errors_seen: bool,
    /// Whether it lists files that were scanned.
    scanned_any: bool,
    /// Files that were left out as asked for: by reason of [`CHOSEN_REASONS`], with one of them.
    chosen: Vec<(String, u32, String)>,
    notes: Notes,
}

impl Reach {
    /// Whether the report has `paths`, which only such a report has.
    pub(super) fn paths_seen(&self) -> bool {
        self.paths_seen
    }

    /// Whether the report has a list of errors.
    pub(super) fn errors_seen(&self) -> bool {
        self.errors_seen
    }

    /// Reads a member of the outermost object, if it is about the reach.
    pub(super) fn member(&mut self, key: &str, reader: &mut JsonReader<'_>) -> Result<bool, Stop> {
        match (key, reader.kind()?) {
            ("errors", Kind::Array) => self.errors(reader)?,
            ("paths", Kind::Object) => self.paths(reader)?,
            ("errors" | "paths", kind) => self.wrong_kind(key, kind, reader)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Tells what was seen, once.
    pub(super) fn tell(&mut self, session: &mut Session<'_>) {
        for (reason, count, example) in std::mem::take(&mut self.chosen) {
            let message = || format!("left out as asked for ({reason}): {count}, such as `{example}`");
            self.notes.add(LogLevel::Info, "files-excluded", message, None);
        }
        if self.errors_seen && self.scanned_any {
            session.covered();
        }
        self.notes.tell(session);
    }

    /// `null` says nothing; anything else hides what it should say.
    fn wrong_kind(&mut self, name: &str, kind: Kind, reader: &mut JsonReader<'_>) -> Result<(), Stop> {
        let start = reader.offset();
        reader.skip()?;
        if kind != Kind::Word {
            let at = record::span_since(reader, start);
            let message = || format!("`{name}` is {}: what the tool left out is not known", kind.noun());
            self.notes.add_gap("tool-error-unreadable", message, Some(at));
        }
        Ok(())
    }

    /// What the tool says went wrong: a rule that did not parse, a file that took too long.
    fn errors(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Stop> {
        self.errors_seen = true;
        reader.enter_array()?;
        let mut index = 0_u32;
        while reader.next_element()? {
            let start = reader.offset();
            let error = record::small_object::<ToolError>(reader)?;
            let at = Some(record::span_since(reader, start));
            match error {
                Some(error) if error.is_gap() => {
                    self.notes.add_gap("tool-error", || error.describe(), at);
                }
                Some(error) => self
                    .notes
                    .add(LogLevel::Info, "tool-error", || error.describe(), at),
                None => {
                    let message = || format!("errors[{index}] could not be read");
                    self.notes.add_gap("tool-error-unreadable", message, at);
                }
            }
            index = index.saturating_add(1);
        }
        Ok(())
    }

    fn paths(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Stop> {
        self.paths_seen = true;
        reader.enter_object()?;
        while let Some(key) = reader.next_key()? {
            match (key.as_str(), reader.kind()?) {
                ("scanned", Kind::Array) => self.scanned(reader)?,
                ("skipped", Kind::Array) => self.skipped(reader)?,
                ("scanned" | "skipped", kind) => self.wrong_kind(&format!("paths.{key}"), kind, reader)?,
                _ => {
                    reader.skip()?;
                }
            }
        }
        Ok(())
    }

    fn scanned(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Stop> {
        let mut scanned = 0_u32;
        reader.enter_array()?;
        while reader.next_element()? {
            reader.skip()?;
            scanned = scanned.saturating_add(1);
        }
        if scanned == 0 {
            let message = || "the tool scanned no file: no result says nothing about the target".to_owned();
            self.notes.add(LogLevel::Warn, "nothing-scanned", message, None);
        } else {
            self.scanned_any = true;
            let message = || format!("{scanned} files were scanned");
            self.notes.add(LogLevel::Info, "files-scanned", message, None);
        }
        Ok(())
    }

    fn skipped(&mut self, reader: &mut JsonReader<'_>) -> Result<(), Stop> {
        reader.enter_array()?;
        let mut index = 0_u32;
        while reader.next_element()? {
            let start = reader.offset();
            let skipped = record::small_object::<Skipped>(reader)?;
            let at = Some(record::span_since(reader, start));
            match skipped {
                Some(skipped) if CHOSEN_REASONS.contains(&skipped.reason()) => self.count_chosen(&skipped),
                Some(skipped) => self.notes.add_gap("file-skipped", || skipped.describe(), at),
                None => {
                    let message = || format!("paths.skipped[{index}] could not be read");
                    self.notes.add_gap("tool-error-unreadable", message, at);
                }
            }
            index = index.saturating_add(1);
        }
        Ok(())
    }

    fn count_chosen(&mut self, skipped: &Skipped) {
        let reason = skipped.reason();
        if let Some((_, count, _)) = self.chosen.iter_mut().find(|(known, ..)| known == reason) {
            *count = count.saturating_add(1);
        } else {
            let example = clean_line(skipped.path(), WORD_BYTES).text;
            self.chosen.push((reason.to_owned(), 1, example));
        }
    }
}

/// One entry of `errors`.
#[derive(Deserialize)]
struct ToolError {
    #[serde(default)]
    level: Option<serde_json::Value>,
    #[serde(default)]
    r#type: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
    #[serde(default)]
    long_msg: Option<serde_json::Value>,
    #[serde(default)]
    short_msg: Option<serde_json::Value>,
    #[serde(default)]
    rule_id: Option<serde_json::Value>,
    #[serde(default)]
    path: Option<serde_json::Value>,
    /// Where versions before 0.10 have everything.
    #[serde(default)]
    data: Option<serde_json::Value>,
}

impl ToolError {
    /// Whether something was not looked at by it. Semgrep has three levels; an unknown one is no `info`.
    fn is_gap(&self) -> bool {
        word(self.level.as_ref()) != "info"
    }

    fn describe(&self) -> String {
        let kind = word(self.r#type.as_ref());
        let messages = [&self.message, &self.long_msg, &self.short_msg];
        let mut messages = messages.into_iter().map(|message| word(message.as_ref()));
        let message = messages.find(|message| !message.is_empty()).unwrap_or_default();
        let level = match word(self.level.as_ref()) {
            "" => "error",
            level => level,
        };
        let mut text = format!("the tool reports {level}");
        for part in [kind, message] {
            if !part.is_empty() && !text.ends_with(&format!(": {part}")) {
                text = format!("{text}: {part}");
            }
        }
        let data = |key: &str| word(self.data.as_ref().and_then(|data| data.get(key)));
        for place in [
            word(self.path.as_ref()),
            data("path"),
            data("uri"),
            word(self.rule_id.as_ref()),
        ] {
            if !place.is_empty() && !text.contains(place) {
                text = format!("{text} ({place})");
            }
        }
        text
    }
}

/// One entry of `paths.skipped`.
#[derive(Deserialize)]
struct Skipped {
    #[serde(default)]
    path: Option<serde_json::Value>,
    #[serde(default)]
    reason: Option<serde_json::Value>,
    #[serde(default)]
    details: Option<serde_json::Value>,
    #[serde(default)]
    rule_id: Option<serde_json::Value>,
}

impl Skipped {
    fn path(&self) -> &str {
        word(self.path.as_ref())
    }

    fn reason(&self) -> &str {
        word(self.reason.as_ref())
    }

    fn describe(&self) -> String {
        let reason = match self.reason() {
            "" => "for a reason that it does not say",
            reason => reason,
        };
        let mut text = format!("the tool skipped `{}`: {reason}", self.path());
        for (name, value) in [("rule", &self.rule_id), ("details", &self.details)] {
            match word(value.as_ref()) {
                "" => {}
                word => text = format!("{text}, {name} {word}"),
            }
        }
        text
    }
}

/// A word of the tool's. A type may be a list whose first entry is its name.
fn word(value: Option<&serde_json::Value>) -> &str {
    let value = value.and_then(|value| value.get(0).or(Some(value)));
    value.and_then(serde_json::Value::as_str).map_or("", str::trim)
}
