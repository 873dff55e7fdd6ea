//! Ruff's JSON, an array, or a line each (seen: 0.0.292 to 0.17.6; older ones have no `severity` and no
//! `name`).
//!
//! A file that could not be parsed is a record without a code, or with `invalid-syntax`: a gap.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Objects, Text, Whole};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};
use tamiz_sdk::vocabulary::SeverityTable;

use super::place::Region;
use super::source::Sources;
use super::wrong;

/// What versions without severities mean.
const UNSAID: &str = "(not said)";

/// As for its SARIF.
pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "ruff",
    words: &[
        ("fatal", Severity::High),
        ("error", Severity::High),
        ("warning", Severity::Medium),
        ("info", Severity::Low),
        ("help", Severity::Info),
        (UNSAID, Severity::High),
    ],
};

pub(super) struct Ruff;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Issue<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    filename: Text<'a>,
    location: Field<Object<Place>>,
    end_location: Field<Object<Place>>,
    #[serde(borrow)]
    fix: Field<Object<Fix<'a>>>,
    #[serde(borrow)]
    url: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    row: Whole,
    column: Whole,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fix<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    edits: Field<Objects<Edit<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Edit<'a> {
    #[serde(borrow)]
    content: Text<'a>,
}

impl Fix<'_> {
    /// What it would put in the place of the result. Edits in several places (an import, too) are no one text.
    fn replacement(&self) -> &str {
        match self.edits.objects() {
            [only] => only.content.text(),
            _ => "",
        }
    }
}

impl Format for Ruff {
    fn name(&self) -> &'static str {
        "ruff-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["ruff"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "code",
            "filename",
            "location.row",
            "end_location.row",
            "noqa_row",
            "url",
        ];
        let listed = keys.iter().filter(|key| head.has(&format!("[].{key}"))).count();
        (listed >= 4 || head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("ruff", None);
        let mut sources = Sources::default();
        json_lines(source, session, |session, element| {
            issue(session, &element, &mut sources)
        })
    }
}

fn issue(session: &mut Session<'_>, element: &Element<'_>, sources: &mut Sources) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(issue) = element.read_or_lose::<Issue<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(issue; code, message, filename, location, severity),
    );
    let rule = issue.code.text();
    if matches!(rule, "" | "invalid-syntax" | "E902" | "E999") {
        let why = format!(
            "says that {} could not be read: {}",
            issue.filename.text(),
            issue.message.text()
        );
        session.gap_record("file-unread", element, &why);
        return Ok(());
    }
    let said = issue.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, said.or(Some(UNSAID)), element);
    let mut finding = FindingBuilder::new("ruff", rule)
        .rule_name(issue.name.text())
        .message(issue.message.text())
        .severity(severity, said)
        .remediation(issue.fix.object().map_or("", |fix| fix.message.text()))
        .fix(issue.fix.object().map_or("", Fix::replacement))
        .reference(issue.url.text());
    // S is flake8-bandit; SIM and SLF are not.
    if rule
        .strip_prefix('S')
        .is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
    {
        finding = finding.category("security");
    }
    let none = Place::default();
    let (start, end) = (
        issue.location.object().unwrap_or(&none),
        issue.end_location.object().unwrap_or(&none),
    );
    let region = Region::of(&start.row, &start.column, &end.row, &end.column);
    let finding = sources.at(finding, session, element, issue.filename.text(), region, "");
    session.emit(finding, element)
}
