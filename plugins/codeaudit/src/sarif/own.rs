//! What the platform's own SARIF says beside the standard: read back, a finding is what it was before the export.
//!
//! The export has under `properties.tamiz` of a result, of a place and of a suppression what SARIF has no field for;
//! the rest is read from the standard's fields, as it stands: secrets are hidden already, rules are named as they
//! were, and whatever a converter put into `extra` goes back there. Ids, states and times are the other project's,
//! and stay there.
//!
//! Not here: results of any other producer ([`super::result`]).

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Boxed, Field};
use tamiz_sdk::limits::FLOW_STEPS;
use tamiz_sdk::model::{
    DomainName, FileLocation, Location as Place, NetworkEndpoint, PacketFlow, Position, Severity, UrlLocation,
};
use tamiz_sdk::report::path;

use super::extras::{Fix, fingerprint};
use super::places::logical_places;
use super::region::positions;
use super::result::suppressed;
use super::rules::Rule;
use super::shapes::{Location, Message, ResultShape, Suppression};
use crate::vocabulary;

/// What stands under `tamiz`.
pub(super) type Own = Map<String, Value>;

/// A property bag of a place or of a suppression.
#[derive(Default, Deserialize)]
pub(super) struct OwnBag {
    #[serde(default)]
    tamiz: Field<Boxed<Own>>,
}

impl OwnBag {
    fn get(&self, key: &str) -> Option<&Value> {
        self.tamiz.object()?.get(key)
    }
}

/// The words of the platform's severities.
fn severity(word: &str) -> Option<Severity> {
    Some(match word {
        "critical" => Severity::Critical,
        "high" => Severity::High,
        "medium" => Severity::Medium,
        "low" => Severity::Low,
        "info" => Severity::Info,
        _ => return None,
    })
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// What the platform says of a result that it exported; nothing for a result of anybody else.
pub(super) fn of<'shape>(result: &'shape ResultShape<'_>) -> Option<&'shape Own> {
    let own = result.properties.object()?.tamiz.object()?;
    let is_ours = own
        .get("severity")
        .and_then(Value::as_str)
        .and_then(severity)
        .is_some();
    is_ours.then_some(own)
}

/// The finding that was exported.
pub(super) fn finding(
    own: &Own,
    result: &ResultShape<'_>,
    rule: Option<&Rule>,
    tool: &str,
    rule_id: &str,
) -> FindingBuilder {
    let text = |key: &str| own.get(key).and_then(Value::as_str);
    // what is null there was nothing, and what is not there is the rule's
    let or_rules = |key: &str, rules: &'_ str| match own.get(key) {
        Some(value) => value.as_str().unwrap_or_default().to_owned(),
        None => rules.to_owned(),
    };
    let message = result.message.object().map_or("", Message::plain);
    let graded = ["reportedSeverity", "severity"].into_iter().find_map(text);
    let mut finding = FindingBuilder::new(tool, rule_id)
        .rule_name(&or_rules("ruleName", rule.map_or("", |rule| &rule.name)))
        .message(text("message").unwrap_or(message))
        .title(text("title").unwrap_or_default())
        .severity(
            graded.and_then(severity).unwrap_or(Severity::Info),
            text("severityRaw"),
        )
        .remediation(&or_rules("remediation", rule.map_or("", help)));
    finding = labelled(own, result, finding);
    for place in result.locations.objects().iter().filter_map(place) {
        finding = finding.location(place);
    }
    finding = match text("toolFingerprint") {
        Some(print) => finding.tool_fingerprint(print),
        None => fingerprint(finding, result),
    };
    suppressed(extra(own, result, finding), result)
}

/// A rule has a help always; that of one without advice is its description again.
fn help(rule: &Rule) -> &str {
    if rule.help == rule.full { "" } else { &rule.help }
}

/// Classes, advisories, tags, addresses, category and confidence: the result's own, none of its rule's.
fn labelled(own: &Own, result: &ResultShape<'_>, mut finding: FindingBuilder) -> FindingBuilder {
    let Some(properties) = result.properties.object() else {
        return finding;
    };
    if let Some(numbers) = own.get("cwe").and_then(Value::as_array) {
        for number in numbers.iter().filter_map(Value::as_u64) {
            finding = finding.cwe(u32::try_from(number).unwrap_or_default());
        }
    } else {
        for number in result
            .taxa
            .objects()
            .iter()
            .filter_map(|taxon| taxon.id.text().parse().ok())
        {
            finding = finding.cwe(number);
        }
    }
    let ids: Vec<&str> = own.get("cve").map(|ids| texts(ids).collect()).unwrap_or_default();
    for id in &ids {
        finding = finding.cve(id);
    }
    if let Some(tags) = own.get("tags") {
        for tag in texts(tags) {
            finding = finding.tag(tag);
        }
    } else {
        for tag in properties.tags.texts().filter(|tag| !ids.contains(tag)) {
            finding = finding.tag(tag);
        }
    }
    for address in properties.references.texts() {
        finding = finding.reference(address);
    }
    if let Some(word) = vocabulary::confidence(properties.confidence.text()) {
        finding = finding.confidence(word);
    }
    finding
        .category(properties.category.text())
        .cvss_vector(properties.vector())
}

/// One place; nothing where a stand-in is.
fn place(location: &Location<'_>) -> Option<Place> {
    let own = location.properties.object();
    let said = |key: &str| own.and_then(|own| own.get(key));
    if said("standsIn").is_some() {
        return None;
    }
    if let Some(exact) = said("place") {
        return exact_place(exact);
    }
    let physical = location.physical.object()?;
    let uri = physical.artifact_location.object()?.uri.text();
    let region = physical.region.object();
    let (start, end) = region.map_or((None, None), positions);
    let snippet = region
        .and_then(|region| region.snippet.object())
        .map(Message::plain);
    Some(Place::File(FileLocation {
        path: path::label_of_uri(uri, None, &[]).path,
        start,
        end,
        snippet: snippet.map(str::to_owned),
    }))
}

/// A place as the platform's model writes it.
fn exact_place(place: &Value) -> Option<Place> {
    let text = |key: &str| place.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |value: Option<&Value>| {
        value
            .and_then(Value::as_u64)
            .and_then(|number| u32::try_from(number).ok())
    };
    let position = |key: &str| {
        let at = place.get(key)?;
        let line = number(at.get("line"))?;
        Some(Position {
            line,
            column: number(at.get("column")),
        })
    };
    Some(match place.get("kind")?.as_str()? {
        "file" => Place::File(FileLocation {
            path: text("path")?,
            start: position("start"),
            end: position("end"),
            snippet: text("snippet"),
        }),
        "url" => Place::Url(UrlLocation {
            url: text("url")?,
            method: text("method"),
            parameter: text("parameter"),
            evidence: text("evidence"),
        }),
        "endpoint" => Place::Endpoint(endpoint(place)?),
        "domain" => Place::Domain(DomainName {
            name: text("name")?,
            record_type: text("record_type"),
        }),
        "flow" => Place::Flow(PacketFlow {
            source: endpoint(place.get("source")?)?,
            destination: endpoint(place.get("destination")?)?,
            packet: number(place.get("packet")),
        }),
        _ => return None,
    })
}

fn endpoint(at: &Value) -> Option<NetworkEndpoint> {
    let port = at.get("port").and_then(Value::as_u64);
    Some(NetworkEndpoint {
        host: at.get("host")?.as_str()?.to_owned(),
        port: port.and_then(|port| u32::try_from(port).ok()),
        protocol: at.get("protocol").and_then(Value::as_str).map(str::to_owned),
    })
}

/// What SARIF has fields for goes back under converters' keys, beside the rest.
fn extra(own: &Own, result: &ResultShape<'_>, mut finding: FindingBuilder) -> FindingBuilder {
    let rest = own.get("extra").and_then(Value::as_object);
    for (key, value) in rest.into_iter().flatten() {
        finding = match (key.as_str(), value) {
            ("fix", Value::String(text)) => finding.fix(text),
            (_, Value::String(text)) => finding.extra_text(key, text),
            _ => finding.extra_json(key, &value.to_string()),
        };
    }
    let mut fixes = result.fixes.objects().iter().map(Fix::replacement);
    if let Some(text) = fixes.find(|text| !text.is_empty()) {
        finding = finding.fix(text);
    }
    if let Some(rank) = result.rank.get() {
        finding = finding.extra_json("rank", &rank.0.to_string());
    }
    if let Some(count) = result.occurrence_count.get().filter(|count| **count > 0) {
        finding = finding.extra_json("occurrence-count", &count.to_string());
    }
    let flow = result.code_flows.objects().first();
    let flow = flow.and_then(|flow| flow.thread_flows.objects().first());
    let steps = flow.map_or(&[][..], |flow| flow.locations.objects()).iter();
    let steps = steps.filter_map(|step| step.location.object());
    let steps = steps.take(FLOW_STEPS).map(explanation);
    let related = result.related_locations.objects().iter();
    let related = related.take(FLOW_STEPS).map(explanation);
    for (key, said) in [
        ("code-flow", steps.collect::<Vec<Value>>()),
        ("related", related.collect()),
    ] {
        if !said.is_empty() {
            finding = finding.extra_json(key, &json!(said).to_string());
        }
    }
    logical_places(finding, result.locations.objects())
}

/// A step, or what explains a result, as converters write it.
fn explanation(location: &Location<'_>) -> Value {
    let message = location.message.object().map_or("", Message::plain);
    let named = location.logical.objects().first();
    match named.map_or("", |name| name.fully_qualified_name.text()) {
        "" => {}
        place => return json!({ "place": place, "message": message }),
    }
    let physical = location.physical.object();
    let uri = physical.and_then(|physical| physical.artifact_location.object());
    let line = physical.and_then(|physical| physical.region.object()?.start_line.get().copied());
    let label = uri.map(|uri| path::label_of_uri(uri.uri.text(), None, &[]).path);
    json!({ "path": label, "line": line, "message": message })
}

/// The kind of a suppression in its tool's own word, if it has one.
pub(super) fn suppression_kind<'shape>(entry: &'shape Suppression<'_>) -> &'shape str {
    let own = entry.properties.object().and_then(|bag| bag.get("kind"));
    own.and_then(Value::as_str).unwrap_or_else(|| entry.kind.text())
}

/// Whether a fingerprint is none of a tool's, but the platform's own.
pub(super) fn is_our_print(name: &str) -> bool {
    name.starts_with("tamiz/")
}
