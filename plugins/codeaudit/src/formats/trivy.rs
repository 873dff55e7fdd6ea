//! Trivy's JSON (the shape of its `pkg/types/report.go`, schema 2, and the array of schema 1):
//! `{"SchemaVersion", "ArtifactName", "Results": [{"Target", "Class", "Type", "Vulnerabilities": […],
//! "Misconfigurations": […], "Secrets": […], "Licenses": […]}]}`, and of `trivy k8s` the same under
//! `Resources[].Results`.
//!
//! Not here: what one record becomes, see [`super::trivy_records`].

use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::{LogLevel, Severity};
use tamiz_sdk::report::{
    Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_text,
};
use tamiz_sdk::vocabulary::SeverityTable;

use super::trivy_records as records;

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "trivy",
    words: &[
        ("CRITICAL", Severity::Critical),
        ("HIGH", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
        ("UNKNOWN", Severity::Info),
    ],
};

pub(super) struct Trivy;

/// What a result says about all its records. It stands in front of them.
#[derive(Default)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) class: String,
    pub(super) kind: String,
}

impl Format for Trivy {
    fn name(&self) -> &'static str {
        "trivy-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["trivy"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let envelope = [
            "SchemaVersion",
            "ArtifactName",
            "ArtifactType",
            "Results",
            "Trivy",
        ];
        let listed = [
            "[].Target",
            "[].Vulnerabilities",
            "[].Misconfigurations",
            "[].Class",
        ];
        let cluster = ["ClusterName", "Resources", "Resources[].Results"];
        let is_object = head.count(&envelope) >= 3 || head.count(&cluster) >= 2;
        (is_object || head.count(&listed) >= 2 || head.has_all(&["Results", "Results[].Target"])).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("trivy", source.head().text("Trivy.Version"));
        let is_list = source.head().shape() == Shape::Array;
        let mut reader = source.json()?;
        let mut seen = false;
        if is_list {
            seen = true;
            results(&mut reader, session, "")?;
        } else {
            members(&mut reader, session, |reader, session, key, kind| {
                match (key, kind) {
                    ("Results", Kind::Array) => results(reader, session, "Results")?,
                    ("Resources" | "Vulnerabilities" | "Misconfigurations", Kind::Array) => {
                        resources(reader, session, key)?;
                    }
                    _ => return Ok(false),
                }
                seen = true;
                Ok(true)
            })?;
        }
        if !seen {
            let message = "the report has no results: the tool found nothing that it can look at";
            session.tell(LogLevel::Warn, "nothing-scanned", message, None);
        }
        Ok(reader.finish()?)
    }
}

/// Of a cluster: each object of it has results.
fn resources(reader: &mut JsonReader<'_>, session: &mut Session<'_>, array: &str) -> Result<(), Stop> {
    objects(reader, session, array, |reader, session, name| {
        members(reader, session, |reader, session, key, kind| {
            if (key, kind) != ("Results", Kind::Array) {
                return Ok(false);
            }
            results(reader, session, &format!("{name}.Results"))?;
            Ok(true)
        })
    })
}

fn results(reader: &mut JsonReader<'_>, session: &mut Session<'_>, array: &str) -> Result<(), Stop> {
    objects(reader, session, array, |reader, session, name| {
        let mut target = Target::default();
        members(reader, session, |reader, session, key, kind| {
            let list = format!("{name}.{key}");
            match (key, kind) {
                ("Target", _) => target.path = small_text(reader)?.unwrap_or_default(),
                ("Class", _) => target.class = small_text(reader)?.unwrap_or_default(),
                ("Type", _) => target.kind = small_text(reader)?.unwrap_or_default(),
                ("Vulnerabilities", Kind::Array) => each(reader, session, &list, |session, element| {
                    records::vulnerability(session, &element, &target)
                })?,
                ("Misconfigurations", Kind::Array) => each(reader, session, &list, |session, element| {
                    records::misconfiguration(session, &element, &target)
                })?,
                ("Secrets", Kind::Array) => each(reader, session, &list, |session, element| {
                    records::secret(session, &element, &target)
                })?,
                ("Licenses", Kind::Array) => each(reader, session, &list, |session, element| {
                    records::license(session, &element, &target)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    })
}
