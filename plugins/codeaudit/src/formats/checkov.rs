//! Checkov's JSON (seen: 3.3.30): one object per framework, alone or in an array, each with
//! `{"check_type", "results": {"failed_checks": […]}, "summary"}`; when nothing was looked at, only the
//! counts of a summary.
//!
//! Without an account it grades nothing. Checks that passed are counted, those that the source skips are
//! kept, marked.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Lenient, Object, Text};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::{LogLevel, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_object,
    small_text,
};
use tamiz_sdk::vocabulary::{SeverityTable, cvss_vector};

use super::package::{Package, advisories};
use super::place::{self, Region};
use super::{walk, wrong};

/// What a check without a severity means.
const UNGRADED: &str = "(not graded)";

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "checkov",
    words: &[
        ("CRITICAL", Severity::Critical),
        ("HIGH", Severity::High),
        ("IMPORTANT", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("MODERATE", Severity::Medium),
        ("LOW", Severity::Low),
        ("INFO", Severity::Info),
        ("NEGLIGIBLE", Severity::Info),
        ("NONE", Severity::Info),
        (UNGRADED, Severity::Medium),
    ],
};

pub(super) struct Checkov;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure<'a> {
    #[serde(borrow)]
    check_id: Text<'a>,
    #[serde(borrow)]
    check_name: Text<'a>,
    #[serde(borrow)]
    check_result: Field<Object<Verdict<'a>>>,
    #[serde(borrow)]
    file_path: Text<'a>,
    #[serde(borrow)]
    repo_file_path: Text<'a>,
    file_line_range: Field<Lines>,
    #[serde(borrow)]
    code_block: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    resource: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    guideline: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    vulnerability_details: Field<Object<Vulnerability<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Verdict<'a> {
    #[serde(borrow)]
    suppress_comment: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vulnerability<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    package_name: Text<'a>,
    #[serde(borrow)]
    package_version: Text<'a>,
    #[serde(borrow)]
    lowest_fixed_version: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    vector: Text<'a>,
    #[serde(borrow)]
    link: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
}

/// `[first, last]`; both may be -1.
#[derive(Default)]
struct Lines(Option<i64>, Option<i64>);

impl<'de> Lenient<'de> for Lines {
    fn from_seq<A: serde::de::SeqAccess<'de>>(mut entries: A) -> Result<Field<Self>, A::Error> {
        let mut lines = Self::default();
        let mut index = 0_u32;
        while let Some(entry) = entries.next_element::<Field<i64>>()? {
            let number = entry.get().copied().filter(|number| *number > 0);
            match index {
                0 => lines.0 = number,
                1 => lines.1 = number,
                _ => {}
            }
            index = index.saturating_add(1);
        }
        Ok(Field::Present(lines))
    }
}

impl Format for Checkov {
    fn name(&self) -> &'static str {
        "checkov-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["checkov"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let listed = [
            "[].check_type",
            "[].results",
            "[].summary",
            "[].results.failed_checks",
            "[].results.passed_checks",
        ];
        let single = [
            "check_type",
            "results",
            "summary",
            "results.failed_checks",
            "results.passed_checks",
        ];
        let nothing = head.has_all(&["passed", "failed", "checkov_version"]);
        let is_one = head.count(&single) >= 3 && head.has_any(&single[2..]);
        (nothing || head.count(&listed) >= 3 || is_one).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("checkov", None);
        let is_list = source.head().shape() == Shape::Array;
        let mut reader = source.json()?;
        if is_list {
            objects(&mut reader, session, "", |reader, session, name| {
                framework(reader, session, &format!("{name}."))
            })?;
        } else {
            framework(&mut reader, session, "")?;
        }
        Ok(reader.finish()?)
    }
}

/// The checks of one framework.
fn framework(reader: &mut JsonReader<'_>, session: &mut Session<'_>, prefix: &str) -> Result<(), Stop> {
    // It stands in front of the results.
    let mut kind_of_check = String::new();
    members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            ("check_type", _) => kind_of_check = small_text(reader)?.unwrap_or_default(),
            ("checkov_version", _) => {
                let version = small_text(reader)?;
                session.tool_is("checkov", version.as_deref());
            }
            ("resource_count", _) => {
                match reader.ahead(1)? {
                    b"0" => {
                        let message =
                            "the tool looked at no resource: no result says nothing about the target";
                        session.tell(LogLevel::Warn, "nothing-scanned", message, None);
                    }
                    [b'1'..=b'9'] => session.covered(),
                    _ => {}
                }
                return Ok(false);
            }
            ("summary", Kind::Object) => {
                let summary = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                session.tool_is("checkov", Some(walk::text(&summary, "checkov_version")));
            }
            ("results", Kind::Object) => results(reader, session, prefix, &kind_of_check)?,
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn results(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    prefix: &str,
    kind_of_check: &str,
) -> Result<(), Stop> {
    members(reader, session, |reader, session, key, kind| {
        let array = format!("{prefix}results.{key}");
        match (key, kind) {
            ("failed_checks" | "skipped_checks", Kind::Array) => {
                let is_skipped = key == "skipped_checks";
                each(reader, session, &array, |session, element| {
                    check(session, &element, kind_of_check, is_skipped)
                })?;
            }
            ("passed_checks", Kind::Array) => {
                let mut passed = 0_u32;
                reader.enter_array()?;
                while reader.next_element()? {
                    reader.skip()?;
                    passed = passed.saturating_add(1);
                }
                if passed > 0 {
                    let message = format!("{kind_of_check}: {passed} checks passed");
                    session.tell(LogLevel::Info, "checks-passed", &message, None);
                }
            }
            ("parsing_errors", Kind::Array) => walk::gaps(reader, session, &array, |error| {
                let file = error.as_str().unwrap_or_default();
                format!("{file} could not be parsed")
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn check(
    session: &mut Session<'_>,
    element: &Element<'_>,
    kind_of_check: &str,
    is_skipped: bool,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(check) = element.read_or_lose::<Failure<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(check; check_id, check_name, file_path, file_line_range, severity),
    );
    if check.check_id.text().is_empty() {
        session.lose_record("record-without-rule", element, "names no check in `check_id`");
        return Ok(());
    }
    let finding = check.finding(session, element, kind_of_check);
    let finding = match check.check_result.object() {
        Some(verdict) if is_skipped => finding.suppression("inSource", verdict.suppress_comment.text()),
        _ => finding,
    };
    session.emit(finding, element)
}

impl Failure<'_> {
    fn finding(
        &self,
        session: &mut Session<'_>,
        element: &Element<'_>,
        kind_of_check: &str,
    ) -> FindingBuilder {
        // Of a package's vulnerability only its details may have one.
        let details = self.vulnerability_details.object();
        let graded = [Some(&self.severity), details.map(|details| &details.severity)];
        let raw = graded
            .into_iter()
            .flatten()
            .map(Field::text)
            .find(|raw| !raw.is_empty());
        let severity = session.severity(&SEVERITIES, raw.or(Some(UNGRADED)), element);
        let is_secret = kind_of_check == "secrets";
        let mut finding = match details {
            Some(details) => details.finding(self.check_id.text()),
            None => FindingBuilder::new("checkov", self.check_id.text())
                .title(self.check_name.text())
                .message(match self.description.text() {
                    "" => self.check_name.text(),
                    description => description,
                })
                .category(if is_secret { "secret" } else { "misconfiguration" }),
        };
        finding = finding
            .severity(severity, raw)
            .tag(kind_of_check)
            .reference(self.guideline.text());
        // Of a secret the resource is its SHA-1, which is as good as a short secret itself.
        if is_secret {
            let identity = session.host().secret_identity(self.resource.text().as_bytes());
            finding = finding.tool_fingerprint(&identity).cwe(super::secret::CWE);
        } else if !self.resource.text().is_empty() {
            finding = finding.extra_text("resource", self.resource.text());
        }
        let none = Lines::default();
        let lines = self.file_line_range.get().unwrap_or(&none);
        let region = Region {
            line: lines.0,
            end_line: lines.1,
            ..Region::default()
        };
        let path = match self.repo_file_path.text() {
            "" => self.file_path.text(),
            path => path,
        };
        let code = if is_secret { String::new() } else { self.code() };
        // Paths begin with `/` and are relative to the scanned folder all the same.
        place::at(
            finding,
            session,
            element,
            path.trim_start_matches('/'),
            region,
            &code,
        )
    }

    /// `[[number, text], …]`, the first lines.
    fn code(&self) -> String {
        const LINES_MAX: usize = 20;
        let block = self.code_block.map_or("null", serde_json::value::RawValue::get);
        let lines: Vec<(serde_json::Value, String)> = serde_json::from_str(block).unwrap_or_default();
        let texts: Vec<_> = lines
            .iter()
            .take(LINES_MAX)
            .map(|(_, text)| text.trim_end())
            .collect();
        texts.join("\n")
    }
}

impl Vulnerability<'_> {
    fn finding(&self, check: &str) -> FindingBuilder {
        let package = Package {
            ecosystem: "",
            name: self.package_name.text(),
            version: self.package_version.text(),
            fixed: self.lowest_fixed_version.text(),
            ..Package::default()
        };
        let id = match self.id.text() {
            "" => check,
            id => id,
        };
        let mut finding = package
            .finding("checkov", id, id)
            .message(self.description.text())
            .reference(self.link.text());
        if let Some(vector) = cvss_vector(self.vector.text()) {
            finding = finding.cvss_vector(vector);
        }
        advisories(finding, [id])
    }
}
