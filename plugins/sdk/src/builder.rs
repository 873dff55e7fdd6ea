//! A builder of findings whose texts are clean and within [`crate::limits`].
//!
//! Not here: how many findings one call may carry; see [`crate::Emitter`].

use crate::limits::{
    EXTRA_BYTES, FIX_BYTES, FLOW_BYTES, FLOW_STEPS, LIST_ENTRIES, MESSAGE_BYTES, PATH_BYTES, REFERENCE_BYTES,
    SNIPPET_BYTES, SUPPRESSIONS, TITLE_BYTES, WORD_BYTES,
};
use crate::model::{
    Confidence, DomainName, FileLocation, Finding, FlowStep, Location, NetworkEndpoint, PacketFlow, Position,
    Severity, Span, Suppression, UrlLocation,
};
use crate::text::{clean_line, clean_text};

/// Builds a [`Finding`] whose texts are clean and within [`crate::limits`].
///
/// What had to be cut or dropped is counted in [`FindingBuilder::build`]'s second answer, for a diagnostic.
#[derive(Debug, Clone)]
pub struct FindingBuilder {
    /// Boxed, because it moves through every call of a chain, and half a kilobyte each time showed.
    finding: Box<Finding>,
    cut: Vec<&'static str>,
}

/// What many findings of a rule have in common, as a builder made it.
#[derive(Debug, Default)]
pub struct Labels {
    category: Option<String>,
    confidence: Option<Confidence>,
    cwe: Vec<u32>,
    cve: Vec<String>,
    references: Vec<String>,
    tags: Vec<String>,
    cut: Vec<&'static str>,
}

impl FindingBuilder {
    /// A finding of a rule of a tool; everything else is optional.
    pub fn new(tool: &str, rule_id: &str) -> Self {
        let mut cut = Vec::new();
        let tool = bounded_line(tool, WORD_BYTES, "tool", &mut cut);
        let rule_id = bounded_line(rule_id, WORD_BYTES, "rule-id", &mut cut);
        Self {
            finding: Box::new(Finding {
                tool,
                rule_id,
                rule_name: None,
                title: String::new(),
                message: String::new(),
                severity: Severity::Info,
                severity_raw: None,
                confidence: Confidence::Unknown,
                category: None,
                locations: Vec::new(),
                cwe: Vec::new(),
                cve: Vec::new(),
                cvss_vector: None,
                references: Vec::new(),
                tags: Vec::new(),
                remediation: None,
                fix: None,
                suppressions: Vec::new(),
                code_flow: Vec::new(),
                tool_fingerprint: None,
                origin: None,
                extra: Vec::new(),
            }),
            cut,
        }
    }

    /// The rule's readable name; empty is none.
    #[must_use]
    pub fn rule_name(mut self, name: &str) -> Self {
        self.finding.rule_name = non_empty(bounded_line(name, WORD_BYTES, "rule-name", &mut self.cut));
        self
    }

    /// One line; without it, [`FindingBuilder::build`] takes the message's first line.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        // Shortening a title is its nature, not a loss: the message has the whole text.
        self.finding.title = clean_line(title, TITLE_BYTES).text;
        self
    }

    /// The tool's text about this result.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.finding.message = bounded_text(message, MESSAGE_BYTES, "message", &mut self.cut);
        self
    }

    /// How bad, and the tool's own word for it.
    #[must_use]
    pub fn severity(mut self, severity: Severity, raw: Option<&str>) -> Self {
        self.finding.severity = severity;
        self.finding.severity_raw =
            raw.map(|word| bounded_line(word, WORD_BYTES, "severity-raw", &mut self.cut));
        self
    }

    /// How sure the tool is.
    #[must_use]
    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.finding.confidence = confidence;
        self
    }

    /// `security`, `correctness`, `secret`…; empty is none.
    #[must_use]
    pub fn category(mut self, category: &str) -> Self {
        self.finding.category = non_empty(bounded_line(category, WORD_BYTES, "category", &mut self.cut));
        self
    }

    /// Adds a place; the first is primary.
    #[must_use]
    pub fn location(mut self, location: Location) -> Self {
        let location = bounded_location(location, &mut self.cut);
        self.place(location)
    }

    fn place(mut self, location: Location) -> Self {
        if self.finding.locations.len() < LIST_ENTRIES {
            // Most findings have one place, which is large.
            self.finding
                .locations
                .reserve_exact(usize::from(self.finding.locations.is_empty()));
            self.finding.locations.push(location);
        } else {
            self.cut.push("locations");
        }
        self
    }

    /// Adds a place in a file; the first is primary.
    #[must_use]
    pub fn file(mut self, path: &str, start: Option<Position>, end: Option<Position>, snippet: &str) -> Self {
        let path = bounded_line(path, PATH_BYTES, "path", &mut self.cut);
        let snippet = non_empty(bounded_text(snippet, SNIPPET_BYTES, "snippet", &mut self.cut));
        self.place(Location::File(FileLocation {
            path,
            start,
            end,
            snippet,
        }))
    }

    /// Adds a CWE number once.
    #[must_use]
    pub fn cwe(mut self, number: u32) -> Self {
        add_once(&mut self.finding.cwe, number, "cwe", &mut self.cut);
        self
    }

    /// Adds an advisory id once.
    #[must_use]
    pub fn cve(mut self, id: &str) -> Self {
        let id = bounded_line(id, WORD_BYTES, "cve", &mut self.cut);
        add_once(&mut self.finding.cve, id, "cve", &mut self.cut);
        self
    }

    /// The CVSS vector as it stood.
    #[must_use]
    pub fn cvss_vector(mut self, vector: &str) -> Self {
        self.finding.cvss_vector = non_empty(bounded_line(vector, WORD_BYTES, "cvss-vector", &mut self.cut));
        self
    }

    /// Adds an address once, if it is an `http` or `https` one: no other scheme may become a link.
    #[must_use]
    pub fn reference(mut self, address: &str) -> Self {
        let address = bounded_line(address.trim(), REFERENCE_BYTES, "references", &mut self.cut);
        let web = ["https://", "http://"].iter().any(|scheme| {
            address
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if web {
            add_once(&mut self.finding.references, address, "references", &mut self.cut);
        }
        self
    }

    /// Adds a tag once; empty is none.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        let tag = bounded_line(tag.trim(), WORD_BYTES, "tags", &mut self.cut);
        if !tag.is_empty() {
            add_once(&mut self.finding.tags, tag, "tags", &mut self.cut);
        }
        self
    }

    /// What to do about it, in words; empty is none. A replacement text is a [`FindingBuilder::fix`].
    #[must_use]
    pub fn remediation(mut self, text: &str) -> Self {
        self.finding.remediation = non_empty(bounded_text(text, MESSAGE_BYTES, "remediation", &mut self.cut));
        self
    }

    /// The replacement that the tool offers, as text or a patch; empty is none. Half a replacement is none
    /// either: one beyond [`FIX_BYTES`] is dropped.
    #[must_use]
    pub fn fix(mut self, replacement: &str) -> Self {
        let cleaned = clean_text(replacement, FIX_BYTES);
        if cleaned.cut {
            self.cut.push("fix");
        } else {
            self.finding.fix = non_empty(cleaned.text);
        }
        self
    }

    /// Adds that the tool or its user silenced this result: how (SARIF's `inSource` and `external`, or the
    /// tool's own word), and why; an empty justification is none.
    #[must_use]
    pub fn suppression(mut self, kind: &str, justification: &str) -> Self {
        if self.finding.suppressions.len() < SUPPRESSIONS {
            let kind = bounded_line(kind, WORD_BYTES, "suppressions", &mut self.cut);
            let why = bounded_text(justification, FLOW_BYTES, "suppressions", &mut self.cut);
            self.finding.suppressions.push(Suppression {
                kind,
                justification: non_empty(why),
            });
        } else {
            self.cut.push("suppressions");
        }
        self
    }

    /// Adds a step on the way from the data's source to the finding's place, in that order; an empty
    /// message is none.
    #[must_use]
    pub fn flow_step(mut self, location: Location, message: &str) -> Self {
        if self.finding.code_flow.len() < FLOW_STEPS {
            let location = bounded_location(location, &mut self.cut);
            let message = non_empty(bounded_line(message, FLOW_BYTES, "code-flow", &mut self.cut));
            self.finding.code_flow.push(FlowStep { location, message });
        } else {
            self.cut.push("code-flow");
        }
        self
    }

    /// The tool's own identity for the result; empty is none.
    #[must_use]
    pub fn tool_fingerprint(mut self, fingerprint: &str) -> Self {
        self.finding.tool_fingerprint = non_empty(bounded_line(
            fingerprint,
            WORD_BYTES,
            "tool-fingerprint",
            &mut self.cut,
        ));
        self
    }

    /// Where in the input it stood.
    #[must_use]
    pub fn origin(mut self, origin: Option<Span>) -> Self {
        self.finding.origin = origin;
        self
    }

    /// Adds a key with a text value.
    #[must_use]
    pub fn extra_text(self, key: &str, value: &str) -> Self {
        let text = clean_text(value, EXTRA_BYTES / 2).text;
        let needs_escapes = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\');
        let json = if text.bytes().any(needs_escapes) {
            // A string can always be written as JSON; were it not so, an empty text is dropped below.
            serde_json::to_string(&text).unwrap_or_default()
        } else {
            ["\"", &text, "\""].concat()
        };
        self.extra(key, json)
    }

    /// Adds a key with a JSON text; one that is too long is dropped, for half a JSON text is none.
    #[must_use]
    pub fn extra_json(self, key: &str, json: &str) -> Self {
        self.extra(key, json.to_owned())
    }

    fn extra(mut self, key: &str, json: String) -> Self {
        if json.is_empty() || json.len() > EXTRA_BYTES || self.finding.extra.len() >= LIST_ENTRIES {
            self.cut.push("extra");
        } else {
            let key = bounded_line(key, WORD_BYTES, "extra", &mut self.cut);
            self.finding.extra.push((key, json));
        }
        self
    }

    /// Category, confidence, labels and references, to be put on other findings.
    pub fn into_labels(self) -> Labels {
        let Self { finding, cut } = self;
        Labels {
            category: finding.category,
            confidence: Some(finding.confidence).filter(|word| *word != Confidence::Unknown),
            cwe: finding.cwe,
            cve: finding.cve,
            references: finding.references,
            tags: finding.tags,
            cut,
        }
    }

    /// Takes category, confidence, labels and references over, in place of what it has of them.
    #[must_use]
    pub fn labels(mut self, labels: &Labels) -> Self {
        self.finding.category.clone_from(&labels.category);
        if let Some(confidence) = labels.confidence {
            self.finding.confidence = confidence;
        }
        self.finding.cwe.clone_from(&labels.cwe);
        self.finding.cve.clone_from(&labels.cve);
        self.finding.references.clone_from(&labels.references);
        self.finding.tags.clone_from(&labels.tags);
        self.cut.extend_from_slice(&labels.cut);
        self
    }

    /// The finding, and the names of the fields that were cut on the way.
    ///
    /// Tool, rule and title are never empty: what has no rule of its own carries its rule's name or the
    /// word `unnamed`, and what has no title its message's first line or its rule.
    pub fn build(mut self) -> (Finding, Vec<&'static str>) {
        let finding = &mut self.finding;
        if finding.tool.is_empty() {
            UNNAMED.clone_into(&mut finding.tool);
        }
        if finding.rule_id.is_empty() {
            let name = finding.rule_name.as_deref().unwrap_or_default();
            let word = if name.is_empty() { UNNAMED } else { name }.to_owned();
            finding.rule_id = word;
        }
        if finding.title.is_empty() {
            let mut lines = finding
                .message
                .lines()
                .map(|line| clean_line(line, TITLE_BYTES).text);
            let first = lines.find(|line| !line.trim().is_empty());
            finding.title = first.unwrap_or_else(|| clean_line(&finding.rule_id, TITLE_BYTES).text);
        }
        self.cut.dedup();
        (*self.finding, self.cut)
    }
}

/// Stands for a tool or a rule whose name holds nothing that can be shown; the host's word for it, too.
const UNNAMED: &str = "unnamed";

/// A place with its texts clean and within their limits.
fn bounded_location(location: Location, cut: &mut Vec<&'static str>) -> Location {
    let mut word = |text: Option<String>, field| {
        text.and_then(|text| non_empty(bounded_line(&text, WORD_BYTES, field, cut)))
    };
    match location {
        Location::File(file) => {
            let path = bounded_line(&file.path, PATH_BYTES, "path", cut);
            let snippet = file
                .snippet
                .map(|text| bounded_text(&text, SNIPPET_BYTES, "snippet", cut));
            Location::File(FileLocation {
                path,
                snippet,
                ..file
            })
        }
        Location::Url(url) => {
            let (method, parameter) = (word(url.method, "method"), word(url.parameter, "parameter"));
            let evidence = url
                .evidence
                .map(|text| bounded_text(&text, SNIPPET_BYTES, "evidence", cut));
            Location::Url(UrlLocation {
                url: bounded_line(&url.url, PATH_BYTES, "url", cut),
                method,
                parameter,
                evidence,
            })
        }
        Location::Endpoint(endpoint) => Location::Endpoint(bounded_endpoint(endpoint, cut)),
        Location::Domain(domain) => Location::Domain(DomainName {
            record_type: word(domain.record_type, "record-type"),
            name: bounded_line(&domain.name, PATH_BYTES, "name", cut),
        }),
        Location::Flow(flow) => Location::Flow(PacketFlow {
            source: bounded_endpoint(flow.source, cut),
            destination: bounded_endpoint(flow.destination, cut),
            packet: flow.packet,
        }),
    }
}

fn bounded_endpoint(endpoint: NetworkEndpoint, cut: &mut Vec<&'static str>) -> NetworkEndpoint {
    let protocol = endpoint
        .protocol
        .map(|text| bounded_line(&text, WORD_BYTES, "protocol", cut));
    NetworkEndpoint {
        host: bounded_line(&endpoint.host, PATH_BYTES, "host", cut),
        protocol,
        ..endpoint
    }
}

fn bounded_line(text: &str, limit_bytes: usize, field: &'static str, cut: &mut Vec<&'static str>) -> String {
    let cleaned = clean_line(text, limit_bytes);
    if cleaned.cut {
        cut.push(field);
    }
    cleaned.text
}

fn bounded_text(text: &str, limit_bytes: usize, field: &'static str, cut: &mut Vec<&'static str>) -> String {
    let cleaned = clean_text(text, limit_bytes);
    if cleaned.cut {
        cut.push(field);
    }
    cleaned.text
}

fn add_once<T: PartialEq>(list: &mut Vec<T>, entry: T, field: &'static str, cut: &mut Vec<&'static str>) {
    if list.contains(&entry) {
        return;
    }
    if list.len() < LIST_ENTRIES {
        list.push(entry);
    } else {
        cut.push(field);
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::FindingBuilder;

    #[test]
    fn a_finding_always_has_a_tool_a_rule_and_a_title() {
        let named = |tool: &str, rule: &str, name: &str, message: &str| {
            let finding = FindingBuilder::new(tool, rule).rule_name(name).message(message);
            let finding = finding.build().0;
            [finding.tool, finding.rule_id, finding.title]
        };
        assert_eq!(named("a", "b", "c", "\n \u{1}\nd\ne"), ["a", "b", "d"]);
        assert_eq!(named("a", "\u{1}", "c", "\u{1}"), ["a", "c", "c"]);
        assert_eq!(named("\u{202e}", "", "", ""), ["unnamed", "unnamed", "unnamed"]);
    }
}
