//! One line of cargo, and what it means.
//!
//! Every field is lenient: one of another type costs itself, not the record.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Boxed, Field, Object, Objects, Text, Texts, Whole};
use tamiz_sdk::model::{FileLocation, Location, Position, Severity, position};

/// What rustc's words mean.
const SEVERITIES: [(&str, Severity); 5] = [
    ("error", Severity::High),
    ("error: internal compiler error", Severity::High),
    ("warning", Severity::Medium),
    ("note", Severity::Low),
    ("help", Severity::Info),
];

/// In front of the address of a lint's page.
const READ_MORE: &str = "for further information visit ";
/// In front of clippy's version in that address.
const CLIPPY_PAGES: &str = "/rust-clippy/rust-";
/// Places and steps of one finding; honest ones have a handful.
const PLACES_MAX: usize = 20;
/// A message, its remediation or its fix, in characters: a person reads it.
const TEXT_CHARACTERS_MAX: usize = 16_000;
/// Calls of macros within macros that are followed to the scanned code.
const EXPANSIONS_MAX: usize = 128;

/// A line.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct CargoLine<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    success: Field<bool>,
    #[serde(borrow)]
    target: Field<Object<Target<'a>>>,
    #[serde(borrow)]
    message: Field<Object<Message<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    kind: Texts<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    level: Text<'a>,
    #[serde(borrow)]
    code: Field<Object<Code<'a>>>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    spans: Field<Objects<Place<'a>>>,
    #[serde(borrow)]
    children: Field<Objects<Child<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Code<'a> {
    #[serde(borrow)]
    code: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Child<'a> {
    #[serde(borrow)]
    level: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    spans: Field<Objects<Place<'a>>>,
}

/// A span of the compiler.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Place<'a> {
    #[serde(borrow)]
    file_name: Text<'a>,
    line_start: Whole,
    column_start: Whole,
    line_end: Whole,
    column_end: Whole,
    is_primary: Field<bool>,
    #[serde(borrow)]
    label: Text<'a>,
    #[serde(borrow)]
    text: Field<Objects<SourceLine<'a>>>,
    #[serde(borrow)]
    suggested_replacement: Text<'a>,
    #[serde(borrow)]
    suggestion_applicability: Text<'a>,
    #[serde(borrow)]
    expansion: Field<Boxed<Expansion<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SourceLine<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

/// The call of a macro that a span came from.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Expansion<'a> {
    #[serde(borrow)]
    span: Field<Boxed<Place<'a>>>,
}

/// What a message is to the reader.
pub(crate) enum Meaning {
    /// It only counts or explains others.
    Summary,
    /// It says nothing.
    Nothing,
    /// A finding, and what it tells about the tool.
    Finding {
        finding: FindingBuilder,
        version: Option<String>,
        unknown_level: Option<String>,
    },
}

/// What the children of a message add to it.
#[derive(Default)]
struct Hints {
    references: Vec<String>,
    version: Option<String>,
    advice: Vec<String>,
    notes: Vec<String>,
    steps: Vec<(Location, String)>,
    fix: String,
    applicability: String,
}

impl CargoLine<'_> {
    pub(crate) fn reason(&self) -> &str {
        self.reason.text()
    }

    pub(crate) fn is_success(&self) -> bool {
        self.success.get() == Some(&true)
    }

    /// What a `compiler-message` means.
    pub(crate) fn meaning(&self) -> Meaning {
        let Some(message) = self
            .message
            .object()
            .filter(|message| !message.message.text().is_empty())
        else {
            return Meaning::Nothing;
        };
        let (code, spans) = (message.code(), message.spans.objects());
        if code.is_empty() && message.is_summary() {
            return Meaning::Summary;
        }
        let level = match message.level.text() {
            "" => "unknown",
            level => level,
        };
        let mut hints = Hints::default();
        for child in message.children.objects() {
            hints.add(child);
        }
        let known = SEVERITIES.iter().find(|(word, _)| *word == level);
        let severity = known.map_or(Severity::Info, |(_, severity)| *severity);
        let rule = if code.is_empty() {
            format!("rustc-{level}")
        } else {
            code.to_owned()
        };
        let is_lint = !code.is_empty() && !is_error_code(code);
        let mut finding = FindingBuilder::new("clippy", &rule)
            .severity(severity, Some(level))
            .category(if is_lint { "lint" } else { "compile" });
        let (places, labels) = split(spans, &mut hints);
        for place in places {
            finding = finding.location(place);
        }
        let words = std::iter::once(message.message.text()).chain(labels);
        let words: Vec<_> = words.chain(hints.notes.iter().map(String::as_str)).collect();
        finding = finding
            .message(cut(&words.join("\n")))
            .remediation(cut(&hints.advice.join("\n")))
            .fix(cut(&hints.fix));
        for address in &hints.references {
            finding = finding.reference(address);
        }
        if is_error_code(code) {
            finding = finding.reference(&format!("https://doc.rust-lang.org/error_codes/{code}.html"));
        }
        for (location, message) in hints.steps.into_iter().take(PLACES_MAX) {
            finding = finding.flow_step(location, &message);
        }
        let target = self.target.object();
        let kind = target.and_then(|target| target.kind.texts().next());
        let extra = [
            ("crate", target.map_or("", |target| target.name.text())),
            ("target", kind.unwrap_or("")),
            ("applicability", &hints.applicability),
        ];
        for (key, value) in extra.into_iter().filter(|(_, value)| !value.is_empty()) {
            finding = finding.extra_text(key, value);
        }
        Meaning::Finding {
            finding,
            version: hints.version,
            unknown_level: known.is_none().then(|| level.to_owned()),
        }
    }
}

impl Message<'_> {
    fn code(&self) -> &str {
        self.code.object().map_or("", |code| code.code.text())
    }

    /// `aborting due to 2 previous errors`, `3 warnings emitted`, `For more information about this error, …`.
    fn is_summary(&self) -> bool {
        let text = self.message.text();
        self.level.text() == "failure-note"
            || self.spans.objects().is_empty()
                && (text.starts_with("aborting due to ") || text.ends_with(" emitted"))
    }
}

impl Hints {
    fn add(&mut self, child: &Child<'_>) {
        let message = child.message.text();
        if child.level.text() == "help" {
            if let Some(address) = message.strip_prefix(READ_MORE) {
                let version = address
                    .split_once(CLIPPY_PAGES)
                    .and_then(|(_, rest)| rest.split('/').next());
                self.version = version.filter(|version| !version.is_empty()).map(str::to_owned);
                self.references.push(address.to_owned());
            } else if !message.starts_with("to override `") {
                self.advice.push(message.to_owned());
                if self.fix.is_empty() {
                    self.replace(child.spans.objects());
                }
            }
            return;
        }
        if message.ends_with(" on by default") || message.contains(" implied by `") {
            // Why the lint is on: said with the first finding of each lint alone, and nothing about it.
            return;
        }
        match child.spans.objects().first().and_then(Place::location) {
            Some(place) => self.steps.push((place, message.to_owned())),
            None => self.notes.push(format!("{}: {message}", child.level.text())),
        }
    }

    /// One replacement stands for itself; of several, each says where it goes.
    fn replace(&mut self, spans: &[Place<'_>]) {
        let parts: Vec<_> = spans
            .iter()
            .filter(|place| place.suggested_replacement.get().is_some())
            .collect();
        let several = |part: &&Place<'_>| format!("{}: {}", part.range(), part.suggested_replacement.text());
        self.fix = match parts.as_slice() {
            [one] => one.suggested_replacement.text().to_owned(),
            many => many
                .iter()
                .take(PLACES_MAX)
                .map(several)
                .collect::<Vec<_>>()
                .join("\n"),
        };
        if let Some(first) = parts.first().filter(|_| !self.fix.is_empty()) {
            first
                .suggestion_applicability
                .text()
                .clone_into(&mut self.applicability);
        }
    }
}

impl Place<'_> {
    /// Where it is in the scanned code.
    fn location(&self) -> Option<Location> {
        let mut place = self;
        for _ in 0..EXPANSIONS_MAX {
            // Inside a macro of the standard library: the place in the scanned code is where it was called.
            let outer = place.expansion.object().and_then(|call| call.span.object());
            match outer {
                Some(outer) if place.file_name.text().starts_with('/') => place = outer,
                _ => break,
            }
        }
        let path = place.file_name.text();
        let at = |line: &Whole, column: &Whole| -> Option<Position> {
            position(line.get().copied(), column.get().copied())
        };
        let snippet = place.text.objects().first().map_or("", |line| line.text.text());
        (!path.is_empty()).then(|| {
            Location::File(FileLocation {
                path: path.replace('\\', "/"),
                start: at(&place.line_start, &place.column_start),
                end: at(&place.line_end, &place.column_end),
                snippet: Some(snippet.to_owned()).filter(|snippet| !snippet.is_empty()),
            })
        })
    }

    /// `src/main.rs:3:5-3:12`.
    fn range(&self) -> String {
        let number = |whole: &Whole| whole.get().copied().unwrap_or(0);
        format!(
            "{}:{}:{}-{}:{}",
            self.file_name.text(),
            number(&self.line_start),
            number(&self.column_start),
            number(&self.line_end),
            number(&self.column_end),
        )
    }
}

/// Where it is (primary places first), and what the compiler wrote at those; what it wrote elsewhere are
/// steps, before those of the children.
fn split<'a>(spans: &'a [Place<'_>], hints: &mut Hints) -> (Vec<Location>, Vec<&'a str>) {
    let (mut first, mut others, mut steps, mut labels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for span in spans.iter().take(PLACES_MAX) {
        let Some(place) = span.location() else { continue };
        let label = span.label.text();
        if span.is_primary.get() == Some(&true) {
            first.push(place);
            labels.extend((!label.is_empty()).then_some(label));
        } else if label.is_empty() {
            others.push(place);
        } else {
            steps.push((place, label.to_owned()));
        }
    }
    hints.steps.splice(0..0, steps);
    first.append(&mut others);
    (first, labels)
}

/// The beginning of a text, as much as a person reads.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(TEXT_CHARACTERS_MAX) {
        Some((end, _)) if text.len() > TEXT_CHARACTERS_MAX => &text[..end],
        _ => text,
    }
}

/// `E0308`: an error of the compiler, not a lint.
fn is_error_code(code: &str) -> bool {
    let digits = code.strip_prefix('E').unwrap_or_default();
    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
}
