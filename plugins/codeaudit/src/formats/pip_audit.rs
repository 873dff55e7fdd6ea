//! pip-audit's JSON (the shape of its `_format/json.py`): `{"dependencies": [{"name", "version", "vulns": […]}],
//! "fixes": […]}`, and the array of versions before 2.5. It grades nothing.
//!
//! Each entry of `vulns` is a record. A dependency that it had to skip is a gap.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Text, Texts};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::{LogLevel, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_text,
    span_since,
};
use tamiz_sdk::vocabulary::SeverityTable;

use super::package::{Package, advisories};
use super::walk::keep;
use super::wrong;

/// Of what is not graded.
const UNGRADED: Severity = Severity::Medium;

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "pip-audit",
    words: &[("(every vulnerability)", UNGRADED)],
};

pub(super) struct PipAudit;

/// What stands in front of a dependency's vulnerabilities.
#[derive(Default)]
struct Dependency {
    name: String,
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vulnerability<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    fix_versions: Texts<'a>,
    #[serde(borrow)]
    aliases: Texts<'a>,
    #[serde(borrow)]
    description: Text<'a>,
}

impl Format for PipAudit {
    fn name(&self) -> &'static str {
        "pip-audit-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["pip-audit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let own = |key: &str| format!("{key}.vulns");
        let skipped = |key: &str| head.has_all(&[&format!("{key}.name"), &format!("{key}.skip_reason")]);
        let within = head.has(&own("dependencies[]")) || head.has_all(&["dependencies", "fixes"]);
        let listed = head.has_all(&[&own("[]"), "[].name", "[].version"]);
        (within || listed || skipped("dependencies[]") || skipped("[]")).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("pip-audit", None);
        let is_list = source.head().shape() == Shape::Array;
        let mut reader = source.json()?;
        if is_list {
            objects(&mut reader, session, "", dependency)?;
        } else {
            members(&mut reader, session, |reader, session, key, kind| {
                match (key, kind) {
                    ("dependencies", Kind::Array) => objects(reader, session, key, dependency)?,
                    ("fixes", Kind::Array) => objects(reader, session, key, fix)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(reader.finish()?)
    }
}

/// One dependency. Vulnerabilities that stand in front of its name wait for it.
fn dependency(reader: &mut JsonReader<'_>, session: &mut Session<'_>, place: &str) -> Result<(), Stop> {
    // also one without a vulnerability is listed
    session.covered();
    let mut own = Dependency::default();
    let mut waiting = Vec::new();
    let end = members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            ("name", _) => own.name = small_text(reader)?.unwrap_or_default(),
            ("version", _) => own.version = small_text(reader)?.unwrap_or_default(),
            ("skip_reason", Kind::String) => {
                let start = reader.offset();
                let why = small_text(reader)?.unwrap_or_default();
                let message = format!("the tool skipped `{}`: {why}", own.name);
                session.gap("file-skipped", &message, Some(span_since(reader, start)));
            }
            ("vulns", Kind::Array) => {
                let array = format!("{place}.vulns");
                if own.name.is_empty() || own.version.is_empty() {
                    keep(reader, session, &array, &mut waiting)?;
                } else {
                    each(reader, session, &array, |session, element| {
                        vulnerability(session, &element, &own)
                    })?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    });
    for kept in &waiting {
        vulnerability(session, &kept.element(), &own)?;
    }
    end
}

/// What it did about a vulnerability when it was asked to: only what it did not do is told.
fn fix(reader: &mut JsonReader<'_>, session: &mut Session<'_>, _: &str) -> Result<(), Stop> {
    let (mut name, mut why) = (String::new(), String::new());
    members(reader, session, |reader, _, key, _| {
        match key {
            "name" => name = small_text(reader)?.unwrap_or_default(),
            "skip_reason" => why = small_text(reader)?.unwrap_or_default(),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if !why.is_empty() {
        let message = format!("the tool did not update `{name}`: {why}");
        session.tell(LogLevel::Info, "fix-skipped", &message, None);
    }
    Ok(())
}

fn vulnerability(
    session: &mut Session<'_>,
    element: &Element<'_>,
    dependency: &Dependency,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Vulnerability<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(found; id, fix_versions, aliases, description));
    let id = found.id.text();
    if id.is_empty() {
        session.lose_record("record-without-rule", element, "has no `id`");
        return Ok(());
    }
    let versions: Vec<&str> = found.fix_versions.texts().collect();
    let package = Package {
        name: &dependency.name,
        version: &dependency.version,
        ecosystem: "PyPI",
        fixed: &versions.join(", "),
        url: "",
    };
    let finding = package
        .finding("pip-audit", id, id)
        .message(found.description.text())
        .severity(UNGRADED, None)
        .tag("pypi");
    let finding = advisories(finding, [id].into_iter().chain(found.aliases.texts()));
    session.emit(finding, element)
}
