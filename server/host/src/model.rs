//! From the world's finding to core's: every text printable and bounded, every number in range.
//!
//! Whatever a plugin says becomes a finding that the store and the API can hold; what had to be cut
//! is noted, so that the host can tell it once per field.

use serde_json::{Map, Value, json};
use tamiz_core::limits::{
    EXTRA_BYTES_MAX, LABEL_BYTES_MAX, LIST_ITEMS_MAX, LOCATIONS_MAX, MESSAGE_BYTES_MAX, PLACE_BYTES_MAX,
    SNIPPET_BYTES_MAX,
};
use tamiz_core::location::Endpoint;
use tamiz_core::{Confidence, Finding, Location, LogLevel, Position, Severity, Span, text};

use crate::bindings::v1::types as wit;
use crate::words::{is_line, is_plain, printable_value};

/// What a finding without a rule is filed under.
const RULE_UNNAMED: &str = "unnamed";

/// What was changed in a finding.
pub(crate) struct Note {
    pub(crate) code: &'static str,
    pub(crate) field: &'static str,
    limit: usize,
    unit: &'static str,
}

impl Note {
    pub(crate) fn message(&self) -> String {
        match self.code {
            "field-empty" => format!("at least one finding has no {}; a stand-in was used", self.field),
            "field-dropped" => format!(
                "at least one of a finding's {} is no web address and was left out",
                self.field
            ),
            _ => format!(
                "at least one finding's {} was cut to {} {}",
                self.field, self.limit, self.unit
            ),
        }
    }
}

/// Shapes findings and counts their bytes.
pub(crate) struct Shaper<'a> {
    plugin_name: &'a str,
    notes: Vec<Note>,
    bytes: u64,
}

impl<'a> Shaper<'a> {
    pub(crate) const fn new(plugin_name: &'a str) -> Self {
        Self {
            plugin_name,
            notes: Vec::new(),
            bytes: 0,
        }
    }

    /// Text of all findings shaped so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn notes(self) -> Vec<Note> {
        self.notes
    }

    pub(crate) fn finding(&mut self, from: wit::Finding) -> Finding {
        let message = self.text("message", from.message, MESSAGE_BYTES_MAX);
        let rule_id = self.line("rule-id", from.rule_id, LABEL_BYTES_MAX);
        let rule_id = self.or("rule-id", rule_id, RULE_UNNAMED);
        let title = self.line("title", from.title, LABEL_BYTES_MAX);
        let title = self.or("title", title, &rule_id);
        let mut tool = self.line("tool", from.tool, LABEL_BYTES_MAX);
        if !tool
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
        {
            tool = tool.to_lowercase();
        }
        let tool = self.or("tool", tool, self.plugin_name);
        let said = self.said(from.fix, from.suppressions, from.code_flow);
        Finding {
            tool,
            rule_name: self.label("rule-name", from.rule_name),
            severity: severity(from.severity),
            severity_raw: self.label("severity-raw", from.severity_raw),
            confidence: confidence(from.confidence),
            category: self.label("category", from.category),
            locations: self.list("locations", from.locations, LOCATIONS_MAX, |shaper, item| {
                Some(shaper.location(item))
            }),
            cwe: self.list("cwe", from.cwe, LIST_ITEMS_MAX, |_, number| {
                in_range(number).then_some(number)
            }),
            cve: self.labels("cve", from.cve),
            cvss_vector: self.label("cvss-vector", from.cvss_vector),
            references: self.list("references", from.references, LIST_ITEMS_MAX, Self::reference),
            tags: self.labels("tags", from.tags),
            remediation: from
                .remediation
                .map(|it| self.text("remediation", it, MESSAGE_BYTES_MAX)),
            tool_fingerprint: self.label("tool-fingerprint", from.tool_fingerprint),
            origin: from.origin.map(span),
            extra: self.extra(from.extra, said),
            rule_id,
            title,
            message,
        }
    }

    fn location(&mut self, from: wit::Location) -> Location {
        match from {
            wit::Location::File(file) => Location::File {
                path: self.line("path", file.path, PLACE_BYTES_MAX),
                start: file.start.and_then(position),
                end: file.end.and_then(position),
                snippet: self.snippet("snippet", file.snippet),
            },
            wit::Location::Url(url) => Location::Url {
                url: self.line("url", url.url, PLACE_BYTES_MAX),
                method: self
                    .label("method", url.method)
                    .map(|method| method.to_uppercase()),
                parameter: self.label("parameter", url.parameter),
                evidence: self.snippet("evidence", url.evidence),
            },
            wit::Location::Endpoint(endpoint) => Location::Endpoint(self.endpoint(endpoint)),
            wit::Location::Domain(domain) => Location::Domain {
                name: self.line("name", domain.name, PLACE_BYTES_MAX),
                record_type: self.label("record-type", domain.record_type),
            },
            wit::Location::Flow(flow) => Location::Flow {
                source: self.endpoint(flow.source),
                destination: self.endpoint(flow.destination),
                packet: flow.packet.filter(|number| in_range(*number)),
            },
        }
    }

    /// Somebody will click on it, so it has to be an address of the web.
    fn reference(&mut self, from: String) -> Option<String> {
        let reference = self.line("references", from, PLACE_BYTES_MAX);
        let web = ["https://", "http://"]
            .iter()
            .any(|scheme| reference.starts_with(scheme));
        if !web && !reference.is_empty() {
            self.note("field-dropped", "references", 0, "");
        }
        web.then_some(reference)
    }

    fn endpoint(&mut self, from: wit::NetworkEndpoint) -> Endpoint {
        Endpoint {
            host: self.line("host", from.host, PLACE_BYTES_MAX),
            port: from
                .port
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0),
            protocol: self.label("protocol", from.protocol),
        }
    }

    /// The fields that are kept as entries of `extra`, and their bytes there.
    fn said(
        &mut self,
        fix: Option<String>,
        suppressions: Vec<wit::Suppression>,
        code_flow: Vec<wit::FlowStep>,
    ) -> (Map<String, Value>, usize) {
        let mut said = Map::new();
        let before = self.bytes;
        let room = |shaper: &Self| (shaper.bytes - before) < (EXTRA_BYTES_MAX / 2) as u64;
        if !suppressions.is_empty() {
            let entries = self.list("suppressions", suppressions, LIST_ITEMS_MAX, |shaper, item| {
                room(shaper).then(|| shaper.suppression(item))
            });
            said.insert("suppressions".to_owned(), Value::Array(entries));
        }
        if !code_flow.is_empty() {
            let steps = self.list("code-flow", code_flow, LOCATIONS_MAX, |shaper, item| {
                room(shaper).then(|| shaper.step(item))
            });
            said.insert("code-flow".to_owned(), Value::Array(steps));
        }
        if !room(self) {
            self.note("field-cut", "code-flow", EXTRA_BYTES_MAX / 2, "bytes");
        }
        if let Some(fix) = fix {
            let fix = self.text("fix", fix, EXTRA_BYTES_MAX / 2);
            said.insert("fix".to_owned(), Value::String(fix));
        }
        let bytes = std::mem::replace(&mut self.bytes, before) - before;
        (said, bytes as usize)
    }

    fn suppression(&mut self, from: wit::Suppression) -> Value {
        let kind = self.line("suppressions", from.kind, LABEL_BYTES_MAX);
        let justification = from
            .justification
            .map(|why| self.text("suppressions", why, SNIPPET_BYTES_MAX))
            .unwrap_or_default();
        json!({ "kind": kind, "justification": justification })
    }

    /// A file's place as the readers of SARIF always had it; another place by its label.
    fn step(&mut self, from: wit::FlowStep) -> Value {
        let message = from.message.unwrap_or_default();
        let message = self.line("code-flow", message, LABEL_BYTES_MAX);
        match self.location(from.location) {
            Location::File { path, start, .. } => {
                // A step of SARIF that names no file has no path.
                let path = Some(path).filter(|path| !path.is_empty());
                json!({ "path": path, "line": start.map(|start| start.line), "message": message })
            }
            place => json!({ "place": place.label(), "message": message }),
        }
    }

    /// Values that are JSON stay JSON, others become strings; entries past the limit are left out. What the
    /// finding has fields for outweighs an entry of the same name.
    fn extra(
        &mut self,
        from: Vec<(String, String)>,
        (said, mut bytes): (Map<String, Value>, usize),
    ) -> Map<String, Value> {
        let mut extra = Map::new();
        for (key, value) in from {
            bytes += key.len() + value.len();
            if bytes > EXTRA_BYTES_MAX || extra.len() >= LIST_ITEMS_MAX {
                self.note("field-cut", "extra", EXTRA_BYTES_MAX, "bytes");
                break;
            }
            let key = self.line("extra key", key, LABEL_BYTES_MAX);
            let value = match plain_string(&value).map_or_else(|| serde_json::from_str(&value), Ok) {
                Ok(parsed) => printable_value(parsed),
                Err(_) => Value::String(text::printable(&value).into_owned()),
            };
            extra.insert(key, value);
        }
        extra.extend(said);
        self.bytes += bytes as u64;
        extra
    }

    fn list<T, U>(
        &mut self,
        field: &'static str,
        from: Vec<T>,
        max: usize,
        mut shape: impl FnMut(&mut Self, T) -> Option<U>,
    ) -> Vec<U> {
        if from.len() > max {
            self.note("field-cut", field, max, "items");
        }
        self.bytes += (from.len().min(max) * size_of::<U>()) as u64;
        from.into_iter()
            .take(max)
            .filter_map(|item| shape(self, item))
            .collect()
    }

    fn labels(&mut self, field: &'static str, from: Vec<String>) -> Vec<String> {
        self.list(field, from, LIST_ITEMS_MAX, |shaper, item| {
            Some(shaper.line(field, item, LABEL_BYTES_MAX)).filter(|item| !item.is_empty())
        })
    }

    fn label(&mut self, field: &'static str, from: Option<String>) -> Option<String> {
        from.map(|label| self.line(field, label, LABEL_BYTES_MAX))
            .filter(|label| !label.is_empty())
    }

    fn snippet(&mut self, field: &'static str, from: Option<String>) -> Option<String> {
        from.map(|snippet| self.text(field, snippet, SNIPPET_BYTES_MAX))
    }

    fn or(&mut self, field: &'static str, text: String, stand_in: &str) -> String {
        if !text.is_empty() {
            return text;
        }
        self.note("field-empty", field, 0, "");
        stand_in.to_owned()
    }

    /// One line: line breaks and tabs become spaces.
    fn line(&mut self, field: &'static str, from: String, bytes_max: usize) -> String {
        let text = self.text(field, from, bytes_max);
        if is_line(&text) {
            text
        } else {
            text.replace(['\n', '\t'], " ")
        }
    }

    fn text(&mut self, field: &'static str, mut from: String, bytes_max: usize) -> String {
        if !is_plain(&from) {
            from = text::printable(&from).into_owned();
        }
        if from.len() > bytes_max {
            from.truncate(text::cut(&from, bytes_max).len());
            from.shrink_to_fit();
            self.note("field-cut", field, bytes_max, "bytes");
        }
        self.bytes += from.len() as u64;
        from
    }

    fn note(&mut self, code: &'static str, field: &'static str, limit: usize, unit: &'static str) {
        if !self.notes.iter().any(|note| note.field == field) {
            self.notes.push(Note {
                code,
                field,
                limit,
                unit,
            });
        }
    }
}

/// A JSON string without escapes, which most values are, without a parser.
fn plain_string(json: &str) -> Option<Value> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = text
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
    is_plain.then(|| Value::String(text.to_owned()))
}

/// Counted from 1, and within the database's 4-byte integer.
fn in_range(number: u32) -> bool {
    number != 0 && i32::try_from(number).is_ok()
}

fn position(from: wit::Position) -> Option<Position> {
    in_range(from.line).then(|| Position {
        line: from.line,
        column: from.column.filter(|column| in_range(*column)),
    })
}

pub(crate) const fn span(from: wit::Span) -> Span {
    Span {
        input: from.input,
        offset: from.offset,
        length: from.length,
    }
}

pub(crate) const fn level(from: wit::LogLevel) -> LogLevel {
    match from {
        wit::LogLevel::Debug => LogLevel::Debug,
        wit::LogLevel::Info => LogLevel::Info,
        wit::LogLevel::Warn => LogLevel::Warn,
        wit::LogLevel::Error => LogLevel::Error,
    }
}

const fn severity(from: wit::Severity) -> Severity {
    match from {
        wit::Severity::Info => Severity::Info,
        wit::Severity::Low => Severity::Low,
        wit::Severity::Medium => Severity::Medium,
        wit::Severity::High => Severity::High,
        wit::Severity::Critical => Severity::Critical,
    }
}

const fn confidence(from: wit::Confidence) -> Confidence {
    match from {
        wit::Confidence::Unknown => Confidence::Unknown,
        wit::Confidence::Low => Confidence::Low,
        wit::Confidence::Medium => Confidence::Medium,
        wit::Confidence::High => Confidence::High,
    }
}

#[cfg(test)]
mod tests;
