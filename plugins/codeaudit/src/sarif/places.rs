//! Places beside a result's own: what explains it, what was looked at, and what has no file.

use serde_json::json;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::limits::FLOW_BYTES;
use tamiz_sdk::model::{FileLocation, Location as Place, Position, UrlLocation};
use tamiz_sdk::report::Session;

use super::head::RunHead;
use super::region::positions;
use super::shapes::{Location, Message, ResultShape};

/// Of a result without places: what was looked at, or what was asked of a web server.
pub(super) fn target(
    head: &RunHead,
    finding: FindingBuilder,
    result: &ResultShape<'_>,
    session: &Session<'_>,
) -> FindingBuilder {
    let target = result.analysis_target.object();
    if let Some(label) = target.and_then(|target| head.path(target, session.root())) {
        return finding.file(&label.path, None, None, "");
    }
    let Some(request) = result.web_request.object() else {
        return finding;
    };
    match request.target.text() {
        url if url.starts_with("http") => finding.location(Place::Url(UrlLocation {
            url: url.to_owned(),
            method: request.method.get().map(ToString::to_string),
            parameter: None,
            evidence: None,
        })),
        _ => finding,
    }
}

/// A place that explains a result.
pub(super) fn related_place(
    head: &RunHead,
    location: &Location<'_>,
    session: &Session<'_>,
) -> serde_json::Value {
    let (path, start, message) = explanation(head, location, session);
    json!({ "path": path, "line": start.map(|start| start.line), "message": message })
}

/// A step of a code flow; its path is empty where the step names no file.
pub(super) fn flow_step(
    finding: FindingBuilder,
    head: &RunHead,
    location: &Location<'_>,
    session: &Session<'_>,
) -> FindingBuilder {
    let (path, start, message) = explanation(head, location, session);
    let place = Place::File(FileLocation {
        path: path.unwrap_or_default(),
        start,
        end: None,
        snippet: None,
    });
    finding.flow_step(place, &message)
}

fn explanation(
    head: &RunHead,
    location: &Location<'_>,
    session: &Session<'_>,
) -> (Option<String>, Option<Position>, String) {
    let physical = location.physical.object();
    let artifact = physical.and_then(|physical| physical.artifact_location.object());
    let label = artifact.and_then(|artifact| head.path(artifact, session.root()));
    let start = physical
        .and_then(|physical| physical.region.object())
        .and_then(|region| positions(region).0);
    let text = location.message.object().map_or("", Message::plain);
    // Shortened without a word: the place is what matters.
    let message = tamiz_sdk::clean_line(text, FLOW_BYTES).text;
    (label.map(|label| label.path), start, message)
}

/// The names of what is no file: an assembly's method, a package, a cloud resource, each once. They stand
/// instead of a file or say more about one.
pub(super) fn logical_places(finding: FindingBuilder, locations: &[Location<'_>]) -> FindingBuilder {
    let logical = locations.iter().flat_map(|location| location.logical.objects());
    let mut names: Vec<&str> = Vec::new();
    for logical in logical {
        let name = match logical.fully_qualified_name.text() {
            "" => logical.name.text(),
            name => name,
        };
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [] => finding,
        [name] => finding.extra_text("logical-location", name),
        [name, ..] => finding
            .extra_text("logical-location", name)
            .extra_json("logical-locations", &json!(names).to_string()),
    }
}
