//! Trivy's JSON (the shape of its `pkg/types/report.go`, schema 2, and the array of schema 1):
//! `{"SchemaVersion", "ArtifactName", "Results": [{"Target", "Class", "Type", "Vulnerabilities": […],
//! "Misconfigurations": […], "Secrets": […], "Licenses": […]}]}`, and of `trivy k8s` the same under
//! `Resources[].Results`, in its summary under `Findings`, and before 0.43 under `Vulnerabilities` and
//! `Misconfigurations`.
//!
//! Not here: what one record becomes, see [`super::trivy_records`].

use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::{LogLevel, Severity};
use tamiz_sdk::report::{
    Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_text, span_since,
};
use tamiz_sdk::vocabulary::SeverityTable;

use super::image;
use super::trivy_records as records;
use super::walk::{Kept, keep};

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

/// The `ArtifactType` whose name is one.
const IMAGE: &str = "container_image";

/// What a result says about all its records. It stands in front of them.
#[derive(Clone, Default)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) class: String,
    pub(super) kind: String,
    /// Of a cluster: the object that was looked at, such as `default/Deployment/shop`.
    pub(super) object: String,
    /// Why the record that is read is taken out, if it is.
    pub(super) suppressed: Option<String>,
}

/// The lists of a cluster's objects.
const CLUSTER_LISTS: [&str; 4] = ["Resources", "Findings", "Vulnerabilities", "Misconfigurations"];

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
            "[].Vulnerabilities",
            "[].Misconfigurations",
            "[].Secrets",
            "[].Class",
            "[].Type",
        ];
        let is_list = head.has("[].Target") && head.has_any(&listed);
        let is_cluster = head.has("ClusterName") && head.has_any(&CLUSTER_LISTS);
        let is_object = head.count(&envelope) >= 3 || head.has_all(&["Results", "Results[].Target"]);
        (is_object || is_cluster || is_list).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("trivy", source.head().text("Trivy.Version"));
        let is_list = source.head().shape() == Shape::Array;
        let mut reader = source.json()?;
        let mut seen = false;
        let (mut name, mut kind_of) = (String::new(), String::new());
        if is_list {
            seen = true;
            results(&mut reader, session, "", "")?;
        } else {
            members(&mut reader, session, |reader, session, key, kind| {
                match (key, kind) {
                    ("ArtifactName", Kind::String) => {
                        name = small_text(reader)?.unwrap_or_default();
                        return Ok(true);
                    }
                    ("ArtifactType", Kind::String) => {
                        kind_of = small_text(reader)?.unwrap_or_default();
                        return Ok(true);
                    }
                    ("Results", Kind::Array) => results(reader, session, "Results", "")?,
                    (key, Kind::Array) if CLUSTER_LISTS.contains(&key) => resources(reader, session, key)?,
                    (key, Kind::Word) if CLUSTER_LISTS.contains(&key) => {
                        reader.skip()?;
                    }
                    _ => return Ok(false),
                }
                seen = true;
                Ok(true)
            })?;
        }
        // of anything else the name is a path
        if let Some(image) = image::repository(&name).filter(|_| kind_of == IMAGE) {
            session.target_is(image);
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
        let mut object: Vec<String> = Vec::new();
        members(reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("Namespace" | "Kind" | "Name", Kind::String) => {
                    object.extend(small_text(reader)?.filter(|text| !text.is_empty()));
                }
                ("Error", Kind::String) => {
                    let start = reader.offset();
                    let why = small_text(reader)?.unwrap_or_default();
                    if !why.is_empty() {
                        let message = format!("the tool reports of `{}`: {why}", object.join("/"));
                        session.gap("tool-error", &message, Some(span_since(reader, start)));
                    }
                }
                ("Results", Kind::Array) => {
                    let array = format!("{name}.Results");
                    results(reader, session, &array, &object.join("/"))?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    })
}

/// Each result's records. Those that stand in front of its `Target`, as in a file with sorted keys, wait
/// for it.
fn results(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    array: &str,
    object: &str,
) -> Result<(), Stop> {
    objects(reader, session, array, |reader, session, name| {
        session.covered();
        let mut target = Target {
            object: object.to_owned(),
            ..Target::default()
        };
        let mut has_path = false;
        let mut waiting: Vec<(records::Kind, Vec<Kept>)> = Vec::new();
        let end = members(reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("Target", _) => {
                    target.path = small_text(reader)?.unwrap_or_default();
                    has_path = true;
                }
                ("Class", _) => target.class = small_text(reader)?.unwrap_or_default(),
                ("Type", _) => target.kind = small_text(reader)?.unwrap_or_default(),
                (key, Kind::Array) => {
                    let Some(kind) = records::Kind::of(key) else {
                        return Ok(false);
                    };
                    let list = format!("{name}.{key}");
                    if has_path {
                        tell_waiting(session, &mut waiting, &target)?;
                        each(reader, session, &list, |session, element| {
                            kind.convert(session, &element, &target)
                        })?;
                    } else {
                        let mut kept = Vec::new();
                        let end = keep(reader, session, &list, &mut kept);
                        waiting.push((kind, kept));
                        end?;
                    }
                }
                _ => return Ok(false),
            }
            Ok(true)
        });
        tell_waiting(session, &mut waiting, &target)?;
        end
    })
}

/// Makes findings of what waited for its target: before those behind it, so that they come as they stand.
fn tell_waiting(
    session: &mut Session<'_>,
    waiting: &mut Vec<(records::Kind, Vec<Kept>)>,
    target: &Target,
) -> Result<(), Stop> {
    for (kind, kept) in std::mem::take(waiting) {
        for element in &kept {
            kind.convert(session, &element.element(), target)?;
        }
    }
    Ok(())
}
