//! A result's places, and the steps of its flow.

use serde_json::{Value, json};

use crate::export::place::{file_uri, stand_in};
use crate::export::{Exported, set};
use crate::location::{Location, Position};

/// GitHub refuses a file with a result of more.
const PLACES_MAX: usize = 1_000;

/// All places: the finding's own, where else it is, and if there are none a stand-in.
pub(super) fn places(alert: &Exported) -> Vec<Value> {
    let own = alert.finding.locations.len();
    let all = alert.all_places().enumerate();
    let places = all.map(|(index, place)| location(place, index >= own));
    let mut places: Vec<Value> = places.take(PLACES_MAX).collect();
    if places.is_empty() {
        let mut nowhere = physical(&stand_in(None));
        nowhere["properties"] = json!({ "tamiz": { "standsIn": true } });
        places.push(nowhere);
    }
    places
}

/// One place. What a region cannot say, and every place that is no file, stands beside it as it is.
fn location(place: &Location, is_further: bool) -> Value {
    let mut location = physical(&stand_in(Some(place)));
    let mut own = json!({});
    if let Location::File {
        path,
        start,
        end,
        snippet,
    } = place
    {
        let (region, is_whole) = region(*start, *end, snippet.as_deref());
        set(&mut location["physicalLocation"], "region", region);
        if !is_whole || path.is_empty() {
            own["place"] = json!(place);
        }
    } else {
        own["place"] = json!(place);
        // for people: names of logical locations are those of code
        location["message"] = json!({ "text": place.label() });
    }
    if is_further {
        own["further"] = json!(true);
    }
    if own != json!({}) {
        location["properties"] = json!({ "tamiz": own });
    }
    location
}

fn physical(uri: &str) -> Value {
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri } } })
}

/// The region, and whether it says everything. It begins at a line, and ends no earlier.
fn region(start: Option<Position>, end: Option<Position>, snippet: Option<&str>) -> (Value, bool) {
    let mut region = json!({});
    let Some(start) = start.filter(|start| start.line > 0) else {
        return (region, end.is_none() && snippet.is_none());
    };
    region["startLine"] = json!(start.line);
    set(&mut region, "startColumn", start.column);
    if let Some(snippet) = snippet {
        region["snippet"] = json!({ "text": snippet });
    }
    let Some(end) = end else { return (region, true) };
    let is_before = end.line < start.line
        || (end.line == start.line && end.column.unwrap_or(u32::MAX) < start.column.unwrap_or(1));
    if is_before {
        return (region, false);
    }
    region["endLine"] = json!(end.line);
    set(&mut region, "endColumn", end.column);
    (region, true)
}

/// The first place as a file with a region: where a fix would go.
pub(super) fn fixable(alert: &Exported) -> Option<(Value, Value)> {
    let Some(Location::File { path, start, end, .. }) = alert.finding.locations.first() else {
        return None;
    };
    let (region, _) = region(*start, *end, None);
    let has_both = !path.is_empty() && region != json!({});
    has_both.then(|| (json!({ "uri": file_uri(path) }), region))
}

/// A step of a flow, or what explains a result, as converters write it into `extra`: a path with a line, or another
/// place by its label, and a message. None when it is written in another way.
pub(super) fn step(step: &Value) -> Option<Value> {
    let step = step.as_object()?;
    let known = ["path", "line", "place", "message"];
    if !step.keys().all(|key| known.contains(&key.as_str())) {
        return None;
    }
    let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
    let line = step.get("line").and_then(Value::as_u64).filter(|line| *line > 0);
    let mut location = json!({});
    if !text("path").is_empty() {
        location = physical(&file_uri(text("path")));
        if let Some(line) = line {
            location["physicalLocation"]["region"] = json!({ "startLine": line });
        }
    }
    if !text("place").is_empty() {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": text("place") }]);
    }
    if !text("message").is_empty() {
        location["message"] = json!({ "text": text("message") });
    }
    Some(location)
}
